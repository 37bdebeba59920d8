"""Skills that need others: the simulator keeps its laws, and the measures say what was planted."""

import numpy as np
import pytest

from quantascope.theory.skills import strength_in_time
from quantascope.toys.dependency import (
    domino_overlap,
    half_times,
    order_violations,
    prerequisites_of,
    rank_agreement,
    simulate_skills,
)

NONE = np.zeros((3, 3), dtype=bool)
CHAIN = np.array([[False, False, False], [True, False, False], [False, True, False]])
EVEN = np.array([0.34, 0.33, 0.33])


def test_a_skill_without_prerequisites_follows_the_logistic_curve():
    """Euler's steps of .01 p: the global error of a logistic is below the step, here .005."""
    strength = simulate_skills(np.array([0.5, 0.3, 0.2]), NONE, n_steps=4000, rate=0.01)
    steps = np.arange(4001)
    for skill, frequency in enumerate((0.5, 0.3, 0.2)):
        solved = strength_in_time(steps, frequency, initial=0.01, rate=0.005)
        assert np.abs(strength[:, skill] - solved).max() < 0.005


def test_a_chain_is_learned_in_its_order_against_frequency():
    rare_first = np.array([0.1, 0.3, 0.6])
    free = half_times(np.arange(40_001.0), simulate_skills(rare_first, NONE, n_steps=40_000))
    bound = half_times(np.arange(40_001.0), simulate_skills(rare_first, CHAIN, n_steps=40_000))
    assert rank_agreement(free, rare_first) == pytest.approx(1.0)
    assert rank_agreement(bound, rare_first) == pytest.approx(-1.0)
    assert order_violations(bound, CHAIN) == 0.0
    assert order_violations(free, CHAIN) == 1.0


def test_a_chain_falls_like_dominoes_and_independent_skills_of_equal_use_do_not():
    steps = np.arange(20_001.0)
    settings = {"n_steps": 20_000, "initial": 0.001}
    assert domino_overlap(steps, simulate_skills(EVEN, NONE, **settings)) > 0.85
    assert domino_overlap(steps, simulate_skills(EVEN, CHAIN, **settings)) < 0.05


def test_sharing_speeds_up_what_is_rare():
    """Alone a skill of use .1 takes six times the steps of one of .6; sharing lets it catch up."""
    uses, steps = np.array([0.6, 0.3, 0.1]), np.arange(20_001.0)
    free, shared = (
        half_times(steps, simulate_skills(uses, NONE, n_steps=20_000, sharing=sharing))
        for sharing in ("none", "all")
    )
    assert free[2] / free[0] == pytest.approx(6.0, rel=0.05)
    assert shared[2] / shared[0] < 3.0


def test_nothing_left_to_learn_is_no_division_by_zero():
    strength = simulate_skills(
        np.array([0.7, 0.3]), NONE[:2, :2], n_steps=1500, rate=1.0, sharing="all"
    )
    assert np.isfinite(strength).all()
    assert strength[-1] == pytest.approx(1.0)


def test_half_times_are_interpolated_and_infinite_where_never_reached():
    steps, curves = (
        np.array([0.0, 10.0, 20.0]),
        np.array([[0.0, 0.9, 0.0], [0.4, 1, 0], [0.6, 1, 0]]),
    )
    assert half_times(steps, curves).tolist() == [15.0, 0.0, np.inf]
    assert np.isnan(rank_agreement(half_times(steps, curves), np.ones(3)))
    assert np.isnan(order_violations(np.array([np.inf] * 3), CHAIN))
    assert np.isnan(domino_overlap(steps, curves[:, :1]))


def test_prerequisites_are_proper_subsets():
    counted = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]], dtype=bool)
    needs = prerequisites_of(counted)
    assert np.argwhere(needs).tolist() == [[2, 0], [2, 1], [2, 3]]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"rate": 0.0}, "n_steps, rate"),
        ({"initial": 1.0}, "n_steps, rate, initial"),
        ({"sharing": "al"}, "sharing"),
        ({"prerequisites": CHAIN | CHAIN.T}, "prerequisites"),
    ],
)
def test_what_cannot_be_simulated_is_refused(changes, named):
    settings = {"prerequisites": CHAIN, "n_steps": 5} | changes
    with pytest.raises(ValueError, match=f"^{named}"):
        simulate_skills(EVEN, settings.pop("prerequisites"), **settings)
