"""Where a monotone curve departs from a smooth bend: a break, or a step between two levels.

Three families are fitted to each curve with its own weights: smooth (a line in log x, a power of x
with either bend, a power law with a floor, a wide logistic), broken (two lines that meet), and step
(two levels with the change between neighbouring points). All are linear but for two parameters,
which run over a grid, so that a million curves cost a few matrix products; where something else
seems to fit better than the smooth grid, its best member is refined by Gauss-Newton steps.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.laws.shapes.smooth import Smooth, lay_out_smooth, refine_smooth

__all__ = ["BendDesign", "Bends", "fit_bends", "make_bend_design"]

Floats = NDArray[np.float64]

_STEP_WIDTH: Final = 0.15  # widest step, as a share of the log range
_PER_GAP: Final = 2  # candidate breaks between neighbouring points
_DROP: Final = 3.841  # 95 % quantile of chi-squared with one degree of freedom
_WORTH: Final = 2.0  # statistic from which the smooth fit is refined; claims need twice that


@dataclass(frozen=True, kw_only=True)
class BendDesign:
    """Candidates of the three families."""

    unit: Floats
    """log x over its range, 0 to 1, axis ``point``."""
    smooth: Smooth
    hinges: Floats
    """Second line of each broken candidate, axes ``candidate point``."""
    steps: NDArray[np.int64]
    """Last point before and first point after each step, axes ``candidate end``."""
    break_at: Floats
    """log x of each candidate break."""
    step_from: Floats
    """log x of the last point before each candidate step."""
    step_to: Floats


@dataclass(frozen=True, kw_only=True)
class Bends:
    """Best fits of the families, each axis ``curve``."""

    statistic: Floats
    """Squares that a break or a step explains beyond the smooth family, over the noise."""
    is_step: NDArray[np.bool_]
    position: Floats
    """log x of the break or the middle of the step."""
    lo: Floats
    """Lower end of the position's 95 % interval (likelihood ratio)."""
    hi: Floats


def make_bend_design(t: Floats) -> BendDesign | None:
    """Lay out the candidates for points at `t` (log x, ascending), or None for fewer than six."""
    n = len(t)
    if n < 6:
        return None
    unit = (t - t[0]) / (t[-1] - t[0])
    shares = np.linspace(0, 1, _PER_GAP, endpoint=False)
    gaps = [(i, s) for i in range(1, n - 2) for s in shares] + [(n - 2, 0.0)]
    breaks = np.array([unit[i] + s * (unit[min(i + 1, n - 1)] - unit[i]) for i, s in gaps])
    ends = [(i, i + 1) for i in range(1, n - 2)]
    ends += [(i, i + 2) for i in range(1, n - 3) if unit[i + 2] - unit[i] <= _STEP_WIDTH]
    steps = np.array(ends)
    return BendDesign(
        unit=unit,
        smooth=lay_out_smooth(unit),
        hinges=np.maximum(unit - breaks[:, None], 0),
        steps=steps,
        break_at=t[0] + breaks * (t[-1] - t[0]),
        step_from=t[steps[:, 0]],
        step_to=t[steps[:, 1]],
    )


def fit_bends(design: BendDesign, y: Floats, noise: Floats | None) -> Bends:
    """Fit the three families.

    Parameters
    ----------
    design
        Candidates.
    y
        Curves, axes ``curve point``.
    noise
        Standard error of each point, axes ``curve point``, > 0; None takes one a curve from the
        better fit's residuals.

    Returns
    -------
    Bends
        One row a curve.
    """
    w = np.ones((1, y.shape[1])) if noise is None else noise**-2.0
    y = y - (w * y).sum(axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
    total = (w * y**2).sum(axis=1)
    explained = _on_lines(design.smooth.grid, y, w)
    broken = total[:, None] - _on_two_lines(design, y, w)
    step = total[:, None] - _on_levels(design.steps, y, w)
    best = np.maximum(np.minimum(broken.min(axis=1), step.min(axis=1)), 1e-18 * total)
    scale = best / (y.shape[1] - 4) if noise is None else np.maximum(1.0, 1e-18 * total)
    smooth = total - explained.max(axis=1)
    worth = np.flatnonzero(smooth - best > _WORTH * scale)
    own = w if len(w) == 1 else w[worth]
    refined = refine_smooth(design.smooth, y[worth], own, explained=explained[worth])
    smooth[worth] = np.minimum(smooth[worth], refined)
    gain = np.maximum(smooth - best, 0.0)
    is_step = step.min(axis=1) < broken.min(axis=1)
    padded = np.pad(design.break_at, 1, mode="edge")  # a break may lie between two candidates
    broken_ends = _range(broken, scale, padded[:-2], padded[2:])
    step_ends = _range(step, scale, design.step_from, design.step_to)
    at = np.where(
        is_step,
        (design.step_from + design.step_to)[step.argmin(axis=1)] / 2,
        design.break_at[broken.argmin(axis=1)],
    )
    return Bends(
        statistic=np.divide(gain, scale, out=np.zeros_like(gain), where=scale > 0),
        is_step=is_step,
        position=at,
        lo=np.where(is_step, step_ends[0], broken_ends[0]),
        hi=np.where(is_step, step_ends[1], broken_ends[1]),
    )


def _on_lines(x: Floats, y: Floats, w: Floats) -> Floats:
    """Give the squares that a line in each regressor explains, axes ``curve candidate``."""
    spread = w @ (x**2).T - (w @ x.T) ** 2 / w.sum(axis=1, keepdims=True)
    return _ratio(((w * y) @ x.T) ** 2, spread)


def _on_two_lines(design: BendDesign, y: Floats, w: Floats) -> Floats:
    """Give the squares that two lines which meet at each break explain."""
    t, h = design.unit, design.hinges
    weight, wy = w.sum(axis=1, keepdims=True), w * y
    mean_t, mean_h = (w @ t)[:, None] / weight, w @ h.T / weight
    tt = (w @ t**2)[:, None] - weight * mean_t**2
    th = w @ (t * h).T - weight * mean_t * mean_h
    hh = w @ (h**2).T - weight * mean_h**2
    by_line, by_hinge = (wy @ t)[:, None], wy @ h.T
    slope = _ratio(th, tt)
    return _ratio(by_line**2, tt) + _ratio((by_hinge - slope * by_line) ** 2, hh - slope * th)


def _on_levels(steps: NDArray[np.int64], y: Floats, w: Floats) -> Floats:
    """Give the squares that two levels explain; a point inside the step is free."""
    weight, wy = np.cumsum(w, axis=1), np.cumsum(w * y, axis=1)
    before, after = steps[:, 0], steps[:, 1] - 1
    below = _ratio(wy[:, before] ** 2, weight[:, before])
    above = _ratio((wy[:, -1:] - wy[:, after]) ** 2, weight[:, -1:] - weight[:, after])
    inside = np.where(after > before, (w * y**2)[:, after], 0.0)
    return below + above + inside


def _ratio(squares: Floats, spread: Floats) -> Floats:
    """Divide, 0 where nothing spreads."""
    spread = np.broadcast_to(spread, squares.shape)
    return np.divide(squares, spread, out=np.zeros_like(squares), where=spread > 0)


def _range(rss: Floats, noise: Floats, first: Floats, last: Floats) -> tuple[Floats, Floats]:
    """Give the ends of all positions that the likelihood ratio does not exclude."""
    allowed = rss <= (rss.min(axis=1) + _DROP * noise)[:, None]
    return (
        np.where(allowed, first, np.inf).min(axis=1),
        np.where(allowed, last, -np.inf).max(axis=1),
    )
