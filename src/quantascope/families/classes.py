"""Classes of loss curves against a noise floor: sharp, gradual, flat, U-shaped, unstable.

A series enters (curves over sizes or steps, runs that differ by seed); leaves a table of classes
with p-values. Four claims are tested:

change    the curve is not flat
turn      it is not monotone
unstable  at some level its runs lie further apart than at the others
sharp     it steps between two levels faster than a smooth bend can

Every claim but the first counts only beside the first: its p-value is the larger of the two. Across
sizes with several seeds the first is tested exactly, by shuffling runs, so that a prediction of
pure noise is given a class other than flat at most at the nominal rate, whatever its noise. The
others (and the first along steps, or with one run a size) assume Gaussian noise and are calibrated
by simulated curves that are measured as the real ones are. All are valid curve by curve when runs
have seed effects that many curves share: these are part of what differs between runs. They only
make errors of different curves come together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Real
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.rng import stream
from quantascope.families.noise import Floor, Means, read_floor
from quantascope.families.series import Series
from quantascope.families.shuffle import shuffle_test
from quantascope.laws.shapes.bends import BendDesign, fit_bends, make_bend_design
from quantascope.laws.shapes.moves import find_moves, standardise
from quantascope.laws.shapes.null import p_value

__all__ = [
    "CLAIMS",
    "CLASSES",
    "MOST_LEVELS",
    "ORDERS",
    "ClassTable",
    "Correction",
    "Measured",
    "classify",
    "measure_claims",
]

Floats = NDArray[np.float64]
Correction = Literal["bh", "by"]

CLAIMS: Final = ("change", "turn", "unstable", "sharp")
CLASSES: Final = ("flat", "gradual", "sharp", "U-shaped", "unstable")
ORDERS: Final = ("rise", "fall, rise", "rise, fall", "fall, rise, fall")
"""Moves that follow each other, each against curves that nowhere move so."""
_DIRECTIONS: Final = ("none", "falls", "rises", "falls, then rises", "rises, then falls")
MOST_LEVELS: Final = 64
"""Levels that the tests take: their windows of neighbouring levels grow as its square."""
_CHUNK: Final = 3_000_000  # cells of one window table
_SHUFFLES: Final = (2_000, 20_000)
_WORK: Final = 5_000_000_000  # shuffles times curves
_N_NULL: Final = 20_000
_N_BEND: Final = 10_000
_BEND: Final = 0.05
"""Power of x times the log range of slightly bent curves: their line is larger than their sag."""
_TAILS: Final = (np.inf, 20.0, 12.0, 8.0, 6.0, 5.0, 4.0, 3.5, 3.0, 2.5, 2.0)
_QUIET: Final = 0.25
_STILL: Final = 0.5  # p-value of change above which a curve seems flat
_FEWEST_CURVES: Final = 100  # from which a quartile tells tails
_SAG: Final = 4.0  # sag of such curves, in errors


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassTable:
    """Classes of curves; every array has the axis ``pred`` first."""

    name: NDArray[np.str_]
    """One of `CLASSES`."""
    direction: NDArray[np.str_]
    """"falls", "rises", "falls, then rises", "rises, then falls"; "none" for flat curves."""
    p: Floats
    """P-values of `CLAIMS`, axes ``pred claim``; NaN where levels or runs allow no test."""
    p_adjusted: Floats
    """The same, corrected for the number of curves."""
    at: Floats
    """Size or step of the step of sharp curves, in the middle between two levels (in logs)."""
    at_lo: Floats
    """Lower end of its 95 % interval (likelihood ratio)."""
    at_hi: Floats
    level: float
    correction: str
    method: str

    @property
    def counts(self) -> dict[str, int]:
        """Count curves by class."""
        return {name: int((self.name == name).sum()) for name in CLASSES}

    def to_table(self, pred: NDArray[np.int64]) -> pa.Table:
        """Make an Arrow table with one row a curve."""
        columns = {"pred": pred, "class": self.name, "direction": self.direction}
        columns |= {f"p_{claim}": self.p[:, i] for i, claim in enumerate(CLAIMS)}
        columns |= {f"adjusted_{claim}": self.p_adjusted[:, i] for i, claim in enumerate(CLAIMS)}
        return pa.table(columns | {"at": self.at, "at_lo": self.at_lo, "at_hi": self.at_hi})


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What is measured of each curve before anything is decided; axis ``pred`` first."""

    p: Floats
    """P-values of `CLAIMS`, not corrected, axes ``pred claim``."""
    p_orders: Floats
    """P-values of `ORDERS`, not corrected, axes ``pred order``."""
    falls: NDArray[np.bool_]
    """Whether the largest move is a fall."""
    falls_first: NDArray[np.bool_]
    """Whether it rather falls and then rises than the reverse."""
    at: Floats
    """x of the best step with the ends of its interval, axes ``pred 3``; NaN without one."""
    floor: Floor


@dataclass(frozen=True, kw_only=True)
class _Null:
    """Statistics of simulated flat curves, ascending."""

    change: Floats
    rise: Floats
    bend: Floats


def classify(
    series: Series,
    *,
    level: float = 0.05,
    correction: Correction = "bh",
    n_shuffles: int | None = None,
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> ClassTable:
    """Classify curves and correct for how many were asked.

    Parameters
    ----------
    series
        Curves over sizes or over steps.
    level
        Share of false ones allowed among the curves of each claim, in (0, 1).
    correction
        "bh" (Benjamini and Hochberg), or "by" (Benjamini and Yekutieli), which is proved for any
        dependence between curves and costs a factor of ``ln(curves) + 0.58`` in the level.
    n_shuffles
        Most shuffles a curve in the exact test of change over sizes; its smallest p-value is one
        over their number. None takes 20,000, above 100,000 curves fewer, at least 2,000.
    seed
        Of shuffles and simulated curves.
    advance
        Called with the number of curves just done.

    Returns
    -------
    ClassTable
        A curve that changes is U-shaped if it turns, else unstable if its runs disagree, else sharp
        if it steps, else gradual: that is, not shown to be any of these.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    DataError
        If a loss is not finite, or nothing could be tested: one run a level, and fewer than five
        levels.

    Notes
    -----
    Three levels are needed for a turn, six for a step, seeds for "unstable".

    References
    ----------
    Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x; Benjamini and Yekutieli
    2001, doi:10.1214/aos/1013699998.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> level = np.repeat(np.arange(7), 3)
    >>> shapes = np.stack([0 * level, -0.5 * level, -3.0 * (level > 3)])
    >>> losses = 5 + shapes + 0.1 * rng.standard_normal((3, 21))
    >>> series = Series(scale="n_params", x=np.geomspace(1e5, 1e8, 7), losses=losses,
    ...                 level=level, run=np.arange(21))
    >>> classify(series).name.tolist()
    ['flat', 'gradual', 'sharp']
    """
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level: {level!r:.40} found; allowed are numbers between 0 and 1")
    if correction not in {"bh", "by"}:
        raise ValueError(f"correction: {correction!r} found; allowed are 'bh' and 'by'")
    found = measure_claims(series, n_shuffles=n_shuffles, seed=seed, advance=advance)
    adjusted = np.full_like(found.p, np.nan)
    for claim, p in enumerate(found.p.T):
        if len(p) and np.isfinite(p).all():
            adjusted[:, claim] = false_discovery_control(p, method=correction)
    claimed = np.nan_to_num(adjusted, nan=1.0) <= level
    change, turn, unstable, sharp = claimed.T
    name = np.select([~change, turn, unstable, sharp], [0, 3, 4, 2], default=1)
    falls = np.where(turn, found.falls_first, found.falls)
    direction = np.where(change, 2 - falls + 2 * turn, 0)
    at = np.where((name == 2)[:, None], found.at, np.nan)
    return ClassTable(
        name=np.array(CLASSES)[name],
        direction=np.array(_DIRECTIONS)[direction],
        p=found.p,
        p_adjusted=adjusted,
        at=at[:, 0],
        at_lo=at[:, 1],
        at_hi=at[:, 2],
        level=float(level),
        correction=correction,
        method=found.floor.method,
    )


def measure_claims(
    series: Series,
    *,
    steps: bool = True,
    n_shuffles: int | None = None,
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> Measured:
    """Measure curves and test the four claims on each, without correction for their number.

    Arguments as `classify`; without `steps` the test for "sharp", the dearest, is left out.
    """
    if not 2 <= len(series.x) <= MOST_LEVELS:
        raise ValueError(
            f"series: {len(series.x)} levels found; allowed are 2 to {MOST_LEVELS}: leave some out"
        )
    if not np.isfinite(series.losses).all():
        raise DataError("series: NaN or infinite losses found; make_curves says where")
    floor = read_floor(series, seed=seed)
    if not floor.enough:
        raise DataError(f"series: nothing can be tested ({floor.method}); add seeds or levels")
    bends = make_bend_design(floor.design.t) if steps else None
    null = _simulate(floor, bends, seed=seed)
    n = len(series.losses)
    p, at = np.full((n, len(CLAIMS)), np.nan), np.full((n, 3), np.nan)
    orders = np.full((n, len(ORDERS)), np.nan)
    falls, falls_first = np.zeros((2, n), dtype=bool)
    spread = np.zeros(n)
    for part in _chunks(n, len(series.x)):
        means = floor.measure(series.losses[part])
        moves = find_moves(floor.design, means.y, means.error)
        p[part, 0] = p_value(null.change, np.maximum(moves.rise, moves.fall))
        p[part, 1] = p_value(null.rise, np.maximum(moves.fall_rise, moves.rise_fall))
        one_turn = np.stack([moves.rise, moves.fall_rise, moves.rise_fall], axis=1)
        orders[part, :3] = p_value(null.rise, one_turn.astype(np.float64))
        orders[part, 3] = p_value(null.change, moves.fall_rise_fall.astype(np.float64))
        spread[part] = means.spread
        falls[part] = means.y[:, 0] > means.y[:, -1]
        falls_first[part] = moves.fall_rise > moves.rise_fall
        if bends is not None:
            p[part, 3], at[part] = _find_steps(floor, bends, means, null=null)
        advance(len(p[part]))
    if floor.dof and not series.tracked:
        if n_shuffles is None:
            n_shuffles = min(max(_WORK // max(n, 1), _SHUFFLES[0]), _SHUFFLES[1])
        p[:, 0] = shuffle_test(series, n_shuffles=n_shuffles, seed=seed)
    compared = int((series.n_runs > 1).sum()) > 1
    if compared and n:
        still = p[:, 0] > _STILL
        like = spread[still] if still.sum() >= _FEWEST_CURVES else spread
        p[:, 2] = p_value(_simulate_spread(floor, like, seed=seed), spread)
    testable = [True, len(series.x) > 2, compared, bends is not None]
    p = np.where(testable, np.maximum(p, p[:, :1]), np.nan)
    orders = np.maximum(orders, p[:, :1])
    return Measured(p=p, p_orders=orders, falls=falls, falls_first=falls_first, at=at, floor=floor)


def _find_steps(
    floor: Floor, bends: BendDesign, means: Means, *, null: _Null
) -> tuple[Floats, Floats]:
    """Test for a step, and place it with an interval."""
    found = fit_bends(bends, means.y, means.error if floor.dof else None)
    p = np.where(found.is_step, p_value(null.bend, found.statistic), 1.0)
    return p, np.exp(np.stack([found.position, found.lo, found.hi], axis=1))


def _simulate(floor: Floor, bends: BendDesign | None, *, seed: int) -> _Null:
    """Measure simulated curves without shape as the real ones are measured."""
    floor, n_levels = replace(floor, usual=None), len(floor.design.t)
    noise = floor.draw(stream(seed, "classes", n_levels), _N_NULL)
    change, rise, flat, bent = ([] for _ in range(4))
    for part in _chunks(_N_NULL, n_levels):
        means = floor.measure(noise[part])
        slopes = standardise(floor.design, means.y, means.error)
        change.append(np.abs(slopes).max(axis=1))
        rise.append(slopes.max(axis=1))
        if bends is not None and part.start < _N_BEND:
            error = means.error if floor.dof else None
            size = np.median(means.error, axis=1, keepdims=True)
            sag = _SAG * 8 / _BEND**2 * np.expm1(_BEND * bends.unit)  # e^(cu) sags by c^2 / 8
            flat.append(fit_bends(bends, means.y, error).statistic)
            bent.append(fit_bends(bends, means.y + sag * size, error).statistic)
    both = [np.sort(np.concatenate(each)) for each in (flat, bent)] if flat else [np.zeros(1)]
    return _Null(
        change=np.sort(np.concatenate(change)),
        rise=np.sort(np.concatenate(rise)),
        bend=np.max(both, axis=0),
    )


def _simulate_spread(floor: Floor, observed: Floats, *, seed: int) -> Floats:
    """Give the spread of curves whose runs lie equally far apart at all levels, ascending.

    Heavy tails make some run stand off at some level, so the noise is drawn as heavy-tailed as it
    is: of a row of Student's laws, from Gaussian on, the first whose lower quartile of the spread
    is that of the `observed` curves or more. These are curves that seem flat, where no run can be
    ahead of others; where they are few, all curves, whose lower quartile instability hardly moves.
    """
    floor, n_levels = replace(floor, usual=None), len(floor.design.t)
    quartile = np.quantile(observed, _QUIET)
    null = np.zeros(0)
    for tail in _TAILS:
        noise = floor.draw(stream(seed, "spread", n_levels), _N_NULL, tail=tail)
        null = np.sort(floor.measure(noise).spread)
        if np.quantile(null, _QUIET) >= quartile or len(observed) < _FEWEST_CURVES:
            break
    return null


def _chunks(n: int, n_levels: int) -> Iterator[slice]:
    size = max(_CHUNK // n_levels**2, 64)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
