"""Figure of the parity exponents: measured, and predicted by a set with and without an end."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_parity_exponents"]


def plot_parity_exponents(table: Mapping[str, NDArray[Any]], ax: Axes, *, capacity: float) -> Axes:
    """Draw measured exponents in parameters against alpha, with two predictions.

    Parameters
    ----------
    table
        Columns ``alpha``, ``measured``, ``finite``, and ``refitted``, ``refitted_lo``,
        ``refitted_hi``, NaN where there are no losses.
    ax
        Where to draw.
    capacity
        Parameters a quantum needs, for the legend.
    """
    alpha, refitted = table["alpha"], table["refitted"]
    ax.plot(alpha, table["finite"], "-", label=f"prediction, 500 quanta, C = {capacity:,.0f}")
    ax.plot(alpha, alpha, "--", label="prediction, endless: alpha")
    ax.plot(alpha, table["measured"], "o", label="published, 20 widths and 3 seeds")
    reach = np.abs(np.stack([refitted - table["refitted_lo"], table["refitted_hi"] - refitted]))
    ax.errorbar(alpha + 0.008, refitted, yerr=reach, fmt="s", label="refitted, 6 widths, 95 %")
    ax.set_ylim(bottom=0)
    ax.set_xlabel("alpha of the task frequencies")
    ax.set_ylabel("exponent in parameters, alpha_N")
    ax.legend()
    return ax
