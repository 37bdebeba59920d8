"""A confidence belt: which true slopes would, under a run's conditions, have been read like this.

A table of planted worlds enters. For one method, the read slope is a smooth function of the true
slope and of the conditions, and scatters about it; a run's read slope is held against that
scatter at every true slope, and the slopes at which it is no surprise are the interval.

References
----------
Neyman 1937, doi:10.1098/rsta.1937.0005 (confidence belt); Gourieroux, Monfort and Renault 1993,
doi:10.1002/jae.3950080507 (conditions read alike on data and on simulations).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Belt", "Inverted", "fit_belt"]

Floats = NDArray[np.float64]

_PENALTIES: Final = (1e-5, 1e-4, 1e-3, 1e-2)
_N_FREE: Final = 4
"""Leading terms that are not penalised: the cubic in the true slope."""
_ROUNDS: Final = 8
"""Of weights and fits: they change by less than a hundredth of the scatter after that."""
_NORMAL_MEDIAN: Final = 1.4826
"""Standard deviation of a normal over its median size."""
_GRID: Final = 1201
_CORE: Final = 0.25
"""Level of the belt whose middle is the estimate: narrow, yet no chance crossing decides."""
_FAR: Final = 0.995
"""Quantile of the table's own distances beyond which conditions count as outside."""


@dataclass(frozen=True, kw_only=True)
class Inverted:
    """A true slope with its interval; NaN with a reason where there is none."""

    estimate: float
    lo: float
    hi: float
    reason: str = ""
    """Why there is no estimate, or what is open about the interval."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Belt:
    """Read slope against true slope and conditions, for one method and one number of points."""

    center: Floats
    scale: Floats
    """Mean and standard deviation of each condition, axis ``condition``."""
    whitening: Floats
    """Makes standardised conditions uncorrelated, axes ``(condition, condition)``."""
    limit: float
    """Largest distance of conditions from the table's middle."""
    coefficients: Floats
    """Of the mean of the read slope, axis ``term``."""
    spread: Floats
    """Of the log of its scatter, axis ``term``."""
    residuals: Floats
    """Scatter of left-out worlds in units of the spread, rising, axis ``world``."""
    ends: tuple[float, float]
    """True slopes that the table spans."""
    n_mean: int | None = None
    """Leading conditions that enter the mean; None for all."""

    def invert(self, read: float, conditions: Floats, *, level: float = 0.9) -> Inverted:
        """Find the true slopes at which a read slope is no surprise.

        Parameters
        ----------
        read
            Slope that was read, by the belt's method.
        conditions
            Conditions, axis ``condition``, in the order of the table.
        level
            Confidence, in (0, 1).

        Returns
        -------
        Inverted
            The estimate is the middle of the belt of 25 %. NaN where the conditions are outside
            the table, no slope of the table is read like this, or that belt reaches the table's
            end; where only the interval does, its bound there is infinite.

        Raises
        ------
        ValueError
            If the level is out of its range.
        """
        if not 0 < level < 1:
            raise ValueError(f"level: {level}; allowed are numbers between 0 and 1")
        if not (np.isfinite(read) and np.isfinite(conditions).all()):
            return _nothing("no slope was read")
        standard = (conditions - self.center) / self.scale
        distance = float(np.linalg.norm(standard @ self.whitening))
        if distance > self.limit:
            return _nothing(
                f"conditions are {distance:.1f} from the middle of the table, which ends at "
                f"{self.limit:.1f}"
            )
        slopes = np.linspace(*self.ends, _GRID)
        at = np.repeat(standard[None, :], _GRID, axis=0)
        mean = _mean_terms(slopes, at[:, : self.n_mean]) @ self.coefficients
        excess = (read - mean) / np.exp(_spread_terms(slopes, at) @ self.spread)
        inside, core = (self._accepted(excess, at) for at in (level, min(level, _CORE)))
        if not len(inside):
            return _nothing("no true slope of the table is read like this")
        middle = core if len(core) else inside
        if {0, _GRID - 1} & {int(place) for place in middle[[0, -1]]}:
            return _nothing(
                f"the slope may lie beyond those of the table, {self.ends[0]:.2f} to "
                f"{self.ends[1]:.2f}"
            )
        ends = [end for end, place in (("lower", 0), ("upper", _GRID - 1)) if place in inside]
        return Inverted(
            estimate=float(np.median(slopes[middle])),
            lo=-np.inf if "lower" in ends else float(slopes[inside[0]]),
            hi=np.inf if "upper" in ends else float(slopes[inside[-1]]),
            reason=f"open at the {' and '.join(ends)} end of the table's slopes" if ends else "",
        )

    def _accepted(self, excess: Floats, level: float) -> NDArray[np.intp]:
        """Places whose scatter is no surprise at a level."""
        low, high = np.quantile(self.residuals, [(1 - level) / 2, (1 + level) / 2])
        return np.flatnonzero((excess >= low) & (excess <= high))


def fit_belt(
    slope: Floats,
    read: Floats,
    conditions: Floats,
    *,
    n_mean: int | None = None,
    cap: float = float("inf"),
) -> Belt:
    """Fit a belt to a table of worlds.

    Parameters
    ----------
    slope, read
        True and read slope, axis ``world``; rows without a read slope are left out.
    conditions
        Axes ``(world, condition)``.
    n_mean
        Leading conditions that enter the mean; None for all. All enter the scatter.
    cap
        Robust standard deviations beyond which an error pulls on the mean no harder (Huber);
        infinite for least squares.

    Returns
    -------
    Belt
        Mean of the read slope: cubic in the true slope, quadratic in the conditions, with products
        of both, by ridge regression whose penalty leaves the smallest error on left-out worlds.
        Scatter: its log is quadratic, from left-out worlds, so that the error of the mean is in it.

    Raises
    ------
    ValueError
        If there are fewer than twice as many worlds as terms.
    """
    known = np.isfinite(read) & np.isfinite(conditions).all(axis=1)
    slope, read, conditions = slope[known], read[known], conditions[known]
    center, scale = conditions.mean(axis=0), conditions.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = (conditions - center) / scale
    terms = _mean_terms(slope, standard[:, :n_mean])
    if len(terms) < 2 * terms.shape[1]:
        raise ValueError(
            f"slope: {len(terms)} worlds with a read slope; at least {2 * terms.shape[1]} "
            "are needed"
        )
    fits = [_capped_ridge(terms, read, penalty, cap=cap) for penalty in _PENALTIES]
    coefficients, left_out, _ = min(fits, key=lambda fit: fit[2])
    shape = _spread_terms(slope, standard)
    log_error = np.log(np.abs(left_out) + 1e-3 * np.abs(left_out).mean())
    spread, _ = _ridge(shape, log_error, 1e-2, n_free=1)
    whitening = _whitening(standard)
    distances = np.linalg.norm(standard @ whitening, axis=1)
    return Belt(
        center=center,
        scale=scale,
        whitening=whitening,
        limit=float(np.quantile(distances, _FAR)),
        coefficients=coefficients,
        spread=spread,
        residuals=np.sort(left_out / np.exp(shape @ spread)),
        ends=(float(slope.min()), float(slope.max())),
        n_mean=n_mean,
    )


def _capped_ridge(
    terms: Floats, y: Floats, penalty: float, *, cap: float
) -> tuple[Floats, Floats, float]:
    """Coefficients, left-out errors, and their sum of squares, each with its weight."""
    weight = np.ones(len(y))
    coefficients, left_out = _ridge(terms, y, penalty)
    for _ in range(_ROUNDS if np.isfinite(cap) else 0):
        size = np.maximum(np.abs(left_out), 1e-12)
        weight = np.minimum(1.0, cap * _NORMAL_MEDIAN * np.median(size) / size)
        coefficients, left_out = _ridge(terms, y, penalty, weight=weight)
    return coefficients, left_out, float(weight @ np.square(left_out))


def _ridge(
    terms: Floats,
    y: Floats,
    penalty: float,
    *,
    n_free: int = _N_FREE,
    weight: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Coefficients, and what each row is off when it is left out (exact, from the hat matrix)."""
    weighed = terms if weight is None else terms * weight[:, None]
    total = len(y) if weight is None else float(weight.sum())
    penalties = np.full(terms.shape[1], penalty * total)
    penalties[:n_free] = 0.0
    solution = np.linalg.solve(terms.T @ weighed + np.diag(penalties), weighed.T)
    coefficients = solution @ y
    leverage = np.einsum("ij,ji->i", terms, solution)
    return coefficients, (y - terms @ coefficients) / (1 - np.minimum(leverage, 0.99))


def _mean_terms(slope: Floats, standard: Floats) -> Floats:
    s = slope - 1.0
    first, second = np.triu_indices(standard.shape[1])
    return np.column_stack(
        [
            np.ones_like(s),
            s,
            s**2,
            s**3,
            standard,
            standard * s[:, None],
            standard * (s**2)[:, None],
            standard[:, first] * standard[:, second],
        ]
    )


def _spread_terms(slope: Floats, standard: Floats) -> Floats:
    s = slope - 1.0
    return np.column_stack([np.ones_like(s), s, s**2, standard, standard**2])


def _whitening(standard: Floats) -> Floats:
    """Inverse square root of the covariance; constant conditions keep a variance of 1."""
    covariance = np.cov(standard, rowvar=False) + np.diag((standard.std(axis=0) == 0) * 1.0)
    values, vectors = np.linalg.eigh(covariance)
    whitening: Floats = vectors / np.sqrt(np.maximum(values, 1e-9))
    return whitening


def _nothing(reason: str) -> Inverted:
    nan = float("nan")
    return Inverted(estimate=nan, lo=nan, hi=nan, reason=reason)
