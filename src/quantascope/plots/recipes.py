"""Figures of recipes: tables in, one drawn axes out; no reading, fitting or saving.

A table is a mapping of column names to arrays of equal length. Points are measured, with their
error where one is known; lines are closed forms or predictions, and say so.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = [
    "plot_dimensions",
    "plot_exponent_pairs",
    "plot_metrics",
    "plot_power_laws",
    "plot_tail",
]

Table = Mapping[str, NDArray[Any]]

_MARKERS: Final = "osD^vP*Xhp<>"
_OUTSIDE: Final[dict[str, Any]] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}


def plot_power_laws(
    table: Table,
    ax: Axes,
    *,
    x: tuple[str, str],
    y: tuple[str, str],
    line: str,
    group: str,
) -> Axes:
    """Draw measured points over their closed form in logarithms, one curve a group.

    Parameters
    ----------
    table
        Columns named by `x`, `y`, `line` and `group`, and ``stderr``, the error of y.
    ax
        Where to draw.
    x, y
        Column and axis label (quantity and unit).
    line
        Column of the closed form, same unit as y.
    group
        Column that tells curves apart.
    """
    for i, name in enumerate(dict.fromkeys(table[group].tolist())):
        rows = table[group] == name
        label = name if isinstance(name, str) else f"{group} = {name}"
        colour = f"C{i % 7}"
        ax.errorbar(
            table[x[0]][rows],
            table[y[0]][rows],
            yerr=table["stderr"][rows],
            fmt=_MARKERS[i % len(_MARKERS)],
            color=colour,
            label=label,
        )
        ax.plot(table[x[0]][rows], table[line][rows], color=colour, linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(x[1])
    ax.set_ylabel(y[1])
    ax.set_title("points measured, lines closed form")
    ax.legend(**_OUTSIDE)
    return ax


def plot_dimensions(table: Table, ax: Axes) -> Axes:
    """Draw estimated against true dimension: at n points, and extrapolated in n.

    Parameters
    ----------
    table
        Columns ``method``, ``dim``, ``estimate``, ``lo``, ``hi``, ``limit``, ``limit_stderr``.
    ax
        Where to draw.
    """
    top = float(table["dim"].max()) * 1.08
    ax.plot([0, top], [0, top], color="0.6", linewidth=1, label="true dimension")
    for i, name in enumerate(dict.fromkeys(table["method"].tolist())):
        rows = table["method"] == name
        dim, shift = table["dim"][rows].astype(float), 0.12 * (i - 0.5)
        found = table["estimate"][rows]
        reach = np.abs(np.stack([found - table["lo"][rows], table["hi"][rows] - found]))
        ax.errorbar(
            dim + shift, found, yerr=reach, fmt=_MARKERS[i], color=f"C{i}", label=f"{name}, 95 %"
        )
        ax.errorbar(
            dim + shift,
            table["limit"][rows],
            yerr=1.96 * table["limit_stderr"][rows],
            fmt=_MARKERS[i],
            color=f"C{i}",
            markerfacecolor="none",
            alpha=0.7,
            label=f"{name}, extrapolated in n",
        )
    ax.set_xlim(0, top)
    ax.set_xlabel("dimension of the sheet")
    ax.set_ylabel("estimated dimension")
    ax.legend()
    return ax


def plot_metrics(table: Table, ax: Axes) -> Axes:
    """Draw one family of models through a smooth and through a sharp metric.

    Parameters
    ----------
    table
        Columns ``n_params``, ``cross_entropy_nats``, ``exact_match``, ``exact_match_sampled``,
        ``brier``.
    ax
        Where to draw; the left axis holds scores, a second one on the right the cross-entropy.
    """
    size = table["n_params"]
    ax.plot(size, table["exact_match"], color="C1", label="exact match, probability")
    ax.plot(size, table["exact_match_sampled"], "s", color="C1", label="exact match, test set")
    ax.plot(size, 1.0 - table["brier"], "^-", color="C2", label="1 - Brier score")
    ax.set_xscale("log")
    ax.set_xlabel("size [parameters]")
    ax.set_ylabel("score")
    right = ax.twinx()
    right.plot(size, table["cross_entropy_nats"], "o-", color="C0", label="cross-entropy (right)")
    right.set_yscale("log")
    loss = table["cross_entropy_nats"]
    ticks = np.round(np.geomspace(loss.min(), loss.max(), 5), 2)
    right.set_yticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    right.minorticks_off()
    right.set_ylabel("cross-entropy [nat/token]")
    right.grid(visible=False)
    lines = [*ax.get_lines(), *right.get_lines()]
    labels = [str(drawn.get_label()) for drawn in lines]
    ax.legend(lines, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def plot_tail(table: Table, ax: Axes, *, prediction: str) -> Axes:
    """Draw counts by value against a power law.

    Parameters
    ----------
    table
        Columns ``value``, ``count``, ``expected``.
    ax
        Where to draw.
    prediction
        Legend of the line.
    """
    ax.loglog(table["value"], table["count"], "o", label="draws")
    ax.loglog(table["value"], table["expected"], "-", label=prediction)
    ax.set_ylim(bottom=0.5)
    ax.set_xlabel("value")
    ax.set_ylabel("count [draws]")
    ax.legend()
    return ax


def plot_exponent_pairs(table: Table, ax: Axes) -> Axes:
    """Draw published exponents in data against those in parameters, with two relations.

    Parameters
    ----------
    table
        Columns ``authors``, ``alpha_N``, ``alpha_D``.
    ax
        Where to draw; pairs above the frame are marked at its edge with their value.
    """
    right, top = 1.2, 1.25
    grid = np.linspace(0.0, right, 100)
    ax.plot(grid, grid / (1 + grid), "k-", label="Quantization Model: a/(1+a)")
    ax.plot(grid, grid, "k--", label="equal exponents")
    for i, paper in enumerate(dict.fromkeys(table["authors"].tolist())):
        rows = table["authors"] == paper
        x, y = table["alpha_N"][rows], table["alpha_D"][rows]
        ax.plot(x, np.minimum(y, top - 0.03), _MARKERS[i % len(_MARKERS)], label=paper)
        for x_off, y_off in zip(x[y > top], y[y > top], strict=True):
            ax.annotate(f"to {y_off:g}", (x_off, top - 0.03), (5, -3), textcoords="offset points")
    ax.set_xlim(0, right)
    ax.set_ylim(0, top)
    ax.set_xlabel("exponent in parameters")
    ax.set_ylabel("exponent in data")
    ax.legend(**_OUTSIDE)
    return ax
