"""Resources, exponents, finite sets and the way back: published numbers and laws for all alpha."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from quantascope.theory.finite import (
    PARITY_WIDTHS,
    fitted_exponent,
    fitted_slope,
    local_slope,
    parity_params,
    truncated_grid,
)
from quantascope.theory.inverse import (
    alpha_from_fitted_slope,
    alpha_from_loss,
    alpha_from_two_losses,
    capacity_from_quanta,
    first_step_from_quanta,
    quanta_from_loss,
    threshold_from_quanta,
)
from quantascope.theory.joint import chinchilla_form, joint_loss, max_form, smooth_form
from quantascope.theory.quanta import frequencies, normaliser, tail
from quantascope.theory.resources import (
    QuantaModel,
    alpha_from_exponent,
    exponents,
    leading_law,
    learned_quanta,
    loss_by_chance,
    predict_loss,
    required_resource,
)

ALPHAS = st.floats(0.05, 3.0)
KINDS = ["alpha_N", "alpha_D", "alpha_S", "zipf_exponent"]


def test_parameter_counts_of_the_parity_networks():
    """500 tasks, 100 bits, two classes; github.com/ejmichaud/quantization-model."""
    expected = [5429, 12062, 30152, 180902, 301502]
    assert parity_params([9, 20, 50, 300, 500]).tolist() == expected


def test_published_grids_start_below_their_ends():
    """Widths and data sizes of the published runs; truncation turns 10 into 9."""
    assert truncated_grid(10, 300, 20).tolist() == list(PARITY_WIDTHS)
    widths = [9, 11, 13, 14, 17, 19, 22, 25, 29, 33, 38, 44, 50, 57, 66, 75, 86, 99, 113, 129]
    widths += [148, 169, 194, 222, 254, 291, 333, 381, 436, 500]
    assert truncated_grid(10, 500, 30).tolist() == widths
    assert truncated_grid(10_000, 5_000_000, 25)[[0, -1]].tolist() == [9_999, 4_999_999]


def test_fitted_slopes_of_500_tasks():
    """Slope over n = 1 ... 30 for alpha 0.1 ... 0.8; computed, printed with three decimals."""
    expected = [0.278, 0.333, 0.393, 0.459, 0.529, 0.604, 0.682, 0.762]
    found = fitted_slope(np.arange(1, 9) / 10, n_tasks=500)
    np.testing.assert_allclose(found, expected, atol=6e-4)


def test_predicted_width_exponents_with_one_capacity():
    """One C = 6,700 for all eight alphas; finite-sum predictions for arXiv 2303.13506 figure A4.

    The comparison used a capacity of its own for each alpha, 6,700 to 7,700; one for all moves a
    slope by up to 0.01.
    """
    expected = [0.247, 0.306, 0.365, 0.427, 0.499, 0.573, 0.654, 0.727]
    sizes = parity_params(PARITY_WIDTHS)
    found = [
        fitted_exponent(QuantaModel(alpha=k / 10, n_tasks=500, capacity=6700), "N", sizes)
        for k in range(1, 9)
    ]
    np.testing.assert_allclose(found, expected, atol=0.0105)


def test_infinitely_many_quanta_would_not_give_them():
    """The check can fail: without the finite set alpha 0.1 gives at most 0.1."""
    model = QuantaModel(alpha=0.1, capacity=6700)
    assert fitted_exponent(model, "N", parity_params(PARITY_WIDTHS)) < 0.1


@given(alpha=ALPHAS, n=st.floats(0.5, 400), n_tasks=st.sampled_from([500.0, math.inf]))
def test_local_slope_is_the_derivative(alpha, n, n_tasks):
    """Central difference in ln n with h = 1e-4: h^2 f''' / 6, with derivatives of order s / gap."""
    h = 1e-4
    up, down = tail(n * np.exp([h, -h]), alpha, n_tasks=n_tasks)
    numeric = -math.log(up / down) / (2 * h)
    assert local_slope(n, alpha, n_tasks=n_tasks) == pytest.approx(numeric, rel=1e-5)


@given(alpha=ALPHAS)
def test_local_slope_tends_to_alpha(alpha):
    """``alpha (1 - (alpha+1) / (2n))`` to first order."""
    assert local_slope(1e6, alpha) == pytest.approx(alpha, rel=1e-5)


@given(alpha=ALPHAS, kind=st.sampled_from(KINDS))
def test_exponents_convert_there_and_back(alpha, kind):
    value = getattr(exponents(alpha), kind)
    assert alpha_from_exponent(value, kind=kind) == pytest.approx(alpha, rel=1e-12)


@given(alpha=ALPHAS)
def test_data_exponent_is_below_width_exponent(alpha):
    found = exponents(alpha)
    assert found.alpha_D == found.alpha_S == pytest.approx(alpha / (1 + alpha))
    assert found.alpha_D < found.alpha_N


@given(alpha=ALPHAS, by=st.sampled_from(["N", "D", "S"]), drift=st.floats(0, 0.5))
def test_loss_tends_to_its_leading_law(alpha, by, drift):
    """Where n = 1e4 quanta are learned the excess is about p / (2n) below 2e-4."""
    model = QuantaModel(
        alpha=alpha, capacity=300, threshold=50, first_step=7, a=0.1, b=2.0,
        cost_drift=drift, evidence_drift=drift, gain_drift=drift,
    )  # fmt: skip
    unit = learned_quanta(model, by, 1.0)
    power = {"N": 1 / (1 + drift)}.get(by, 1 / (1 + alpha + drift))
    amount = (1e4 / unit) ** (1 / power)
    exponent, prefactor = leading_law(model, by)
    above = predict_loss(model, by, amount) - model.a
    assert above == pytest.approx(prefactor * amount**-exponent, rel=3e-4, abs=1e-15)


@given(alpha=ALPHAS)
def test_leading_laws_of_the_paper(alpha):
    """``(N/C)^-alpha / (alpha zeta)``, ``(D/(tau zeta))^..``, ``(S/T)^..`` (section 2)."""
    model = QuantaModel(alpha=alpha, capacity=300, threshold=50, first_step=7)
    zeta, slow = float(normaliser(alpha)), alpha / (1 + alpha)
    expected = [
        (alpha, 300**alpha / (alpha * zeta)),
        (slow, (50 * zeta) ** slow / (alpha * zeta)),
        (slow, 7**slow / (alpha * zeta)),
    ]
    for by, law in zip("NDS", expected, strict=True):
        assert leading_law(model, by) == pytest.approx(law, rel=1e-12)


@given(alpha=ALPHAS, n=st.floats(0, 500), by=st.sampled_from(["N", "D", "S"]))
def test_required_resource_is_what_is_needed(alpha, n, by):
    """Both powers are rounded: relative error of n below ``(2 + alpha) eps ln(amount)``."""
    model = QuantaModel(alpha=alpha, capacity=300, threshold=50, first_step=7, n_tasks=500)
    amount = required_resource(model, by, n)
    assert learned_quanta(model, by, amount) == pytest.approx(n, rel=1e-13)


def test_drifting_cost_buys_what_the_costs_add_up_to():
    """Sum of ``C k^gamma`` over 1,000 quanta, against its integral: off by gamma-order 1/n."""
    model = QuantaModel(alpha=0.4, capacity=3.0, cost_drift=0.5)
    spent = 3.0 * (np.arange(1, 1001) ** 0.5).sum()
    assert learned_quanta(model, "N", spent) == pytest.approx(1000, rel=1e-3)


def test_drifting_evidence_is_met_by_the_last_quantum():
    model = QuantaModel(alpha=0.4, threshold=20.0, evidence_drift=0.3, n_tasks=500)
    n = float(learned_quanta(model, "D", 1e6))
    assert 1e6 * frequencies(n, 0.4, n_tasks=500) == pytest.approx(20 * n**0.3, rel=1e-12)


def test_whole_quanta_make_a_staircase():
    model = QuantaModel(alpha=0.4, capacity=10, whole=True)
    assert predict_loss(model, "N", [29.0])[0] == predict_loss(model, "N", [20.0])[0]
    assert learned_quanta(model, "N", [9.9, 10, 1e9]).tolist() == [0, 1, 1e8]


@pytest.mark.parametrize(("tau", "n_tasks"), [(1, 5000), (3, 5000), (3, 40)])
def test_chance_loss_agrees_with_plain_summation(tau, n_tasks):
    """Beyond 1,000 ranks the midpoint integral is off by ``(alpha+1)/(24 n^2)`` of 0.05: 3e-9."""
    D = np.logspace(0, 6, 7)
    p = frequencies(np.arange(1, n_tasks + 1), 0.4, n_tasks=n_tasks)
    expected = [(p * stats.poisson.cdf(tau - 1, d * p)).sum() for d in D]
    model = QuantaModel(alpha=0.4, threshold=tau, n_tasks=n_tasks)
    np.testing.assert_allclose(loss_by_chance(model, D), expected, atol=5e-9)
    assert loss_by_chance(model, 0) == pytest.approx(1, abs=5e-9)


@given(alpha=st.floats(0.1, 2))
def test_chance_keeps_the_exponent(alpha):
    """Slope of the memorising learner between 1e8 and 1e9 samples, off by order D^-1/(1+alpha)."""
    D = np.array([1e8, 1e9])
    loss = loss_by_chance(QuantaModel(alpha=alpha), D)
    assert -np.log10(loss[1] / loss[0]) == pytest.approx(alpha / (1 + alpha), abs=2e-3)


@pytest.mark.parametrize("form", [max_form, smooth_form])
@given(n=st.floats(4, 10), d=st.floats(4, 10), alpha=st.floats(0.1, 1.5))
def test_joint_slopes_agree_with_finite_differences(form, n, d, alpha):
    """Central differences in ln N and ln D, h = 1e-5: error h^2 and eps / h."""
    model = QuantaModel(alpha=alpha, capacity=300, threshold=50, a=0.1)
    N, D, h = 10**n, 10**d, 1e-5
    found = form(model, N, D)
    by_params = form(model, N * np.exp([h, -h]), D).loss
    by_samples = form(model, N, D * np.exp([h, -h])).loss
    assert found.dN * N == pytest.approx((by_params[0] - by_params[1]) / (2 * h), abs=1e-7)
    assert found.dD * D == pytest.approx((by_samples[0] - by_samples[1]) / (2 * h), abs=1e-7)


@settings(max_examples=40)
@given(alpha=st.floats(0.1, 1.5))
def test_joint_forms_meet_each_law_alone(alpha):
    """With the other resource 1e30-fold both tend to the law of the scarce one."""
    model = QuantaModel(alpha=alpha, capacity=300, threshold=50, a=0.1)
    for by, N, D in (("N", 1e8, 1e300), ("D", 1e300, 1e8)):
        exponent, prefactor = leading_law(model, by)
        for form in (max_form, smooth_form):
            assert form(model, N, D).loss - 0.1 == pytest.approx(
                prefactor * 1e8**-exponent, rel=1e-9
            )


def test_smooth_form_is_above_the_max_form():
    model = QuantaModel(alpha=0.4, capacity=300, threshold=50)
    N, D = np.logspace(3, 9, 7)[:, None], np.logspace(3, 9, 7)
    assert (smooth_form(model, N, D).loss > max_form(model, N, D).loss).all()
    assert max_form(model, N, D).dN.shape == (7, 7)


def test_exact_joint_loss_is_that_of_the_scarcer_resource():
    model = QuantaModel(alpha=0.4, capacity=300, threshold=50, n_tasks=500)
    N, D = 3e4, np.logspace(2, 9, 8)
    single = np.maximum(predict_loss(model, "N", N), predict_loss(model, "D", D))
    np.testing.assert_array_equal(joint_loss(model, N, D), single)


def test_chinchilla_form_at_the_published_parameters():
    """ArXiv 2203.15556 equation 10: 70e9 parameters and 1.4e12 tokens, by hand."""
    found = chinchilla_form(70e9, 1.4e12, E=1.69, A=406.4, B=410.7, alpha_N=0.34, alpha_D=0.28)
    assert found.loss == pytest.approx(1.69 + 406.4 * 70e9**-0.34 + 410.7 * 1.4e12**-0.28)
    assert found.dN == pytest.approx(-0.34 * 406.4 * 70e9**-1.34)
    assert found.dD == pytest.approx(-0.28 * 410.7 * 1.4e12**-1.28)


@settings(max_examples=40)
@given(alpha=st.floats(0.05, 3), n=st.floats(0.01, 450), n_tasks=st.sampled_from([500.0, math.inf]))
def test_loss_gives_back_n_and_alpha(alpha, n, n_tasks):
    """Bisection to the last digit; conditioning of n is 1 / local slope, of the loss eps."""
    loss = 0.1 + 1.9 * tail(n, alpha, n_tasks=n_tasks)
    share = float(tail(n, alpha, n_tasks=n_tasks))
    slope = float(local_slope(n, alpha, n_tasks=n_tasks))
    worst = 1e-14 / share / min(slope, 1)  # eps of the loss, seen from a small share above a
    found = quanta_from_loss(loss, alpha, a=0.1, b=2.0, n_tasks=n_tasks)
    assert found == pytest.approx(n, rel=1e-12 + worst)
    if 1e-6 < share < 1 - 1e-6:
        again = alpha_from_loss(loss, n, a=0.1, b=2.0, n_tasks=n_tasks)
        assert again == pytest.approx(alpha, rel=1e-7)


def test_intervals_pass_through():
    n = quanta_from_loss([0.30, 0.32, 0.34], 0.4)
    assert n.shape == (3,)
    assert n[0] > n[1] > n[2]
    assert capacity_from_quanta(1e6, n).shape == (3,)


@settings(max_examples=30)
@given(slope=st.floats(0.25, 5))
def test_fitted_slope_is_inverted(slope):
    alpha = alpha_from_fitted_slope(slope, n_tasks=500)
    assert fitted_slope(alpha, n_tasks=500) == pytest.approx(slope, rel=1e-12)


@given(alpha=ALPHAS, n=st.floats(1, 1e4))
def test_unit_costs_are_recovered(alpha, n):
    model = QuantaModel(alpha=alpha, capacity=300, threshold=50, first_step=7, n_tasks=1e5)
    S = 7 * n ** (alpha + 1)
    D = 50 * normaliser(alpha, n_tasks=1e5) * n ** (alpha + 1)
    assert learned_quanta(model, "S", S) == pytest.approx(n, rel=1e-12)
    assert capacity_from_quanta(300 * n, n) == pytest.approx(300)
    assert threshold_from_quanta(D, n, alpha, n_tasks=1e5) == pytest.approx(50, rel=1e-12)
    assert first_step_from_quanta(S, n, alpha) == pytest.approx(7, rel=1e-12)


def test_two_losses_of_a_power_law_give_its_exponent():
    alpha = alpha_from_two_losses([0.1 + 10**-0.4, 0.1 + 100**-0.4], [10, 100], a=0.1)
    assert alpha == pytest.approx(0.4, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: QuantaModel(alpha=-1), "alpha: -1 found"),
        (lambda: QuantaModel(alpha=0.4, b=0.0), "b: 0 found"),
        (lambda: QuantaModel(alpha=0.4, capacity=math.nan), "capacity: nan found"),
        (lambda: learned_quanta(QuantaModel(alpha=0.4), "X", 1), "by: 'X' found"),
        (lambda: learned_quanta(QuantaModel(alpha=0.4), "N", -1), "N: -1 found"),
        (lambda: alpha_from_exponent(1.2, kind="alpha_D"), "alpha_D: 1.2 found"),
        (lambda: alpha_from_exponent(1.2, kind="beta"), "kind: 'beta' found"),
        (lambda: quanta_from_loss(1.2, 0.4), "loss: 1.2 found"),
        (lambda: quanta_from_loss(0.0, 0.4), "0 is a, which no finite number"),
        (lambda: alpha_from_fitted_slope(0.1, n_tasks=500), "slope: 0.1 found"),
        (lambda: alpha_from_loss(0.5, 400, n_tasks=500), "0.5 found"),
        (lambda: alpha_from_loss(0.5, 500, n_tasks=500), "n_tasks - n: 0 found"),
        (lambda: fitted_slope(0.4, n_lo=5, n_hi=5), "n_lo, n_hi"),
        (lambda: local_slope(500, 0.4, n_tasks=500), "below n_tasks"),
        (lambda: fitted_exponent(QuantaModel(alpha=1), "N", [1.0]), "2 or more"),
        (lambda: loss_by_chance(QuantaModel(alpha=1, gain_drift=1), 1), "gain_drift"),
        (lambda: max_form(QuantaModel(alpha=1), 0, 1), "n_params: 0 found"),
        (lambda: alpha_from_two_losses([1, 2, 3], [1, 2, 3]), "two losses"),
    ],
)
def test_out_of_range_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: QuantaModel(alpha="0.4x"), "alpha: '0.4x'"),
        (lambda: QuantaModel(alpha=0.4, a=-np.inf), "a: -inf found; allowed: finite numbers"),
        (lambda: QuantaModel(alpha=0.4, b=np.inf), "b: inf found; allowed: finite numbers > 0"),
        (lambda: QuantaModel(alpha=0.4, capacity=np.inf), "capacity: inf"),
        (lambda: predict_loss(QuantaModel(alpha=0.4), "N", {}), "N: {}"),
        (lambda: alpha_from_exponent("steep", kind="alpha_D"), "alpha_D: 'steep'"),
        (lambda: alpha_from_exponent(1.0, kind="alpha_D"), "above 0 and below 1$"),
        (lambda: alpha_from_exponent(1.0, kind="zipf_exponent"), "above 1$"),
        (lambda: fitted_slope(0.4, n_tasks=2, n_hi=1), "n_tasks: 2 found; allowed: >= 3"),
        (lambda: quanta_from_loss(0.5, 0.4, b=np.inf), "b: inf found; allowed: finite"),
    ],
)
def test_wrong_types_and_open_ends_are_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
