"""Planted families over steps: noise does not emerge, and skills come in the order of their use."""

import numpy as np
import pytest
from scipy import stats

from quantascope.core.rng import stream
from quantascope.families.classes import classify
from quantascope.families.emergence import find_emergence
from quantascope.families.order import crossing_bounds, learned_order
from quantascope.theory.families import FamilyConfig, sample_family
from tests.families_worlds import make_series

STEPS = tuple(np.geomspace(1e2, 1e5, 16))
SEEDS = tuple(range(10))
N_SKILLS = 60


def skill_losses(alpha: float, *, shift: float = 0.4, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Losses of skills, axes ``skill seed step``, and their frequencies."""
    config = FamilyConfig(
        alpha=alpha, n_quanta=N_SKILLS, n_params=(1e9,), n_steps=STEPS, seeds=SEEDS,
        first_step=600.0, quantum_shift=shift, run_shift=0.1, gain=3.0, n_samples=1,
    )  # fmt: skip
    made = sample_family(config, seed=seed)
    strength = made.strength.reshape(len(SEEDS), len(STEPS), N_SKILLS)
    return 3.0 * (1 - strength.transpose(2, 0, 1)), made.frequency


@pytest.mark.parametrize("alpha", [0.3, 0.8])
def test_the_step_learned_goes_as_one_over_frequency_over_ten_seeds(alpha):
    losses, frequency = skill_losses(alpha)
    slopes, dropped, order = [], [], []
    for of_seed in losses.transpose(1, 0, 2):
        earliest, latest = crossing_bounds(STEPS, of_seed, 0.2)
        found = learned_order(frequency, earliest, latest)
        slopes.append(found.slope.exponent)
        order.append(found.correlation)
        seen = np.isfinite(latest)
        dropped.append(stats.linregress(np.log(frequency[seen]), np.log(latest[seen])).slope)
        assert found.n_learned < N_SKILLS  # some are not learned by the last step
    half = stats.t.ppf(0.995, 9) * np.std(slopes, ddof=1) / np.sqrt(10)
    assert abs(np.mean(slopes) + 1) < half + 0.02
    assert np.mean(order) > 0.7  # those not learned tie
    # the twin: without those not learned the slope is too flat
    assert np.mean(dropped) > np.mean(slopes) + 0.05


def test_the_interval_of_one_seed_holds_minus_one_in_most_seeds():
    hits = []
    for seed in range(2):
        losses, frequency = skill_losses(0.5, seed=seed)
        for of_seed in losses.transpose(1, 0, 2):
            slope = learned_order(frequency, *crossing_bounds(STEPS, of_seed, 0.2)).slope
            hits.append(slope.lo <= -1 <= slope.hi)
    # the shift that runs share moves no slope: 3 sigma of 20 below .95
    assert np.mean(hits) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 20)


def test_an_order_that_says_nothing_has_no_correlation():
    losses, frequency = skill_losses(0.5)
    mixed = stream(0, "mixed").permutation(N_SKILLS)
    earliest, latest = crossing_bounds(STEPS, losses[mixed].mean(axis=1), 0.2)
    found = learned_order(frequency, earliest, latest)
    assert found.lo < 0.2 and found.hi > -0.2  # noqa: PT018  (an interval around 0)
    assert abs(found.correlation) < 4 / np.sqrt(N_SKILLS)


def test_noise_predictions_emerge_at_most_at_the_nominal_rate():
    """400 skills' predictions that fall among 600 of noise; runs shift all of them together."""
    rng = stream(1, "noise predictions")
    skills, _ = skill_losses(0.5)
    rows = rng.integers(N_SKILLS, size=400)
    answers = skills[rows]
    noise = np.full((600, len(SEEDS), len(STEPS)), 3.0)
    losses = np.concatenate([answers, noise]) + 0.15 * rng.standard_normal((1000, 1, 1))
    losses = losses + 0.2 * rng.standard_normal(losses.shape)
    losses += 0.1 * rng.standard_normal((1, *losses.shape[1:])) * rng.standard_normal((1000, 1, 1))
    series = make_series(np.abs(losses), n_runs=len(SEEDS), tracked=True)
    classes = classify(series)
    called = classes.name != "flat"
    falls = skills[:, :, 0].mean(axis=1) - skills[:, :, -1].mean(axis=1) > 1
    assert called[:400][falls[rows]].mean() > 0.95
    expected = 0.05 * called.sum()  # at most this share of claims is false, in the mean
    assert called[400:].sum() <= expected + 4 * np.sqrt(expected)
    emerged = find_emergence(series, threshold=0.8)
    learned = emerged.learned & np.isfinite(emerged.hi) & called
    assert learned[400:].sum() == 0
    assert learned[:400].sum() > 50


def test_a_curve_that_comes_back_is_learned_when_it_stays():
    loss = np.array([[3.0, 0.1, 3.0, 0.1], [np.nan, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, np.nan]])
    earliest, latest = crossing_bounds([1, 2, 4, 8], loss, 0.2)
    assert earliest.tolist() == [4, 1, 8]
    assert latest.tolist() == [8, 2, np.inf]
