"""The multilinear skill model: closed forms against its differential equation, exponents, order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from quantascope.theory.calibration import calibrate_capacity, calibrate_rate, calibrate_samples
from quantascope.theory.quanta import frequencies
from quantascope.theory.skills import (
    compute_frontier,
    data_loss,
    emergence_order,
    emergence_time,
    skill_exponents,
    skill_loss,
    strength_in_params,
    strength_in_samples,
    strength_in_time,
)

P = frequencies(np.arange(1, 6), 0.6, n_tasks=5)


def test_dynamics_solve_gradient_flow():
    """Gradient flow of a_k and b_k from equal starts, ``dR/dT = 2 eta P R (S - R)``, rtol 1e-10."""
    S, eta, start = 5.0, 0.02, 0.03

    def flow(_, weights):
        a, b = weights.reshape(2, -1)
        pull = eta * P * (S - a * b)
        return np.concatenate([pull * b, pull * a])

    times = np.linspace(0, 400, 9)
    weights = np.full(10, math.sqrt(start))
    run = solve_ivp(flow, (0, 400), weights, t_eval=times, rtol=1e-10, atol=1e-12)
    a, b = run.y.reshape(2, 5, -1)
    closed = strength_in_time(times[:, None], P, initial=start, rate=eta, target=S)
    np.testing.assert_allclose(closed, (a * b).T, rtol=1e-7)


def test_another_rate_would_not_solve_it():
    """The check can fail: without the factor 2 the half time doubles."""
    right = emergence_time(0.2, initial=0.01, rate=0.1)
    assert emergence_time(0.2, initial=0.01, rate=0.05) == pytest.approx(2 * right)


@given(share=st.floats(0.05, 0.99), k=st.integers(1, 5))
def test_emergence_time_is_when_the_strength_is_reached(share, k):
    time = emergence_time(P[k - 1], initial=0.01, rate=0.1, target=2.0, share=share)
    strength = strength_in_time(time, P[k - 1], initial=0.01, rate=0.1, target=2.0)
    assert strength == pytest.approx(2.0 * share, rel=1e-9)


@given(alpha=st.floats(0.1, 2))
def test_emergence_time_grows_like_k_to_alpha_plus_one(alpha):
    """ArXiv 2404.17563; exact, because the starts are equal."""
    times = emergence_time(frequencies(np.array([1.0, 30.0]), alpha), initial=1e-3, rate=0.1)
    assert times[1] / times[0] == pytest.approx(30 ** (alpha + 1), rel=1e-12)


def test_order_follows_frequency_unless_a_start_is_lucky():
    assert emergence_order(P[::-1], initial=0.01).tolist() == [4, 3, 2, 1, 0]
    assert emergence_order(P, initial=[0.01, 0.01, 0.01, 0.01, 0.9])[0] == 4
    assert emergence_order([0.2, 0.2], initial=0.01).tolist() == [0, 1]


def test_a_skill_known_from_the_start_emerges_at_zero():
    assert emergence_time(0.1, initial=1.0, rate=0.1) == 0
    assert emergence_time(0.1, initial=0.7, rate=0.1) == 0


def test_data_strengths_of_the_extended_model():
    """``R = S (1 - sqrt(1 - d / D_c))`` at D_c = 800 (arXiv 2404.17563 and its code)."""
    found = strength_in_samples([0, 200, 400, 800, 10**6], needed=800, target=5)
    expected = [0, 5 * (1 - math.sqrt(0.75)), 5 * (1 - math.sqrt(0.5)), 5, 5]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_parameter_strengths_are_served_in_order():
    """Four neurons a skill (arXiv 2404.17563): ten serve two and a half."""
    assert strength_in_params(10, [1, 2, 3, 4], needed=4).tolist() == [1, 1, 0.5, 0]


def _slope(x, y):
    return -np.log(y[-1] / y[0]) / np.log(x[-1] / x[0])


@pytest.mark.parametrize("alpha", [0.3, 0.6, 0.9])
def test_exponents_in_time_data_and_parameters(alpha):
    """Slopes over one decade with 1e5 skills, early against the last and late against the first.

    The sum misses ``n_skills^-alpha`` of the tail; with n ~ 100 learned that bends the slope by
    ``alpha (100 / 1e5)^alpha``, at most 0.04 for alpha 0.3, of which the tail added below removes
    all but second order.
    """
    p, expected = frequencies(np.arange(1, 100_001), alpha), skill_exponents(alpha)
    rest = (1 - p.sum()) / 2  # skills behind the sum are not learned at all
    amounts = np.array([100.0, 1000.0]) ** (alpha + 1)
    times = [
        float(skill_loss(strength_in_time(T, p, initial=0.01, rate=0.1), p)) + rest
        for T in 50 * amounts
    ]
    assert _slope(amounts, times) == pytest.approx(expected.time, abs=0.02)
    assert _slope(amounts, data_loss(amounts, p) + rest) == pytest.approx(expected.data, abs=0.02)
    params = [skill_loss(np.arange(len(p)) < n, p) + rest for n in (100, 1000)]
    assert _slope([100, 1000], params) == pytest.approx(expected.params, abs=0.01)


def test_exponent_in_compute():
    """``alpha / (alpha+2)`` along the frontier, for alpha 0.9.

    The starts are a constant factor on T; a finite list bends the end, so the range stays where N
    is below a tenth of it.
    """
    p = frequencies(np.arange(1, 3001), 0.9, n_tasks=3000)
    C = np.logspace(4, 6.5, 6)
    loss, n = compute_frontier(C, p, initial=0.01, rate=1.0)
    assert n[-1] < 300
    assert _slope(C, loss) == pytest.approx(skill_exponents(0.9).compute, abs=0.03)
    assert _slope(C, loss) < skill_exponents(0.9).time - 0.1  # the twin: not the law in time


def test_data_loss_without_data_is_that_of_nothing_learned():
    assert data_loss(0, P, target=5) == pytest.approx(12.5)
    assert data_loss([1e9], [1.0]).tolist() == [0]


def test_calibration_recovers_what_made_the_curves():
    """Exact curves: every point gives the same constant, to rounding."""
    T = np.linspace(0, 2000, 50)
    curve = strength_in_time(T, 0.4, initial=0.01, rate=0.02, target=5, factor=0.25)
    B = calibrate_rate(T, curve, frequency=0.4, initial=0.01, rate=0.02, target=5)
    assert B.identified
    assert B.value == pytest.approx(0.25, rel=1e-9)
    assert B.hi - B.lo < 1e-9
    d = np.arange(0, 1000, 50)
    found = calibrate_samples(d, strength_in_samples(d, needed=800, target=5), target=5)
    assert found.value == pytest.approx(800, rel=1e-9)
    width = calibrate_capacity([1, 2, 3, 4, 9], strength_in_params([1, 2, 3, 4, 9], 1, needed=4))
    assert (width.value, width.n_points) == (pytest.approx(4), 3)


def test_calibration_without_points_says_so():
    found = calibrate_capacity([1, 2], [0.0, 1.0])
    assert not found.identified
    assert math.isnan(found.value)
    assert "0 points" in found.reason


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: strength_in_time(-1, 0.1, initial=0.1, rate=1), "time: -1 found"),
        (lambda: strength_in_time(1, 0.1, initial=0.0, rate=1), "initial: 0 found"),
        (lambda: strength_in_time(1, 0.1, initial=2.0, rate=1), "initial: 2 found"),
        (lambda: emergence_time(0.0, initial=0.1, rate=1), "frequency: 0 found"),
        (lambda: emergence_time(0.1, initial=0.1, rate=1, share=1.0), "share: 1.0 found"),
        (lambda: strength_in_samples(1, needed=0), "needed: 0 found"),
        (lambda: calibrate_samples([1, 2], [0.5]), "equal counts"),
    ],
)
def test_out_of_range_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
