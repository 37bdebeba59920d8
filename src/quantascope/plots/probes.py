"""Figures of probes: scores of skills against size or step. Arrays in, one drawn axes out."""

from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_skills"]

Floats = NDArray[np.float64]

_SCALES: Final = {
    "n_params": "size [non-embedding parameters]",
    "step": "training step",
}
_SCORES: Final = {
    "token_loss": "loss of the answer [nat per token]",
    "exact": "share of answers written greedily",
    "choice": "share of choices that are right",
    "brier": "Brier score of the choice",
}


def plot_skills(
    x: Floats,
    ends: tuple[Floats, Floats, Floats],
    *,
    names: Sequence[str],
    score: str,
    scale: str,
    ax: Axes,
) -> Axes:
    """Draw a score of each skill against size or step, with intervals.

    Parameters
    ----------
    x
        Sizes or steps, axis ``level``.
    ends
        Means and both ends of their intervals, axes ``skill level``; skills of NaN are left out.
    names
        Of the skills.
    score
        ``token_loss``, ``exact``, ``choice`` or ``brier``.
    scale
        ``n_params`` or ``step``.
    ax
        Where to draw.
    """
    mean, lo, hi = ends
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, max(len(names), 1)))
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        if np.isfinite(mean[i]).all():
            label = name.replace("$", r"\$")
            ax.plot(x, mean[i], "o-", color=colour, markersize=3, label=label)
            ax.fill_between(x, lo[i], hi[i], color=colour, alpha=0.15, linewidth=0)
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.set_xlabel(_SCALES[scale])
    ax.set_ylabel(_SCORES[score])
    ax.legend(fontsize="x-small", ncols=2)
    return ax
