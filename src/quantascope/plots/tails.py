"""Figure of a tail: how many values are at least as large, with the fitted power law."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_tail"]

Floats = NDArray[np.float64]


def plot_tail(
    values: Floats,
    share: Floats,
    *,
    n: int,
    line: tuple[Floats, Floats, Floats, Floats] | None,
    label: str,
    ax: Axes,
) -> Axes:
    """Draw the share of values at or above each, and a fitted tail with its band.

    Parameters
    ----------
    values
        Distinct values, > 0, ascending.
    share
        Share of all values that are at least as large.
    n
        How many values there are, for the 95 % interval of each share (Wilson).
    line
        x, fitted share, and its lower and upper ends, from the cut-off on; None draws no fit.
    label
        Of the fit: exponent and interval.
    ax
        Where to draw.
    """
    z2 = 1.96**2 / n
    middle = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    ends = np.abs(np.stack([middle - half, middle + half]) - share)
    ax.errorbar(values, share, yerr=ends, fmt="o", markersize=2.5, elinewidth=0.6, label="measured")
    if line is not None:
        x, fitted, lo, hi = line
        ax.plot(x, fitted, color="#D55E00", label=label)
        ax.fill_between(x, lo, hi, color="#D55E00", alpha=0.25, linewidth=0)
        ax.axvline(x[0], color="black", linewidth=0.7, linestyle=":")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(bottom=0.3 / n)
    ax.set_xlabel("value x")
    ax.set_ylabel("share of values >= x")
    ax.legend()
    return ax
