"""Where a monotone curve departs from a smooth bend: a break, or a step between two levels.

Three families are fitted to each curve by projection, every candidate a fixed design: smooth (a
line in log x, a power of x with either bend, a power law with a floor, a wide logistic), broken
(two lines that meet), and step (two levels with the change between neighbouring points). All are
linear but for positions and powers on a grid, so that a million curves cost one matrix product.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["BendDesign", "Bends", "fit_bends", "make_bend_design"]

Floats = NDArray[np.float64]

_POWERS: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""c times the log range of x, with either sign."""
_FLOORS: Final = (1.0, 3.0, 10.0, 30.0, 100.0)
"""First value of a power law over its floor."""
_DECAYS: Final = (1.0, 2.0, 3.0, 4.5, 7.0)
"""Its exponent times the log range of x."""
_MIDDLES: Final = (0.2, 0.35, 0.5, 0.65, 0.8)
_WIDTHS: Final = (0.1, 0.15, 0.25)
"""Widths of logistics: nine tenths of the change take 0.59 of the log range and more."""
_STEP_WIDTH: Final = 0.15  # widest step, as a share of the log range
_PER_GAP: Final = 2  # candidate breaks between neighbouring points
_DROP: Final = 3.841  # 95 % quantile of chi-squared with one degree of freedom


@dataclass(frozen=True, kw_only=True)
class BendDesign:
    """Candidate designs, each an orthonormal basis beyond the mean."""

    smooth: Floats
    """Axes ``candidate column point``; unused columns are zero."""
    broken: Floats
    step: Floats
    break_at: Floats
    """log x of each candidate break."""
    step_from: Floats
    """log x of the last point before each candidate step."""
    step_to: Floats
    mean: Floats
    """Unit vector of the constant, axis ``point``."""


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


def make_bend_design(t: Floats, weights: Floats) -> BendDesign | None:
    """Lay out the candidates for points at `t` (log x), or None for fewer than six points.

    Parameters
    ----------
    t
        log x, ascending.
    weights
        Inverse error of each point, up to a factor.
    """
    n = len(t)
    if n < 6:
        return None
    unit = (t - t[0]) / (t[-1] - t[0])
    smooth = [[regressor] for regressor in _smooth_regressors(unit)]
    steps = np.linspace(0, 1, _PER_GAP, endpoint=False)
    gaps = [(i, s) for i in range(1, n - 2) for s in steps] + [(n - 2, 0.0)]
    breaks = np.array([unit[i] + s * (unit[min(i + 1, n - 1)] - unit[i]) for i, s in gaps])
    broken = [[unit, np.maximum(unit - at, 0)] for at in breaks]
    ends = [(i, i + 1) for i in range(1, n - 2)]
    ends += [(i, i + 2) for i in range(1, n - 3) if unit[i + 2] - unit[i] <= _STEP_WIDTH]
    place = np.arange(n)
    step = [
        [(place >= b).astype(float)] + [(place == k).astype(float) for k in range(a + 1, b)]
        for a, b in ends
    ]
    before, after = np.array(ends).T
    return BendDesign(
        smooth=_bases(smooth, weights),
        broken=_bases(broken, weights),
        step=_bases(step, weights),
        break_at=t[0] + breaks * (t[-1] - t[0]),
        step_from=t[before],
        step_to=t[after],
        mean=weights / np.linalg.norm(weights),
    )


def fit_bends(design: BendDesign, y: Floats, variance: Floats | None) -> Bends:
    """Fit the three families.

    Parameters
    ----------
    design
        Candidates.
    y
        Curves times the design's weights, axes ``curve point``.
    variance
        Variance of those values, axis ``curve``; None takes it from the better fit's residuals.

    Returns
    -------
    Bends
        One row a curve.
    """
    y = y - np.outer(y @ design.mean, design.mean)
    total = (y**2).sum(axis=1)
    floor = 1e-18 * total
    smooth = total - _explained(design.smooth, y).max(axis=1)
    broken = total[:, None] - _explained(design.broken, y)
    step = total[:, None] - _explained(design.step, y)
    best = np.maximum(np.minimum(broken.min(axis=1), step.min(axis=1)), floor)
    noise = best / (y.shape[1] - 4) if variance is None else np.maximum(variance, floor)
    gain = np.maximum(smooth - best, 0.0)
    is_step = step.min(axis=1) < broken.min(axis=1)
    padded = np.pad(design.break_at, 1, mode="edge")  # a break may lie between two candidates
    broken_ends = _range(broken, noise, padded[:-2], padded[2:])
    step_ends = _range(step, noise, design.step_from, design.step_to)
    at = np.where(
        is_step,
        (design.step_from + design.step_to)[step.argmin(axis=1)] / 2,
        design.break_at[broken.argmin(axis=1)],
    )
    return Bends(
        statistic=np.divide(gain, noise, out=np.zeros_like(gain), where=noise > 0),
        is_step=is_step,
        position=at,
        lo=np.where(is_step, step_ends[0], broken_ends[0]),
        hi=np.where(is_step, step_ends[1], broken_ends[1]),
    )


def _smooth_regressors(unit: Floats) -> list[Floats]:
    """Give the bends that are neither a break nor a step, over the log range as 0 to 1."""
    powers = [np.expm1(c * unit) for power in _POWERS for c in (power, -power)]
    floors = [np.log1p(r * np.exp(-c * unit)) for r in _FLOORS for c in _DECAYS]
    logistics = [expit((unit - middle) / width) for middle in _MIDDLES for width in _WIDTHS]
    return [unit, *powers, *floors, *logistics]


def _bases(candidates: list[list[Floats]], weights: Floats) -> Floats:
    """Orthonormalise the columns of each candidate against the constant and one another."""
    width = max(len(columns) for columns in candidates)
    bases = np.zeros((len(candidates), width, len(weights)))
    for place, columns in enumerate(candidates):
        stacked = np.stack([np.ones_like(weights), *columns], axis=1) * weights[:, None]
        bases[place, : len(columns)] = np.linalg.qr(stacked)[0].T[1:]
    return bases


def _explained(bases: Floats, y: Floats) -> Floats:
    """Give the sum of squares that each candidate explains, axes ``curve candidate``."""
    n_candidates, width, n_points = bases.shape
    parts = y @ bases.reshape(-1, n_points).T
    return np.asarray((parts**2).reshape(len(y), n_candidates, width).sum(axis=2))


def _range(rss: Floats, noise: Floats, first: Floats, last: Floats) -> tuple[Floats, Floats]:
    """Give the ends of all positions that the likelihood ratio does not exclude."""
    allowed = rss <= (rss.min(axis=1) + _DROP * noise)[:, None]
    return (
        np.where(allowed, first, np.inf).min(axis=1),
        np.where(allowed, last, -np.inf).max(axis=1),
    )
