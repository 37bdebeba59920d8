"""Commands on loss curves of a family: curves, genicity, emergence."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from quantascope.cli.families_draw import draw_all, draw_classes, draw_pred, draw_when
from quantascope.cli.families_text import (
    print_emergence,
    print_examples,
    print_genicity,
    print_models,
)
from quantascope.cli.family_options import (
    AsJson,
    Incomplete,
    Least,
    Out,
    Over,
    Plot,
    Seed,
    Which,
    said_as_options,
)
from quantascope.cli.run import Dir, Set, Workers, make_stage

if TYPE_CHECKING:
    from quantascope.reader.genicity import GenicityReport

__all__ = ["register"]

_FIGURES: Final = ("density", "weighted", "solved")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (curves, genicity, emergence):
        app.command()(command)


def curves(
    folder: Dir,
    set_: Set = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Redo the stage even where it stands.")
    ] = False,
    workers: Workers = 0,
    figure: Annotated[
        str, typer.Option(help="What to draw: density p(L), weighted L p(L), solved by size.")
    ] = "density",
    pred: Annotated[
        int | None, typer.Option(help="Draw the curve of this prediction instead.")
    ] = None,
    over: Over = "sizes",
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Gather losses over sizes, steps and seeds, and say how they are distributed."""
    from quantascope.cli.output import answer, check_targets
    from quantascope.reader.curves import curves_summary
    from quantascope.store.folder import RunFolder

    check_targets(plot=plot)
    if figure not in _FIGURES:
        raise ValueError(f"--figure: {figure!r} found; allowed are {', '.join(_FIGURES)}")
    if pred is not None and plot is None:
        raise ValueError("--pred: give --plot too, the file to draw its curve into")
    make_stage(folder, "curves", set_=set_, overwrite=overwrite, workers=workers)
    run = RunFolder(folder)
    if plot is not None and pred is not None:
        draw_pred(folder, pred, over=over, plot=plot)
    elif plot is not None:
        draw_all(run, figure, plot=plot)
    found = curves_summary(run)
    answer(found, as_json=as_json, show=lambda: print_models(found), path=plot or folder / "curves")


def genicity(
    folder: Dir,
    which: Which = "sampled",
    over: Over = "sizes",
    step: Annotated[
        float | None, typer.Option(help="Compare sizes at this step; default: their last.")
    ] = None,
    level: Annotated[float, typer.Option(help="Share of false claims allowed.")] = 0.05,
    correction: Annotated[
        Literal["bh", "by"], typer.Option(help="Of the number of curves: bh or by.")
    ] = "bh",
    incomplete: Incomplete = False,
    seed: Seed = 0,
    out: Out = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Sort predictions by the paper's rules, test them against seeds, find rare shapes."""
    from quantascope.cli.output import answer, check_targets, write_table
    from quantascope.reader.genicity import run_genicity
    from quantascope.store.folder import RunFolder

    check_targets(out=out, plot=plot)
    with said_as_options():
        found = run_genicity(
            RunFolder(folder),
            which=which,
            over=over,
            step=step,
            complete=not incomplete,
            level=level,
            correction=correction,
            seed=seed,
        )
    if plot is not None:
        draw_classes(found, plot)
    write_table(found.to_table(), out)
    answer(
        found.as_dict(),
        as_json=as_json,
        show=lambda: _print_classes(found, folder),
        path=plot or out or folder,
    )


def emergence(
    folder: Dir,
    by: Annotated[
        str,
        typer.Option(
            help="Of what: cluster, pred, probe, ngram:N, skill where known, or a table.parquet."
        ),
    ] = "cluster",
    over: Over = "sizes",
    at: Annotated[
        float | None,
        typer.Option(help="Step at which sizes are compared, or size whose steps or data are."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Loss that counts as learned [nat]; default: the middle of the drop."),
    ] = None,
    level: Annotated[float, typer.Option(help="Confidence of the intervals.")] = 0.95,
    least: Least = 20,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Also in accuracy, exact match and Brier score.")
    ] = False,
    n_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer, for exact match.")] = 5,
    which: Which = "sampled",
    incomplete: Incomplete = False,
    seed: Seed = 0,
    out: Out = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Say when clusters, n-grams, skills, probes or single predictions were learned, how sharply.

    DIR is a run whose curves stand, or a finished sweep of sparse parity.
    """
    from quantascope.cli.output import answer, check_targets, write_table
    from quantascope.cli.sweeps import is_sweep, sweep_emergence
    from quantascope.reader.families import run_emergence
    from quantascope.store.folder import RunFolder

    check_targets(out=out, plot=plot)
    with said_as_options():
        if is_sweep(folder):
            found = sweep_emergence(folder, over, threshold=threshold, level=level, seed=seed)
        else:
            found = run_emergence(
                RunFolder(folder),
                by=by,
                over=over,
                at=at,
                threshold=threshold,
                level=level,
                which=which,
                complete=not incomplete,
                least=least,
                metrics=metrics,
                n_tokens=n_tokens,
                seed=seed,
            )
    if plot is not None:
        draw_when(found, plot)
    write_table(found.to_table(), out)
    answer(
        found.as_dict(),
        as_json=as_json,
        show=lambda: print_emergence(found),
        path=plot or out or folder,
    )


def _print_classes(found: "GenicityReport", folder: Path) -> None:
    from quantascope.reader.run import load

    print_genicity(found)
    print_examples(found, load(folder))
