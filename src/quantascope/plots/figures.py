"""Figures of a run: tables and arrays in, one drawn axes out; no reading, fitting or saving.

Measured points carry what is known of their error; a line is a fit only where it says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.colors
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

__all__ = [
    "figure",
    "lighten",
    "plot_loss_distribution",
    "plot_loss_scaling",
    "plot_rank_frequency",
    "plot_similarity",
]

_STYLE: Final = Path(__file__).with_name("quantascope.mplstyle")
_MANY_COLOURS: Final = "viridis"
_LEAST_LIGHT: Final = 0.48
_DARK: Final = {
    "text.color": "#e8e8e6",
    "axes.labelcolor": "#e8e8e6",
    "axes.edgecolor": "#b0b0b0",
    "xtick.color": "#b0b0b0",
    "xtick.labelcolor": "#e8e8e6",
    "ytick.color": "#b0b0b0",
    "ytick.labelcolor": "#e8e8e6",
    "grid.color": "#414141",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def figure(
    *, width: float = 5.2, height: float = 3.6, dark: bool = False
) -> Iterator[tuple[Figure, Axes]]:
    """Open a figure in the project's style, without a window.

    Parameters
    ----------
    width, height
        Size [inch].
    dark
        Whether it will lie on a dark ground; call `lighten` when it is drawn.

    Yields
    ------
    tuple[Figure, Axes]
        Draw into the axes; the style holds inside the block.
    """
    with mpl.style.context([str(_STYLE), *([_DARK] if dark else [])]):
        drawn = Figure(figsize=(width, height), layout="constrained")
        yield drawn, drawn.add_subplot()


def lighten(drawn: Figure) -> None:
    """Make a figure fit for a dark ground: transparent, and every dark stroke lighter.

    Greys are inverted; a colour darker than a middle grey is mixed with white until it is not.
    """
    drawn.patch.set_alpha(0.0)
    for ax in drawn.axes:
        ax.patch.set_alpha(0.0)
        for line in ax.get_lines():
            line.set_color(_lighter(line.get_color()))
            line.set_markeredgecolor(_lighter(line.get_markeredgecolor()))
            line.set_markerfacecolor(_lighter(line.get_markerfacecolor()))
        for patch in ax.patches:
            patch.set_edgecolor(_lighter(patch.get_edgecolor()))
            patch.set_facecolor(_lighter(patch.get_facecolor()))
        for many in ax.collections:
            if many.get_array() is None:
                many.set_edgecolor([_lighter(c) for c in many.get_edgecolor()])
                many.set_facecolor([_lighter(c) for c in many.get_facecolor()])
        if (legend := ax.get_legend()) is not None:
            ax.legend(fontsize=legend.get_texts()[0].get_fontsize())


def _lighter(colour: Any) -> Any:
    if isinstance(colour, str) and colour == "none":
        return colour
    red, green, blue, alpha = mpl.colors.to_rgba(colour)
    if red == green == blue:  # black and greys change places with white
        return (1 - 0.9 * red, 1 - 0.9 * green, 1 - 0.9 * blue, alpha)
    white = 0.0
    while 0.2126 * red + 0.7152 * green + 0.0722 * blue < _LEAST_LIGHT and alpha and white < 1:
        red, green, blue = (part + 0.1 * (1 - part) for part in (red, green, blue))
        white += 0.1
    return (red, green, blue, alpha)


def plot_loss_scaling(models: pd.DataFrame, *, fit: pd.Series | None, ax: Axes) -> Axes:
    """Draw mean loss against size, with the fitted power law where there is one.

    Parameters
    ----------
    models
        Columns ``n_params`` [non-embedding parameter], ``mean_loss_nats`` [nat], ``name``.
    fit
        Row of the fits table (``estimate``, ``lo``, ``hi``, ``prefactor``), or None.
    ax
        Where to draw.
    """
    ax.loglog(models["n_params"], models["mean_loss_nats"], "o", label="measured")
    if fit is not None and fit["identified"]:
        size = np.geomspace(models["n_params"].min(), models["n_params"].max(), 50)
        text = f"power law, exponent {fit['estimate']:.3f} [{fit['lo']:.3f}, {fit['hi']:.3f}]"
        ax.loglog(size, fit["prefactor"] * size ** -fit["estimate"], "-", label=text)
    _plain_ticks(ax, models["mean_loss_nats"].to_numpy())
    ax.set_xlabel("size [non-embedding parameters]")
    ax.set_ylabel("mean loss [nat]")
    ax.legend()
    return ax


def plot_loss_distribution(
    edges: NDArray[np.float64],
    densities: Sequence[NDArray[np.float64]],
    *,
    names: Sequence[str],
    ax: Axes,
) -> Axes:
    """Draw the distribution of losses over predictions, one curve a model.

    Parameters
    ----------
    edges
        Bin edges [nat].
    densities
        For each model, probability density [1/nat] in each bin.
    names
        Model names, smallest first.
    ax
        Where to draw.
    """
    colours = mpl.colormaps[_MANY_COLOURS](np.linspace(0, 0.85, len(names)))
    for density, name, colour in zip(densities, names, colours, strict=True):
        plain = name.replace("$", r"\$")  # a dollar would start a formula
        ax.stairs(density, edges, label=plain, color=colour, linewidth=1.2)
    ax.set_yscale("log")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel("loss of one prediction [nat]")
    ax.set_ylabel("density [1/nat]")
    ax.legend()
    return ax


def plot_similarity(
    similarity: NDArray[np.float32], bounds: NDArray[np.int64], *, ax: Axes
) -> Axes:
    """Draw angular similarities, rows and columns ordered by cluster.

    Parameters
    ----------
    similarity
        Square matrix in [0, 1].
    bounds
        Where clusters begin, ascending, the end included.
    ax
        Where to draw.
    """
    off_diagonal = similarity[~np.eye(len(similarity), dtype=bool)]
    top = float(np.quantile(off_diagonal, 0.995)) if off_diagonal.size else 1.0
    image = ax.imshow(
        similarity, vmin=0.5, vmax=max(top, 0.51), cmap="magma", interpolation="nearest"
    )
    for bound in bounds[1:-1]:
        ax.axhline(bound - 0.5, color="white", linewidth=0.3)
        ax.axvline(bound - 0.5, color="white", linewidth=0.3)
    ax.grid(visible=False)
    ax.set_xlabel("prediction, ordered by cluster")
    ax.set_ylabel("prediction, ordered by cluster")
    ax.figure.colorbar(image, ax=ax, label="angular similarity (0.5 = orthogonal)", extend="max")
    return ax


def plot_rank_frequency(
    ranks: pd.DataFrame, envelope: pd.DataFrame, *, fit: pd.Series | None, ax: Axes
) -> Axes:
    """Draw cluster sizes by rank for every count of clusters, their envelope, and its slope.

    Parameters
    ----------
    ranks
        Columns ``clustering``, ``n_clusters``, ``rank``, ``size``.
    envelope
        Columns ``rank``, ``size``.
    fit
        Row of the fits table for the envelope, or None.
    ax
        Where to draw.
    """
    counts = np.sort(ranks["n_clusters"].unique())
    colours = dict(
        zip(counts, mpl.colormaps[_MANY_COLOURS](np.linspace(0, 0.9, len(counts))), strict=True)
    )
    for _, group in ranks.groupby("clustering"):
        colour = colours[group["n_clusters"].iloc[0]]
        ax.loglog(group["rank"], group["size"], color=colour, linewidth=0.7, alpha=0.8)
    ax.loglog(envelope["rank"], envelope["size"], color="black", label="envelope")
    if fit is not None and fit["identified"]:
        rank = np.array([fit["range_lo"], fit["range_hi"]], dtype=float)
        text = f"slope {fit['estimate']:.2f} [{fit['lo']:.2f}, {fit['hi']:.2f}]"
        text += "" if fit["calibrated"] else ", not calibrated"
        line = fit["prefactor"] * rank ** fit["estimate"]
        ax.loglog(rank, line, "--", color="#D55E00", linewidth=2, label=text)
    ax.set_xlabel("rank of the cluster")
    ax.set_ylabel("size [predictions]")
    ax.legend()
    return ax


def _plain_ticks(ax: Any, values: NDArray[np.float64]) -> None:
    """Label a short logarithmic axis by plain numbers."""
    lo, hi = float(values.min()), float(values.max())
    ticks = np.asarray(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(lo, hi))
    ticks = ticks[(ticks >= lo / 1.02) & (ticks <= hi * 1.02)]
    if len(ticks) < 2:
        ticks = np.array([lo, hi])
    ax.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])
    ax.minorticks_off()
