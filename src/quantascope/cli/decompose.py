"""The command `decompose`: which groups of predictions carry the drop of a family's mean loss."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from quantascope.cli.family_options import (
    AsJson,
    Incomplete,
    Least,
    Out,
    Over,
    Plot,
    said_as_options,
)
from quantascope.cli.run import Dir

if TYPE_CHECKING:
    from quantascope.families.breakdown import Breakdown

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(decompose)


def decompose(
    folder: Dir,
    by: Annotated[
        str,
        typer.Option(
            help="Over what: cluster, ngram:N, skill where it is known, or a table.parquet."
        ),
    ] = "cluster",
    over: Over = "sizes",
    at: Annotated[
        float | None,
        typer.Option(help="Step at which sizes are compared, or size whose steps are taken."),
    ] = None,
    first: Annotated[
        float | None, typer.Option("--from", help="Size or step the drop begins at; first.")
    ] = None,
    last: Annotated[
        float | None, typer.Option("--to", help="Size or step the drop ends at; last.")
    ] = None,
    least: Least = 20,
    incomplete: Incomplete = False,
    figure: Annotated[
        Literal["parts", "drop"],
        typer.Option(help="What to draw: parts over levels, drop by group."),
    ] = "parts",
    out: Out = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Say which clusters, n-grams or skills carry the drop of the mean loss, and its exponents.

    DIR is a run whose curves stand, or a finished sweep of sparse parity.
    """
    from quantascope.cli.decompose_text import print_breakdown
    from quantascope.cli.output import answer, check_targets, write_table

    check_targets(out=out, plot=plot)
    with said_as_options():
        found = _found(
            folder, by=by, over=over, at=at, first=first, last=last, least=least,
            complete=not incomplete,
        )  # fmt: skip
    if plot is not None:
        _draw(found, figure, plot)
    write_table(found.to_table(), out)
    answer(
        found.as_dict(),
        as_json=as_json,
        show=lambda: print_breakdown(found),
        path=plot or out or folder,
    )


def _found(
    folder: Path,
    *,
    by: str,
    over: Literal["sizes", "steps", "data"],
    at: float | None,
    first: float | None,
    last: float | None,
    least: int,
    complete: bool,
) -> "Breakdown":
    from quantascope.cli.sweeps import is_sweep, sweep_decomposition
    from quantascope.reader.decompose import run_decomposition
    from quantascope.store.folder import RunFolder

    if is_sweep(folder):
        return sweep_decomposition(folder, over, first=first, last=last)
    return run_decomposition(
        RunFolder(folder), by=by, over=over, at=at, first=first, last=last, least=least,
        complete=complete,
    )  # fmt: skip


def _draw(found: "Breakdown", figure: str, plot: Path) -> None:
    import numpy as np

    from quantascope.cli.output import save_figure
    from quantascope.plots.decompose import plot_drop, plot_parts

    split, parts = found.found, found.found.parts
    names = found.names.tolist()
    if figure == "drop":
        n = parts.n_groups
        error = np.fmax(split.seed_error[:n], split.pred_error[:n])
        save_figure(plot, lambda ax: plot_drop(split.share_of_drop[:n], error, names=names, ax=ax))
        return
    held = parts.share[:, None] * parts.level_means()
    series = parts.series
    save_figure(
        plot,
        lambda ax: plot_parts(
            series.x, held, names=names, has_rest=parts.has_rest, scale=series.scale, ax=ax
        ),
    )
