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
_N_TAIL: Final = 200  # largest simulated values, from which smaller p-values are continued
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
    profile: Floats
    """Error of each point relative to the mean one, typical of the group."""
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
        return _fit_bends(self, self.y[part], noise)


@dataclass(frozen=True, kw_only=True)
class Null:
    """Statistics of simulated flat curves, ascending."""

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
        profile = np.ones(mask.sum())
        if noise is not None:
            profile = np.sqrt((noise**2 / (noise**2).mean(axis=1, keepdims=True)).mean(axis=0))
        yield Group(
            rows=rows,
            design=make_design(curves.t[mask]),
            bends=make_bend_design(curves.t[mask], 1 / profile),
            profile=profile,
            y=curves.y[np.ix_(rows, mask)],
            noise=noise,
            dof=curves.noise_dof,
        )


def chunks(group: Group) -> Iterator[slice]:
    """Cut a group's curves so that one part's window tables fit a cache of moderate size."""
    return _chunks(len(group.rows), len(group.design.t))


def simulate_null(group: Group, *, seed: int) -> Null:
    """Simulate flat curves with Gaussian errors, measured as the group's curves are."""
    rng = stream(seed, "shapes", len(group.design.t))
    flat = rng.standard_normal((_N_NULL, len(group.design.t))) * group.profile
    noise = None
    if group.noise is not None:
        known = np.isinf(group.dof)
        scale = 1.0 if known else np.sqrt(rng.chisquare(group.dof, (_N_NULL, 1)) / group.dof)
        noise = np.broadcast_to(group.profile * scale, flat.shape)
    rises, changes, bends = [], [], []
    for part in _chunks(_N_NULL, len(group.design.t)):
        y, given = flat[part], None if noise is None else noise[part]
        error = noise_scale(group.design, y)[:, None] if given is None else given
        slopes = standardise(group.design, y, error)
        rises.append(slopes.max(axis=1))
        changes.append(np.abs(slopes).max(axis=1))
        found = _fit_bends(group, y, given)
        bends.append(np.zeros(len(y)) if found is None else found.statistic)
    return Null(
        rise=np.sort(np.concatenate(rises)),
        change=np.sort(np.concatenate(changes)),
        bend=np.sort(np.concatenate(bends)),
    )


def p_value(null: Floats, observed: Floats) -> Floats:
    """Give the chance of a simulated value at least as large as each observed one.

    Beyond the 200th largest of 20,000 the distribution is continued as a power (Hill's
    estimator): Gaussian and t tails fall faster, so that small p-values come out too large rather
    than too small.
    """
    n = len(null)
    p = (1 + n - np.searchsorted(null, observed)) / (1 + n)
    edge = null[-_N_TAIL]
    if edge <= 0:
        return np.asarray(p)
    heaviness = np.log(null[-_N_TAIL:] / edge).mean()
    ratio = np.maximum(observed / edge, 1.0)
    return np.where(ratio > 1, _N_TAIL / n * ratio ** (-1 / heaviness), p)


def _fit_bends(group: Group, y: Floats, noise: Floats | None) -> Bends | None:
    if group.bends is None:
        return None
    variance = None if noise is None else ((noise / group.profile) ** 2).mean(axis=1)
    return fit_bends(group.bends, y / group.profile, variance)


def _chunks(n: int, n_points: int) -> Iterator[slice]:
    size = max(_CHUNK // n_points**2, 64)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
