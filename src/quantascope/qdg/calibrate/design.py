"""Conditions of planted worlds, spread evenly over a range, and what is read off each world.

A range enters, a table leaves: one row a world, with what was planted and what was read.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from quantascope.core.rng import derive_seed, stream
from quantascope.qdg.calibrate.readings import Reading, read_vectors
from quantascope.qdg.worlds import World, draw_sizes, planted_world, sizes_of

__all__ = [
    "SIZES",
    "Planted",
    "Range",
    "planted_conditions",
    "read_world",
    "read_worlds",
    "thinned_size",
    "world_of",
]

SIZES: Final = {1000: 2.0, 2000: 8.0}
"""Points that are clustered, and the largest population that is thinned to them, as a multiple."""
_WHOLE: Final = 0.4
"""Share of worlds that are read whole, not thinned."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where worlds are planted; every pair is the lowest and the highest value."""

    slope: tuple[float, float] = (0.55, 1.75)
    within: tuple[float, float] = (0.15, 0.75)
    """Mean cosine within a group."""
    dim: tuple[float, float] = (40.0, 2500.0)
    """Dimension of the sphere, spread evenly in its logarithm."""
    between: tuple[float, float] = (0.0, 0.35)
    """Mean cosine between groups as a share of that within."""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One world's truth."""

    points: int
    """Points that are clustered."""
    population: int
    """Points of which they are a random sample; the law of sizes ends where this many end it."""
    slope: float
    within: float
    between: float
    dim: int


def planted_conditions(
    n_worlds: int,
    *,
    points: int,
    population: int = 0,
    within: Range | None = None,
    seed: int = 0,
) -> list[Planted]:
    """Spread conditions evenly over a range (a scrambled Halton sequence).

    Parameters
    ----------
    n_worlds
        Number of worlds; a longer list begins with the shorter one.
    points
        Points of each, a key of `SIZES` unless the population is given.
    population
        Points of which they are a sample; 0 for whole worlds and samples mixed, as in the table.
    within
        Range of conditions; None for the table's.
    seed
        Seed of the scrambling.

    Returns
    -------
    list[Planted]
        In the order of the sequence.
    """
    within = within or Range()
    engine = qmc.Halton(5, scramble=True, rng=stream(seed, "conditions", points))
    planted = [_planted(row, points, within) for row in engine.random(n_worlds)]
    return [replace(one, population=population) for one in planted] if population else planted


def world_of(planted: Planted, *, seed: int) -> World:
    """Plant one world: sizes drawn from the paper's law, points on the sphere."""
    law = sizes_of(planted.population, slope=planted.slope)
    sizes = draw_sizes(law, n_points=planted.points, rng=stream(seed, "sizes"))
    return planted_world(
        sizes, dim=planted.dim, within=planted.within, between=planted.between, seed=seed
    )


def read_world(planted: Planted, *, seed: int) -> dict[str, float]:
    """Plant one world and read it: the row of a table."""
    reading: Reading = read_vectors(world_of(planted, seed=seed).vectors, seed=seed)
    return {**asdict(planted), **asdict(reading)}


def read_worlds(conditions: list[Planted], *, seed: int) -> Iterator[dict[str, float]]:
    """Read worlds one after the other, each from its own seed."""
    for place, planted in enumerate(conditions):
        yield read_world(planted, seed=derive_seed(seed, "table", planted.points, place))


def thinned_size(n_points: int) -> int:
    """Give how many of a run's points are clustered, or 0 where no size of the table serves."""
    return max((k for k, most in SIZES.items() if k <= n_points <= k * most), default=0)


def _planted(unit: NDArray[np.float64], points: int, within: Range) -> Planted:
    """Stretch one point of the unit cube over the range."""
    slope, cosine, dim, between, whole = (float(u) for u in unit)
    thinning = max(0.0, (whole - _WHOLE) / (1 - _WHOLE))
    w = np.interp(cosine, (0, 1), within.within)
    return Planted(
        points=points,
        population=round(points * SIZES.get(points, 1.0) ** thinning),
        slope=round(float(np.interp(slope, (0, 1), within.slope)), 4),
        within=round(float(w), 4),
        between=round(float(w * np.interp(between, (0, 1), within.between)), 4),
        dim=round(float(np.exp(np.interp(dim, (0, 1), np.log(within.dim))))),
    )
