"""Sums of powers: against SciPy, known constants, plain summation, and each other's derivatives."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import zeta

from quantascope.core.special import hurwitz_zeta, zipf_sum

EXPONENTS = st.floats(1.01, 20)
STARTS = st.floats(math.log(0.5), math.log(1e12)).map(math.exp)


def test_hurwitz_agrees_with_scipy():
    """1e-12 over the whole stated range; SciPy's own error is a few 1e-16."""
    random = np.random.default_rng(0)
    s = 1 + np.exp(random.uniform(math.log(0.01), math.log(19), 20_000))
    q = np.exp(random.uniform(math.log(0.5), math.log(1e12), 20_000))
    np.testing.assert_allclose(hurwitz_zeta(s, q), zeta(s, q), rtol=1e-12)


@pytest.mark.parametrize(
    ("s", "derivative", "expected"),
    [
        (2.0, 0, math.pi**2 / 6),
        (2.0, 1, -0.937548254315843753703),  # OEIS A073002, with the sign of zeta'
        (2.0, 2, 1.98928023429890102342),  # OEIS A201994
        (3.0, 1, -0.198126242885636853331),  # OEIS A244115
    ],
)
def test_known_constants(s, derivative, expected):
    assert hurwitz_zeta(s, 1, derivative=derivative) == pytest.approx(expected, rel=1e-14)


@given(s=st.floats(1.2, 12), q=STARTS, derivative=st.sampled_from([1, 2]))
def test_derivatives_agree_with_finite_differences(s, q, derivative):
    """Six-point difference of the order below: error h^6 f^(7)/140 and 4 eps f/h.

    Terms are ``(log)^m k^-s`` with means of at most log q + 1/(s-1), so with h = 0.01 / scale both
    parts stay below 1e-10 of ``scale * f``.
    """
    scale = abs(math.log(q)) + 1 / (s - 1) + 1
    h = 0.01 / scale
    weights = np.array([45.0, -9.0, 1.0]) / (60 * h)
    steps = h * np.arange(1, 4)

    def lower(s):
        return hurwitz_zeta(s, q, derivative=derivative - 1)

    found = hurwitz_zeta(s, q, derivative=derivative)
    expected = weights @ (lower(s + steps) - lower(s - steps))
    assert found == pytest.approx(expected, abs=1e-10 * scale**derivative * hurwitz_zeta(s, q))


@given(s=EXPONENTS, q=STARTS)
def test_recurrence_moves_the_start(s, q):
    """zeta(s, q) = q^-s + zeta(s, q + 1); rounding q + 1 alone costs s eps (DLMF 25.11.3)."""
    assert hurwitz_zeta(s, q) == pytest.approx(q**-s + hurwitz_zeta(s, q + 1), rel=1e-13)


@given(
    s=st.floats(-3, 8),
    first=st.integers(1, 10**9),
    n=st.integers(0, 60),
    m=st.sampled_from([0, 1, 2]),
)
def test_short_sums_agree_with_plain_summation(s, first, n, m):
    """All terms of one sign except at k = 1, where the logarithm is 0: nothing cancels."""
    k = first + np.arange(n, dtype=np.float64)
    expected = math.fsum((-np.log(k)) ** m * k**-s)
    found = zipf_sum(s, first, first + n - 1, derivative=m)
    assert found == pytest.approx(expected, rel=1e-12, abs=0)


@given(s=st.floats(1.01, 8), first=st.floats(0.5, 1e6), more=st.floats(0, 1e6))
def test_zipf_sum_is_a_difference_of_tails(s, first, more):
    """Where the difference loses no digits both agree; its own error is eps * zeta(s, first)."""
    head = hurwitz_zeta(s, first)
    found = zipf_sum(s, first, first + more - 1)
    assert found == pytest.approx(head - hurwitz_zeta(s, first + more), abs=1e-12 * head)
    assert zipf_sum(s, first, np.inf) == head


def test_near_equal_ends_keep_their_digits():
    """A sum of a millionth of a term is its integral, to first order in the millionth."""
    gap = 1e-6
    for first in (1.5, 25.0, 1e6):
        slope = 1.4 * hurwitz_zeta(2.4, first)  # d/dx of -zeta(s, x)
        last = first + gap - 1
        found = zipf_sum(1.4, first, last)
        assert found == pytest.approx((last - first + 1) * slope, rel=2e-6)


def test_a_plain_difference_of_tails_would_not_keep_them():
    """The check can fail: subtracting tails at 1e10 leaves 6 digits, the sum has 15."""
    first, last = 1e10, 1e10 + 3
    exact = math.fsum((first + k) ** -1.4 for k in range(4))
    plain = zeta(1.4, first) - zeta(1.4, last + 1)
    assert abs(plain / exact - 1) > 1e-9
    assert zipf_sum(1.4, first, last) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: hurwitz_zeta(1.0, 1), "s: 1 found"),
        (lambda: hurwitz_zeta(2.0, [1.0, 0.0]), "q: 0 found"),
        (lambda: hurwitz_zeta(2.0, math.nan), "q: nan found"),
        (lambda: hurwitz_zeta(2.0, 1, derivative=3), "derivative: 3 found"),
        (lambda: zipf_sum(1.4, 0, 5), "first: 0 found"),
        (lambda: zipf_sum(1.4, 3, 1.5), "last: 1.5 found"),
        (lambda: zipf_sum([2.0, 1.0], 1, math.inf), "last: inf found"),
    ],
)
def test_out_of_range_is_named(call, name):
    with pytest.raises(ValueError, match=name):
        call()


def test_shapes_broadcast():
    assert hurwitz_zeta([[1.4], [2.0]], [1, 2, 3]).shape == (2, 3)
    assert zipf_sum(1.4, 1, []).shape == (0,)
    assert zipf_sum(1.4, 1, 3).shape == ()
