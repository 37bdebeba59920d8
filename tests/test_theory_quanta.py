"""The Quantization Model: published values, three forms of the tail, laws for all alpha."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantascope.theory.entropy import (
    frequency_entropy,
    log_frequency_loss,
    scaled_frequency_loss,
)
from quantascope.theory.quanta import (
    frequencies,
    general_loss,
    mean_loss,
    missing_quanta_floor,
    missing_quanta_loss,
    normaliser,
    tail,
)

ALPHAS = st.floats(0.05, 3.0)
COUNTS = st.floats(0.0, 1e6)


def test_frequencies_of_500_tasks():
    """Zipf frequencies of the parity experiment, arXiv 2303.13506 section 3; computed by SciPy."""
    top = [float(frequencies(1, alpha, n_tasks=500)) for alpha in (0.1, 0.4, 0.8)]
    np.testing.assert_allclose(top, [0.191814, 0.345126, 0.533740], rtol=2e-6)
    assert frequencies(10, 0.4, n_tasks=500) == pytest.approx(0.0137397, rel=4e-6)
    assert frequencies(500, 0.4, n_tasks=500) == pytest.approx(5.7467e-5, rel=1e-5)


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (0.4, [0.677996, 0.314220, 0.127331, 0.050783]),
        (0.083, [0.920832, 0.784687, 0.650564, 0.537591]),
        (0.8, [0.468715, 0.101170, 0.016615, 0.002643]),
    ],
)
def test_tails_at_1_10_100_1000(alpha, expected):
    """Hurwitz zeta by SciPy; printed with six decimals."""
    np.testing.assert_allclose(tail([1, 10, 100, 1000], alpha), expected, atol=6e-7)


def test_integral_form_is_high_by_alpha_over_2n():
    """Relative excess at n = 1, 10, 100 for alpha 0.4, printed with four decimals."""
    excess = tail([1, 10, 100], 0.4, form="integral") / tail([1, 10, 100], 0.4) - 1
    np.testing.assert_allclose(excess, [0.1873, 0.0199, 0.0020], atol=5.1e-5)


@given(alpha=ALPHAS, n=st.floats(10, 1e5))
def test_integral_excess_is_first_order_and_midpoint_second(alpha, n):
    """Next Euler-Maclaurin terms: alpha/(2n), and alpha (alpha+1)/(24 n^2), each to a factor 2."""
    exact = tail(n, alpha)
    first = tail(n, alpha, form="integral") / exact - 1
    second = tail(n, alpha, form="midpoint") / exact - 1
    assert first == pytest.approx(alpha / (2 * n), rel=(alpha + 2) / n)
    assert abs(second) < 2 * alpha * (alpha + 1) / (24 * n**2) + 1e-14


@given(alpha=ALPHAS, n_tasks=st.integers(1, 3000))
def test_frequencies_add_up_to_one(alpha, n_tasks):
    share = frequencies(np.arange(1, n_tasks + 1), alpha, n_tasks=n_tasks)
    assert share.sum() == pytest.approx(1, rel=1e-12)
    assert frequencies(n_tasks + 1, alpha, n_tasks=n_tasks) == 0


@given(alpha=ALPHAS, n=st.integers(0, 400), n_tasks=st.sampled_from([401, 5000, math.inf]))
def test_one_more_quantum_takes_its_frequency_off_the_tail(alpha, n, n_tasks):
    """The difference of two tails loses eps / p_k of its digits."""
    lost = tail(n, alpha, n_tasks=n_tasks) - tail(n + 1, alpha, n_tasks=n_tasks)
    assert lost == pytest.approx(float(frequencies(n + 1, alpha, n_tasks=n_tasks)), abs=1e-14)


@given(alpha=ALPHAS, n=COUNTS, more=st.floats(1e-3, 1e3), n_tasks=st.sampled_from([1e4, math.inf]))
def test_tail_falls_with_n_and_lies_between_the_ends(alpha, n, more, n_tasks):
    before, after = tail([n, n + more], alpha, n_tasks=n_tasks)
    assert 0 <= after <= before <= 1
    assert after < before or n >= n_tasks or more / (n + 1) < 1e-12


@given(alpha=ALPHAS, n=st.floats(0.01, 500))
def test_finite_set_is_below_the_infinite_one(alpha, n):
    assert tail(n, alpha, n_tasks=1000) < tail(n, alpha)


def test_everything_learned_leaves_the_floor():
    assert tail([500, 501, math.inf], 0.4, n_tasks=500).tolist() == [0, 0, 0]
    assert mean_loss(math.inf, 0.4, a=0.3, b=2.0) == 0.3
    assert mean_loss(0, 0.4, a=0.3, b=2.0) == pytest.approx(2.0, rel=1e-15)


@given(alpha=ALPHAS, n=st.integers(0, 300))
def test_general_losses_contain_the_constant_case(alpha, n):
    """Equal up to the summation error of 300 terms."""
    general = general_loss(n, alpha, a=0.2, b=np.full(300, 1.7), n_tasks=300)
    assert general == pytest.approx(mean_loss(n, alpha, a=0.2, b=1.7, n_tasks=300), rel=1e-13)


def test_log_frequency_loss_is_the_general_loss():
    """Case 1 of the appendix for a finite set, against plain summation (5,000 terms)."""
    p = frequencies(np.arange(1, 5001), 0.4, n_tasks=5000)
    summed = general_loss([0, 1, 30, 1000], 0.4, a=0.0, b=-np.log(p), n_tasks=5000)
    closed = log_frequency_loss([0, 1, 30, 1000], 0.4, n_tasks=5000)
    np.testing.assert_allclose(closed, summed, rtol=1e-12)


def test_scaled_frequency_loss_is_the_general_loss():
    """Case 2 of the appendix for a finite set, against plain summation."""
    p = frequencies(np.arange(1, 5001), 0.4, n_tasks=5000)
    a, b = -np.log(2 * p), -np.log(p)
    summed = general_loss([0, 1, 30, 1000], 0.4, a=a, b=b, n_tasks=5000)
    closed = scaled_frequency_loss([0, 1, 30, 1000], 0.4, C=2.0, n_tasks=5000)
    np.testing.assert_allclose(closed, summed, rtol=1e-12)


def test_entropy_of_infinitely_many_quanta():
    """Exact 3.9197 and 2.0649 nat; the paper's integral gives 3.7298 and 1.9143 (appendix)."""
    np.testing.assert_allclose(frequency_entropy([0.4, 0.8]), [3.9197, 2.0649], atol=6e-5)
    integral = frequency_entropy([0.4, 0.8], form="integral")
    np.testing.assert_allclose(integral, [3.7298, 1.9143], atol=6e-5)


def test_a_partial_sum_would_miss_the_entropy():
    """The check can fail: 3e6 terms at alpha 0.4 give 3.867, the tail has the rest."""
    p = np.arange(1, 3_000_001) ** -1.4 / normaliser(0.4)
    partial = -(p * np.log(p)).sum()
    assert partial == pytest.approx(3.8670, abs=1e-4)
    exact = frequency_entropy(0.4)
    assert partial + log_frequency_loss(3e6, 0.4) == pytest.approx(float(exact), rel=1e-12)


@given(alpha=ALPHAS, n=st.floats(1, 1e4))
def test_integral_form_of_case_1_is_the_published_one(alpha, n):
    """``n^-alpha [(1 + alpha + alpha ln Z) + alpha (alpha+1) ln n] / (alpha^2 Z)``."""
    Z = float(normaliser(alpha))
    published = 1 + alpha + alpha * math.log(Z) + alpha * (alpha + 1) * math.log(n)
    published *= n**-alpha / (alpha**2 * Z)
    found = log_frequency_loss(n, alpha, form="integral")
    assert found == pytest.approx(published, rel=1e-12)


def test_missing_quanta_leave_a_floor_and_a_smaller_prefactor():
    """Floor ``M^-(alpha+1)`` exactly; then ``(M-1)/M`` of the tail, to first order in M/n."""
    alpha, every, n = 0.4, 5, 1e7
    floor = missing_quanta_floor(alpha, every)
    above = missing_quanta_loss(n, alpha, every=every) - floor
    assert above / tail(n, alpha) == pytest.approx(1 - 1 / every, rel=10 * every / n)


def test_missing_quanta_agree_with_plain_summation():
    """Cover ranks up to 1,000 but for multiples of 7."""
    k = np.arange(1, 1001)
    covered = frequencies(k[k % 7 != 0], 0.7).sum()
    assert missing_quanta_loss(1000, 0.7, every=7) == pytest.approx(1 - covered, rel=1e-12)
    assert missing_quanta_loss(1000, 0.7, every=1) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tail(1, 0.0), "alpha: 0 found"),
        (lambda: tail(1, math.nan), "alpha: nan found"),
        (lambda: tail(-1, 0.4), "n: -1 found"),
        (lambda: tail(0, 0.4, form="integral"), "integral form"),
        (lambda: tail(1, 0.4, form="guess"), "form: 'guess' found"),
        (lambda: tail(1, 0.4, n_tasks=0), "n_tasks: 0 found"),
        (lambda: frequencies(0, 0.4), "k: 0 found"),
        (lambda: general_loss(1, 0.4, a=0.0, b=[1.0, 2.0], n_tasks=3), "b: shape"),
        (lambda: general_loss(1, 0.4, a=0.0, b=1.0, n_tasks=math.inf), "n_tasks: inf"),
        (lambda: scaled_frequency_loss(1, 0.4, C=1.0), "C: 1 found"),
        (lambda: missing_quanta_floor(0.4, 0.5), "every: 0.5 found"),
    ],
)
def test_out_of_range_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_arrays_broadcast():
    assert tail(np.arange(3), [[0.1], [0.2]]).shape == (2, 3)
    assert mean_loss([], 0.4).shape == (0,)
    assert frequency_entropy(0.4).shape == ()
