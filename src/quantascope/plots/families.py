"""Figures of a family: how losses are distributed, what is solved, single curves, when learned.

Arrays in, one drawn axes out; no reading, fitting or saving.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = [
    "plot_class_curves",
    "plot_curve",
    "plot_loss_density",
    "plot_share_solved",
    "plot_when_learned",
]

Floats = NDArray[np.float64]

_COLOURS: Final = "viridis"
_MARK: Final = "#D55E00"
_CURVES: Final = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7")
_SCALES: Final = {
    "n_params": "size [non-embedding parameters]",
    "step": "training step",
    "n_unique": "distinct training tokens or samples",
}
_Z95: Final = 1.96


def plot_loss_density(
    edges: Floats,
    density: Floats,
    *,
    names: Sequence[str],
    ax: Axes,
    weighted: bool = False,
    bins_together: int = 10,
) -> Axes:
    """Draw p(L) of predictions, or L p(L), whose area is the mean loss; a curve a model.

    Parameters
    ----------
    edges
        Edges of the bins [nat], ascending.
    density
        p(L) [1/nat], or L p(L); axes ``model bin``.
    names
        Of the models, smallest first.
    ax
        Where to draw.
    weighted
        Whether `density` is L p(L), drawn on a linear scale.
    bins_together
        Neighbouring bins averaged into one, from 1.

    References
    ----------
    arXiv:2303.13506, figures 3 and A5.
    """
    n_whole = density.shape[1] // bins_together * bins_together
    height = density[:, :n_whole].reshape(len(density), -1, bins_together).mean(axis=2)
    wide = edges[: n_whole + 1 : bins_together]
    for row, name, colour in zip(height, names, _colours(len(names)), strict=True):
        ax.stairs(row, wide, label=_literal(name), color=colour, linewidth=1.2)
    ax.set_xlim(wide[0], wide[-1])
    ax.set_xlabel("loss L of one prediction [nat]")
    ax.set_ylabel("L p(L)" if weighted else "p(L) [1/nat]")
    if not weighted:
        ax.set_yscale("log")
    ax.legend(fontsize="small")
    return ax


def plot_share_solved(
    n_params: Floats, share: Floats, seed: NDArray[np.int64], *, n_preds: int, ax: Axes
) -> Axes:
    """Draw the share of predictions that are solved against size, a curve a seed.

    Parameters
    ----------
    n_params
        Sizes, axis ``model``.
    share
        Share of predictions in the first bin of losses, axis ``model``.
    seed
        Training run of each model, axis ``model``.
    n_preds
        Predictions behind each share, for 95 % intervals in which they count as independent.
    ax
        Where to draw.

    References
    ----------
    arXiv:2303.13506, figure A5.
    """
    for each, colour in zip(np.unique(seed), _colours(len(np.unique(seed))), strict=True):
        mine = np.flatnonzero(seed == each)
        mine = mine[np.argsort(n_params[mine])]
        half = _Z95 * np.sqrt(share[mine] * (1 - share[mine]) / n_preds)
        ax.errorbar(
            n_params[mine],
            share[mine],
            yerr=half,
            fmt="o-",
            color=colour,
            capsize=2,
            label=f"seed {each}",
        )
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.set_xlabel(_SCALES["n_params"])
    ax.set_ylabel("share solved (loss < 0.018 bit)")
    ax.legend()
    return ax


def plot_curve(
    x: Floats,
    losses: Floats,
    *,
    level: NDArray[np.int64],
    run: NDArray[np.int64],
    scale: str,
    ax: Axes,
    learned: tuple[float, float, float] | None = None,
    title: str = "",
) -> Axes:
    """Draw one curve: every training run, their mean, and where it was learned.

    Parameters
    ----------
    x
        Sizes or steps, ascending, axis ``level``.
    losses
        Loss [nat], axis ``column``.
    level, run
        Place in `x` and training run of each column.
    scale
        "n_params" or "step".
    ax
        Where to draw.
    learned
        Where the curve was learned and the interval of it; an end of 0 or infinity is open.
    title
        For example the text of the prediction.
    """
    tracked = len(np.unique(run)) < len(run)
    for each in np.unique(run) if tracked else []:
        mine = run == each
        order = np.argsort(level[mine])
        ax.plot(x[level[mine]][order], losses[mine][order], color="grey", linewidth=0.7)
    ax.plot(x[level], losses, "o", color="grey", markersize=3.5, label="one training run each")
    mean = np.bincount(level, weights=losses) / np.bincount(level)
    ax.plot(x, mean, color="#0072B2", linewidth=2, label="mean")
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    if learned is not None and np.isfinite(learned[0]):
        at, lo, hi = learned
        ends = np.clip([lo, hi], *ax.get_xlim())
        ax.axvspan(*ends, color=_MARK, alpha=0.15, linewidth=0)
        ax.axvline(at, color=_MARK, linestyle="--", label="learned, with interval")
    ax.set_xlabel(_SCALES[scale])
    ax.set_ylabel("loss [nat]")
    ax.set_title(_literal(title), fontsize="small")
    ax.legend()
    return ax


def plot_class_curves(
    x: Floats, curves: Mapping[str, Floats], *, counts: Mapping[str, int], scale: str, ax: Axes
) -> Axes:
    """Draw the mean curve of each class and the middle half of its curves.

    Parameters
    ----------
    x
        Sizes or steps, ascending, axis ``level``.
    curves
        By class, quartiles and mean of its curves [nat]: rows lower quartile, mean, upper quartile.
    counts
        By class, how many curves it has.
    scale
        "n_params" or "step".
    ax
        Where to draw.
    """
    for (name, (low, mean, high)), colour in zip(curves.items(), _CURVES, strict=False):
        ax.plot(x, mean, "o-", color=colour, label=f"{name}, {counts[name]:,}")
        ax.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.set_xlabel(_SCALES[scale])
    ax.set_ylabel("loss [nat], mean and middle half")
    ax.legend()
    return ax


def plot_when_learned(
    at: Floats, lo: Floats, hi: Floats, *, x: Floats, scale: str, ax: Axes
) -> Axes:
    """Draw when curves were learned, with intervals, the earliest at the bottom.

    Parameters
    ----------
    at, lo, hi
        Size or step and its interval, axis ``pred``; NaN in `at` is left out, ends of 0 or
        infinity reach to the margin.
    x
        Sizes or steps that there are.
    scale
        "n_params" or "step".
    ax
        Where to draw.
    """
    known = np.flatnonzero(np.isfinite(at))
    known = known[np.argsort(at[known], kind="stable")]
    margin = x[0] / 1.5, x[-1] * 1.5
    place = np.arange(1, len(known) + 1)
    ends = np.clip(lo[known], *margin), np.clip(hi[known], *margin)
    thin = min(0.8, 100 / max(len(known), 1))
    ax.hlines(place, *ends, color="grey", linewidth=thin, alpha=0.6)
    ax.plot(at[known], place, ".", color=_MARK, label="learned, with interval")
    for each in x:
        ax.axvline(each, color="black", linewidth=0.4, linestyle=":")
    ax.set_xscale("log")
    ax.set_xlim(*margin)
    ax.set_xlabel(_SCALES[scale])
    ax.set_ylabel("place in the order of learning")
    ax.legend(loc="upper left")
    return ax


def _colours(n: int) -> NDArray[Any]:
    return np.asarray(mpl.colormaps[_COLOURS](np.linspace(0, 0.85, n)))


def _literal(text: str) -> str:
    """Keep a dollar from starting a formula."""
    return text.replace("$", r"\$")
