"""The power law above a cut-off: normaliser, maximum likelihood, survival, draws.

``p(x) = x^-a / zeta(a, q)`` on whole numbers ``x >= q``, or
``p(x) = (a - 1) / q (x / q)^-a`` on real ones. All functions broadcast over cut-offs, so that a
scan of hundreds of them is one array computation. Source: Clauset, Shalizi and Newman,
arXiv 0706.1062, appendix B (likelihoods) and D (draws).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Floats",
    "LogMoments",
    "draw_power_law",
    "log_survival",
    "solve_exponent",
    "zeta_moments",
]

Floats = NDArray[np.float64]

_N_DIRECT: Final = 12
_BERNOULLI: Final = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600)
"""B_2j / (2j)!; the next term is below 1e-12 of the sum from q + 12 on for a <= 6, and for larger
a the sum's end itself is that small."""
_MAX_STEPS: Final = 60
_TOLERANCE: Final = 1e-12
_TABLE: Final = 4096  # whole numbers above the cut-off whose survival is tabulated for draws


class LogMoments(NamedTuple):
    """Normaliser and moments of log x under the discrete power law."""

    log_zeta: Floats
    excess: Floats
    """Mean of log(x / q)."""
    variance: Floats
    """Variance of log x: Fisher information of the exponent in one value."""


def zeta_moments(a: ArrayLike, q: ArrayLike) -> LogMoments:
    """Give ``log zeta(a, q)`` and the mean and variance of log x under the discrete power law.

    The sum is scaled by its first term, ``zeta(a, q) = q^-a sum_j (1 + j/q)^-a``, so that steep
    tails far out neither underflow nor lose the digits of their small moments, as they would when
    taken from derivatives of zeta itself.

    Parameters
    ----------
    a
        Exponent, > 1.
    q
        Cut-off, >= 1; broadcast against `a`.

    Returns
    -------
    LogMoments
        Each of the broadcast shape.

    References
    ----------
    NIST DLMF 2.10(i) (Euler-Maclaurin).

    Examples
    --------
    >>> round(float(np.exp(zeta_moments(1.4, 1.0).log_zeta)), 9)
    3.105547278
    """
    s, first = np.broadcast_arrays(np.asarray(a, float), np.asarray(q, float))
    moments = np.zeros((3, *s.shape))
    for j in range(_N_DIRECT):
        _add(moments, s, np.log1p(j / first), (1.0, 0.0, 0.0))
    end = first + _N_DIRECT
    log_end = np.log1p(_N_DIRECT / first)
    _add(moments, s, log_end, (end / (s - 1), -1 / (s - 1), -1 / (s - 1) ** 2))
    _add(moments, s, log_end, (0.5, 0.0, 0.0))
    rising, slope, curvature = s.copy(), 1 / s, 1 / s**2
    for j, coefficient in enumerate(_BERNOULLI, start=1):
        _add(moments, s, log_end, (coefficient * rising * end ** (1 - 2 * j), slope, curvature))
        for factor in (s + 2 * j - 1, s + 2 * j):
            rising, slope, curvature = rising * factor, slope + 1 / factor, curvature + factor**-2
    total, d1, d2 = moments
    excess = -d1 / total
    return LogMoments(np.log(total) - s * np.log(first), excess, d2 / total - excess**2)


def solve_exponent(excess: ArrayLike, q: ArrayLike, *, discrete: bool) -> tuple[Floats, Floats]:
    """Find the exponent of maximum likelihood from the mean of ``log(x / q)``.

    Continuous: ``a = 1 + 1 / excess``. Discrete: Newton on
    ``log E_a[log(x / q)] = log excess``, which is convex, from the continuous estimate with
    ``q - 1/2``.

    Parameters
    ----------
    excess
        Mean of log(x / q) over the tail, > 0.
    q
        Cut-off; broadcast against `excess`.
    discrete
        Whether x is a whole number.

    Returns
    -------
    exponent, variance
        Estimate, and Fisher information of one value at it. NaN where the iteration did not
        settle.

    References
    ----------
    arXiv 0706.1062, equations 3.1, 3.4 and B.
    """
    m, first = np.broadcast_arrays(np.asarray(excess, float), np.asarray(q, float))
    if not discrete:
        return 1 + 1 / m, m**2
    a = 1 + 1 / (m - np.log1p(-0.5 / first))
    for _ in range(_MAX_STEPS):
        now = zeta_moments(a, first)
        step = (np.log(now.excess) - np.log(m)) * now.excess / now.variance
        a, before = np.maximum(a + step, 1 + (a - 1) / 4), a
        if (np.abs(a - before) <= _TOLERANCE * a).all():
            break
    settled = np.abs(a - before) <= 1e-8 * a
    return np.where(settled, a, np.nan), np.where(settled, now.variance, np.nan)


def log_survival(x: Floats, a: float, q: float, *, discrete: bool) -> Floats:
    """Give ``log P(X >= x)`` for x at or above the cut-off `q`."""
    if not discrete:
        return np.asarray((1 - a) * np.log(x / q))
    return np.asarray(_log_zeta(a, x) - _log_zeta(a, np.asarray(q, dtype=np.float64)))


def draw_power_law(
    a: float, n: int, *, q: float, discrete: bool, rng: np.random.Generator
) -> Floats:
    """Draw values of a power law above a cut-off.

    Parameters
    ----------
    a
        Exponent, > 1.
    n
        How many.
    q
        Cut-off.
    discrete
        Whole numbers or real ones.
    rng
        Source of randomness, see `quantascope.core.rng.stream`.

    Returns
    -------
    NDArray[np.float64]
        Draws. Discrete ones invert the exact survival function up to q + 4096 and its continuous
        form ``((x - 1/2) / (q - 1/2))^(1-a)``, anchored there, beyond: relative error below 1e-8.

    Raises
    ------
    ValueError
        If `a` or `q` is out of its range.

    References
    ----------
    arXiv 0706.1062, appendix D.
    """
    if not (a > 1 and np.isfinite(a)):
        raise ValueError(f"a: {a:g} found; allowed are finite numbers > 1")
    if not (q >= 1 if discrete else q > 0):
        raise ValueError(f"q: {q:g} found; allowed are numbers > 0, and >= 1 for whole values")
    tail = 1 - rng.random(n)  # in (0, 1]
    if not discrete:
        return np.asarray(q * tail ** (-1 / (a - 1)))
    table = np.exp(log_survival(q + np.arange(_TABLE + 1, dtype=np.float64), a, q, discrete=True))
    # the largest x with P(X >= x) >= tail
    place = np.searchsorted(-table, -tail, side="right") - 1
    with np.errstate(over="ignore"):
        ratio = (tail / table[-1]) ** (-1 / (a - 1))
        far = np.minimum(np.floor((q + _TABLE - 0.5) * ratio + 0.5), np.finfo(float).max)
    return np.where(place < _TABLE, q + place, far)


def _log_zeta(a: float, x: Floats) -> Floats:
    """Give ``log zeta(a, x)`` as `zeta_moments` does, for many x and without the moments."""
    j = np.arange(_N_DIRECT).reshape(-1, *[1] * x.ndim)
    total = np.exp(-a * np.log1p(j / x)).sum(axis=0)
    end = x + _N_DIRECT
    size, rising, series = np.exp(-a * np.log1p(_N_DIRECT / x)), a, end / (a - 1) + 0.5
    for order, coefficient in enumerate(_BERNOULLI, start=1):
        series = series + coefficient * rising * end ** (1 - 2 * order)
        rising *= (a + 2 * order - 1) * (a + 2 * order)
    return np.asarray(np.log(total + size * series) - a * np.log(x))


def _add(moments: Floats, s: Floats, log_x: Floats, amplitude: tuple[Floats | float, ...]) -> None:
    """Add ``c(s) e^(-s log_x)`` and its two derivatives, for ``c, (log c)', -(log c)''``."""
    size, slope, curvature = amplitude
    term = size * np.exp(-s * log_x)
    first = slope - log_x
    moments[0] += term
    moments[1] += term * first
    moments[2] += term * (first**2 - curvature)
