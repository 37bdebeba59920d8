"""Sums of powers: the Hurwitz zeta function, finite Zipf sums, and their derivatives in s.

Both are one Euler-Maclaurin sum of ``k^-s`` between two real ends, the upper one possibly
infinite. Every difference between the ends is formed by ``expm1``, so short sums far out keep
their digits, and a sum with real ends is the analytic interpolation between whole ones.
"""

from math import factorial
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bernoulli

__all__ = ["hurwitz_zeta", "zipf_sum"]

Floats = NDArray[np.float64]
Jet = list[Floats]
"""A function of s and its derivatives in s, lowest order first."""

_N_TERMS: Final = 12
_START: Final = 20.0
"""From max(20, |s|) on, 12 terms leave a relative remainder below 3e-16: it is at most
``2 (s-1) s (s+1) ... (s+24) / (2 pi x)^26``, largest at x = s."""
_COEFFICIENTS: Final = [
    float(bernoulli(2 * _N_TERMS)[2 * j]) / factorial(2 * j) for j in range(1, _N_TERMS + 1)
]
_S_MAX: Final = 1000.0  # about |s| terms are summed one by one
_SERIES_BELOW: Final = 2.0
_N_SERIES: Final = 28  # 2^28 / 28! = 9e-22


def hurwitz_zeta(s: ArrayLike, q: ArrayLike, *, derivative: int = 0) -> Floats:
    """Sum the infinite tail of a power law, or its derivative in the exponent.

    ``zeta(s, q) = sum_{k>=0} (q + k)^-s``

    Parameters
    ----------
    s
        Exponent, > 1, at most 1000.
    q
        First term, > 0; broadcast against `s`.
    derivative
        Order of the derivative in s: 0, 1 or 2.

    Returns
    -------
    NDArray[np.float64]
        Broadcast shape; relative error below 1e-12 for s in (1.01, 20), q in (0.5, 1e12), of a
        derivative against the sum of its terms' absolute values (they change sign at q + k = 1).

    Raises
    ------
    ValueError
        If s <= 1, q <= 0, or the order is not 0, 1 or 2.

    Notes
    -----
    Euler-Maclaurin with 12 terms from max(20, s) on; about 1 microsecond a value.

    References
    ----------
    NIST DLMF 25.11.28 and 2.10(i).

    Examples
    --------
    >>> float(hurwitz_zeta(1.4, 1)).__round__(12)
    3.105547277978
    >>> float(hurwitz_zeta(2.0, 1, derivative=1)).__round__(12)
    -0.937548254316
    """
    exponent, first = np.asarray(s, dtype=np.float64), np.asarray(q, dtype=np.float64)
    fine = (exponent > 1) & (exponent <= _S_MAX)
    _require(fine, name="s", found=exponent, allowed=f"> 1, at most {_S_MAX:g}")
    _require((first > 0) & np.isfinite(first), name="q", found=first, allowed="finite > 0")
    return _power_sum(exponent, first, np.array(np.inf), derivative)


def zipf_sum(s: ArrayLike, first: ArrayLike, last: ArrayLike, *, derivative: int = 0) -> Floats:
    """Sum a power law between two ranks, or its derivative in the exponent.

    ``sum_{k=first..last} k^-s``, for real ends continued as ``zeta(s, first) - zeta(s, last+1)``.

    Parameters
    ----------
    s
        Exponent, -1000 to 1000; > 1 where `last` is infinite.
    first, last
        Ends, both counted in; first > 0, last >= first - 1 (the empty sum, 0).
    derivative
        Order of the derivative in s: 0, 1 or 2.

    Returns
    -------
    NDArray[np.float64]
        Broadcast shape.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    NIST DLMF 25.11.28 and 2.10(i).

    Examples
    --------
    >>> zipf_sum(1.0, 1, [0, 1, 2, 3]).round(12).tolist()
    [0.0, 1.0, 1.5, 1.833333333333]
    """
    exponent, start, end = (np.asarray(v, dtype=np.float64) for v in (s, first, last))
    fine = np.abs(exponent) <= _S_MAX
    _require(fine, name="s", found=exponent, allowed=f"-{_S_MAX:g} to {_S_MAX:g}")
    _require((start > 0) & np.isfinite(start), name="first", found=start, allowed="finite > 0")
    _require(end >= start - 1, name="last", found=end, allowed="last >= first - 1")
    infinite = np.isinf(end) & (exponent <= 1)
    _require(~infinite, name="last", found=end, allowed="finite where s <= 1, else it diverges")
    return _power_sum(exponent, start, end, derivative)


def _require(good: NDArray[np.bool_] | np.bool_, *, name: str, found: Floats, allowed: str) -> None:
    if not np.all(good):
        value = np.broadcast_to(found, np.shape(good))[~np.asarray(good)].ravel()[0]
        raise ValueError(f"{name}: {value:g} found; allowed: {allowed}")


def _power_sum(s: Floats, first: Floats, last: Floats, order: int) -> Floats:
    """Sum ``k^-s`` from first to last: whole terms up to where Euler-Maclaurin converges."""
    if order not in {0, 1, 2}:
        raise ValueError(f"derivative: {order} found; allowed: 0, 1 or 2")
    shape = np.broadcast_shapes(s.shape, first.shape, last.shape)
    s, a, b = (np.broadcast_to(v, shape).ravel() for v in (s, first, last))
    a, gap = a.copy(), np.where(np.isinf(b), np.inf, b - a + 1)
    total = np.zeros(a.shape)
    start = np.maximum(_START, np.abs(s))
    while (low := np.flatnonzero((a < start) & (gap > 0))).size:
        whole = gap[low] >= 1  # a whole term goes off the sum; below one, both ends move up
        length = np.where(whole, np.inf, np.log1p(np.minimum(gap[low], 1) / a[low]))
        total[low] += _drop(s[low], a[low], length, order)[order]
        a[low] += 1
        gap[low] -= whole
    rest = np.flatnonzero(gap > 0)
    total[rest] += _euler_maclaurin(s[rest], a[rest], np.log1p(gap[rest] / a[rest]), order)
    return total.reshape(shape)


def _euler_maclaurin(s: Floats, a: Floats, length: Floats, order: int) -> Floats:
    """Sum from a to ``a exp(length) - 1``, with a large enough for the series to converge."""
    total = _integral(s, a, length, order)[order]
    total += 0.5 * _drop(s, a, length, order)[order]
    rising = [s, np.ones_like(s), np.zeros_like(s)][: order + 1]
    for j, coefficient in enumerate(_COEFFICIENTS, start=1):
        total += coefficient * _product(rising, _drop(s + 2 * j - 1, a, length, order))[order]
        for factor in (s + 2 * j - 1, s + 2 * j):
            rising = _product(rising, [factor, np.ones_like(s), np.zeros_like(s)][: order + 1])
    return total


def _drop(p: Floats, a: Floats, length: Floats, order: int) -> Jet:
    """Give ``a^-p - c^-p`` for ``c = a exp(length)``, with derivatives in p."""
    finite = np.isfinite(length)
    span = np.where(finite, length, 0.0)
    power, log_a = a**-p, np.log(a)
    lost = np.where(finite, -np.expm1(-p * span), 1.0)  # 1 - (c/a)^-p
    if not order:
        return [power * lost]
    kept = np.where(finite, 1.0 - lost, 0.0)
    jet = [
        power * lost,
        power * (span * kept - log_a * lost),
        power * (log_a**2 * lost - (2 * log_a + span) * span * kept),
    ]
    return jet[: order + 1]


def _integral(s: Floats, a: Floats, length: Floats, order: int) -> Jet:
    """Integrate ``x^-s`` from a to ``a exp(length)``, with derivatives in s.

    With ``x = a e^v`` the m-th derivative is ``a^(1-s) int (-(log a + v))^m e^((1-s)v) dv``.
    """
    moments = _moments(1 - s, length, order)
    power, log_a = a ** (1 - s), np.log(a)
    if not order:
        return [power * moments[0]]
    m0, m1, m2 = moments
    jet = [
        power * m0,
        -power * (log_a * m0 + m1),
        power * (log_a**2 * m0 + 2 * log_a * m1 + m2),
    ]
    return jet[: order + 1]


def _moments(rate: Floats, length: Floats, order: int) -> Jet:
    """Give ``int_0^length v^m e^(rate v) dv`` for m = 0, or for m = 0, 1, 2."""
    finite = np.isfinite(length)
    span = np.where(finite, length, 0.0)
    z = rate * span
    near = np.abs(z) < _SERIES_BELOW
    small, large = np.where(near, z, 0.0), np.where(near, 1.0, z)
    unit = np.expm1(large) / large
    exact = np.exp(large)
    moments: Jet = []
    for m in range(3 if order else 1):
        unit = unit if m == 0 else (exact - m * unit) / large  # by parts
        series = np.polyval(
            [1 / (factorial(n) * (n + m + 1)) for n in range(_N_SERIES)][::-1], small
        )
        moment = np.where(near, series, unit) * span ** (m + 1)
        decay = np.where(finite, 1.0, -rate)  # an infinite span needs rate < 0
        moments.append(np.where(finite, moment, factorial(m) / decay ** (m + 1)))
    return moments


def _product(f: Jet, g: Jet) -> Jet:
    """Multiply two functions of s by Leibniz' rule."""
    jet = [f[0] * g[0]]
    if len(f) > 1:
        jet.append(f[1] * g[0] + f[0] * g[1])
    if len(f) > 2:
        jet.append(f[2] * g[0] + 2 * f[1] * g[1] + f[0] * g[2])
    return jet
