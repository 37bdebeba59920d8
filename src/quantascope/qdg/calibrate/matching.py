"""Worlds planted for one run: where the shipped table does not serve.

A first, wide round of worlds finds what has to be planted for conditions to be read like the run's;
the second is planted around it and makes the run's own table.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import derive_seed
from quantascope.qdg.calibrate.design import Range, planted_conditions, read_worlds
from quantascope.qdg.calibrate.readings import Reading
from quantascope.qdg.calibrate.table import Table, columns

__all__ = ["matched_table"]

_SCOUTS: Final = 60
_WIDE: Final = Range(slope=(0.4, 2.2), within=(0.03, 0.97), dim=(8.0, 8000.0), between=(0.0, 0.8))
_NEAREST: Final = 8
_MARGIN: Final = 0.15
"""The second range is that of the nearest scouts, wider by this share of the whole on each side."""


def matched_table(
    reading: Reading, *, points: int, population: int, n: int, seed: int = 0
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
    own = derive_seed(seed, "matched")
    scouts = columns(
        read_worlds(
            planted_conditions(
                _SCOUTS, points=points, population=population, within=_WIDE, seed=own
            ),
            seed=own,
        )
    )
    near = _nearest(scouts, reading)
    share = scouts["between"] / scouts["within"]
    around = Range(
        slope=_WIDE.slope,
        within=_around(scouts["within"][near], _WIDE.within),
        dim=_around(scouts["dim"][near], _WIDE.dim, logs=True),
        between=_around(share[near], _WIDE.between),
    )
    again = derive_seed(own, "again")
    conditions = planted_conditions(
        n, points=points, population=population, within=around, seed=again
    )
    return columns(read_worlds(conditions, seed=again))


def _nearest(scouts: Table, reading: Reading) -> NDArray[np.intp]:
    names = ("mean", "coarse", "fine", "dimension")
    away = sum(
        np.square((scouts[name] - getattr(reading, name)) / (scouts[name].std() + 1e-12))
        for name in names
    )
    return np.argsort(np.nan_to_num(away, nan=np.inf))[:_NEAREST]


def _around(
    values: NDArray[np.float64], whole: tuple[float, float], *, logs: bool = False
) -> tuple[float, float]:
    low, high = np.log(whole) if logs else whole
    found = np.log(values) if logs else values
    margin = _MARGIN * (high - low)
    ends = max(low, found.min() - margin), min(high, found.max() + margin)
    lower, upper = np.exp(ends) if logs else ends
    return float(lower), float(upper)
