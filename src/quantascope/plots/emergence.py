"""Figure of the skills of planted text falling one after another."""

from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_emergence"]

_COLOURS: Final = "viridis"
_LEAST_NATS: Final = 1e-3


def plot_emergence(
    steps: NDArray[np.integer[Any]],
    loss_nats: NDArray[np.floating[Any]],
    frequencies: NDArray[np.floating[Any]],
    *,
    ax: Axes,
    learned_nats: float,
) -> Axes:
    """Draw the loss of each skill over training, and their mean weighted by frequency.

    Parameters
    ----------
    steps
        Steps measured, rising, axis ``step``.
    loss_nats
        Mean loss of each skill's answers [nat], axes ``(rank, step)``; NaN where unknown.
    frequencies
        Of the skills, falling, axis ``rank``; rare ones are drawn darker.
    ax
        Where to draw.
    learned_nats
        Loss below which a skill counts as learned [nat].
    """
    shown = np.maximum(loss_nats, _LEAST_NATS)
    colours = mpl.colormaps[_COLOURS](np.linspace(0.92, 0.0, len(shown)))
    for loss, colour in list(zip(shown, colours, strict=True))[::-1]:
        ax.plot(steps, loss, color=colour, lw=0.8, alpha=0.8)
    known = ~np.isnan(loss_nats).any(axis=1)
    weights = frequencies[known] / frequencies[known].sum()
    ax.plot(steps, weights @ loss_nats[known], color="black", lw=2.4, label="mean by frequency")
    name = f"one of {len(shown)} skills each (light: common)"
    ax.plot([], [], color=colours[len(shown) // 2], lw=0.8, label=name)
    ax.axhline(learned_nats, color="grey", ls="--", lw=0.8, label="counts as learned")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("training step")
    ax.set_ylabel("loss of the skill's answers [nat]")
    ax.legend(loc="lower left")
    return ax
