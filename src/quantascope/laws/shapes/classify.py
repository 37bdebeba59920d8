"""What shape a scaling curve has, told apart from noise and corrected for how many were asked.

Curves that share their x enter; leaves a table of shapes with p-values: flat, monotone, inverse
(worse with scale), U, inverted U, double descent, abrupt (a step between two levels), broken (a
power law whose exponent changes). Four claims are tested, each against everything simpler:

change       the curve is not flat
turn         it is not monotone
second turn  it turns more than once
bend         it departs from a smooth bend at one place: a break or a step

With given errors the p-values of the first three are bounds for every truth that the claim denies;
with noise from roughness that is argued, not proved. That of the bend is simulated on flat curves
and slightly bent ones. All assume independent Gaussian errors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

from quantascope.core.progress import Advance, ignore_progress
from quantascope.laws.shapes.curves import Curves, Metric, read_curves
from quantascope.laws.shapes.moves import find_moves, turning_interval
from quantascope.laws.shapes.null import (
    Group,
    Null,
    chunks,
    group_curves,
    p_value,
    simulate_null,
)

__all__ = ["CLAIMS", "SHAPES", "ShapeTable", "classify_shapes"]

Floats = NDArray[np.float64]

CLAIMS: Final = ("change", "turn", "second turn", "bend")
SHAPES: Final = (
    "flat",
    "monotone",
    "inverse",
    "U",
    "inverted U",
    "double descent",
    "irregular",
    "abrupt",
    "broken",
    "too few points",
)
_FLAT, _MONOTONE, _INVERSE, _U, _INVERTED, _DOUBLE, _IRREGULAR, _ABRUPT, _BROKEN, _FEW = range(10)
_DIRECTIONS: Final = ("none", "improves", "worsens", "turns")
_SHARP_WIDTH: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class ShapeTable:
    """Shapes of curves; every array has the axis ``curve`` first."""

    shape: NDArray[np.str_]
    """One of `SHAPES`."""
    direction: NDArray[np.str_]
    """"improves", "worsens", "turns", or "none" for what is not told from flat."""
    p: Floats
    """P-values of `CLAIMS`, axes ``curve claim``; NaN where the points do not allow the test."""
    p_bh: Floats
    """The same, corrected for the number of curves by Benjamini and Hochberg."""
    p_holm: Floats
    """The same, corrected by Holm."""
    turning_point: Floats
    """x of the turn (of the peak in double descent), break or step; NaN for other shapes."""
    turning_lo: Floats
    """Lower end of its 95 % interval."""
    turning_hi: Floats
    sharpness: Floats
    """Largest share of the curve's range that lies within a tenth of the log range of x."""
    n_points: NDArray[np.int64]
    level: float
    correction: str
    method: str


class _Working:
    """What is measured of each curve before anything is decided."""

    def __init__(self, n: int) -> None:
        self.p = np.full((n, len(CLAIMS)), np.nan)
        self.falls, self.falls_first, self.is_step = np.zeros((3, n), dtype=bool)
        self.falls_twice = np.zeros(n, dtype=bool)
        self.turn = np.full((n, 3), np.nan)  # x of the turn, break or step, and its interval
        self.sharpness = np.full(n, np.nan)


def classify_shapes(
    x: ArrayLike,
    y: ArrayLike,
    *,
    metric: Metric = "loss",
    stderr: ArrayLike | None = None,
    level: float = 0.05,
    correction: Literal["bh", "holm"] = "bh",
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> ShapeTable:
    """Classify curves by shape.

    Parameters
    ----------
    x
        Scale of each point, > 0 and distinct, axis ``point``.
    y
        Measured values, axes ``point``, ``curve point`` or ``curve replicate point``; NaN marks a
        missing point. Replicates are averaged, and their spread measures the noise.
    metric
        "loss" (lower is better, > 0, taken in logs), "accuracy" (higher is better, as it is) or
        "count" (higher is better, >= 0, taken as square roots).
    stderr
        Standard error of y, > 0, of the shape of y without replicates; None estimates one error a
        curve from its own roughness, for which at least 5 points are needed (else 3; 6 for a
        bend).
    level
        Share of false claims allowed, in (0, 1).
    correction
        Which corrected p-values decide: "bh" bounds the share of false ones among claims, "holm"
        the chance of any.
    seed
        Of the simulated flat curves.
    advance
        Called with the number of curves just done, in all as many as there are curves.

    Returns
    -------
    ShapeTable
        One row a curve.

    Raises
    ------
    ValueError
        If an argument is out of its range or shapes do not fit together.

    Notes
    -----
    A million curves of 20 points take about a minute of one core. Each set of missing points
    costs 20,000 simulated curves of its own, about a second.

    References
    ----------
    Inverse and U-shaped scaling: arXiv 2306.09479, 2211.02011. Double descent: arXiv 1912.02292.
    Broken laws: arXiv 2210.14891. Correction: Benjamini and Hochberg 1995,
    doi:10.1111/j.2517-6161.1995.tb02031.x; Holm 1979, doi:10.2307/4615733.

    Examples
    --------
    >>> x = 2.0 ** np.arange(10)
    >>> y = [np.abs(np.log(x) - 3) + 1, x**-0.5]
    >>> classify_shapes(x, y, stderr=np.full((2, 10), 0.01) * y).shape.tolist()
    ['U', 'monotone']
    """
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level: {level!r:.40} found; allowed are numbers between 0 and 1")
    if correction not in {"bh", "holm"}:
        raise ValueError(f"correction: {correction!r} found; allowed are 'bh' and 'holm'")
    curves = read_curves(x, y, metric=metric, stderr=stderr)
    table = _Working(len(curves.y))
    groups = [(group, simulate_null(group, seed=seed)) for group in group_curves(curves)]
    for group, null in groups:
        _measure(group, null, table, advance)
    bh, holm = _correct(table.p, _benjamini_hochberg), _correct(table.p, _holm)
    claimed = np.nan_to_num(bh if correction == "bh" else holm, nan=1.0) <= level
    shape = _name(table, claimed, lower_is_better=metric == "loss")
    for group, null in groups:
        _locate(group, table, shape, critical=float(np.quantile(null.change, 0.95)))
    return ShapeTable(
        shape=np.array(SHAPES)[shape],
        direction=np.array(_DIRECTIONS)[_direction(shape)],
        p=table.p,
        p_bh=bh,
        p_holm=holm,
        turning_point=table.turn[:, 0],
        turning_lo=table.turn[:, 1],
        turning_hi=table.turn[:, 2],
        sharpness=table.sharpness,
        n_points=np.isfinite(curves.y).sum(axis=1),
        level=level,
        correction=correction,
        method=_method(curves),
    )


def _measure(group: Group, null: Null, table: _Working, advance: Advance) -> None:
    for part in chunks(group):
        rows, y = group.rows[part], group.y[part]
        moves = find_moves(group.design, y, group.noise_of(part))
        turn = np.maximum(moves.fall_rise, moves.rise_fall)
        second = np.maximum(moves.fall_rise_fall, moves.rise_fall_rise)
        table.p[rows, 0] = p_value(null.change, np.maximum(moves.rise, moves.fall))
        table.p[rows, 1] = p_value(null.rise, turn)
        table.p[rows, 2] = p_value(null.change, second)
        table.falls[rows] = moves.fall > moves.rise
        table.falls_first[rows] = moves.fall_rise > moves.rise_fall
        table.falls_twice[rows] = moves.fall_rise_fall > moves.rise_fall_rise
        bends = group.fit_bends(part)
        if bends is not None:
            table.p[rows, 3] = p_value(null.bend, bends.statistic)
            table.is_step[rows] = bends.is_step
        table.sharpness[rows] = _sharpness(group.design.t, y)
        advance(len(rows))


def _name(
    table: _Working, claimed: NDArray[np.bool_], *, lower_is_better: bool
) -> NDArray[np.int64]:
    """Name the shape that the claims make, as a place in `SHAPES`."""
    change, turn, second, bend = claimed.T
    turn, bend = change & turn, change & bend
    improves = table.falls == lower_is_better
    descends = table.falls_twice == lower_is_better
    cases = [
        (np.isnan(table.p[:, 0]), _FEW),
        (~change, _FLAT),
        (turn & second & descends, _DOUBLE),
        (turn & second, _IRREGULAR),
        (turn & table.falls_first, _U),
        (turn, _INVERTED),
        (~improves, _INVERSE),
        (bend & table.is_step, _ABRUPT),
        (bend, _BROKEN),
    ]
    named = np.select([case for case, _ in cases], [name for _, name in cases], default=_MONOTONE)
    return np.asarray(named, dtype=np.int64)


def _locate(group: Group, table: _Working, shape: NDArray[np.int64], *, critical: float) -> None:
    """Place turns, breaks and steps of the curves that have one."""
    t = group.design.t
    for part in chunks(group):
        rows, y = group.rows[part], group.y[part]
        bent = np.isin(shape[rows], (_ABRUPT, _BROKEN))
        bends = group.fit_bends(part) if bent.any() else None
        if bends is not None:
            found = np.stack([bends.position, bends.lo, bends.hi], axis=1)
            table.turn[rows[bent]] = np.exp(found[bent])
        turned = np.isin(shape[rows], (_U, _INVERTED, _DOUBLE))
        if not turned.any():
            continue
        y, noise, rows = y[turned], group.noise_of(part)[turned], rows[turned]
        peaks = np.where(shape[rows] == _DOUBLE, table.falls_twice[rows], shape[rows] == _INVERTED)
        first, last = turning_interval(group.design, y, noise, critical=critical, rises_first=peaks)
        place = np.arange(len(t))
        inside = (place >= first[:, None]) & (place <= last[:, None])
        height = np.where(inside, np.where(peaks[:, None], y, -y), -np.inf)
        table.turn[rows] = np.exp(t[np.stack([height.argmax(axis=1), first, last], axis=1)])


def _sharpness(t: Floats, y: Floats) -> Floats:
    place = np.arange(len(t) - 1)
    reach = np.searchsorted(t, t[:-1] + _SHARP_WIDTH * (t[-1] - t[0]), side="right") - 1
    change = np.abs(y[:, np.maximum(reach, place + 1)] - y[:, :-1]).max(axis=1)
    span = np.ptp(y, axis=1)
    return np.asarray(np.divide(change, span, out=np.zeros_like(change), where=span > 0))


def _direction(shape: NDArray[np.int64]) -> NDArray[np.int64]:
    improves = np.isin(shape, (_MONOTONE, _ABRUPT, _BROKEN))
    turns = np.isin(shape, (_U, _INVERTED, _DOUBLE, _IRREGULAR))
    return np.asarray(np.select([improves, shape == _INVERSE, turns], [1, 2, 3], default=0))


def _correct(p: Floats, rule: Callable[[Floats], Floats]) -> Floats:
    """Correct each claim's p-values for the number of curves that were tested."""
    corrected = np.full_like(p, np.nan)
    for claim in range(p.shape[1]):
        tested = np.isfinite(p[:, claim])
        if tested.any():
            corrected[tested, claim] = rule(p[tested, claim])
    return corrected


def _benjamini_hochberg(p: Floats) -> Floats:
    return np.asarray(false_discovery_control(p, method="bh"))


def _holm(p: Floats) -> Floats:
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def _method(curves: Curves) -> str:
    if curves.noise is None:
        return "noise from each curve's roughness"
    if np.isinf(curves.noise_dof):
        return "noise from the given standard errors"
    return f"noise from replicates, {curves.noise_dof:.0f} degrees of freedom a curve"
