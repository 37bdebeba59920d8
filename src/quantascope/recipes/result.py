"""What every recipe returns: checks, tables, and how to draw its figure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["Check", "RecipeResult", "Table"]

Table = Mapping[str, NDArray[Any]]
"""Columns of equal length by name."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One number of a source beside the number that was obtained here."""

    name: str
    expected: float
    obtained: float
    tolerance: float
    """Largest difference allowed, not negative; 0 for a count that must be exact."""
    bound: str
    """Where the tolerance comes from."""
    source: str
    """arXiv id or DOI with its equation, figure or table; or the words "measured here"."""

    @property
    def holds(self) -> bool:
        """Say whether the obtained number lies within the tolerance; NaN never does."""
        return math.isfinite(self.obtained) and (
            abs(self.obtained - self.expected) <= self.tolerance
        )


@dataclass(frozen=True, kw_only=True)
class RecipeResult:
    """The outcome of one recipe: no paths, nothing written."""

    name: str
    config: Any
    """The recipe's frozen config."""
    seed: int
    checks: tuple[Check, ...]
    tables: Mapping[str, Table]
    draw: Callable[[Axes], Axes]
    """Draws the figure: a function of `plots` with this result's tables."""

    def __post_init__(self) -> None:
        """Refuse a result that checks nothing, or whose tables are ragged."""
        if not self.checks:
            raise ValueError(f"checks: none in recipe {self.name!r}; allowed are one or more")
        for name, table in self.tables.items():
            lengths = {len(np.atleast_1d(column)) for column in table.values()}
            if len(lengths) != 1:
                raise ValueError(f"tables: {name!r} has columns of {sorted(lengths)} rows, not one")

    @property
    def holds(self) -> bool:
        """Say whether every check holds."""
        return all(check.holds for check in self.checks)
