"""Curves with points at the same x, and what noise alone does there: p-values for shape tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream
from quantascope.laws.shapes.bends import BendDesign, Bends, fit_bends, make_bend_design
from quantascope.laws.shapes.curves import Curves
from quantascope.laws.shapes.moves import Design, make_design, noise_scale, standardise

__all__ = ["Group", "Null", "chunks", "group_curves", "p_value", "simulate_null"]

Floats = NDArray[np.float64]

_N_NULL: Final = 20_000
_N_BEND: Final = 10_000
_TAIL: Final = 0.01  # share of largest simulated values, from which smaller p-values are continued
_BEND: Final = 0.05
"""Power of x times its log range: so small that the line is much larger than the sag."""
_SAG: Final = 4.0  # errors; larger and smaller ones gave smaller quantiles at 6 to 20 points
_CHUNK: Final = 3_000_000  # cells of one window table
_MIN_POINTS: Final = 5
_MIN_POINTS_KNOWN: Final = 3


@dataclass(frozen=True, kw_only=True)
class Group:
    """Curves with points at the same x."""

    rows: NDArray[np.int64]
    """Which curves."""
    design: Design
    bends: BendDesign | None
    y: Floats
    noise: Floats | None
    dof: float

    def noise_of(self, part: slice) -> Floats:
        """Give the standard errors of some curves, axes ``curve point`` or ``curve 1``."""
        if self.noise is None:
            return noise_scale(self.design, self.y[part])[:, None]
        return self.noise[part]

    def fit_bends(self, part: slice) -> Bends | None:
        """Fit breaks and steps to some curves."""
        noise = None if self.noise is None else self.noise[part]
        return None if self.bends is None else fit_bends(self.bends, self.y[part], noise)


@dataclass(frozen=True, kw_only=True)
class Null:
    """Statistics of simulated curves, ascending."""

    rise: Floats
    change: Floats
    """Larger of rise and fall."""
    bend: Floats


def group_curves(curves: Curves) -> Iterator[Group]:
    """Gather curves by which points they have; those with too few are left out."""
    present = np.isfinite(curves.y)
    masks, which = np.unique(present, axis=0, return_inverse=True)
    fewest = _MIN_POINTS if curves.noise is None else _MIN_POINTS_KNOWN
    for place, mask in enumerate(masks):
        if mask.sum() < fewest:
            continue
        rows = np.flatnonzero(which.ravel() == place)
        noise = None if curves.noise is None else curves.noise[np.ix_(rows, mask)]
        yield Group(
            rows=rows,
            design=make_design(curves.t[mask]),
            bends=make_bend_design(curves.t[mask]),
            y=curves.y[np.ix_(rows, mask)],
            noise=noise,
            dof=curves.noise_dof,
        )


def chunks(group: Group) -> Iterator[slice]:
    """Cut a group's curves so that one part's window tables fit a cache of moderate size."""
    return _chunks(len(group.rows), len(group.design.t))


def simulate_null(group: Group, *, seed: int) -> Null:
    """Simulate flat curves with Gaussian errors, measured as the group's curves are.

    Where errors are given, each simulated curve has those of a curve drawn from the group: exact
    where all have errors of one profile, on the average of the group otherwise.
    """
    n_points = len(group.design.t)
    rng = stream(seed, "shapes", n_points)
    flat = rng.standard_normal((_N_NULL, n_points))
    noise = None
    if group.noise is not None:
        truth = group.noise[rng.integers(len(group.noise), size=_N_NULL)]
        known = np.isinf(group.dof)
        scale = 1.0 if known else np.sqrt(rng.chisquare(group.dof, (_N_NULL, 1)) / group.dof)
        flat, noise = flat * truth, truth * scale
    rises, changes = [], []
    for part in _chunks(_N_NULL, n_points):
        y, given = flat[part], None if noise is None else noise[part]
        error = noise_scale(group.design, y)[:, None] if given is None else given
        slopes = standardise(group.design, y, error)
        rises.append(slopes.max(axis=1))
        changes.append(np.abs(slopes).max(axis=1))
    return Null(
        rise=np.sort(np.concatenate(rises)),
        change=np.sort(np.concatenate(changes)),
        bend=_simulate_bends(group, flat, noise),
    )


def _simulate_bends(group: Group, flat: Floats, noise: Floats | None) -> Floats:
    """Measure bends on flat curves and on slightly bent power laws; take the larger by rank.

    A curve bent by a few errors leaves less for the smooth family to explain than a flat one does.
    """
    if group.bends is None:
        return np.zeros(_N_NULL)
    flat, noise = flat[:_N_BEND], None if noise is None else noise[:_N_BEND]
    size = 1.0 if noise is None else np.median(noise, axis=1, keepdims=True)
    power = _SAG * 8 / _BEND**2 * np.expm1(_BEND * group.bends.unit)  # e^(cu) sags by c^2 / 8
    found = [
        np.concatenate(
            [
                fit_bends(group.bends, y[part], None if noise is None else noise[part]).statistic
                for part in _chunks(_N_BEND, len(group.design.t))
            ]
        )
        for y in (flat, flat + power * size)
    ]
    return np.asarray(np.sort(found, axis=1).max(axis=0))


def p_value(null: Floats, observed: Floats) -> Floats:
    """Give the chance of a simulated value at least as large as each observed one.

    Beyond the largest hundredth the distribution is continued as a power (Hill's estimator):
    Gaussian and t tails fall faster, so that small p-values come out too large rather than too
    small.
    """
    n = len(null)
    p = (1 + n - np.searchsorted(null, observed)) / (1 + n)
    top = null[-int(_TAIL * n) :]
    if top[0] <= 0 or top[-1] == top[0]:  # nothing to continue
        return np.asarray(p)
    heaviness = np.log(top / top[0]).mean()
    ratio = np.maximum(observed / top[0], 1.0)
    return np.where(ratio > 1, _TAIL * ratio ** (-1 / heaviness), p)


def _chunks(n: int, n_points: int) -> Iterator[slice]:
    size = max(_CHUNK // n_points**2, 64)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
