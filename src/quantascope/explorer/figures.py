"""Figures of a run for pages and papers: drawn by `quantascope.plots`, light or dark, kept."""

import io
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from quantascope.explorer.kept import Kept
from quantascope.explorer.scaling import cluster_curve
from quantascope.explorer.view import View
from quantascope.plots.families import plot_curve, plot_loss_density, plot_share_solved
from quantascope.plots.figures import figure, lighten, plot_loss_scaling, plot_rank_frequency
from quantascope.reader.curves import read_distribution

__all__ = ["draw_file", "figure_file", "figure_table"]

_ONE_AT_A_TIME: Final = Lock()
"""Matplotlib's style is one for the whole process: two threads would mix theirs."""
_MOST_KEPT: Final = 200
_MOST_MODELS: Final = 8
_COARSE: Final = 10
"""Bins of losses put together in the table of their distribution."""


def figure_file(view: View, name: str, *, form: str, dark: bool, cluster: str = "") -> bytes:
    """Draw a figure as the bytes of a file.

    Parameters
    ----------
    view
        The run.
    name
        One of `quantascope.explorer.pages.figures.FIGURES`.
    form
        "svg" or "png".
    dark
        For a dark ground; transparent.
    cluster
        Id of a cluster, for a figure of one.
    """
    kept = view.kept.get("figures", lambda: Kept(most=_MOST_KEPT))
    return kept.get((name, form, dark, cluster), lambda: _file(view, name, form, dark, cluster))


def figure_table(view: View, name: str, *, cluster: str = "") -> pd.DataFrame:
    """Give the numbers of a figure."""
    return _TABLES[name](view, cluster)


def _file(view: View, name: str, form: str, dark: bool, cluster: str) -> bytes:  # noqa: FBT001
    return draw_file(lambda ax: _DRAW[name](view, cluster, ax), form=form, dark=dark)


def draw_file(draw: Callable[[Axes], object], *, form: str, dark: bool) -> bytes:
    """Draw into fresh axes; give the bytes of an "svg" or "png", for a light or a dark ground."""
    buffer = io.BytesIO()
    with _ONE_AT_A_TIME, figure(dark=dark) as (drawn, ax):
        draw(ax)
        if dark:
            lighten(drawn)
        undated = {"Date": None} if form == "svg" else None
        drawn.savefig(buffer, format=form, metadata=undated, dpi=160, transparent=dark)
    return buffer.getvalue()


def _draw_scaling(view: View, _: str, ax: Axes) -> Axes:
    fits = view.run.fits if view.has("fits") else pd.DataFrame()
    fit = fits.loc["alpha_N"] if "alpha_N" in fits.index else None
    return plot_loss_scaling(view.finished, fit=fit, ax=ax)


def _scaling_table(view: View, _: str) -> pd.DataFrame:
    return view.finished[["name", "n_params", "step", "seed", "mean_loss_nats"]]


def _draw_ranks(view: View, _: str, ax: Axes) -> Axes:
    fits = view.run.fits if view.has("fits") else pd.DataFrame()
    fit = fits.loc["envelope_slope"] if "envelope_slope" in fits.index else None
    envelope = view.run.table("ranks", "envelope")
    return plot_rank_frequency(_ranks_table(view, _), envelope, fit=fit, ax=ax)


def _ranks_table(view: View, _: str) -> pd.DataFrame:
    return view.run.table("ranks", "ranks")


def _distribution(view: View) -> tuple[pd.DataFrame, Any]:
    """Read the distribution of losses, and which of its rows are finished models."""
    models, found = view.of_run.get("distribution", lambda: read_distribution(view.run.folder))
    wanted = view.finished["model"].to_numpy()
    if len(wanted) > _MOST_MODELS:
        wanted = wanted[np.linspace(0, len(wanted) - 1, _MOST_MODELS).astype(int)]
    kept = np.flatnonzero(models["model"].isin(wanted).to_numpy())
    return models.iloc[kept].assign(row=kept), found


def _draw_distribution(view: View, _: str, ax: Axes) -> Axes:
    models, found = _distribution(view)
    density = found.density()[models["row"].to_numpy()]
    return plot_loss_density(found.edges, density, names=models["name"].tolist(), ax=ax)


def _distribution_table(view: View, _: str) -> pd.DataFrame:
    models, found = _distribution(view)
    density = found.density()[models["row"].to_numpy()]
    n = density.shape[1] // _COARSE * _COARSE
    coarse = density[:, :n].reshape(len(density), -1, _COARSE).mean(axis=2)
    edges = found.edges[: n + 1 : _COARSE]
    columns = {"lo_nats": edges[:-1], "hi_nats": edges[1:]}
    return pd.DataFrame(columns | dict(zip(models["name"], coarse, strict=True)))


def _solved_table(view: View, _: str) -> pd.DataFrame:
    models, found = view.of_run.get("distribution", lambda: read_distribution(view.run.folder))
    table = models.assign(share_solved=found.share_solved(), n_preds=found.n_preds)
    kept = table["model"].isin(view.finished["model"])
    return table.loc[kept, ["name", "n_params", "seed", "share_solved", "n_preds"]]


def _draw_solved(view: View, _: str, ax: Axes) -> Axes:
    table = _solved_table(view, _)
    return plot_share_solved(
        table["n_params"].to_numpy(dtype=float),
        table["share_solved"].to_numpy(),
        table["seed"].fillna(0).to_numpy(dtype=np.int64),
        n_preds=int(table["n_preds"].iloc[0]),
        ax=ax,
    )


def _draw_curve(view: View, cluster: str, ax: Axes) -> Axes:
    series, learned = cluster_curve(view, cluster)
    return plot_curve(
        series.x,
        np.asarray(series.losses[0], dtype=np.float64),
        level=series.level,
        run=series.run,
        scale=series.scale,
        ax=ax,
        learned=learned,
    )


def _curve_table(view: View, cluster: str) -> pd.DataFrame:
    series, _ = cluster_curve(view, cluster)
    x = series.x[series.level]
    return pd.DataFrame({series.scale: x, "run": series.run, "mean_loss_nats": series.losses[0]})


_DRAW: Final[dict[str, Callable[[View, str, Axes], object]]] = {
    "scaling": _draw_scaling,
    "rank-frequency": _draw_ranks,
    "distribution": _draw_distribution,
    "solved": _draw_solved,
    "curve": _draw_curve,
}
_TABLES: Final[dict[str, Callable[[View, str], pd.DataFrame]]] = {
    "scaling": _scaling_table,
    "rank-frequency": _ranks_table,
    "distribution": _distribution_table,
    "solved": _solved_table,
    "curve": _curve_table,
}
