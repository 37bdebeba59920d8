"""The noise floor of curves: how far runs that differ by their seed alone lie apart.

A series enters; means over runs leave, each curve with the error of its means. Across sizes the
errors of different runs are independent, whatever they share with other curves, and the spread of
seeds at equal size measures all of it. Along steps a run's offset cancels in every slope, so it is
taken out, and what is left may depend on the step before: one correlation for all curves. With one
run a level the noise is told from how rough each curve is.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.families.curves import Series
from quantascope.laws.shapes.moves import Design, make_design, noise_scale

__all__ = ["Floor", "Means", "read_floor"]

Floats = NDArray[np.float64]

_ERRORS: Final = (1e-9, 1e9)  # of a curve's largest value: no test below or above would change
_MOST: Final = 0.95
"""Largest correlation of neighbouring checkpoints; above, a run tells nothing but its offset."""
_GRID: Final = np.linspace(0.0, _MOST, 96)
_FEWEST_ROUGH: Final = 5  # levels from which roughness tells noise from shape
_BLOCK: Final = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Means:
    """Curves averaged over the runs of each level, in units of each curve's largest value."""

    y: Floats
    """Axes ``curve level``."""
    error: Floats
    """Standard error of each mean, axes ``curve level``."""
    scale: Floats
    """Unit of each curve [nat], axes ``curve 1``."""
    spread: Floats
    """Largest variance between the runs of one level over the pooled one, axis ``curve``."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """How the noise of a series is read, the same for all its curves."""

    design: Design
    """Of the levels, log x ascending."""
    level: NDArray[np.int64]
    run: NDArray[np.int64]
    tracked: bool
    dof: int
    """Degrees of freedom of one curve's noise; 0: from its roughness."""
    correlation: float
    """Of neighbouring checkpoints of a run, its offset taken out; 0 across sizes."""

    @property
    def enough(self) -> bool:
        """Whether noise can be told at all."""
        return self.dof > 0 or len(self.design.t) >= _FEWEST_ROUGH

    @property
    def method(self) -> str:
        """Say in words where the noise comes from."""
        if self.dof and self.tracked:
            return (
                f"noise between runs, offsets taken out, {self.dof} degrees of freedom a curve, "
                f"correlation of neighbouring checkpoints {self.correlation:.2f}"
            )
        if self.dof:
            return f"noise between seeds, {self.dof} degrees of freedom a curve"
        if not self.enough:
            return f"one run a level and fewer than {_FEWEST_ROUGH} levels: noise is not known"
        return "one run a level: noise from the roughness of each curve, taken as independent"

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw curves of noise alone, variance 1, axes ``curve column``."""
        noise = rng.standard_normal((n, len(self.level)))
        if not (self.tracked and self.correlation):
            return noise
        root = np.linalg.cholesky(_neighbours(self.correlation, len(self.design.t)))
        for run in np.unique(self.run):
            columns = np.flatnonzero(self.run == run)
            columns = columns[np.argsort(self.level[columns])]
            noise[:, columns] = noise[:, columns] @ root.T
        return noise

    def measure(self, losses: NDArray[np.floating[Any]]) -> Means:
        """Average curves over runs and measure the error of the means.

        Parameters
        ----------
        losses
            Axes ``curve column``.
        """
        values = losses.astype(np.float64)
        size = np.abs(values).max(axis=1, keepdims=True)
        size = np.where(size > 0, size, 1.0)
        values /= size
        mean, off, count = self._split(values)
        if self.dof:
            squares = _sum_by(off**2, self.level, len(count))
            variance = squares.sum(axis=1) / self.dof
            own = np.divide(squares, count - 1, out=np.zeros_like(squares), where=count > 1)
            spread = np.divide(
                own.max(axis=1), variance, out=np.zeros(len(own)), where=variance > 0
            )
            error = np.sqrt(variance)[:, None] / np.sqrt(count)
        else:
            spread = np.zeros(len(values))
            rough = noise_scale(self.design, mean) if self.enough else np.ones(len(mean))
            error = np.repeat(rough[:, None], len(count), axis=1)
        return Means(y=mean, error=np.clip(error, *_ERRORS), scale=size, spread=spread)

    def _split(self, values: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Split curves into means over runs and what is left, offsets of tracked runs taken out."""
        count = np.bincount(self.level)
        mean = _sum_by(values, self.level, len(count)) / count
        off = values - mean[:, self.level]
        if self.tracked:
            n_steps = np.bincount(self.run)
            off -= (_sum_by(off, self.run, len(n_steps)) / n_steps)[:, self.run]
        return mean, off, count


def read_floor(series: Series) -> Floor:
    """Find out how the noise of a series can be told.

    Across sizes with seeds, from the ``n_runs - n_levels`` differences between runs of equal size.
    Along the steps of several runs, from the interaction of run and step,
    ``(n_runs - 1)(n_levels - 1)``, with one correlation of neighbouring checkpoints for all curves:
    the lag-one ratio of the residuals, pooled over curves, each in units of its own spread, and
    corrected for the offsets that were taken out. Otherwise from each curve's roughness.
    """
    n_levels, n_columns = len(series.x), len(series.level)
    n_runs = len(np.unique(series.run))
    dof = (n_runs - 1) * (n_levels - 1) if series.tracked else n_columns - n_levels
    floor = Floor(
        design=make_design(np.log(series.x)),
        level=series.level,
        run=series.run,
        tracked=series.tracked,
        dof=dof,
        correlation=0.0,
    )
    if not (series.tracked and dof):
        return floor
    return Floor(**{**vars(floor), "correlation": _correlation(floor, series)})


def _correlation(floor: Floor, series: Series) -> float:
    n_levels, n_runs = len(series.x), len(np.unique(series.run))
    order = np.lexsort((series.level, series.run))
    products = squares = 0.0
    for start in range(0, len(series.losses), _BLOCK):
        values = series.losses[start : start + _BLOCK, order].astype(np.float64)
        ordered = Floor(**{**vars(floor), "level": series.level[order], "run": series.run[order]})
        off = ordered._split(values)[1].reshape(len(values), n_runs, n_levels)  # noqa: SLF001
        own = (off**2).mean(axis=(1, 2), keepdims=True)
        off = np.divide(off, np.sqrt(own), out=np.zeros_like(off), where=own > 0)
        products += float((off[:, :, 1:] * off[:, :, :-1]).sum())
        squares += float((off**2).sum())
    if not squares:
        return 0.0
    return float(np.interp(products / squares, _expected_ratios(n_levels), _GRID))


def _expected_ratios(n_levels: int) -> Floats:
    """Give the lag-one ratio of centred series for each correlation of the grid."""
    centre = np.eye(n_levels) - 1 / n_levels
    covariances = (centre @ _neighbours(rho, n_levels) @ centre for rho in _GRID)
    return np.array([np.diag(c, 1).sum() / np.trace(c) for c in covariances])


def _neighbours(correlation: float, n_levels: int) -> Floats:
    """Give correlations that fall by the same factor from checkpoint to checkpoint."""
    place = np.arange(n_levels)
    return np.asarray(correlation ** np.abs(place[:, None] - place))


def _sum_by(values: Floats, group: NDArray[np.int64], n: int) -> Floats:
    """Sum columns by group."""
    member = (group[:, None] == np.arange(n)).astype(np.float64)
    return np.asarray(values @ member)
