"""A fit drawn into axes that the caller made; matplotlib itself is never imported here.

A law of several inputs is drawn against its first, one curve for each of a few levels of the
second. Points then stand where the law moves them when their other inputs take the values of
their curve: what is left between point and curve is the residual.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.laws.forms.law import Floats, Law

if TYPE_CHECKING:
    from quantascope.laws.fitting.result import LawFit

__all__ = ["draw_fit"]

_LEAST_REACH, _MOST_REACH = 1.5, 10.0
"""The extrapolated part goes on for a third of the fitted range in logs, within these factors."""
_N_LEVELS: Final = 5
_N_GRID: Final = 60
_MANY: Final = 5000  # from here on points are drawn as pixels, and without bars
_NICE: Final = ((1, 2, 5), (1, 1.5, 2, 3, 4, 6, 8), tuple(np.arange(4, 40) / 4))
_MOST_TICKS: Final = 6
_SHORT: Final = np.log(20)  # range of an axis in logs, below which powers of ten say too little


@dataclass(frozen=True)
class _Curve:
    """Points of one level and the curve through them."""

    label: str | None
    x: Floats
    y: Floats
    bars: Floats
    """Lengths below and above the points, axes ``2 point``."""
    grid: Floats
    value: Floats
    lo: Floats
    hi: Floats
    n_solid: int


def draw_fit(fit: "LawFit", ax: Any) -> Any:  # noqa: ANN401  (matplotlib axes)
    """Draw points, the fitted curve with its band, and the extrapolated part dashed.

    Parameters
    ----------
    fit
        A fit that keeps its points.
    ax
        Matplotlib axes, empty.

    Returns
    -------
    Any
        The axes. Bars hold `fit.confidence` of the residuals; the frame holds the points, and of
        curves and band what lies within half the height of the points.

    Raises
    ------
    ValueError
        If the fit does not keep its points.
    """
    if fit.points is None:
        raise ValueError("plot: this fit does not keep its points; fit the table again")
    law, raw = fit.row, fit.objective_name == "lsq"
    curves = _curves(fit, law, raw=raw)
    ax.set_xscale("log")
    ax.set_yscale("linear" if raw else "log")
    _frame(ax, curves, raw=raw)  # first: a band without end must not reach matplotlib's own limits
    for curve in curves:
        _draw_curve(curve, ax)
    _write(fit, law, ax)
    return ax


def _curves(fit: "LawFit", law: Law, *, raw: bool) -> list[_Curve]:
    assert fit.points is not None  # draw_fit has looked
    observed, residual = fit.points.response, fit.residuals()
    # corrected for the fitted parameters, as the scatter is
    freedom = np.sqrt(len(residual) / max(len(residual) - len(law.params) + len(fit.fixed), 1))
    spread = float(np.quantile(np.abs(residual), fit.confidence) * freedom)
    found = []
    for level, rows in _levels(fit.points.inputs):
        x = fit.points.inputs[0, rows]
        y = observed[rows]
        if level is not None:
            there = fit.predict(_inputs(law, x, level))
            y = there + residual[rows] if raw else there * np.exp(residual[rows])
        below, above = (spread, spread) if raw else (1 - np.exp(-spread), np.expm1(spread))
        bars = np.stack([np.full(len(y), below), np.full(len(y), above)]) * (1 if raw else y)
        solid, dashed = _grids(x)
        grid = np.concatenate([solid, dashed])
        band = fit.predict(_inputs(law, grid, level), interval=True)
        label = None if level is None else f"{level[0]:.3g}".replace("e+0", "e").replace("e+", "e")
        found.append(
            _Curve(label, x, y, bars, grid, band.value, band.lo, band.hi, n_solid=len(solid))
        )
    return found


def _levels(inputs: Floats) -> list[tuple[Floats | None, NDArray[np.intp]]]:
    """Group points of like second input, with the inputs at which their curve is drawn."""
    if len(inputs) == 1:
        return [(None, np.arange(inputs.shape[1]))]
    second = np.log(inputs[1])
    edges = np.quantile(second, np.linspace(0, 1, _N_LEVELS + 1))[1:-1]
    bins = np.digitize(second, np.unique(edges))
    found = []
    for level in np.unique(bins):
        rows = np.flatnonzero(bins == level)
        found.append((np.exp(np.log(inputs[1:, rows]).mean(axis=1)), rows))
    return found


def _inputs(law: Law, first: Floats, level: Floats | None) -> dict[str, Floats]:
    others = [] if level is None else [np.full(len(first), value) for value in level]
    return dict(zip(law.inputs, [first, *others], strict=True))


def _grids(x: Floats) -> tuple[Floats, Floats]:
    low, high = float(x.min()), float(x.max())
    reach = float(np.clip((high / low) ** (1 / 3), _LEAST_REACH, _MOST_REACH))
    return np.geomspace(low, high, _N_GRID), np.geomspace(high, high * reach, _N_GRID // 3)


def _draw_curve(curve: _Curve, ax: Any) -> None:  # noqa: ANN401
    many = len(curve.x) >= _MANY
    (drawn,) = ax.plot(
        curve.x, curve.y, "o", markersize=1 if many else 3, label=curve.label, rasterized=many
    )
    colour = drawn.get_color()
    if not many:
        ax.errorbar(
            curve.x, curve.y, yerr=curve.bars, fmt="none", ecolor=colour, elinewidth=0.6, alpha=0.35
        )
    solid, dashed = slice(None, curve.n_solid), slice(curve.n_solid, None)
    for part, style in ((solid, "-"), (dashed, "--")):
        ax.plot(curve.grid[part], curve.value[part], style, color=colour, linewidth=1)
    ax.fill_between(curve.grid, curve.lo, curve.hi, color=colour, alpha=0.2, linewidth=0)


def _frame(ax: Any, curves: list[_Curve], *, raw: bool) -> None:  # noqa: ANN401
    """Set limits by the points, so that a curve that runs off does not flatten them."""
    to, back = (np.asarray, float) if raw else (np.log, lambda value: float(np.exp(value)))
    ends = [end for c in curves for end in (c.y - c.bars[0], c.y + c.bars[1])]
    points = to(np.concatenate(ends))
    bottom, top = points.min(), points.max()
    least = 1e-3 * max(abs(top), 1e-9) if raw else 1e-3
    bottom, top = min(bottom, top - least), max(top, bottom + least)  # points may all be equal
    room = 0.5 * (top - bottom)
    shown = np.concatenate([np.concatenate([c.value, c.lo, c.hi]) for c in curves])
    shown = to(shown[np.isfinite(shown) & (raw | (shown > 0))])
    bottom = max(min(bottom, shown.min(initial=bottom)), bottom - room)
    top = min(max(top, shown.max(initial=top)), top + room)
    margin = 0.04 * (top - bottom)
    ax.set_ylim(back(bottom - margin), back(top + margin))
    every = np.log(np.concatenate([curve.grid for curve in curves]))
    margin = 0.04 * np.ptp(every)
    ax.set_xlim(np.exp(every.min() - margin), np.exp(every.max() + margin))
    for axis, is_log in ((ax.xaxis, True), (ax.yaxis, not raw)):
        lo, hi = axis.get_view_interval()
        if is_log and np.log(hi / lo) < _SHORT:
            _plain_ticks(axis, lo, hi)


def _plain_ticks(axis: Any, lo: float, hi: float) -> None:  # noqa: ANN401
    """Label a short logarithmic axis by plain numbers."""
    decades = 10.0 ** np.arange(np.floor(np.log10(lo)), np.ceil(np.log10(hi)))
    ticks, digits = np.zeros(0), 3
    for nice in _NICE:
        if len(ticks) < 4:
            ticks = (decades[:, None] * np.array(nice)).ravel()
            ticks = ticks[(ticks >= lo) & (ticks <= hi)]
    ticks = ticks[:: -(-len(ticks) // _MOST_TICKS) or 1]
    if len(ticks) < 3:  # hardly any range: even steps in place of round numbers
        ticks, digits = np.linspace(lo, hi, 5)[1:-1], 6
    axis.set_ticks(
        ticks, [f"{tick:.{digits}g}".replace("e+0", "e").replace("e+", "e") for tick in ticks]
    )
    axis.set_ticks([], minor=True)


def _write(fit: "LawFit", law: Law, ax: Any) -> None:  # noqa: ANN401
    names = [_named(name, fit.meaning.get(name, "")) for name in law.inputs]
    ax.set_xlabel(names[0])
    ax.set_ylabel(f"{fit.response} [nat]" if fit.response == "loss" else _plain(fit.response))
    lines = [law.formula if len(law.formula) < 60 else law.name]
    lines.append(f"bars and band {100 * fit.confidence:.6g}%, dashed: extrapolated")
    if len(names) > 1:
        lines.append(f"points moved to the {' and '.join(law.inputs[1:])} of their curve")
        ax.legend(title=names[1], fontsize="small", title_fontsize="small")
    ax.set_title("\n".join(lines), fontsize="small")


def _named(name: str, meaning: str) -> str:
    return _plain(
        meaning if name == "x" and meaning else f"{name} [{meaning}]" if meaning else name
    )


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # a dollar would start a formula
