"""Laws of power-law tails: exact likelihood, honest intervals, a cut-off found, golden numbers."""

import numpy as np
import pytest
from scipy.special import zeta
from scipy.stats import binom

from quantascope.core.rng import stream
from quantascope.core.special import hurwitz_zeta
from quantascope.laws.tails import choose_xmin, fit_power_tail, rank_size_slope
from quantascope.laws.tails.power import (
    draw_power_law,
    log_survival,
    solve_exponent,
    zeta_moments,
)


def draw(exponent, n, *, xmin=1.0, discrete=True, seed=0):
    rng = stream(seed, "test tails")
    return draw_power_law(exponent, n, q=xmin, discrete=discrete, rng=rng)


@pytest.mark.parametrize("a", [1.05, 1.4, 2.5, 6.0, 15.0])
@pytest.mark.parametrize("q", [1.0, 2.0, 7.0, 100.0, 1e6])
def test_moments_of_log_x_are_derivatives_of_log_zeta(a, q):
    """Bound: hurwitz_zeta states 1e-12 for each; the variance loses digits by cancellation."""
    value, first, second = (float(hurwitz_zeta(a, q, derivative=k)) for k in range(3))
    found = zeta_moments(a, q)
    assert found.log_zeta == pytest.approx(np.log(value), rel=1e-12, abs=1e-12)
    assert found.excess == pytest.approx(-first / value - np.log(q), rel=1e-9)
    cancelled = 1e-12 * (second / value) / float(found.variance)
    assert found.variance == pytest.approx(second / value - (first / value) ** 2, rel=cancelled)


@pytest.mark.parametrize("q", [1.0, 5.0, 1000.0, 1e8])
def test_the_likelihood_equation_is_solved_from_heavy_to_steep(q):
    a = np.array([1.001, 1.01, 1.5, 3.0, 10.0, 40.0, 200.0])
    found, _ = solve_exponent(zeta_moments(a, q).excess, q, discrete=True)
    np.testing.assert_allclose(found, a, rtol=1e-11)


def test_draws_follow_the_exact_distribution():
    """Chi-squared over 1..20 and beyond: 20 degrees of freedom, false alarm 1e-6 above 69."""
    n, a = 200_000, 2.2
    x = draw(a, n)
    share = np.append(np.arange(1, 21) ** -a, zeta(a, 21)) / zeta(a, 1)
    seen = np.append([(x == k).sum() for k in range(1, 21)], (x > 20).sum())
    assert ((seen - n * share) ** 2 / (n * share)).sum() < 69
    assert set(draw(a, 50, xmin=1)) <= set(range(1, 10**6))
    far = np.arange(3000.0, 9000.0, 500)  # across the end of the table
    expected = np.exp(log_survival(far, 1.3, 1.0, discrete=True))
    found = np.array([(draw(1.3, n) >= k).mean() for k in far])
    assert (np.abs(found - expected) < 5.3 * np.sqrt(expected / n)).all()


def test_five_thousand_draws_at_exponent_1_5():
    """Golden: standard error .0073 from the Fisher information at 1.5; estimate within 5 of it."""
    fit = fit_power_tail(draw(1.5, 5000), xmin=1)
    information = float(zeta_moments(1.5, 1.0).variance)
    assert 1 / np.sqrt(5000 * information) == pytest.approx(0.0072, abs=1e-4)
    assert fit.stderr == pytest.approx(0.0073, abs=2e-4)
    assert abs(fit.exponent - 1.5) < 5 * fit.stderr
    assert fit.lo < fit.exponent < fit.hi
    assert fit.hi - fit.lo == pytest.approx(2 * 1.96 * fit.stderr, rel=0.02)


def test_ranks_drawn_by_the_quantization_model_give_alpha_plus_one():
    alpha = 0.4
    fit = fit_power_tail(draw(alpha + 1, 20_000), xmin=1)
    assert abs(fit.exponent - (alpha + 1)) < 5 * fit.stderr


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("n", [30, 1000])
def test_the_profile_interval_covers_at_its_rate(discrete, n):
    """400 samples: coverage within 3.3 sigma of 95 %, false alarm 1e-3 a case at a fixed seed."""
    hits = 0
    for seed in range(400):
        x = draw(2.0, n, xmin=3.0, discrete=discrete, seed=seed)
        fit = fit_power_tail(x, xmin=3.0, discrete=discrete)
        hits += fit.lo <= 2.0 <= fit.hi
    assert binom.ppf(5e-4, 400, 0.95) <= hits <= binom.ppf(1 - 5e-4, 400, 0.95)


def test_counts_are_repeats():
    x = draw(1.8, 3000)
    values, counts = np.unique(x, return_counts=True)
    assert fit_power_tail(values, counts=counts) == fit_power_tail(x)


def test_the_cut_off_is_where_the_power_law_begins():
    """Body uniform on 1..19, tail exponent 2.5 from 20; the KS scan lands near 20."""
    rng = stream(1, "body")
    x = np.concatenate([rng.integers(1, 20, 4000), draw(2.5, 4000, xmin=20.0)])
    fit = fit_power_tail(x)
    assert 18 <= fit.xmin <= 30
    assert abs(fit.exponent - 2.5) < 5 * fit.stderr
    assert fit_power_tail(x, xmin=1).exponent < 2  # without the cut-off it is far off


def test_a_thinned_scan_finds_nearly_the_best_cut_off():
    x = draw(2.5, 3000, discrete=False)
    full, thin = choose_xmin(x, max_cutoffs=3000), choose_xmin(x, max_cutoffs=100)
    assert len(thin.xmin) <= 100 < len(full.xmin)
    assert full.ks.min() <= thin.ks.min() < 1.5 * full.ks.min()


def test_ks_is_the_largest_distance_at_every_whole_number():
    x = np.array([1, 1, 1, 2, 2, 5, 9, 40])
    fit = fit_power_tail(x, xmin=1)
    k = np.arange(1, 200.0)
    model = 1 - zeta(fit.exponent, k + 1) / zeta(fit.exponent, 1)
    data = (x[None, :] <= k[:, None]).mean(axis=1)
    assert fit.ks == pytest.approx(np.abs(model - data).max(), rel=1e-12)


@pytest.mark.parametrize(
    ("values", "xmin", "reason"),
    [
        ([7], 1, "one value at or above xmin 1, 7"),
        ([3, 3, 3], 3, "one distinct value at or above xmin 3"),
        ([3, 3, 3], None, "one distinct value, 3"),
        ([1, 2], 1e9, "no value at or above xmin 1e+09"),
        ([0, 0, 0], None, "one distinct value, 0"),
        ([1, 2, 3], None, "no cut-off"),
        ([1e9, 1e9 + 1] * 20, None, "too narrow"),
    ],
)
def test_no_tail_is_a_result_with_its_reason(values, xmin, reason):
    fit = fit_power_tail(values, xmin=xmin)
    assert not fit.identified
    assert reason in fit.reason
    assert np.isnan(fit.exponent)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"values": []}, "values: none"),
        ({"values": [1, -2]}, "values: -2 found at place 2"),
        ({"values": [1, np.nan]}, "place 2"),
        ({"values": [1, 2.5], "discrete": True}, "2.5 found"),
        ({"values": [1, 2], "xmin": 0}, "xmin: 0"),
        ({"values": [1, 2], "xmin": 1.5}, "whole numbers >= 1"),
        ({"values": [1, 2], "xmin": np.inf}, "xmin: inf"),
        ({"values": [1.5, 2], "xmin": -1}, "xmin: -1"),
        ({"values": [1, 2], "counts": [1]}, "counts: 1 found for 2"),
        ({"values": [1, 2], "counts": [1, 0.5]}, "counts: 0.5"),
        ({"values": [1, 2], "counts": [0, 0]}, "all are zero"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        fit_power_tail(**arguments)


def test_rank_size_regression_states_its_bias():
    """Merged ties at 5,000 draws of 1.5: slope near 2.35 where 2.0 is true."""
    slopes = [rank_size_slope(draw(1.5, 5000, seed=seed), ties="merge") for seed in range(3)]
    assert np.mean([found.slope for found in slopes]) == pytest.approx(2.35, abs=0.12)
    for found in slopes:
        assert found.bias_hi < -0.05
        assert "biased by -0.0" in found.warning
        assert found.lo < 1.5 < found.hi  # with the bias taken off it is usable
        assert abs(found.mle - 1.5) < 5 * 0.0073
    kept = rank_size_slope(draw(1.5, 5000))
    assert abs(kept.bias) < 0.02
    assert not rank_size_slope([3, 3], xmin=3).identified
    assert kept.n_simulated == kept.n == 5000
    with pytest.raises(ValueError, match="ties"):
        rank_size_slope([1, 2], ties="drop")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"values": "many"}, "values: 'many'"),
        ({"values": [[1, 2], [3]]}, "values"),
        ({"values": [1, 2], "counts": ["a", "b"]}, "counts"),
        ({"values": [1, 2, 3], "xmin": "1"}, "xmin: '1'"),
    ],
)
def test_wrong_types_are_one_line(arguments, word):
    with pytest.raises(ValueError, match=word) as caught:
        fit_power_tail(**arguments)
    assert "\n" not in str(caught.value)


def test_a_larger_sample_than_is_simulated_says_so():
    """The simulated samples have 100,000 values; the interval is theirs."""
    found = rank_size_slope([1.0, 2.0, 3.0, 4.0], counts=[90_000, 30_000, 20_000, 10_000])
    assert found.n_simulated == 100_000 < found.n == 150_000
    assert "of 150000 only so many" in found.warning
