"""Figures of sparse parity: losses over three resources with emergence, and exponents over alpha.

A table is a mapping of column names to arrays of equal length. Points are measured; lines are fits
or predictions and say so.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_exponents", "plot_parity_exponents", "plot_scaling"]

Floats = NDArray[np.floating[Any]]
Table = Mapping[str, NDArray[Any]]

_RESOURCES: Final = {
    "parameters": ("parameters, N", "alpha_N", "widths 9 to 300"),
    "steps": ("training step, S", "alpha_S", "width 300"),
    "samples": ("samples, D", "alpha_D", "width 500"),
}
"""Label of the axis, exponent, and what the published one was measured on."""
_MOST_RANKS: Final = 60
_LONG: Final = 2.5
"""Decades from which an axis is labelled at powers of ten alone."""
_PANEL: Final = 3.5
"""Width of a panel [inch]."""


def plot_scaling(tables: Mapping[str, Table], *, ax: Axes) -> Axes:
    """Draw mean losses over parameters, steps and samples, and below them maps of the subtasks'.

    Parameters
    ----------
    tables
        For each of ``parameters``, ``steps``, ``samples`` that there is, columns ``amount``,
        ``loss_bits``, ``fitted_bits``, ``finite_bits``; as ``..._subtasks`` columns ``amount``,
        ``subtask`` (1 for the commonest), ``loss_bits``; ``exponents`` with ``name``, ``estimate``,
        ``lo``, ``hi``, ``published``; ``published`` with ``resource``, ``amount``, ``loss_bits``.
    ax
        Where to draw; replaced by two rows of panels.

    Returns
    -------
    Axes
        The first panel.

    References
    ----------
    arXiv:2303.13506, figure 2.
    """
    names = [name for name in _RESOURCES if name in tables]
    panels = _panels(ax, (2, len(names)), height=6.2, sharex="col", sharey="row")
    published = tables["published"]
    for name, above, below in zip(names, panels[0], panels[1], strict=True):
        label, symbol, widths = _RESOURCES[name]
        here = published["resource"] == name
        _mean_losses(tables[name], above)
        if here.any():
            points = published["amount"][here], published["loss_bits"][here]
            above.plot(*points, "s", color="C1", mfc="none", label="published")
        above.set_title(_exponent_text(tables["exponents"], symbol, widths), fontsize="small")
        shown = _emergence(tables[f"{name}_subtasks"], below)
        _plain_ticks(below.xaxis, ticker.EngFormatter(sep=""))
        below.set_xlabel(label)
    first: Axes = panels[0, 0]
    first.set_xlabel(_RESOURCES[names[0]][0])
    first.set_ylabel("mean loss [bit]")
    panels[1, 0].set_ylabel("subtask, by frequency")
    bar = panels[1, -1].figure.colorbar(shown, ax=panels[1, :], fraction=0.03, pad=0.01)
    bar.set_label("its loss [bit]")
    for row in panels[:, 0]:
        _plain_ticks(row.yaxis, ticker.FormatStrFormatter("%g"))
    for above in panels[0]:
        above.legend(fontsize="x-small")
    return first


def plot_exponents(tables: Mapping[str, Table], *, ax: Axes, published: Table) -> Axes:
    """Draw measured exponents over alpha with both predictions and what was published.

    Parameters
    ----------
    tables
        By symbol of the exponent: columns ``alpha``, ``estimate``, ``lo``, ``hi``, ``asymptotic``,
        ``finite``.
    ax
        Where to draw; replaced by one panel for each exponent.
    published
        Column ``alpha``, and one for each exponent.

    Returns
    -------
    Axes
        The first panel.

    References
    ----------
    arXiv:2303.13506, figure A4.
    """
    panels = _panels(ax, (1, len(tables)), height=3.6)[0]
    for (symbol, table), panel in zip(tables.items(), panels, strict=True):
        order = np.argsort(table["alpha"], kind="stable")
        alpha, estimate = table["alpha"][order], table["estimate"][order]
        reach = np.abs(np.stack([estimate - table["lo"][order], table["hi"][order] - estimate]))
        panel.errorbar(alpha, estimate, yerr=reach, fmt="o", color="C0", label="measured, 95 %")
        panel.plot(
            alpha, table["finite"][order], "-", color="C0", label="predicted, this many subtasks"
        )
        panel.plot(
            alpha,
            table["asymptotic"][order],
            "--",
            color="black",
            label="predicted, endlessly many",
        )
        panel.plot(
            published["alpha"], published[symbol], "s", color="C1", mfc="none",
            label="published, 500 of 3 of 100 bits",
        )  # fmt: skip
        panel.set_ylim(bottom=0)
        panel.set_xlabel("alpha of the subtasks' frequencies")
        panel.set_ylabel(symbol)
    panels[0].legend(fontsize="x-small")
    return panels[0]


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


def _panels(ax: Axes, shape: tuple[int, int], *, height: float, **shared: Any) -> Any:
    """Replace axes by a grid of panels, axes ``(row, column)``."""
    whole: Any = ax.figure
    ax.remove()
    whole.set_size_inches(_PANEL * shape[1], height)
    return whole.subplots(*shape, squeeze=False, **shared)


def _plain_ticks(axis: Any, style: ticker.Formatter) -> None:
    """Label 1, 2 and 5 of each decade, so that short axes say more than one number."""
    span = float(np.ptp(np.log10(axis.get_view_interval())))
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if span < _LONG else (1,)))
    axis.set_major_formatter(style)
    axis.set_minor_formatter(ticker.NullFormatter())


def _mean_losses(table: Table, ax: Axes) -> None:
    amount, loss = table["amount"], table["loss_bits"]
    ax.loglog(amount, loss, "o", ms=3, label="measured here")
    order = np.argsort(amount, kind="stable")
    for column, style, label in (
        ("fitted_bits", "-", "power law, fitted"),
        ("finite_bits", "--", "theory of a finite set, one constant"),
    ):
        line = table[column][order]
        if np.isfinite(line).any():
            ax.loglog(amount[order], line, style, color="black", lw=1.2, label=label)


def _emergence(table: Table, ax: Axes) -> Any:
    """Draw a map of losses, commonest subtasks at the bottom; dark where one is learned."""
    amounts, subtasks = np.unique(table["amount"]), np.unique(table["subtask"])[:_MOST_RANKS]
    bits = table["loss_bits"].reshape(len(amounts), -1)[:, : len(subtasks)]
    drawn = ax.pcolormesh(
        _edges(amounts), np.append(subtasks, subtasks[-1] + 1) - 0.5, bits.T,
        cmap="viridis", vmin=0.0, vmax=1.0, rasterized=True,
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(visible=False)
    return drawn


def _edges(amounts: Floats) -> Floats:
    """Give the borders of cells around rising amounts, halfway in their logarithms."""
    logs = np.log(amounts)
    half = np.diff(logs) / 2 if len(logs) > 1 else np.array([0.1])
    first, last = logs[0] - half[0], logs[-1] + half[-1]
    return np.exp(np.concatenate([[first], logs[:-1] + half[: len(logs) - 1], [last]]))


def _exponent_text(exponents: Table, symbol: str, widths: str) -> str:
    """Write an exponent with its interval, and the published one where there is one."""
    rows = np.flatnonzero((exponents["name"] == symbol) & np.isfinite(exponents["estimate"]))
    if not len(rows):
        return f"{symbol} not identified"
    row = {name: column[rows[0]] for name, column in exponents.items()}
    text = f"{symbol} = {row['estimate']:.3f} [{row['lo']:.3f}, {row['hi']:.3f}]"
    known = np.isfinite(row["published"])
    return f"{text}\npublished {row['published']:.3f}, {widths}" if known else text
