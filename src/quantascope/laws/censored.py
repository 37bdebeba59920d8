"""A power law through times of which some are only known to lie later, or between two looks.

Skills that were not learned when training stopped are not left out: leaving them out keeps the
early ones of the rare skills and flattens the slope. Times are log-normal about the law,
``ln T = a + b ln x + sigma e``; each enters with the probability of the interval that is known to
hold it. In the parameters (a / sigma, b / sigma, 1 / sigma) the likelihood is concave.

References
----------
Tobin 1958, doi:10.2307/1907382 (regression on censored values); Olsen 1978, doi:10.2307/1913082
(concavity); Pratt 1981, doi:10.1080/01621459.1981.10477613 (interval-censored values).
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats
from scipy.special import log_ndtr, logsumexp

from quantascope.laws.powerlaw import PowerLawFit, nothing_fitted

__all__ = ["fit_censored_power_law"]

Floats = NDArray[np.float64]

_CONFIDENCE: Final = 0.95
_LEAST_SEEN: Final = 3  # two seen times fit any line exactly, and then sigma is 0
_LEAST_SIGMA: Final = 1e-4  # of ln T: no clock of training steps is finer
_LEAST_PRECISION: Final = 1e-6
_LOG_2PI: Final = float(np.log(2 * np.pi))
_REACH: Final = 60.0  # half-widths of the normal interval within which the ends are sought


def fit_censored_power_law(x: ArrayLike, earliest: ArrayLike, latest: ArrayLike) -> PowerLawFit:
    """Fit ``T = prefactor * x ** exponent`` by maximum likelihood.

    Parameters
    ----------
    x
        Positive numbers, for example use frequencies.
    earliest, latest
        Bounds of each time, positive: equal where it is known exactly, `latest` infinite where it
        is only known to lie after `earliest`, 0 and a time where it lies before.

    Returns
    -------
    PowerLawFit
        Interval by profile likelihood, 95 %. Not identified where fewer than three times have an
        upper bound, or all x are equal; ``r2`` is NaN.

    Raises
    ------
    ValueError
        If counts differ, or bounds are out of order or not usable.

    Examples
    --------
    >>> x = np.array([0.5, 0.25, 0.125, 0.0625])
    >>> seen = np.array([2.0, 4.1, 7.9, 8.0])
    >>> late = np.array([2.0, 4.1, 7.9, np.inf])  # the last was not seen by step 8
    >>> fit_censored_power_law(x, seen, late).exponent < -0.95
    True
    """
    log_x, lo, hi = _checked(x, earliest, latest)
    seen = np.isfinite(hi)
    if seen.sum() < _LEAST_SEEN:
        return nothing_fitted(np.exp(log_x), f"{int(seen.sum())} times seen, 3 are needed")
    if np.ptp(log_x) == 0:
        return nothing_fitted(np.exp(log_x), "all points share one x")
    centre = float(log_x.mean())
    (level, slope, precision), lowest = _fit(log_x - centre, lo, hi)
    if precision >= 1 / _LEAST_SIGMA:
        return nothing_fitted(np.exp(log_x), "the times lie on a line exactly: no spread to weigh")
    level, slope = level / precision, slope / precision
    ends = _profile(float(slope), lowest, log_x=log_x - centre, lo=lo, hi=hi)
    return PowerLawFit(
        exponent=float(slope),
        prefactor=float(np.exp(level - slope * centre)),
        lo=ends[0],
        hi=ends[1],
        r2=float("nan"),
        n_points=len(log_x),
        x_lo=float(np.exp(log_x.min())),
        x_hi=float(np.exp(log_x.max())),
        method=f"likelihood, {int((~seen).sum())} of {len(log_x)} censored; profile interval",
        identified=bool(np.isfinite(ends).all()),
        reason="" if np.isfinite(ends).all() else "the profile does not close",
    )


def _checked(x: ArrayLike, earliest: ArrayLike, latest: ArrayLike) -> tuple[Floats, Floats, Floats]:
    xs, lo, hi = (np.asarray(v, dtype=np.float64).ravel() for v in (x, earliest, latest))
    if not xs.shape == lo.shape == hi.shape:
        raise ValueError(
            f"x, earliest, latest: {len(xs)}, {len(lo)}, {len(hi)} values; equal counts are needed"
        )
    if not (np.isfinite(xs).all() and (xs > 0).all()):
        raise ValueError("x: all values must be finite and above 0")
    if not ((lo >= 0).all() and (hi > 0).all() and (lo <= hi).all() and np.isfinite(lo).all()):
        raise ValueError("earliest, latest: 0 <= earliest <= latest and latest > 0 are needed")
    with np.errstate(divide="ignore"):
        return np.log(xs), np.log(lo), np.log(hi)


def _cost(free: Floats, log_x: Floats, lo: Floats, hi: Floats) -> tuple[float, Floats]:
    """Negative log-likelihood and its gradient in (a / sigma, b / sigma, 1 / sigma)."""
    level, slope, precision = free
    mean, exact = level + slope * log_x, lo == hi
    upper, lower = precision * hi - mean, precision * lo - mean
    log_p = np.empty_like(mean)
    log_p[exact] = np.log(precision) - 0.5 * (upper[exact] ** 2 + _LOG_2PI)
    log_p[~exact] = _log_interval(lower[~exact], upper[~exact])
    at_upper, at_lower = _ratio(upper, log_p), _ratio(lower, log_p)
    in_mean = np.where(exact, upper, at_lower - at_upper)
    in_precision = _times(hi, at_upper) - _times(lo, at_lower)
    in_precision[exact] = 1 / precision - upper[exact] * hi[exact]
    gradient = np.array([in_mean.sum(), in_mean @ log_x, in_precision.sum()])
    return -float(log_p.sum()), -gradient


def _ratio(end: Floats, log_p: Floats) -> Floats:
    """Density at an end over the interval's probability; 0 at infinite ends."""
    return np.asarray(np.exp(-0.5 * (end**2 + _LOG_2PI) - log_p), dtype=np.float64)


def _times(bound: Floats, ratio: Floats) -> Floats:
    """Multiply, with 0 where the bound is infinite."""
    return np.where(np.isfinite(bound), bound, 0.0) * ratio


def _log_interval(lower: Floats, upper: Floats) -> Floats:
    """``ln(Phi(upper) - Phi(lower))``, in whichever tail loses no digits."""
    flip = lower > 0
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            logsumexp(
                np.stack([log_ndtr(b), log_ndtr(a)]),
                b=np.array([1.0, -1.0])[:, None],
                axis=0,
            )
        )


def _fit(log_x: Floats, lo: Floats, hi: Floats) -> tuple[Floats, float]:
    """Maximise from the line through the known ends; the likelihood is concave."""
    ends = np.where(np.isfinite(lo), lo, hi)
    slope, level = np.polyfit(log_x, ends, 1)
    spread = max(float(np.std(ends - level - slope * log_x)), 0.1)
    return _minimise(
        lambda free: _cost(free, log_x, lo, hi),
        np.array([level, slope, 1.0]) / spread,
        least=np.array([-np.inf, -np.inf, _LEAST_PRECISION]),
    )


def _minimise(
    cost: Callable[[Floats], tuple[float, Floats]], begin: Floats, *, least: Floats
) -> tuple[Floats, float]:
    """Minimise a smooth convex function; its last parameter, 1 / sigma, has two bounds."""
    most = np.r_[np.full(len(begin) - 1, np.inf), 1 / _LEAST_SIGMA]
    found = optimize.minimize(
        cost,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=optimize.Bounds(least, most),
        options={"ftol": 1e-13, "gtol": 1e-9},
    )
    return np.asarray(found.x, dtype=np.float64), float(found.fun)


def _profile(
    slope: float, lowest: float, *, log_x: Floats, lo: Floats, hi: Floats
) -> tuple[float, float]:
    """Find where the cost, minimised over the rest, has risen by half a chi-square."""
    rise = 0.5 * float(stats.chi2.ppf(_CONFIDENCE, 1))
    ends = np.where(np.isfinite(lo), lo, hi)

    def above(tried: float) -> float:
        rest = ends - tried * log_x
        precision = 1 / max(float(rest.std()), 0.1)

        def cost(free: Floats) -> tuple[float, Floats]:
            whole = np.array([free[0], tried * free[1], free[1]])
            value, gradient = _cost(whole, log_x, lo, hi)
            return value, np.array([gradient[0], gradient[1] * tried + gradient[2]])

        begin = np.array([float(rest.mean()) * precision, precision])
        _, least = _minimise(cost, begin, least=np.array([-np.inf, _LEAST_PRECISION]))
        return least - lowest - rise

    return _end(above, slope, -1.0), _end(above, slope, 1.0)


def _end(above: Callable[[float], float], slope: float, sign: float) -> float:
    step = 0.02 * max(abs(slope), 0.1)
    inner, outer = slope, slope + sign * step
    while above(outer) < 0:
        inner, step = outer, 2 * step
        outer = slope + sign * step
        if step > _REACH * max(abs(slope), 0.1):
            return float("nan")
    return float(optimize.brentq(above, inner, outer, xtol=1e-5))
