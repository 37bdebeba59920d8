"""Times with bounds and censored fits recover what was planted; the published rule does not."""

import numpy as np
import pytest

from quantascope.laws.censored import fit_censored_power_law
from quantascope.toys.estimators import (
    best_evaluation,
    convergence_bounds,
    count_learned,
    fit_by_seed,
    fit_convergence,
    fit_convergence_published,
    onset,
)
from quantascope.toys.multilinear import train_multilinear

FREQUENCIES = np.arange(1, 101) ** -1.4 / (np.arange(1, 101) ** -1.4).sum()
LOOKS = np.unique(np.geomspace(50, 2e4, 60).round())
TRUE = -1.0


def planted(seed, spread=0.6):
    """Draw times of a hundred subtasks, seen at 60 looks; many come after the last."""
    noise = np.random.default_rng(seed).normal(size=100)
    times = 200 * FREQUENCIES**TRUE * np.exp(spread * noise)
    place = np.searchsorted(LOOKS, times)
    seen = place < len(LOOKS)
    latest = np.where(seen, LOOKS[np.minimum(place, len(LOOKS) - 1)], np.inf)
    earliest = np.where(place > 0, LOOKS[np.maximum(place - 1, 0)], 0.0)
    return earliest, latest


def test_the_censored_fit_recovers_the_exponent_that_the_published_rule_flattens():
    """40 worlds: the mean of ours within 4 standard errors; the published rule is 6 away."""
    ours, published = [], []
    for seed in range(40):
        earliest, latest = planted(seed)
        ours.append(fit_convergence(FREQUENCIES, earliest, latest).exponent)
        published.append(fit_convergence_published(FREQUENCIES, latest).exponent)
    error = np.std(ours, ddof=1) / np.sqrt(40)
    assert abs(np.mean(ours) - TRUE) < 4 * error
    other = np.std(published, ddof=1) / np.sqrt(40)
    assert np.mean(published) - TRUE > 6 * other


def test_ninety_five_percent_intervals_cover():
    """40 worlds: at least 33 cover, below that by chance in 3 of 10,000 at a true 95 %."""
    covered = 0
    for seed in range(40):
        fit = fit_convergence(FREQUENCIES, *planted(seed))
        covered += fit.lo <= TRUE <= fit.hi
    assert covered >= 33


def test_exact_times_give_the_least_squares_line():
    """With nothing censored the likelihood's maximum is that of least squares."""
    rng = np.random.default_rng(3)
    times = 5 * FREQUENCIES**-0.7 * np.exp(0.2 * rng.normal(size=100))
    fit = fit_censored_power_law(FREQUENCIES, times, times)
    slope, level = np.polyfit(np.log(FREQUENCIES), np.log(times), 1)
    assert fit.exponent == pytest.approx(slope, abs=1e-6)
    assert fit.prefactor == pytest.approx(np.exp(level), rel=1e-5)
    assert fit.lo < fit.exponent < fit.hi


def test_units_of_time_change_the_prefactor_alone():
    earliest, latest = planted(1)
    fit, scaled = (fit_convergence(FREQUENCIES, earliest * c, latest * c) for c in (1.0, 1000.0))
    assert scaled.exponent == pytest.approx(fit.exponent, abs=1e-5)
    assert scaled.prefactor == pytest.approx(1000 * fit.prefactor, rel=1e-4)
    assert scaled.lo == pytest.approx(fit.lo, abs=1e-4)


@pytest.mark.parametrize(
    ("earliest", "latest", "reason"),
    [
        ([1.0, 1.0, 1.0, 1.0], [np.inf] * 4, "0 times"),
        ([1.0, 2.0, 4.0, 8.0], [1.0, 2.0, np.inf, np.inf], "2 times"),
        ([1.0, 2.0, 4.0, 8.0], [1.0, 2.0, 4.0, 8.0], "exactly"),
    ],
)
def test_what_identifies_nothing_says_so(earliest, latest, reason):
    fit = fit_censored_power_law([1.0, 0.5, 0.25, 0.125], earliest, latest)
    assert not fit.identified
    assert reason in fit.reason


@pytest.mark.parametrize(
    ("x", "earliest", "latest"),
    [
        ([1.0], [1.0, 2.0], [1.0, 2.0]),
        ([1.0, -1.0], [1.0, 2.0], [1.0, 2.0]),
        ([1.0, 2.0], [3.0, 2.0], [1.0, 2.0]),
        ([1.0, 2.0], [np.nan, 2.0], [1.0, 2.0]),
    ],
)
def test_bounds_that_make_no_sense_are_refused(x, earliest, latest):
    with pytest.raises(ValueError, match=r"^(x|earliest|x, earliest)"):
        fit_censored_power_law(x, earliest, latest)


def test_bounds_are_the_looks_around_the_first_fall():
    losses = np.array([[0.7, 0.7, 0.01], [0.7, 0.01, 0.01], [0.01, 0.7, 0.01], [np.nan] * 3])
    earliest, latest = convergence_bounds(np.array([10, 20, 30, 40]), losses)
    assert earliest.tolist() == [20.0, 10.0, 0.0]
    assert latest.tolist() == [30.0, 20.0, 10.0]
    never, open_ended = convergence_bounds(np.array([10, 20, 30, 40]), losses + 1)
    assert never.tolist() == [30.0] * 3
    assert np.isinf(open_ended).all()


def test_choosing_on_validation_reports_the_other_half():
    validation, test = np.array([0.4, 0.3, 0.35, np.nan]), np.array([0.5, 0.36, 0.34, np.nan])
    assert test[best_evaluation(validation)] == 0.36  # the least test loss is .34


def test_counts_and_onset():
    losses = np.array([[0.5, 0.05, 0.2], [0.2, 0.3, 0.2]])
    assert count_learned(losses, threshold_nats=0.1) == 1
    assert onset(np.log(2) * np.array([1.0, 0.96, 0.94, 0.99])) == 2
    assert onset(np.log(2) * np.ones(3)) == 3


def test_intervals_over_seeds_are_students_over_their_exponents():
    x = np.array([1.0, 10.0, 100.0])
    rows = np.stack([x**-0.4, x**-0.5, x**-0.6])
    fit = fit_by_seed(x, rows)
    assert fit.exponent == pytest.approx(-0.5)
    half = 4.302653 * 0.1 / np.sqrt(3)  # t of 2 degrees of freedom, Student's table
    assert fit.hi - fit.exponent == pytest.approx(half, rel=1e-5)
    assert "3 seeds" in fit.method


def test_a_skill_that_is_never_shown_is_never_learned():
    steps, strengths = train_multilinear(
        np.array([1.0, 0.0]), n_steps=400, every=100, batch_size=10, learning_rate=0.1
    )
    assert steps.tolist() == [0, 100, 200, 300, 400]
    assert strengths[-1, 0] == pytest.approx(1.0, abs=1e-6)
    assert strengths[:, 1] == pytest.approx(0.01)
