"""Figures of the commands on loss curves of a family."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantascope.cli.family_options import Over, said_as_options

if TYPE_CHECKING:
    from quantascope.reader.families import Emerged
    from quantascope.reader.genicity import GenicityReport

__all__ = ["draw_all", "draw_classes", "draw_pred", "draw_when"]


def draw_all(run: Any, figure: str, *, plot: Path) -> None:
    """Draw how losses of all predictions are distributed, or how many are solved by size."""
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


def draw_pred(folder: Path, pred: int, *, over: Over, plot: Path) -> None:
    """Draw the curve of one prediction, every training run."""
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


def draw_classes(found: "GenicityReport", plot: Path) -> None:
    """Draw the curves of each class."""
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


def draw_when(found: "Emerged", plot: Path) -> None:
    """Draw when each curve was learned."""
    from quantascope.cli.output import save_figure
    from quantascope.plots.families import plot_when_learned

    each, series, kept = found.found, found.series, found.changed
    ends = (each.at[kept], each.lo[kept], each.hi[kept])
    save_figure(plot, lambda ax: plot_when_learned(*ends, x=series.x, scale=series.scale, ax=ax))
