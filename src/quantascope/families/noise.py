"""The noise floor of curves: how far runs that differ by their seed alone lie apart.

A series enters; means over runs leave, each curve with the error of its means. Across sizes the
errors of different runs are independent, whatever they share with other curves, and the spread of
seeds at equal size measures all of it. Along steps a run's offset cancels in every slope, so it is
taken out, and what is left may depend on the step before: one correlation for all curves. Low
losses scatter less than high ones; how much less is read off all curves together, and each curve
has a factor of its own. With one run a level the noise is told from how rough each curve is.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream
from quantascope.families.series import Series
from quantascope.laws.shapes.moves import Design, make_design, noise_scale

__all__ = ["Floor", "Means", "read_floor"]

Floats = NDArray[np.float64]

_ERRORS: Final = (1e-9, 1e9)  # of a curve's largest value: no test below or above would change
_MOST: Final = 0.95
"""Largest correlation of neighbouring checkpoints; above, a run tells nothing but its offset."""
_GRID: Final = np.linspace(0.0, _MOST, 20)
_N_DRAWS: Final = 4_000
_FEWEST_ROUGH: Final = 5  # levels from which roughness tells noise from shape
_BLOCK: Final = 1 << 14
_SAMPLE: Final = 20_000  # curves from which the usual noise is read
_GROUPS: Final = 20
_FEWEST_ALIKE: Final = 400  # levels in a group: its median variance is off by a tenth or less
_LEAST_RATIO: Final = 1e-8
"""Least variance of a group over the largest: beyond, no test would change."""


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
    """Largest variance between the runs of one level over the pooled one, each in units of what is
    usual at its loss, axis ``curve``."""


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
    usual: Floats | None = None
    """Usual ln of the noise by loss: rows of loss [nat] and ln(nat); None: alike at all losses."""

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

    def draw(self, rng: np.random.Generator, n: int, *, tail: float = np.inf) -> Floats:
        """Draw curves of noise alone, axes ``curve column``.

        Parameters
        ----------
        rng
            Source of chance.
        n
            Number of curves.
        tail
            Degrees of freedom of Student's t; infinite: Gaussian of variance 1.
        """
        noise = rng.standard_normal((n, len(self.level)))
        if np.isfinite(tail):
            noise /= np.sqrt(rng.chisquare(tail, noise.shape) / tail)
        if not (self.tracked and self.correlation):
            return noise
        root = np.linalg.cholesky(_neighbours(self.correlation, len(self.design.t)))
        for run in np.unique(self.run):
            columns = np.flatnonzero(self.run == run)
            columns = columns[np.argsort(self.level[columns])]
            noise[:, columns] = noise[:, columns] @ root.T
        return noise

    def measure(self, losses: NDArray[np.floating[Any]]) -> Means:
        """Average curves over runs and measure the error of the means; asks for `enough`.

        Parameters
        ----------
        losses
            Axes ``curve column``.
        """
        values = losses.astype(np.float64)
        size = np.abs(values).max(axis=1, keepdims=True)
        size = np.where(size > 0, size, 1.0)
        values /= size
        mean, off, count = self.split(values)
        if self.dof:
            usual = self._usual(mean * size)
            squares = _sum_by(off**2, self.level, len(count)) / usual**2
            variance = squares.sum(axis=1, keepdims=True) / self.dof
            own = np.divide(squares, count - 1, out=np.zeros_like(squares), where=count > 1)
            largest = own.max(axis=1, keepdims=True)
            spread = np.divide(largest, variance, out=np.zeros_like(largest), where=variance > 0)[
                :, 0
            ]
            error = np.sqrt(variance) * usual / np.sqrt(count)
        else:
            spread = np.zeros(len(values))
            error = np.repeat(noise_scale(self.design, mean)[:, None], len(count), axis=1)
        return Means(y=mean, error=np.clip(error, *_ERRORS), scale=size, spread=spread)

    def _usual(self, loss: Floats) -> Floats:
        """Give the usual noise at each level of a curve, relative to its mean over levels."""
        if self.usual is None:
            return np.ones((1, loss.shape[1]))
        log = np.interp(loss, *self.usual)
        return np.asarray(np.exp(log - log.mean(axis=1, keepdims=True)))

    def split(self, values: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Split curves into means over runs and what is left, offsets of tracked runs taken out."""
        count = np.bincount(self.level, minlength=len(self.design.t))
        mean = _sum_by(values, self.level, len(count)) / np.maximum(count, 1)
        off = values - mean[:, self.level]
        if self.tracked:
            n_steps = np.bincount(self.run)
            off -= (_sum_by(off, self.run, len(n_steps)) / n_steps)[:, self.run]
        return mean, off, count


def read_floor(series: Series, *, seed: int = 0) -> Floor:
    """Find out how the noise of a series can be told.

    Across sizes with seeds, from the ``n_runs - n_levels`` differences between runs of equal size.
    Along the steps of several runs, from the interaction of run and step,
    ``(n_runs - 1)(n_levels - 1)``, with one correlation of neighbouring checkpoints for all curves:
    the one whose simulated noise has the same lag-one ratio in the mean over curves. Otherwise from
    each curve's roughness.

    Parameters
    ----------
    series
        Curves.
    seed
        Of the simulated noise.
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
    if not (dof and len(series.losses)):
        return floor
    floor = replace(floor, usual=_usual_noise(floor, series))
    if not (series.tracked and n_levels > 2):
        return floor
    ratios = []
    for rho in _GRID:
        noise = replace(floor, correlation=rho).draw(stream(seed, "floor", n_columns), _N_DRAWS)
        ratios.append(_lag_one(floor, noise).mean())
    blocks = range(0, len(series.losses), _BLOCK)
    found = [_lag_one(floor, series.losses[start : start + _BLOCK]) for start in blocks]
    correlation = float(np.interp(np.concatenate(found).mean(), ratios, _GRID))
    return replace(floor, correlation=correlation)


def _usual_noise(floor: Floor, series: Series) -> Floats | None:
    """Read off how noise goes with loss: the median variance of levels in groups of like loss.

    The loss is that of one run, the variance that of the others, so that neither chance nor
    disagreement moves both: where some runs have learned a prediction and others have not, the run
    that tells the loss has or has not, and what is usual there is what most predictions show.
    Three runs a level are needed.
    """
    every = -(-len(series.losses) // _SAMPLE)
    values = series.losses[::every].astype(np.float64)
    order = np.lexsort((floor.run, floor.level))
    place = np.empty(len(order), dtype=np.int64)  # of each column among those of its level
    place[order] = np.arange(len(order)) - np.searchsorted(floor.level[order], floor.level[order])
    found = [_others(floor, values, place == run) for run in range(place.max() + 1)]
    loss, variance = (np.concatenate(each) for each in zip(*found, strict=True))
    n_groups = min(len(loss) // _FEWEST_ALIKE, _GROUPS)
    if n_groups < 2:
        return None
    groups = np.array_split(np.argsort(loss, kind="stable"), n_groups)
    typical = np.array([np.median(variance[group]) for group in groups])
    least = max(float(typical.max()) * _LEAST_RATIO, np.finfo(np.float64).tiny)
    middle = np.array([loss[group].mean() for group in groups])
    return np.stack([middle, np.log(np.maximum(typical, least)) / 2])


def _others(floor: Floor, values: Floats, own: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Give losses under one run of each level, and the variance of the others there."""
    _, run = np.unique(floor.run[~own], return_inverse=True)
    rest = replace(floor, level=floor.level[~own], run=run)
    n_levels = len(floor.design.t)
    count = np.bincount(rest.level, minlength=n_levels)
    columns = np.flatnonzero(own)
    columns = columns[count[floor.level[columns]] > 1]
    if not len(columns):
        return np.zeros(0), np.zeros(0)
    off = rest.split(values[:, ~own])[1]
    squares = _sum_by(off**2, rest.level, n_levels)
    variance = squares / np.maximum(count - 1, 1)
    return values[:, columns].ravel(), variance[:, floor.level[columns]].ravel()


def _lag_one(floor: Floor, losses: NDArray[np.floating[Any]]) -> Floats:
    """Give each curve's lag-one ratio of what is left beside levels and runs, axis ``curve``."""
    off = floor.split(losses.astype(np.float64))[1]
    order = np.lexsort((floor.level, floor.run))
    off = off[:, order].reshape(len(losses), -1, len(floor.design.t))
    products = (off[:, :, 1:] * off[:, :, :-1]).sum(axis=(1, 2))
    squares = (off**2).sum(axis=(1, 2))
    return np.divide(products, squares, out=np.zeros(len(off)), where=squares > 0)


def _neighbours(correlation: float, n_levels: int) -> Floats:
    """Give correlations that fall by the same factor from checkpoint to checkpoint."""
    place = np.arange(n_levels)
    return np.asarray(correlation ** np.abs(place[:, None] - place))


def _sum_by(values: Floats, group: NDArray[np.int64], n: int) -> Floats:
    """Sum columns by group."""
    member = (group[:, None] == np.arange(n)).astype(np.float64)
    return np.asarray(values @ member)
