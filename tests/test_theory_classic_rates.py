"""Laws of approximation, volume, metrics and double descent: closed forms against experiments."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.theory.approximation import (
    approximation_exponent,
    cell_error,
    random_cosine_sum,
    sampled_error,
)
from quantascope.theory.descent import ridgeless_excess_risk
from quantascope.theory.metrics import (
    brier_score,
    exact_match,
    never_seen,
    onset_cross_entropy,
    power_law_cross_entropy,
    token_accuracy,
    token_edits,
)
from quantascope.theory.volume import cube_volume, lattice_volume, lattice_volume_stderr


def slope(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)[0]


@pytest.mark.parametrize("cells", ["constant", "linear"])
@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_closed_form_has_the_published_exponent(dim, cells):
    """N^-4/d and N^-2/d, arXiv 2004.10802; next order (k h)^2 < 4e-4 at 1,000 cells a side."""
    target = random_cosine_sum(dim, n_waves=2, max_frequency=2, rng=stream(0, "rate", dim))
    sides = np.array([1000, 2000, 4000])
    errors = [cell_error(target, int(m), cells=cells) for m in sides]
    rate = -float(approximation_exponent(dim, cells=cells))
    assert slope(sides.astype(float) ** dim, errors) == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("cells", ["constant", "linear"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_sampled_error_agrees_with_the_closed_form(dim, cells):
    """Five standard errors, 12 comparisons: false alarm below 1e-5."""
    rng = stream(1, "sampled", dim)
    target = random_cosine_sum(dim, n_waves=2, max_frequency=2, rng=rng)
    points = rng.random((20_000, dim))
    for n_side in (6, 40):
        found, error = sampled_error(target, n_side, points=points, cells=cells)
        assert abs(found - cell_error(target, n_side, cells=cells)) < 5 * error


def test_the_comparison_would_see_the_wrong_cells():
    """Twin: constant and linear errors differ by far more than five standard errors."""
    rng = stream(1, "sampled", 2)
    target = random_cosine_sum(2, n_waves=2, max_frequency=2, rng=rng)
    found, error = sampled_error(target, 40, points=rng.random((20_000, 2)), cells="linear")
    assert abs(found - cell_error(target, 40, cells="constant")) > 50 * error


def test_mean_square_of_the_target_bounds_a_coarse_constant_fit():
    """One wave, three cells: 2 (1 - sinc(pi / 3)) of the mean square, by hand."""
    target = random_cosine_sum(1, n_waves=1, max_frequency=1, rng=stream(0, "one"))
    square = 0.5 * target.amplitudes[0] ** 2
    expected = square * 2 * (1 - np.sin(np.pi / 3) / (np.pi / 3))
    assert cell_error(target, 3, cells="constant") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda t: cell_error(t, 4), "n_side"),
        (lambda t: cell_error(t, 9, cells="cubic"), "cells"),
        (lambda t: sampled_error(t, 0, points=np.ones((3, 1))), "n_side"),
        (lambda _: approximation_exponent(0), "dim"),
        (lambda _: approximation_exponent(2, power=0.5), "power"),
        (lambda _: random_cosine_sum(1, n_waves=3, max_frequency=2, rng=stream(0)), "n_waves"),
        (lambda _: random_cosine_sum(0, n_waves=3, max_frequency=2, rng=stream(0)), "dim"),
        (lambda _: cube_volume([1.0, -1.0], dim=2), "side"),
        (lambda _: cube_volume([1.0], dim=0), "dim"),
        (lambda _: lattice_volume_stderr([1.0], dim=1, spacing=0.0), "spacing"),
        (lambda _: ridgeless_excess_risk([0], n_samples=3, signal=1, noise=1), "n_features"),
        (lambda _: ridgeless_excess_risk([2], n_samples=3, signal=-1, noise=1), "signal"),
        (lambda _: token_accuracy([-0.1]), "cross_entropy"),
        (lambda _: token_accuracy([np.nan]), "cross_entropy"),
        (lambda _: exact_match([1.0], n_tokens=0), "n_tokens"),
        (lambda _: brier_score([1.0], n_choices=1), "n_choices"),
        (lambda _: never_seen(1.5, n_items=3), "probability"),
        (lambda _: power_law_cross_entropy([0.0], scale=1.0, exponent=1.0), "n_params"),
    ],
)
def test_bad_arguments_are_named(call, word):
    target = random_cosine_sum(1, n_waves=2, max_frequency=2, rng=stream(0, "bad"))
    with pytest.raises(ValueError, match=word) as error:
        call(target)
    assert "\n" not in str(error.value)


def test_volume_against_side_has_slope_d():
    sides = np.geomspace(0.1, 10, 7)
    for dim in (1, 3, 10):
        assert slope(sides, cube_volume(sides, dim=dim)) == pytest.approx(dim, abs=1e-12)


def test_lattice_counts_are_unbiased_with_the_stated_error():
    """20,000 offsets: mean within 5 standard errors; variance within 5 of its own, 5 * 2 %."""
    side = np.full(20_000, 2.37)
    volumes = lattice_volume(side, dim=3, spacing=0.5, rng=stream(0, "lattice"))
    error = lattice_volume_stderr(2.37, dim=3, spacing=0.5)
    assert abs(volumes.mean() - 2.37**3) < 5 * error / np.sqrt(20_000)
    assert volumes.std() == pytest.approx(float(error), rel=0.1)
    assert lattice_volume_stderr(2.5, dim=3, spacing=0.5) == 0.0


@pytest.mark.parametrize("p", [20, 40, 90, 180])
def test_double_descent_is_what_simulation_gives(p):
    """Samples 60, SNR 4, 400 draws: five standard errors of their mean."""
    n, rng = 60, stream(0, "descent", p)
    risks = []
    for _ in range(400):
        x, beta = rng.standard_normal((n, p)), rng.standard_normal(p)
        beta *= 2.0 / np.linalg.norm(beta)
        fitted = np.linalg.lstsq(x, x @ beta + rng.standard_normal(n), rcond=None)[0]
        risks.append(np.sum((fitted - beta) ** 2))
    expected = ridgeless_excess_risk(p, n_samples=n, signal=4.0, noise=1.0)
    assert abs(np.mean(risks) - expected) < 5 * np.std(risks) / np.sqrt(400)


def test_omitted_features_act_as_noise():
    """A model that sees 20 of 40 features: simulated as above."""
    n, rng, risks = 60, stream(0, "omitted"), []
    for _ in range(400):
        x, beta = rng.standard_normal((n, 40)), rng.standard_normal(40)
        y = x @ beta + rng.standard_normal(n)
        fitted = np.linalg.lstsq(x[:, :20], y, rcond=None)[0]
        risks.append(np.sum((fitted - beta[:20]) ** 2) + np.sum(beta[20:] ** 2))
    expected = ridgeless_excess_risk(20, n_samples=n, signal=20.0, noise=1.0, omitted=20.0)
    assert abs(np.mean(risks) - expected) < 5 * np.std(risks) / np.sqrt(400)


def test_double_descent_descends_rises_and_descends_again():
    p = np.array([1, 58, 60, 62, 200, 2000])
    risk = ridgeless_excess_risk(p, n_samples=60, signal=4.0, noise=1.0)
    assert np.isinf(risk[2])
    assert risk[1] > risk[0]
    assert risk[3] > risk[4]
    assert ridgeless_excess_risk(10**7, n_samples=60, signal=4.0, noise=0.0) < 4.0


def test_smooth_loss_is_zero_under_exact_match():
    """Four of 11 sizes print 0 of 100 items although the loss has slope -.3 everywhere."""
    sizes = np.geomspace(1e6, 1e11, 11)
    loss = power_law_cross_entropy(sizes, scale=1e8, exponent=0.3)
    assert slope(sizes, loss) == pytest.approx(-0.3, abs=1e-12)
    assert np.sum(np.round(100 * exact_match(loss, n_tokens=5)) == 0) == 4
    assert np.sum(np.round(100 * exact_match(loss, n_tokens=1)) == 0) == 0


def test_onset_is_where_a_success_is_as_likely_as_not():
    loss = onset_cross_entropy(n_tokens=7, n_items=250)
    assert never_seen(exact_match(loss, n_tokens=7), n_items=250) == pytest.approx(0.5, rel=1e-12)


def test_metrics_have_their_limits():
    assert token_edits(0.0, n_tokens=9) == 0.0
    assert brier_score(np.log(4.0), n_choices=4) == pytest.approx(0.75)
    assert never_seen(1.0, n_items=5) == 0.0
