"""When something was learned: size or step, with interval; how sharply; by detours or not.

A series of curves enters (predictions, or means of clusters, skills or probes); leaves for each the
place where its loss comes below a threshold for good. The interval is one of levels: it starts at
the last level at which the curve is above beyond doubt and ends at the first at which it is below
beyond doubt, errors of all levels held at once. No form of the curve is assumed for that, only that
it crosses once.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.rng import stream
from quantascope.families.classes import CLAIMS, measure_claims
from quantascope.families.noise import Floor, Means
from quantascope.families.series import Series

__all__ = ["Emergence", "find_emergence"]

Floats = NDArray[np.float64]

_OUTER: Final = (0.25, 0.75)
"""Shares of the drop between which its middle half lies."""
_BLOCK: Final = 1 << 14
_N_DRAWS: Final = 20_000
_OFFSETS: Final = (0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0)
"""Standard deviation of runs' offsets over that of their noise."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Emergence:
    """When each curve came below its threshold; every array has the axis ``pred``."""

    learned: NDArray[np.bool_]
    """Whether the means of the runs end below the threshold."""
    at: Floats
    """Size or step at which they cross it for the last time, between levels in logs; NaN where
    they never do, or are below from the first level on."""
    lo: Floats
    """Last level that is above beyond doubt; 0 if none is."""
    hi: Floats
    """First level after it that is below beyond doubt; infinite if none is."""
    threshold: Floats
    """[nat]"""
    drop: Floats
    """Loss at the first level less that at the last [nat]."""
    width: Floats
    """Sharpness: ln of the factor in size or step over which the middle half of the drop happens,
    NaN without a drop. A drop within one gap comes out as half of it (see `gap`)."""
    gap: Floats
    """ln of the factor between the levels around `at`; NaN without it."""
    p_change: Floats
    """P-value of no dependence on size or step, not corrected for the number of curves."""
    p_turn: Floats
    """P-value of a monotone curve, not corrected; NaN where it cannot be tested."""
    level: float
    method: str

    @property
    def monotone(self) -> NDArray[np.bool_]:
        """Tell which curves are not shown to turn, each at the error ``1 - level``."""
        return ~(np.nan_to_num(self.p_turn, nan=1.0) <= 1 - self.level)

    def to_table(self) -> pa.Table:
        """Make an Arrow table with one row a curve."""
        names = ("learned", "at", "lo", "hi", "threshold", "drop", "width", "gap", "p_change")
        columns = {name: getattr(self, name) for name in (*names, "p_turn")}
        return pa.table(columns | {"monotone": self.monotone})


def find_emergence(
    series: Series,
    *,
    threshold: float | None = None,
    level: float = 0.95,
    n_shuffles: int | None = None,
    seed: int = 0,
) -> Emergence:
    """Find when curves were learned.

    Parameters
    ----------
    series
        Curves over sizes or steps; for a cluster or a skill, `Series.averaged` over its members.
    threshold
        Loss below which a curve counts as learned [nat], > 0. None takes for each curve the middle
        between its first and its last level.
    level
        Confidence of the intervals, in (0, 1).
    n_shuffles, seed
        Of the tests; see `quantascope.families.classes.classify`.

    Returns
    -------
    Emergence
        With a threshold of None an interval belongs to a drop: read it where `p_change` is small.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    DataError
        If nothing could be tested: one run a level, and fewer than five levels.

    Notes
    -----
    The interval covers the crossing of a monotone curve with probability `level` or more, for
    Gaussian noise alike at all levels: each level's mean is compared with the threshold (or with
    the mean of first and last level), and the critical value is that of the largest of all
    comparisons on simulated noise, measured alike. Along steps a fixed threshold is not spared
    the runs' offsets: simulated runs have them too, as large beside their noise as the curves'
    are in the median.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> place = np.repeat(np.arange(6), 3)
    >>> losses = 4.0 - 3.5 * (place > 2) + 0.1 * rng.standard_normal((1, 18))
    >>> series = Series(scale="n_params", x=10.0 ** np.arange(4, 10), losses=losses,
    ...                 level=place, run=np.arange(18))
    >>> found = find_emergence(series, threshold=1.0)
    >>> found.lo.tolist(), found.hi.tolist(), found.learned.tolist()
    ([1000000.0], [10000000.0], [True])
    """
    if threshold is not None and not (np.isfinite(threshold) and threshold > 0):
        raise ValueError(f"threshold: {threshold} found; allowed are finite losses above 0 [nat]")
    if not 0 < level < 1:
        raise ValueError(f"level: {level} found; allowed are numbers between 0 and 1")
    measured = measure_claims(series, steps=False, n_shuffles=n_shuffles, seed=seed)
    claims, floor = measured.p, measured.floor
    critical = _critical(series, floor, level=level, seed=seed, middle=threshold is None)
    blocks = [
        _find(series.rows(slice(i, i + _BLOCK)), floor, threshold=threshold, critical=critical)
        for i in range(0, max(len(series.losses), 1), _BLOCK)
    ]
    return Emergence(
        **{name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]},
        p_change=claims[:, CLAIMS.index("change")],
        p_turn=claims[:, CLAIMS.index("turn")],
        level=level,
        method=floor.method,
    )


def _find(
    series: Series, floor: Floor, *, threshold: float | None, critical: float
) -> dict[str, NDArray[Any]]:
    means = floor.measure(series.losses)
    t, y = floor.design.t, means.y * means.scale
    first, last = y[:, 0], y[:, -1]
    if threshold is None:
        wanted, z = (first + last) / 2, _against_the_middle(means)
    else:
        wanted = np.full(len(y), float(threshold))
        error = _with_offsets(floor, means, series.losses) if _offsets(floor) else means.error
        z = (means.y - threshold / means.scale) / error
    drop = first - last
    at, gap = _last_crossing(y - wanted[:, None], t)
    outer = [_last_crossing(y - (first - share * drop)[:, None], t)[0] for share in _OUTER]
    lo, hi = _bracket(z, series.x, critical)
    return {
        "learned": last < wanted,
        "at": np.exp(at),
        "lo": lo,
        "hi": hi,
        "threshold": wanted,
        "drop": drop,
        "width": np.where(drop > 0, np.maximum(outer[1] - outer[0], 0.0), np.nan),
        "gap": gap,
    }


def _against_the_middle(means: Means) -> Floats:
    """Compare each level with the mean of the first and the last; offsets of runs cancel."""
    weights = np.eye(means.y.shape[1])
    weights[:, [0, -1]] -= 0.5
    return np.asarray(means.y @ weights.T / np.sqrt(means.error**2 @ (weights**2).T))


def _offsets(floor: Floor) -> bool:
    """Tell whether runs have offsets that can be measured: several runs, along steps."""
    return floor.tracked and floor.dof > 0


def _with_offsets(floor: Floor, means: Means, losses: NDArray[np.floating[Any]]) -> Floats:
    """Give the errors of the means with the offsets of runs counted in, axes ``curve level``."""
    n_runs = len(np.unique(floor.run))
    off = losses / means.scale - means.y[:, floor.level]
    variance = (off**2).sum(axis=1, keepdims=True) / ((n_runs - 1) * len(floor.design.t))
    return np.maximum(np.sqrt(variance / n_runs), means.error)


def _critical(series: Series, floor: Floor, *, level: float, seed: int, middle: bool) -> float:
    """Give the size that no level's comparison exceeds with probability `level` by noise alone."""
    plain, rng = replace(floor, usual=None), stream(seed, "emergence", len(floor.level))
    noise = plain.draw(rng, _N_DRAWS)
    if _offsets(floor) and not middle and len(series.losses):
        noise = _like_offsets(plain, noise, series.losses[:: -(-len(series.losses) // _BLOCK)], rng)
        means = plain.measure(noise)
        z = means.y / _with_offsets(plain, means, noise)
    else:
        means = plain.measure(noise)
        z = _against_the_middle(means) if middle else means.y / means.error
    return float(np.quantile(np.abs(z).max(axis=1), level))


def _like_offsets(
    floor: Floor, noise: Floats, losses: NDArray[np.floating[Any]], rng: np.random.Generator
) -> Floats:
    """Add offsets to simulated runs, as large beside their noise as the curves' are."""
    offset = rng.standard_normal((len(noise), len(np.unique(floor.run))))[:, floor.run]
    wanted = np.median(_offset_ratio(floor, losses))
    found = [np.median(_offset_ratio(floor, noise + size * offset)) for size in _OFFSETS]
    return noise + np.interp(wanted, found, _OFFSETS) * offset


def _offset_ratio(floor: Floor, losses: NDArray[np.floating[Any]]) -> Floats:
    """Give the spread of runs, offsets counted in, over that without; axis ``curve``."""
    means = floor.measure(losses)
    return np.asarray((_with_offsets(floor, means, losses) / means.error).mean(axis=1))


def _bracket(z: Floats, x: Floats, critical: float) -> tuple[Floats, Floats]:
    """Give the last level above beyond doubt, and the first after it that is below."""
    n_levels = len(x)
    above, below = z > critical, z < -critical
    place = np.arange(n_levels)
    start = np.where(above, place, -1).max(axis=1)
    end = np.where(below & (place > start[:, None]), place, n_levels).min(axis=1)
    return np.append(x, 0.0)[start], np.append(x, np.inf)[end]


def _last_crossing(above: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Give ln x where curves come below 0 for good, and the gap it lies in; NaN where not."""
    is_above = above > 0
    last = len(t) - 1 - is_above[:, ::-1].argmax(axis=1)
    crosses = is_above.any(axis=1) & (last < len(t) - 1)
    before = np.minimum(last, len(t) - 2)
    rows = np.arange(len(above))
    high, low = above[rows, before], above[rows, before + 1]
    fall = np.where(crosses, high - low, 1.0)
    gap = np.where(crosses, t[before + 1] - t[before], np.nan)
    return t[before] + gap * high / fall, gap
