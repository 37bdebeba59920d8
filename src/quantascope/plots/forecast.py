"""Figures of forecasts: fans of groups over size or step, and calibration curves.

Arrays in, one drawn axes out; no reading, fitting or saving.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_calibration", "plot_fans"]

Floats = NDArray[np.float64]

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")
_SCALES: Final = {
    "n_params": "size [non-embedding parameters]",
    "step": "training step",
}


def plot_fans(
    x: Floats,
    losses: Floats,
    *,
    targets: Floats,
    quantiles: Floats,
    names: Sequence[str],
    scale: str,
    ax: Axes,
    n_shown: int | None = None,
) -> Axes:
    """Draw what groups lost, and the median and 90 % interval of what they will.

    Parameters
    ----------
    x
        Sizes or steps that there are, ascending, axis ``level``.
    losses
        Mean loss [nat], axes ``group level``.
    targets
        Sizes or steps foretold, axis ``target``.
    quantiles
        5, 50 and 95 % quantiles [nat], axes ``group target quantile``.
    names
        Of the groups; six at most are told apart by colour.
    scale
        "n_params" or "step".
    ax
        Where to draw.
    n_shown
        Levels that the forecast rests on; those behind are drawn hollow. None: all.
    """
    n = len(x) if n_shown is None else n_shown
    for i, name in enumerate(names):
        colour = _COLOURS[i % len(_COLOURS)]
        ax.plot(x[:n], losses[i, :n], "o-", color=colour, markersize=3.5, label=_literal(name))
        ax.plot(x[n:], losses[i, n:], "o", color=colour, markersize=4.5, fillstyle="none")
        at = np.append(x[n - 1], targets)
        low, middle, high = (np.append(losses[i, n - 1], q) for q in quantiles[i].T)
        ax.plot(at, middle, "--", color=colour, linewidth=1.2)
        ax.fill_between(at, low, high, color=colour, alpha=0.13, linewidth=0)
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    ax.set_xlabel(_SCALES[scale])
    ax.set_ylabel("loss [nat], forecast with 90 % interval")
    ax.legend(fontsize="x-small")
    return ax


def plot_calibration(stated: Floats, curves: dict[str, tuple[Floats, Floats]], *, ax: Axes) -> Axes:
    """Draw how often what came lay below what was stated with a probability, a curve a method.

    Parameters
    ----------
    stated
        Probabilities, ascending.
    curves
        By method, shares that came below, and their standard errors (0: not known).
    ax
        Where to draw.
    """
    ax.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":", label="as stated")
    for (name, (share, error)), colour in zip(curves.items(), _COLOURS, strict=False):
        ax.plot(stated, share, "o-", color=colour, markersize=3.5, label=name)
        ax.fill_between(stated, share - error, share + error, color=colour, alpha=0.2, linewidth=0)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_xlabel("probability stated that the loss is below")
    ax.set_ylabel("share of groups that came below")
    ax.legend(fontsize="small")
    return ax


def _literal(text: str) -> str:
    """Keep a dollar from starting a formula."""
    return text.replace("$", r"\$")
