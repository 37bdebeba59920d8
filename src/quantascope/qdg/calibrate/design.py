"""Conditions of planted worlds, spread evenly over a range, and what is read off each world.

A range enters, a table leaves: one row a world, with what was planted and what was read. There are
two kinds, worlds of directions and worlds of subspaces that are met with either sign.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from quantascope.core.rng import derive_seed, stream
from quantascope.qdg.calibrate.axes import AxesReading, read_axes
from quantascope.qdg.calibrate.readings import Reading, read_vectors
from quantascope.qdg.subspaces import Subspaces, subspace_world
from quantascope.qdg.worlds import (
    Sizes,
    World,
    draw_sizes,
    planted_world,
    sizes_of,
)

__all__ = [
    "SIZES",
    "AnyPlanted",
    "AnyRange",
    "AxesRange",
    "Planted",
    "PlantedAxes",
    "Range",
    "planted_conditions",
    "read_world",
    "read_worlds",
    "thinned_size",
    "unit_rows",
    "world_of",
]

Pair = tuple[float, float]
Box = tuple[NDArray[np.float64], NDArray[np.float64]]

SIZES: Final = {1000: 2.0, 2000: 8.0}
"""Points that are clustered, and the largest population that is thinned to them, as a multiple."""
_WHOLE: Final = 0.4
"""Share of worlds that are read whole, not thinned."""


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

    def law(self) -> Sizes:
        """Give sizes in the population."""
        return sizes_of(self.population, slope=self.slope)

    def place(self, sizes: Sizes, *, seed: int) -> World:
        """Place groups of these sizes on the sphere."""
        return planted_world(
            sizes, dim=self.dim, within=self.within, between=self.between, seed=seed
        )

    def read(self, world: World, *, seed: int) -> Reading:
        """Read slopes and conditions."""
        return read_vectors(world.vectors, seed=seed)


@dataclass(frozen=True, kw_only=True)
class PlantedAxes:
    """The truth of one world whose signs mean nothing; see `Subspaces`."""

    points: int
    population: int
    slope: float
    groups: int
    """Groups after which the law of sizes ends, if it has not ended before."""
    overlap: float
    flattening: float
    pattern: float
    own: float
    peaked: float
    kin: float
    shared: float
    dim: int

    def law(self) -> Sizes:
        """Give sizes in the population."""
        return sizes_of(self.population, slope=self.slope)[: self.groups]

    def place(self, sizes: Sizes, *, seed: int) -> World:
        """Place groups of these sizes in subspaces."""
        kind = Subspaces(**{each.name: getattr(self, each.name) for each in fields(Subspaces)})
        return subspace_world(sizes, kind, dim=self.dim, seed=seed)

    def read(self, world: World, *, seed: int) -> AxesReading:
        """Read slopes and conditions."""
        return read_axes(world.vectors, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where worlds are planted; every pair is the lowest and the highest value."""

    slope: Pair = (0.55, 1.75)
    within: Pair = (0.15, 0.75)
    """Mean cosine within a group."""
    dim: Pair = (40.0, 2500.0)
    """Dimension of the sphere, spread evenly in its logarithm."""
    between: Pair = (0.0, 0.35)
    """Mean cosine between groups as a share of that within."""

    @property
    def n_drawn(self) -> int:
        """Numbers that make one world."""
        return 5

    def plant(self, unit: Sequence[float], *, points: int) -> Planted:
        """Stretch one point of the unit cube over the range."""
        slope, cosine, dim, between, whole = unit
        within = _stretched(cosine, self.within)
        return Planted(
            points=points,
            population=_population(whole, points),
            slope=round(_stretched(slope, self.slope), 4),
            within=round(within, 4),
            between=round(within * _stretched(between, self.between), 4),
            dim=round(_log_stretched(dim, self.dim)),
        )


@dataclass(frozen=True, kw_only=True)
class AxesRange:
    """Where worlds are planted whose signs mean nothing; logs are spread evenly if not said."""

    slope: Pair = (0.5, 2.0)
    """Spread evenly as it is."""
    groups: Pair = (8.0, 200.0)
    contrast: Pair = (3.0, 80.0)
    """Overlap of patterns of the largest group, as a multiple of that of unrelated points, 1/d."""
    flattening: Pair = (0.0, 1.0)
    """Spread evenly as it is."""
    pattern: Pair = (5.0, 30.0)
    own: Pair = (0.1, 0.8)
    peaked: Pair = (1.0, 3.0)
    """Spread evenly as it is."""
    kin: Pair = (-0.3, 0.5)
    """Spread evenly as it is; below 0 it is 0."""
    shared: Pair = (-0.15, 0.08)
    """Spread evenly as it is; below 0 it is 0."""
    dim: Pair = (800.0, 6000.0)

    @property
    def n_drawn(self) -> int:
        """Numbers that make one world."""
        return 11

    def plant(self, unit: Sequence[float], *, points: int) -> PlantedAxes:
        """Stretch one point of the unit cube over the range."""
        slope, groups, contrast, flattening, pattern, own, peaked, kin, shared, dim, whole = unit
        n_dims = round(_log_stretched(dim, self.dim))
        return PlantedAxes(
            points=points,
            population=_population(whole, points),
            slope=round(_stretched(slope, self.slope), 4),
            groups=round(_log_stretched(groups, self.groups)),
            overlap=float(f"{min(_log_stretched(contrast, self.contrast) / n_dims, 0.5):.4g}"),
            flattening=round(_stretched(flattening, self.flattening), 4),
            pattern=round(_log_stretched(pattern, self.pattern), 2),
            own=round(_log_stretched(own, self.own), 4),
            peaked=round(_stretched(peaked, self.peaked), 2),
            kin=round(max(0.0, _stretched(kin, self.kin)), 4),
            shared=round(max(0.0, _stretched(shared, self.shared)), 4),
            dim=n_dims,
        )


AnyPlanted = Planted | PlantedAxes
AnyRange = Range | AxesRange


def unit_rows(
    n_worlds: int, *, points: int, within: AnyRange, seed: int = 0
) -> NDArray[np.float64]:
    """Spread points evenly over the unit cube, axes ``(world, condition)``; the slope is first."""
    engine = qmc.Halton(within.n_drawn, scramble=True, rng=stream(seed, "conditions", points))
    rows: NDArray[np.float64] = engine.random(n_worlds)
    return rows


def planted_conditions(
    n_worlds: int,
    *,
    points: int,
    population: int = 0,
    within: AnyRange | None = None,
    box: Box | None = None,
    seed: int = 0,
) -> list[AnyPlanted]:
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
        Range of conditions, which also says what kind of worlds; None for the table's of
        directions.
    box
        Lower and upper ends of the part of the unit cube that is stretched over the range; None
        for the whole.
    seed
        Seed of the scrambling.

    Returns
    -------
    list[Planted] or list[PlantedAxes]
        In the order of the sequence.
    """
    within = within or Range()
    rows = unit_rows(n_worlds, points=points, within=within, seed=seed)
    if box is not None:
        rows = box[0] + (box[1] - box[0]) * rows
    planted = [within.plant(row.tolist(), points=points) for row in rows]
    return [replace(one, population=population) for one in planted] if population else planted


def world_of(planted: AnyPlanted, *, seed: int) -> World:
    """Plant one world: sizes drawn from the paper's law, points on the sphere."""
    sizes = draw_sizes(planted.law(), n_points=planted.points, rng=stream(seed, "sizes"))
    return planted.place(sizes, seed=seed)


def read_world(planted: AnyPlanted, *, seed: int) -> dict[str, float]:
    """Plant one world and read it: the row of a table."""
    return {**asdict(planted), **asdict(planted.read(world_of(planted, seed=seed), seed=seed))}


def read_worlds(conditions: Sequence[AnyPlanted], *, seed: int) -> Iterator[dict[str, float]]:
    """Read worlds one after the other, each from its own seed."""
    for place, planted in enumerate(conditions):
        yield read_world(planted, seed=derive_seed(seed, "table", planted.points, place))


def thinned_size(n_points: int) -> int:
    """Give how many of a run's points are clustered, or 0 where no size of the table serves."""
    return max((k for k, most in SIZES.items() if k <= n_points <= k * most), default=0)


def _population(unit: float, points: int) -> int:
    thinning = max(0.0, (unit - _WHOLE) / (1 - _WHOLE))
    return round(points * SIZES.get(points, 1.0) ** thinning)


def _stretched(unit: float, ends: Pair) -> float:
    return float(np.interp(unit, (0, 1), ends))


def _log_stretched(unit: float, ends: Pair) -> float:
    return float(np.exp(np.interp(unit, (0, 1), np.log(ends))))
