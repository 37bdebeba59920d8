"""A de-biased slope with its interval, from unit vectors and a table of planted worlds.

References
----------
Michaud et al. 2023, arXiv 2303.13506, section 5 and figures A9 to A11: the envelope's slope is
biased, by about .2 to .3 on known worlds.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream
from quantascope.qdg.calibrate.belt import Inverted, fit_belt
from quantascope.qdg.calibrate.design import SIZES, thinned_size
from quantascope.qdg.calibrate.kinds import SIGN_FREE, SIGNED, AnyReading, kind_of
from quantascope.qdg.calibrate.matching import matched_table
from quantascope.qdg.calibrate.readings import FEWEST
from quantascope.qdg.calibrate.table import Table, format_table, shipped_table, table_hash

__all__ = ["CalibratedSlope", "calibrate_reading", "calibrate_slopes"]

_FEWEST_WORLDS: Final = 90


@dataclass(frozen=True, kw_only=True)
class CalibratedSlope:
    """A slope of size against rank, positive, by one method; or why it is not calibrated."""

    method: str
    """``spectrum``, ``leiden`` or ``envelope``; ``joined`` where signs mean nothing."""
    read: float
    """What the method reads; biased."""
    estimate: float
    """True slope under which that is the median reading; NaN if not calibrated."""
    lo: float
    hi: float
    """Ends of the interval."""
    level: float
    calibrated: bool
    reason: str = ""
    """Why it is not calibrated, or what is open about the interval."""
    points: int = 0
    """Points that were read: all, or a random sample of them."""
    population: int = 0
    """Points there were."""
    table: str = ""
    """sha256 of the table of worlds."""
    n_rows: int = 0
    """Its rows of that many points, which all enter the belt."""
    row: int = -1
    """The row with the most similar conditions, counted from 0."""


def calibrate_slopes(
    vectors: NDArray[np.floating],
    *,
    sign_free: bool = False,
    methods: Sequence[str] = (),
    level: float = 0.9,
    simulate: int = 0,
    seed: int = 0,
) -> list[CalibratedSlope]:
    """Estimate the slope of size against rank of the groups among unit vectors, without its bias.

    Each method reads a slope; worlds planted under conditions that read alike say what true slopes
    are read like that.

    Parameters
    ----------
    vectors
        Unit vectors, axes ``(pred, dim)``, compared by cosine. The table serves 1,000 to 16,000 of
        them; above 2,000 a random sample of 2,000 is read.
    sign_free
        Compare by the size of the cosine; the worlds are then subspaces met with either sign, and
        vectors that are 0 (predictions without gradient) are left out.
    methods
        Of ``spectrum``, ``leiden``, ``envelope``; of ``joined`` if sign-free; empty for all.
    level
        Confidence of the interval, in (0, 1).
    simulate
        Worlds to plant for these vectors where the table does not serve; 0 for none, else at least
        90. At 2,000 points a world costs about 2 CPU-seconds, and 60 more find the range.
    seed
        Seed of sample, clusterings and worlds.

    Returns
    -------
    list[CalibratedSlope]
        One for each method, in their order. All hold if the vectors are like planted groups; where
        their intervals do not overlap, they are not.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    DataError
        If the shipped table is damaged.
    """
    kind = SIGN_FREE if sign_free else SIGNED
    methods = methods or kind.methods
    if set(methods) - set(kind.methods) or not 0 < level < 1 or 0 < simulate < _FEWEST_WORLDS:
        raise ValueError(
            f"methods, level, simulate: {tuple(methods)}, {level}, {simulate}; allowed: "
            f"{', '.join(kind.methods)}; between 0 and 1; 0 or from {_FEWEST_WORLDS}"
        )
    if vectors.ndim != 2:
        raise ValueError(f"vectors: shape {vectors.shape}; allowed are two axes, (pred, dim)")
    vectors = vectors[np.any(vectors, axis=1)] if sign_free else vectors
    population = len(vectors)
    served = thinned_size(population)
    points = served or (min(population, max(SIZES)) if simulate else 0)
    outside = _not_calibrated(methods, _outside(population), level=level, population=population)
    if points < FEWEST:
        return outside
    order = stream(seed, "thin").permutation(population)[:points]
    reading = kind.read(np.asarray(vectors[np.sort(order)], dtype=np.float32), seed=seed)
    hold = partial(
        calibrate_reading,
        reading,
        points=points,
        population=population,
        methods=methods,
        level=level,
    )
    found = outside
    if served:  # its belts say nothing of a population thinned further than its own
        table, digest = shipped_table(kind.table)
        found = hold(table, digest=digest)
    if simulate and not all(slope.calibrated for slope in found):
        table = matched_table(reading, points=points, population=population, n=simulate, seed=seed)
        found = hold(table, digest=table_hash(format_table(table)))
    return found


def calibrate_reading(
    reading: AnyReading,
    table: Table,
    *,
    points: int,
    population: int,
    methods: Sequence[str] = (),
    level: float = 0.9,
    digest: str = "",
) -> list[CalibratedSlope]:
    """Hold what was read against a table of worlds.

    Parameters
    ----------
    reading
        Slopes and conditions.
    table
        Worlds; those of other numbers of points are left out.
    points, population
        Points that were read, and of how many they are a sample.
    methods, level, digest
        See `CalibratedSlope`.

    Returns
    -------
    list[CalibratedSlope]
        One for each method.
    """
    kind = kind_of(reading)
    methods = methods or kind.methods
    chosen = np.flatnonzero(table["points"] == points)
    if not len(chosen):
        reason = f"the table has no worlds of {points} points"
        return _not_calibrated(methods, reason, level=level, population=population)
    rows = {name: column[chosen] for name, column in table.items()}
    worlds = kind.conditions(rows)
    counts = {"points": points, "population": population}
    own = {name: np.array([x]) for name, x in {**asdict(reading), **counts}.items()}
    here = kind.conditions(own)
    away = np.square((worlds - here) / np.maximum(worlds.std(axis=0), 1e-12)).sum(axis=1)
    record: dict[str, Any] = {
        "level": level,
        "points": points,
        "population": population,
        "table": digest,
        "n_rows": len(chosen),
        "row": int(chosen[np.argmin(away)]),
    }
    found = []
    for method in methods:
        read, known = getattr(reading, method), kind.known.get(method, slice(None))
        try:
            belt = fit_belt(
                rows["slope"], rows[method], worlds[:, known], n_mean=kind.n_mean, cap=kind.cap
            )
        except ValueError as error:  # too few worlds in which the method read a slope
            found += _not_calibrated((method,), str(error), level=level, population=population)
            continue
        inverted = belt.invert(read, here[0, known], level=level)
        found.append(_slope(method, read, inverted, record))
    return found


def _not_calibrated(
    methods: Sequence[str], reason: str, *, level: float, population: int
) -> list[CalibratedSlope]:
    """Give for each method the answer that there is none, with the reason."""
    nan = float("nan")
    return [
        CalibratedSlope(
            method=method,
            read=nan,
            estimate=nan,
            lo=nan,
            hi=nan,
            level=level,
            calibrated=False,
            reason=reason,
            population=population,
        )
        for method in methods
    ]


def _slope(method: str, read: float, inverted: Inverted, record: dict[str, Any]) -> CalibratedSlope:
    return CalibratedSlope(
        method=method,
        read=read,
        estimate=inverted.estimate,
        lo=inverted.lo,
        hi=inverted.hi,
        calibrated=bool(np.isfinite(inverted.estimate)),
        reason=inverted.reason,
        **record,
    )


def _outside(population: int) -> str:
    least, most = min(SIZES), round(max(k * times for k, times in SIZES.items()))
    return f"{population} points; the table has {least} to {most}"
