"""Exponent of a power-law tail: exact maximum likelihood, its interval, the cut-off by KS.

Values enter, an exponent with its 95 % interval leaves. The method is that of Clauset, Shalizi
and Newman (arXiv 0706.1062) with the discrete likelihood exact instead of approximated.

Two exponents go by one name. Here it is that of the density, ``p(x) ~ x^-exponent``. If the
values are sizes (degrees, word counts), rank-size plots of them have slope ``-1/(exponent-1)``.
If the values are themselves ranks k, drawn with ``p_k ~ k^-(alpha+1)`` as the quanta that
samples use, take ``xmin=1``; then ``exponent = alpha + 1``.
"""

from dataclasses import dataclass
from numbers import Real
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import chi2

from quantascope.laws.tails.power import Floats, log_survival, solve_exponent, zeta_moments
from quantascope.laws.tails.sample import Sample, read_sample

__all__ = ["CutoffScan", "PowerTail", "choose_xmin", "fit_power_tail", "fit_sample", "scan_cutoffs"]

_DROP: Final = float(chi2.ppf(0.95, 1)) / 2
"""How far the log likelihood falls at the ends of a 95 % profile interval."""
_MIN_TAIL: Final = 10
_MAX_CUTOFFS: Final = 200
_STEEP: Final = 1e4  # an exponent above says that the tail spans 0.01 % of its cut-off: no law


@dataclass(frozen=True, kw_only=True)
class PowerTail:
    """A power-law tail ``p(x) ~ x^-exponent`` for ``x >= xmin``, or why there is none."""

    exponent: float
    stderr: float
    """Standard error from the Fisher information, the cut-off taken as known."""
    lo: float
    """Lower end of the 95 % interval; `method` says whether it includes the choice of xmin."""
    hi: float
    xmin: float
    n_tail: int
    """Values at or above xmin."""
    n: int
    """All values."""
    ks: float
    """Largest distance between the distribution functions of data and fit above xmin."""
    log_likelihood: float
    """Of the tail [nat]."""
    discrete: bool
    converged: bool
    identified: bool
    method: str
    reason: str = ""
    """Why it did not converge or is not identified."""
    xmin_lo: float = float("nan")
    """Lower end of the bootstrap's 95 % interval of xmin; NaN where xmin was not bootstrapped."""
    xmin_hi: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class CutoffScan:
    """Power laws above each tried cut-off, lowest cut-off first."""

    xmin: Floats
    exponent: Floats
    ks: Floats
    n_tail: Floats

    @property
    def best(self) -> int:
        """Place of the smallest KS distance."""
        return int(np.argmin(self.ks))


def fit_power_tail(
    values: ArrayLike,
    *,
    xmin: float | None = None,
    discrete: bool | None = None,
    counts: ArrayLike | None = None,
) -> PowerTail:
    """Fit the exponent of a power-law tail by exact maximum likelihood.

    ``p(x) = x^-a / zeta(a, xmin)`` on whole numbers, ``(a-1)/xmin (x/xmin)^-a`` on real ones.

    Parameters
    ----------
    values
        Finite numbers >= 0; those below xmin are left out.
    xmin
        Cut-off, > 0 (whole and >= 1 for discrete values); None takes the one with the smallest
        KS distance, see `choose_xmin`.
    discrete
        Whether values are whole numbers; None takes them for it if all are.
    counts
        How often each value occurs; None counts each once.

    Returns
    -------
    PowerTail
        The interval is that of the profile likelihood and takes xmin as known; `bootstrap_tail`
        includes its choice. ``identified=False`` where there is no tail, or one of a single value
        or of nothing but xmin.

    Raises
    ------
    ValueError
        If a value, a count or xmin is out of its range.

    References
    ----------
    arXiv 0706.1062, equations 3.1 to 3.6 and 3.9, appendix B.

    Examples
    --------
    >>> fit = fit_power_tail([1, 2, 3, 4, 10], counts=[700, 130, 50, 24, 2], xmin=1)
    >>> round(fit.exponent, 3), round(fit.lo, 3), round(fit.hi, 3)
    (2.811, 2.677, 2.953)
    """
    return fit_sample(read_sample(values, counts=counts, discrete=discrete), xmin=xmin)


def choose_xmin(
    values: ArrayLike,
    *,
    discrete: bool | None = None,
    counts: ArrayLike | None = None,
    max_cutoffs: int = _MAX_CUTOFFS,
) -> CutoffScan:
    """Fit above every cut-off and measure the KS distance of each.

    Parameters
    ----------
    values, discrete, counts
        As `fit_power_tail`.
    max_cutoffs
        Most cut-offs tried; where there are more distinct values, those at which the tail's count
        falls by equal ratios.

    Returns
    -------
    CutoffScan
        Cut-offs with at least 10 values and two distinct values above; the best one has the
        smallest KS distance. Empty where there is none.

    Raises
    ------
    ValueError
        If a value or count is out of its range, or max_cutoffs < 1.

    References
    ----------
    arXiv 0706.1062, section 3.3.
    """
    if max_cutoffs < 1:
        raise ValueError(f"max_cutoffs: {max_cutoffs} found; allowed are numbers >= 1")
    return scan_cutoffs(read_sample(values, counts=counts, discrete=discrete), max_cutoffs)


def fit_sample(sample: Sample, *, xmin: float | None = None) -> PowerTail:
    """Fit as `fit_power_tail`, on a checked sample."""
    method = "profile likelihood, xmin given"
    if xmin is None:
        scan = scan_cutoffs(sample, _MAX_CUTOFFS)
        if not len(scan.xmin):
            return _nothing(sample, np.nan, _no_cutoff(sample))
        xmin, method = float(scan.xmin[scan.best]), "profile likelihood, xmin by KS taken as known"
    xmin = _check_xmin(xmin, discrete=sample.discrete)
    tail = sample.tail(xmin)
    if len(tail.values) == 0 or tail.values[-1] == xmin or tail.n < 2:
        return _nothing(sample, xmin, _no_tail(tail, xmin))
    excess = float(np.average(np.log(tail.values / xmin), weights=tail.counts))
    exponent, information = solve_exponent(excess, xmin, discrete=tail.discrete)
    a = float(exponent)
    if not np.isfinite(a):
        return _nothing(sample, xmin, "the iteration did not settle")
    if a > _STEEP:
        return _nothing(sample, xmin, f"the tail is too narrow: exponent above {_STEEP:g}")
    lo, hi = _profile(a, excess, tail, xmin)
    log_x = np.log(xmin) + excess
    return PowerTail(
        exponent=a,
        stderr=float(1 / np.sqrt(tail.n * information)),
        lo=lo,
        hi=hi,
        xmin=xmin,
        n_tail=tail.n,
        n=sample.n,
        ks=_ks(tail, a, xmin),
        log_likelihood=float(-tail.n * (_log_norm(a, xmin, discrete=tail.discrete) + a * log_x)),
        discrete=tail.discrete,
        converged=True,
        identified=True,
        method=method,
    )


def scan_cutoffs(sample: Sample, max_cutoffs: int) -> CutoffScan:
    """Scan as `choose_xmin`, on a checked sample."""
    above = np.cumsum(sample.counts[::-1])[::-1]
    allowed = np.flatnonzero((sample.values > 0) & (above >= _MIN_TAIL))
    allowed = allowed[allowed < len(sample.values) - 1]
    if len(allowed) > max_cutoffs:
        wanted = np.geomspace(above[allowed[0]], above[allowed[-1]], max_cutoffs)
        allowed = np.unique(allowed[np.searchsorted(-above[allowed], -wanted)])
    if not len(allowed):
        nothing = np.empty(0)
        return CutoffScan(xmin=nothing, exponent=nothing, ks=nothing, n_tail=nothing)
    log_x = np.log(np.maximum(sample.values, np.finfo(float).tiny))
    sums = np.cumsum((sample.counts * log_x)[::-1])[::-1]
    xmin = sample.values[allowed]
    excess = sums[allowed] / above[allowed] - np.log(xmin)
    # sums from the top lose digits where the tail is narrow against its distance from 1
    excess = np.maximum(excess, 1e-12)
    exponent, _ = solve_exponent(excess, xmin, discrete=sample.discrete)
    ks = [
        _ks(sample.tail(q), a, q) if np.isfinite(a) else np.inf
        for q, a in zip(xmin.tolist(), exponent.tolist(), strict=True)
    ]
    return CutoffScan(xmin=xmin, exponent=exponent, ks=np.array(ks), n_tail=above[allowed])


def _ks(tail: Sample, a: float, xmin: float) -> float:
    """Measure the largest distance between the distribution functions, from both sides of steps."""
    above = np.cumsum(tail.counts[::-1])[::-1]
    share = np.append(above / above[0], 0.0)  # of values >= each value, and of those beyond
    if tail.discrete:
        ends = np.stack([tail.values, tail.values + 1])
        model, beyond = np.exp(log_survival(ends, a, xmin, discrete=True))
    else:
        model = beyond = np.exp(log_survival(tail.values, a, xmin, discrete=False))
    return float(max(np.abs(share[:-1] - model).max(), np.abs(share[1:] - beyond).max()))


def _log_norm(a: float, xmin: float, *, discrete: bool) -> float:
    """Give the log of the sum or integral of ``x^-a`` from xmin on."""
    if discrete:
        return float(zeta_moments(a, xmin).log_zeta)
    return float((1 - a) * np.log(xmin) - np.log(a - 1))


def _profile(a: float, excess: float, tail: Sample, xmin: float) -> tuple[float, float]:
    """Find where the log likelihood has fallen by half of chi-squared's 95 % quantile."""
    log_x = float(np.log(xmin)) + excess

    def cost(exponent: float) -> float:
        log_norm = _log_norm(exponent, xmin, discrete=tail.discrete)
        return float(tail.n) * (log_norm + exponent * log_x)

    bound = cost(a) + _DROP
    above = a
    while cost(above) < bound and above < 10 * _STEEP:
        above = 1 + 2 * (above - 1)
    below = 1 + (a - 1) * 1e-9  # the normaliser diverges at 1, so the cost exceeds any bound
    lo = brentq(lambda s: cost(s) - bound, below, a) if cost(below) > bound else 1.0
    hi = brentq(lambda s: cost(s) - bound, a, above) if cost(above) >= bound else np.inf
    return float(lo), float(hi)


def _no_cutoff(sample: Sample) -> str:
    if len(sample.values) == 1:
        return f"one distinct value, {sample.values[0]:g}; a tail needs two"
    return f"no cut-off above 0 leaves {_MIN_TAIL} values, two of them distinct"


def _no_tail(tail: Sample, xmin: float) -> str:
    if not len(tail.values):
        return f"no value at or above xmin {xmin:g}"
    if tail.n < 2:
        return f"one value at or above xmin {xmin:g}, {tail.values[0]:g}; a tail needs two"
    return f"one distinct value at or above xmin {xmin:g}; a tail needs two"


def _check_xmin(xmin: float, *, discrete: bool) -> float:
    if not isinstance(xmin, Real):
        raise ValueError(f"xmin: {xmin!r:.40} found; allowed are numbers > 0")
    if discrete and not (xmin >= 1 and xmin == np.floor(xmin) and np.isfinite(xmin)):
        raise ValueError(f"xmin: {xmin:g} found; allowed for whole values are whole numbers >= 1")
    if not (np.isfinite(xmin) and xmin > 0):
        raise ValueError(f"xmin: {xmin:g} found; allowed are finite numbers > 0")
    return float(xmin)


def _nothing(sample: Sample, xmin: float, reason: str) -> PowerTail:
    nan = float("nan")
    return PowerTail(
        exponent=nan,
        stderr=nan,
        lo=nan,
        hi=nan,
        xmin=xmin,
        n_tail=sample.tail(xmin).n if np.isfinite(xmin) else 0,
        n=sample.n,
        ks=nan,
        log_likelihood=nan,
        discrete=sample.discrete,
        converged="settle" not in reason,
        identified=False,
        method="none",
        reason=reason,
    )
