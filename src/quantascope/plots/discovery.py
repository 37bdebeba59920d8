"""Figures of discovery held against a known truth: tables in, one drawn axes out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_group_sizes"]


def plot_group_sizes(table: Mapping[str, NDArray[Any]], ax: Axes) -> Axes:
    """Draw the sizes of groups by rank, a curve for the truth and for each method.

    Parameters
    ----------
    table
        Columns ``grouping``, ``rank``, ``size``.
    ax
        Where to draw.
    """
    for name in dict.fromkeys(table["grouping"].tolist()):
        rows = np.asarray(table["grouping"]) == name
        ax.loglog(table["rank"][rows], table["size"][rows], "o-", label=name)
    ax.set_xlabel("rank")
    ax.set_ylabel("size [samples]")
    ax.legend()
    return ax
