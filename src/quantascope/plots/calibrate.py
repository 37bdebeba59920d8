"""Figures of calibrated slopes: tables in, one drawn axes out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_calibrated", "plot_read_slopes"]

Table = Mapping[str, NDArray[Any]]


def plot_read_slopes(table: Table, ax: Axes) -> Axes:
    """Draw the slope that the envelope reads against the true one.

    Parameters
    ----------
    table
        Columns ``slope`` and ``envelope``.
    ax
        Where to draw.
    """
    _diagonal(table["slope"], ax)
    ax.plot(table["slope"], table["envelope"], "o-", label="envelope, not calibrated")
    ax.set_xlabel("true slope of size against rank")
    ax.set_ylabel("slope that is read")
    ax.legend()
    return ax


def plot_calibrated(table: Table, ax: Axes) -> Axes:
    """Draw calibrated slopes with their intervals against the true ones.

    Parameters
    ----------
    table
        Columns ``slope`` (true), ``read``, the slope before, ``estimate``, ``lo``, ``hi``.
    ax
        Where to draw.
    """
    _diagonal(table["slope"], ax)
    ax.plot(table["slope"], table["read"], ".", color="0.6", label="as read")
    known = table["estimate"][np.isfinite(table["estimate"])]
    low, high = (min(known, default=0.0) - 1.0, max(known, default=1.0) + 1.0)  # of open intervals
    lo, hi = (np.clip(table[end], low, high) for end in ("lo", "hi"))
    ax.vlines(table["slope"], lo, hi, color="C0", linewidth=0.6, alpha=0.6)
    ax.plot(table["slope"], table["estimate"], ".", color="C0", label="calibrated, 90 %")
    ax.set_xlabel("true slope of size against rank")
    ax.set_ylabel("estimated slope")
    ax.legend()
    return ax


def _diagonal(slope: NDArray[Any], ax: Axes) -> None:
    ends = [float(slope.min()), float(slope.max())]
    ax.plot(ends, ends, color="0.6", linewidth=1, label="true slope")
