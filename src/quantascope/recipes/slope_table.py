"""The calibration table: planted worlds in which slopes are read, and new worlds that test it.

Source: arXiv:2303.13506, figures A9 to A11: where it is known, the envelope is off by .2 to .3.
Command: ``quantascope reproduce slope-table`` fills the table and tests it on 300 new worlds, some
1,000 CPU-s; ``--quick`` tests the shipped table on 16 worlds of 1,000 points, 8 CPU-s.
Expected: on worlds of 2,000 points with slopes from .8 to 1.5, drawn with other seeds at other
slopes, similarities and dimensions, the 90 % interval covers the truth in 90 % +- 3 binomial errors
(85 to 95 %; a world without an interval counts as missed), and the mean error is below .05, where
the envelope as it stands errs by .1 to .3. The filled table is
``slope_calibration.csv`` of the result; ``scripts/slope_table.py`` puts it into the package.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from quantascope.plots.calibrate import plot_calibrated
from quantascope.qdg.calibrate.design import Planted, Range, planted_conditions, read_worlds
from quantascope.qdg.calibrate.kinds import SIGNED
from quantascope.qdg.calibrate.readings import METHODS, Reading
from quantascope.qdg.calibrate.slope import CalibratedSlope, calibrate_reading
from quantascope.qdg.calibrate.table import columns, format_table, read_table, shipped_table
from quantascope.recipes.result import Check, RecipeResult, Table

__all__ = ["QUICK", "Config", "fill_table", "run"]

_READINGS: Final = tuple(Reading.__dataclass_fields__)
_TESTED: Final = Range(slope=(0.8, 1.5), within=(0.2, 0.7), dim=(50.0, 2000.0), between=(0.0, 0.3))


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole table and its test."""

    rows: tuple[tuple[int, int], ...] = ((2000, 333), (1000, 200))
    """Points of a world and number of such worlds; empty to take the shipped table."""
    points: int = 2000
    """Points of the worlds that test the table, all of them read."""
    n_tests: int = 300
    level: float = 0.9
    error: float = 0.05
    """Mean error that is aimed at."""
    tested: Range = field(default=_TESTED)


QUICK: Final = Config(rows=(), points=1000, n_tests=16, error=0.1)


def run(config: Config, *, seed: int) -> RecipeResult:
    """Fill the table, or take the shipped one, and test it on worlds it does not hold."""
    table = fill_table(config, seed=seed) if config.rows else shipped_table()[0]
    worlds = columns(read_worlds(_test_conditions(config, seed + 1), seed=seed + 1))
    tests = {method: _tested(worlds, table, config, method) for method in METHODS}
    return RecipeResult(
        name="slope-table",
        config=config,
        seed=seed,
        checks=tuple(_checks(config, tests)),
        tables={"slope_calibration": table, **{f"test_{name}": t for name, t in tests.items()}},
        draw=partial(plot_calibrated, tests[SIGNED.default]),
    )


def fill_table(config: Config, *, seed: int) -> Table:
    """Plant and read the worlds of the table."""
    planted = [
        planted_conditions(n_worlds, points=points, seed=seed) for points, n_worlds in config.rows
    ]
    rows = [row for conditions in planted for row in read_worlds(conditions, seed=seed)]
    return read_table(format_table(columns(rows)))


def _test_conditions(config: Config, seed: int) -> list[Planted]:
    return planted_conditions(
        config.n_tests,
        points=config.points,
        population=config.points,
        within=config.tested,
        seed=seed,
    )


def _tested(worlds: Table, table: Table, config: Config, method: str) -> Table:
    """Calibrate every test world by one method."""
    found: list[CalibratedSlope] = []
    for place in range(len(worlds["slope"])):
        reading = Reading(**{name: float(worlds[name][place]) for name in _READINGS})
        found += calibrate_reading(
            reading,
            table,
            points=config.points,
            population=config.points,
            methods=(method,),
            level=config.level,
        )
    names = ("estimate", "lo", "hi", "calibrated")
    calibrated = {name: np.array([getattr(slope, name) for slope in found]) for name in names}
    planted = ("slope", "within", "between", "dim", "envelope")
    return {**{name: worlds[name] for name in planted}, "read": worlds[method], **calibrated}


def _checks(config: Config, tests: dict[str, Table]) -> Iterator[Check]:
    level, n_worlds = config.level, config.n_tests
    for method, test in tests.items():
        known, slope = test["calibrated"], test["slope"]
        covered = known & (test["lo"] <= slope) & (slope <= test["hi"])
        yield Check(
            name=f"{method}: share of {100 * level:g} % intervals that hold the truth",
            expected=level,
            obtained=float(covered.mean()),
            tolerance=3 * float(np.sqrt(level * (1 - level) / n_worlds)),
            bound=f"3 binomial errors of {n_worlds} worlds; one without an interval is missed",
            source="measured here",
        )
        error = np.abs(test["estimate"] - slope)[known]
        if method == SIGNED.default:
            yield Check(
                name=f"{method}: mean error where calibrated",
                expected=0.0,
                obtained=float(error.mean()),
                tolerance=config.error,
                bound="the error that is aimed at",
                source="measured here",
            )
    plain = tests["envelope"]["envelope"] - tests["envelope"]["slope"]
    yield Check(
        name="envelope: mean error, not calibrated",
        expected=0.2,
        obtained=float(np.abs(plain).mean()),
        tolerance=0.1,
        bound=".1 to .3",
        source="arXiv:2303.13506, figures A9 and A11",
    )
