"""Figures of an allocation: isoFLOP parabolas, and the optimal size against the budget.

Points are measured, with their errors; lines are fits, solid over the budgets that they were
found on and dashed beyond.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from quantascope.laws.planning.envelope import Envelope
from quantascope.laws.planning.frontier import Frontier
from quantascope.laws.planning.isoflop import IsoFlop
from quantascope.laws.planning.parabolas import Slice

__all__ = ["plot_allocation", "plot_frontiers", "plot_isoflop", "plot_refit"]

_MAP: Final = "viridis"
_Z95: Final = 1.96


def plot_allocation(
    frontiers: Sequence[Frontier],
    *,
    flop: Sequence[float],
    profiles: IsoFlop | None,
    envelope: Envelope | None,
    size: str,
    ax: Axes,
) -> Axes:
    """Draw parabolas beside the optimal sizes, or the sizes alone where there are no slices.

    Parameters
    ----------
    frontiers
        Approaches, drawn as lines with bands.
    flop
        Budgets asked for [FLOP]; lines reach the largest.
    profiles, envelope
        Where the points come from, if there are any.
    size
        What N counts, for the axis.
    ax
        Where to draw; replaced by two panels where there are parabolas.

    Returns
    -------
    Axes
        The panel of optimal sizes.
    """
    if profiles is not None and profiles.slices:
        whole: Any = ax.figure
        ax.remove()
        whole.set_size_inches(10.0, 3.8)
        left, ax = whole.subplots(1, 2)
        plot_isoflop(profiles, size=size, ax=left)
    plot_frontiers(frontiers, flop=flop, size=size, ax=ax)
    if profiles is not None:
        _vertices(profiles.slices, ax)
    if envelope is not None:
        whole_steps = [step for step in envelope.steps if step.whole]
        x, y = [s.flop_middle for s in whole_steps], [s.n_params for s in whole_steps]
        ax.plot(x, y, "^", color="0.2", markersize=4, label="sizes on the envelope")
    if ax.get_legend_handles_labels()[0]:  # above the axes, where no points are
        ax.legend(fontsize="x-small", loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return ax


def plot_isoflop(profiles: IsoFlop, *, size: str, ax: Axes) -> Axes:
    """Draw runs, parabola and vertex of each slice; dotted where it has no minimum."""
    logs = np.log([one.flop for one in profiles.slices])
    colours = mpl.colormaps[_MAP](0.9 * (logs - logs.min()) / max(np.ptp(logs), 1e-9))
    for one, colour in zip(profiles.slices, colours, strict=True):
        n_params = np.geomspace(*one.n_params_range, 60)
        u = np.log(n_params) - one.centre
        c0, c1, c2 = one.coefficients
        style = "-" if one.usable else ":"
        ax.plot(*np.transpose(one.runs), ".", color=colour, markersize=2.5)
        ax.plot(n_params, c0 + c1 * u + c2 * u * u, style, color=colour, linewidth=1)
        if one.usable:
            ax.plot([one.n_opt], [one.loss], "o", color=colour, markersize=5)
    ax.set_xscale("log")
    ax.set_xlabel(f"size [{size}]")
    ax.set_ylabel("loss [nat]")
    budgets = [one.flop for one in profiles.slices]
    ax.set_title(f"{min(budgets):.2g} (top) to {max(budgets):.2g} FLOP", fontsize="medium")
    return ax


def plot_frontiers(
    frontiers: Sequence[Frontier], *, flop: Sequence[float], size: str, ax: Axes
) -> Axes:
    """Draw ``N_opt = k C^a`` of each approach with its band, dashed beyond its data."""
    for i, one in enumerate(frontiers):
        if not one.identified:
            continue
        lo, hi = one.flop_range
        text = f"{one.approach}, a = {one.exponent:.3f} [{one.interval[0]:.3f}, "
        text += f"{one.interval[1]:.3f}]"
        for start, end, style in _segments(lo, hi, flop):
            budget = np.geomspace(start, end, 60)
            label = text if style == "-" else None
            ax.plot(budget, one.n_opt(budget), style, color=f"C{i}", linewidth=1.2, label=label)
            ax.fill_between(budget, *one.band(budget), color=f"C{i}", alpha=0.15, linewidth=0)
    for asked in flop:
        ax.axvline(asked, color="0.6", linewidth=0.6)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("training compute [FLOP]")
    ax.set_ylabel(f"optimal size [{size}]")
    return ax


def plot_refit(
    table: Mapping[str, NDArray[Any]],
    ax: Axes,
    *,
    best: Mapping[str, float],
    published: Sequence[Mapping[str, float]],
) -> Axes:
    """Draw bootstrap replicates of two exponents, the fit, and vectors published before.

    Parameters
    ----------
    table
        Columns ``alpha`` and ``beta``, one row a replicate.
    ax
        Where to draw.
    best
        The fit.
    published
        Parameters published for the same data.
    """
    few = slice(None, 1000)  # more dots than this add bytes and no shape
    ax.plot(table["alpha"][few], table["beta"][few], ".", color="0.7", markersize=2, zorder=0)
    ax.plot(best["alpha"], best["beta"], "o", color="C0", label="minimum, and replicates")
    for one, marker in zip(published, "sD^v", strict=False):
        label = f"published: {one['alpha']:.4g}, {one['beta']:.4g}"
        ax.plot(one["alpha"], one["beta"], marker, color="C1", label=label)
    ends = np.array([*ax.get_xlim(), *ax.get_ylim()])
    ax.axline((ends.min(), ends.min()), slope=1, color="0.5", linewidth=0.6, label="alpha = beta")
    ax.set_xlabel("exponent alpha of N")
    ax.set_ylabel("exponent beta of D")
    ax.legend(fontsize="small")
    return ax


def _segments(lo: float, hi: float, flop: Sequence[float]) -> list[tuple[float, float, str]]:
    least, most = min([lo, *flop]), max([hi, *flop])
    found = [(lo, hi, "-")]
    found += [(least, lo, "--")] if least < lo else []
    return found + ([(hi, most, "--")] if most > hi else [])


def _vertices(slices: Sequence[Slice], ax: Axes) -> None:
    usable = [one for one in slices if one.usable]
    if not usable:
        return
    n_opt = np.array([one.n_opt for one in usable])
    spread = np.exp(_Z95 * np.array([one.log_se for one in usable]))
    ax.errorbar(
        [one.flop for one in usable],
        n_opt,
        yerr=[n_opt - n_opt / spread, n_opt * spread - n_opt],
        fmt="o",
        color="0.2",
        markersize=3,
        linewidth=0.8,
        label="vertices of parabolas",
    )
