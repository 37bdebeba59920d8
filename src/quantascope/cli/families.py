"""Commands on loss curves of a family: curves, genicity, emergence."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from quantascope.cli.families_text import (
    print_emergence,
    print_examples,
    print_genicity,
    print_models,
)
from quantascope.cli.run import Dir, Set, Workers, make_stage

if TYPE_CHECKING:
    from quantascope.reader.families import Emerged
    from quantascope.reader.genicity import GenicityReport

__all__ = [
    "AsJson",
    "Incomplete",
    "Least",
    "Out",
    "Over",
    "Plot",
    "Seed",
    "register",
    "said_as_options",
    "write_table",
]

_FIGURES: Final = ("density", "weighted", "solved")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Plot = Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")]
Out = Annotated[Path | None, typer.Option(help="Table to write, a row a curve: .parquet.")]
Which = Annotated[
    Literal["all", "sampled", "selected"],
    typer.Option(help="Predictions: all, sampled, selected."),
]
Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="Allow sizes that lack a seed which others have.")
]
Seed = Annotated[int, typer.Option(help="Of shuffles and simulated curves.")]
Over = Annotated[
    Literal["sizes", "steps", "data"],
    typer.Option(help="Along what: sizes, steps or data (distinct training tokens)."),
]
Least = Annotated[int, typer.Option(min=1, help="Predictions an n-gram or a skill must have.")]


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
    from quantascope.cli.output import check_targets
    from quantascope.core.numbers import plain
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
        _draw_one(folder, pred, over=over, plot=plot)
    elif plot is not None:
        _draw_all(run, figure, plot=plot)
    found = curves_summary(run)
    if as_json:
        print(json.dumps(plain(found), allow_nan=False))
        return
    print_models(found)
    print(plot or folder / "curves")


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
    from quantascope.cli.output import check_targets
    from quantascope.core.numbers import plain
    from quantascope.reader.genicity import run_genicity
    from quantascope.reader.run import load
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
        _draw_classes(found, plot)
    write_table(found.to_table(), out)
    if as_json:
        print(json.dumps(plain(found.as_dict()), allow_nan=False))
        return
    print_genicity(found)
    print_examples(found, load(folder))
    print(plot or out or folder)


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
    from quantascope.cli.output import check_targets
    from quantascope.cli.sweeps import is_sweep, sweep_emergence
    from quantascope.core.numbers import plain
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
        _draw_when(found, plot)
    write_table(found.to_table(), out)
    if as_json:
        print(json.dumps(plain(found.as_dict()), allow_nan=False))
        return
    print_emergence(found)
    print(plot or out or folder)


@contextmanager
def said_as_options() -> Iterator[None]:
    """Say arguments of the library as the options of these commands."""
    from quantascope.core.errors import DataError

    try:
        yield
    except DataError as error:
        text = str(error).replace("complete=False", "--incomplete")
        raise DataError(text.replace("name one by n_params", "name one by --at")) from error
    except ValueError as error:
        raise ValueError(str(error).replace("from, to:", "--from, --to:")) from error


def write_table(table: Any, out: Path | None) -> None:
    """Write a table whole or not at all, where one is wanted."""
    import pyarrow.parquet as pq

    if out is not None:
        new = out.with_name(f".{out.name}.new")
        pq.write_table(table, new)
        new.replace(out)


def _draw_all(run: Any, figure: str, *, plot: Path) -> None:
    import numpy as np

    from quantascope.cli.output import save_figure
    from quantascope.plots.families import plot_loss_density, plot_share_solved
    from quantascope.reader.curves import read_distribution

    models, found = read_distribution(run)
    last = models.groupby(["n_params", models["seed"].fillna(0)], sort=False).tail(1).index
    kept = np.asarray(last)
    models = models.loc[last]
    if figure == "solved":
        save_figure(
            plot,
            lambda ax: plot_share_solved(
                models["n_params"].to_numpy(dtype=float),
                found.share_solved()[kept],
                models["seed"].fillna(0).to_numpy(dtype=np.int64),
                n_preds=found.n_preds,
                ax=ax,
            ),
        )
        return
    weighted = figure == "weighted"
    density = (found.weighted_density() if weighted else found.density())[kept]
    names = models["name"].tolist()
    save_figure(
        plot,
        lambda ax: plot_loss_density(found.edges, density, names=names, weighted=weighted, ax=ax),
    )


def _draw_one(folder: Path, pred: int, *, over: Over, plot: Path) -> None:
    import numpy as np

    from quantascope.cli.output import save_figure
    from quantascope.core.errors import DataError
    from quantascope.families.emergence import find_emergence
    from quantascope.plots.families import plot_curve
    from quantascope.reader.families import run_series
    from quantascope.reader.run import load

    run = load(folder)
    with said_as_options():
        whole = run.curves
        row = np.flatnonzero(whole.pred == pred)
        if not len(row):
            raise ValueError(
                f"--pred: {pred} has no curve; {len(whole.pred)} have, from {whole.pred[0]} to "
                f"{whole.pred[-1]} (curves/preds.parquet lists them)"
            )
        series = run_series(whole, over).rows(row)
    try:
        found = find_emergence(series)
        learned = (float(found.at[0]), float(found.lo[0]), float(found.hi[0]))
    except DataError:  # one run a size, and few sizes: the points alone
        learned = None
    shown = run.pred(pred)
    title = f"...{shown.text[-40:]!r} -> {shown.target!r}"
    save_figure(
        plot,
        lambda ax: plot_curve(
            series.x,
            series.losses[0].astype(float),
            level=series.level,
            run=series.run,
            scale=series.scale,
            learned=learned,
            title=title,
            ax=ax,
        ),
    )


def _draw_classes(found: "GenicityReport", plot: Path) -> None:
    import numpy as np

    from quantascope.cli.output import save_figure
    from quantascope.plots.families import plot_class_curves

    series = found.series
    means = np.stack(
        [series.losses[:, series.level == i].mean(axis=1) for i in range(len(series.x))], axis=1
    )
    names = np.full(len(means), "not tested") if found.classes is None else found.classes.name
    shown = {}
    for name in dict.fromkeys(names.tolist()):
        mine = means[names == name]
        low, high = np.quantile(mine, [0.25, 0.75], axis=0)
        shown[name] = np.stack([low, mine.mean(axis=0), high])
    counts = {name: int((names == name).sum()) for name in shown}
    save_figure(
        plot,
        lambda ax: plot_class_curves(series.x, shown, counts=counts, scale=series.scale, ax=ax),
    )


def _draw_when(found: "Emerged", plot: Path) -> None:
    from quantascope.cli.output import save_figure
    from quantascope.plots.families import plot_when_learned

    each, series, kept = found.found, found.series, found.changed
    ends = (each.at[kept], each.lo[kept], each.hi[kept])
    save_figure(plot, lambda ax: plot_when_learned(*ends, x=series.x, scale=series.scale, ax=ax))
