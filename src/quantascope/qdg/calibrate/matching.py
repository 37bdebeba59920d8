"""Worlds planted for one run: where the shipped table does not serve.

A first, wide round of worlds finds what has to be planted for conditions to be read like the run's;
the second is planted around it and makes the run's own table.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import derive_seed
from quantascope.qdg.calibrate.design import Box, planted_conditions, read_worlds, unit_rows
from quantascope.qdg.calibrate.kinds import AnyReading, kind_of
from quantascope.qdg.calibrate.table import Table, columns

__all__ = ["matched_table"]

_SCOUTS: Final = 60
_NEAREST: Final = 8
_MARGIN: Final = 0.15
"""The second range is that of the nearest scouts, wider by this share of the whole on each side."""


def matched_table(
    reading: AnyReading, *, points: int, population: int, n: int, seed: int = 0
) -> Table:
    """Plant worlds whose conditions are read like a run's.

    Parameters
    ----------
    reading
        What was read off the run.
    points, population
        Points that were read, and of how many they are a sample.
    n
        Worlds of the second round.
    seed
        Seed of the worlds.

    Returns
    -------
    Table
        Rows of the second round.
    """
    kind, own = kind_of(reading), derive_seed(seed, "matched")
    scouts = planted_conditions(
        _SCOUTS, points=points, population=population, within=kind.wide, seed=own
    )
    near = _nearest(columns(read_worlds(scouts, seed=own)), reading)
    units = unit_rows(_SCOUTS, points=points, within=kind.wide, seed=own)[near]
    again = derive_seed(own, "again")
    conditions = planted_conditions(
        n,
        points=points,
        population=population,
        within=kind.wide,
        box=_around(units),
        seed=again,
    )
    return columns(read_worlds(conditions, seed=again))


def _nearest(scouts: Table, reading: AnyReading) -> NDArray[np.intp]:
    away = sum(
        np.square((scouts[name] - getattr(reading, name)) / (np.nanstd(scouts[name]) + 1e-12))
        for name in kind_of(reading).near
    )
    return np.argsort(np.nan_to_num(away, nan=np.inf))[:_NEAREST]


def _around(units: NDArray[np.float64]) -> Box:
    """Box of the nearest scouts with a margin; all slopes."""
    low = np.maximum(units.min(axis=0) - _MARGIN, 0.0)
    high = np.minimum(units.max(axis=0) + _MARGIN, 1.0)
    low[0], high[0] = 0.0, 1.0
    return low, high
