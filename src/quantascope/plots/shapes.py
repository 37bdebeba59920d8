"""Figure of classified curves: points with errors, turns with their intervals."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["MAX_CURVES", "plot_shapes"]

Floats = NDArray[np.float64]

MAX_CURVES: Final = 12


def plot_shapes(
    x: Floats,
    y: Floats,
    *,
    stderr: Floats | None,
    names: Sequence[str],
    turns: Floats,
    log_y: bool,
    y_label: str,
    ax: Axes,
) -> Axes:
    """Draw curves and where they turn, break or step.

    Parameters
    ----------
    x
        Scale of each point, axis ``point``.
    y
        Curves, axes ``curve point``; NaN where a point is missing; at most 12 are drawn.
    stderr
        Standard errors of y; None draws none.
    names
        Curve and shape, for the legend.
    turns
        Turning point with its 95 % interval, axes ``curve 3``; NaN where there is none.
    log_y
        Whether y is drawn in logarithms.
    y_label
        Quantity and unit.
    ax
        Where to draw.
    """
    for row, name in enumerate(names[:MAX_CURVES]):
        seen = np.isfinite(y[row])
        errors = None if stderr is None else 1.96 * stderr[row][seen]
        plain = name.replace("$", r"\$")  # a dollar would start a formula
        bars = ax.errorbar(x[seen], y[row][seen], yerr=errors, fmt="o-", linewidth=1, label=plain)
        if np.isfinite(turns[row]).all():
            at, lo, hi = turns[row]
            height = np.interp(np.log(at), np.log(x[seen]), y[row][seen])
            colour = bars.lines[0].get_color()
            ax.hlines(height, lo, hi, color=colour, linewidth=5, alpha=0.3)
    ax.set_xscale("log")
    if log_y:
        ax.set_yscale("log")
    ax.set_xlabel("scale x")
    ax.set_ylabel(y_label)
    ax.legend()
    return ax
