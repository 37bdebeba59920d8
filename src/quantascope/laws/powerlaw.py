"""A power law through points, by least squares in logarithms, with an interval.

Two arrays enter, an exponent with its 95 % interval leaves. Measurement errors of log y are taken
as independent and of one size; where that is doubtful (ranks, envelopes) pass replicates instead
and use `fit_replicates`.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = ["PowerLawFit", "fit_power_law", "fit_replicates", "nothing_fitted"]

_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, kw_only=True)
class PowerLawFit:
    """``y = prefactor * x ** exponent`` over a range of x, or the reason why there is no fit."""

    exponent: float
    prefactor: float
    lo: float
    """Lower end of the exponent's 95 % interval; NaN where the data do not give one."""
    hi: float
    """Upper end."""
    r2: float
    """Share of the variance of log y that the line explains."""
    n_points: int
    x_lo: float
    x_hi: float
    method: str
    """How the interval was made."""
    identified: bool
    reason: str = ""
    """Why the exponent, or its interval, is not identified."""


def fit_power_law(x: ArrayLike, y: ArrayLike, *, min_points: int = 2) -> PowerLawFit:
    """Fit ``log y = log prefactor + exponent log x`` by ordinary least squares.

    The interval is Student's with ``n - 2`` degrees of freedom. With the five or six sizes of a
    model family it is the honest one: resampling so few points repeats some and drops others,
    and its intervals are far too narrow.

    Parameters
    ----------
    x, y
        Positive numbers of equal count; pairs that are not finite and positive are left out.
    min_points
        Fewer points than this identify nothing.

    Returns
    -------
    PowerLawFit
        With ``identified=False`` and a reason where there are too few points or they share one x.

    Raises
    ------
    ValueError
        If the arrays differ in shape.

    Examples
    --------
    >>> fit = fit_power_law([1.0, 10.0, 100.0], [2.0, 0.2, 0.02])
    >>> round(fit.exponent, 12), round(fit.prefactor, 12)
    (-1.0, 2.0)
    """
    xs, ys = np.asarray(x, dtype=np.float64).ravel(), np.asarray(y, dtype=np.float64).ravel()
    if xs.shape != ys.shape:
        raise ValueError(f"x, y: {len(xs)} and {len(ys)} values; allowed are equal counts")
    good = np.isfinite(xs) & np.isfinite(ys) & (xs > 0) & (ys > 0)
    xs, ys = xs[good], ys[good]
    if len(xs) < max(min_points, 2):
        return nothing_fitted(xs, f"{len(xs)} points, at least {max(min_points, 2)} are needed")
    if xs.min() == xs.max():
        return nothing_fitted(xs, "all points share one x")
    line = stats.linregress(np.log(xs), np.log(ys))
    n_free = len(xs) - 2
    half = stats.t.ppf(0.5 + _CONFIDENCE / 2, n_free) * line.stderr if n_free else float("nan")
    return PowerLawFit(
        exponent=float(line.slope),
        prefactor=float(np.exp(line.intercept)),
        lo=float(line.slope - half),
        hi=float(line.slope + half),
        r2=float(line.rvalue**2),
        n_points=len(xs),
        x_lo=float(xs.min()),
        x_hi=float(xs.max()),
        method="least squares in logs, t interval",
        identified=n_free > 0,
        reason="" if n_free else "two points fix a line and give no interval",
    )


def fit_replicates(fit: PowerLawFit, exponents: NDArray[np.float64], *, method: str) -> PowerLawFit:
    """Replace the interval of a fit by percentiles of replicated exponents.

    Parameters
    ----------
    fit
        Fit of the whole data.
    exponents
        Exponents of fits to replicates of the data, axis ``boot``; NaN where one failed.
    method
        How the replicates were made, for the record.

    Returns
    -------
    PowerLawFit
        The 2.5 and 97.5 percentiles, shifted so that the replicates' median lies on the estimate:
        resampling ranked data adds a bias of its own, which this takes out. The bias of the
        estimator itself stays, and is said beside the interval ("not calibrated").
    """
    known = exponents[np.isfinite(exponents)]
    if not fit.identified or len(known) < len(exponents) / 2 or len(known) < 2:
        return fit
    tails = (50 * (1 - _CONFIDENCE), 50, 100 - 50 * (1 - _CONFIDENCE))
    lo, middle, hi = np.percentile(known, tails)
    return replace(
        fit,
        lo=float(fit.exponent + lo - middle),
        hi=float(fit.exponent + hi - middle),
        method=method,
    )


def nothing_fitted(xs: NDArray[np.float64], reason: str) -> PowerLawFit:
    """Say that `xs` identify no power law, and why."""
    nan = float("nan")
    return PowerLawFit(
        exponent=nan,
        prefactor=nan,
        lo=nan,
        hi=nan,
        r2=nan,
        n_points=len(xs),
        x_lo=float(xs.min()) if len(xs) else nan,
        x_hi=float(xs.max()) if len(xs) else nan,
        method="least squares in logs, t interval",
        identified=False,
        reason=reason,
    )
