"""Breakdown of a power law: planted cases are told apart, and straight lines are left alone."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.theory.breakdown import tell_breakdown
from quantascope.theory.breaks import (
    discontinuity_loss,
    hole_loss,
    noise_floor_loss,
    overfitting_loss,
    periodic_loss,
)

N = np.geomspace(1e2, 1e8, 19)

PLANTED = {
    "overfitting": (overfitting_loss(N, dim=8, n_samples=1e7, noise=1.0), "overfitting"),
    "floor": (noise_floor_loss(N, dim=8, floor=0.003), "noise floor"),
    "discontinuity": (discontinuity_loss(N, dim=4, jump=0.003), "topology"),
    "period, its plateau": (periodic_loss(N, dim=4, period=0.03), "onset"),
    "plateau": (1 / (1 + (N / 1e5) ** 0.5), "onset"),
    "rise before the fall": (1 / ((N / 1e4) ** -0.2 + (N / 1e4) ** 0.4), "onset"),
    "steepening": (1 / ((N / 1e5) ** 0.25 + (N / 1e5) ** 0.75), "topology"),
    "rise alone": (1 / (N**-0.4 + 0.01 * N**-0.1), "not identified"),
    "holes, finer is simpler": (
        hole_loss(N, dim=4, coarse_dim=8, n_resolved=1e5),
        "topology",
    ),
    "holes, finer is richer": (
        hole_loss(N, dim=8, coarse_dim=4, n_resolved=1e5),
        "topology",
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_planted_breaks_are_named_under_noise(case):
    """3 % noise of the loss, 20 seeds, p < .01: a wrong name in at most 2 (mean .2, P 1e-3)."""
    loss, truth = PLANTED[case]
    wrong = 0
    for seed in range(20):
        noisy = loss * np.exp(0.03 * stream(seed, "break", case).standard_normal(len(N)))
        wrong += tell_breakdown(N, noisy).verdict != truth
    assert wrong <= 2


def test_straight_lines_are_called_so_at_the_level():
    """400 pure power laws, level .05: 20 expected, sd 4.4, five of them."""
    wrong = sum(
        tell_breakdown(
            N, N**-0.3 * np.exp(0.05 * stream(seed, "line").standard_normal(len(N))), level=0.05
        ).verdict
        != "power law"
        for seed in range(400)
    )
    assert abs(wrong - 20) <= 22


def test_exponents_of_both_ends_are_recovered_without_noise():
    """Topology of a jump: 4/d early, 1/d late; rounding of logs is 1e-14."""
    found = tell_breakdown(N, discontinuity_loss(N, dim=4, jump=0.003))
    assert found.early == pytest.approx(1.0, abs=1e-6)
    assert found.late == pytest.approx(0.25, abs=1e-6)
    assert found.late_lo <= found.late <= found.late_hi


def test_the_turn_is_where_both_powers_are_equal():
    found = tell_breakdown(N, hole_loss(N, dim=4, coarse_dim=8, n_resolved=1e5))
    assert found.n_turn == pytest.approx(1e5, rel=1e-5)


def test_interval_of_the_late_exponent_covers():
    """200 floors with noise: 95 % intervals cover zero, five binomial sd is 7.7 %."""
    loss = noise_floor_loss(N, dim=4, floor=1e-3)
    found = [
        tell_breakdown(N, loss * np.exp(0.03 * stream(seed, "cover").standard_normal(len(N))))
        for seed in range(200)
    ]
    assert np.mean([f.late_lo <= 0 <= f.late_hi for f in found]) > 0.95 - 0.077


def test_a_jump_gives_the_predicted_error_in_an_experiment():
    """Least squares in the one cell of N that a step cuts, d = 1, 400 places of the step.

    Cut at a share u the cell has error q - 3 q^2, q = u (1 - u), in the mean over u 1/6 - 3/30 =
    1/15, so the law is N^-1 / 15. Five standard errors of the mean; sums over m midpoints place the
    step within 1/(2m), and the error's slope in u is at most 1: 7.5/m of 1/15.
    """
    m, x = 500, (np.arange(500) + 0.5) / 500
    basis = np.linalg.qr(np.stack([np.ones(m), x], axis=1))[0]
    for side in (10, 100, 1000, 10_000):
        place = stream(0, "jump", side).random(400)
        step = (x > (side * place % 1.0)[:, None]).astype(float)
        errors = ((step - step @ basis @ basis.T) ** 2).mean(axis=1) / side
        law = discontinuity_loss(side, dim=1, jump=15**-0.5) - side**-4.0
        stderr = errors.std(ddof=1) / np.sqrt(len(errors))
        assert abs(errors.mean() - law) < 5 * stderr + 7.5 / m * law


@pytest.mark.parametrize("n", [0, 1, 6])
def test_few_sizes_identify_nothing(n):
    found = tell_breakdown(N[:n], N[:n] ** -0.5)
    assert found.verdict == "not identified"
    assert "7" in found.reason


def test_repeated_sizes_count_once():
    found = tell_breakdown(np.repeat(N[:3], 5), np.repeat(N[:3], 5) ** -0.5)
    assert found.verdict == "not identified"


def test_order_and_units_do_not_matter():
    loss = noise_floor_loss(N, dim=8, floor=0.003)
    loss = loss * np.exp(0.03 * stream(3, "units").standard_normal(len(N)))
    plain, moved = tell_breakdown(N, loss), tell_breakdown(1e3 * N[::-1], 0.1 * loss[::-1])
    assert moved.verdict == plain.verdict
    assert moved.late == pytest.approx(plain.late, abs=1e-5)


@pytest.mark.parametrize(
    ("n_params", "loss", "word"),
    [
        ([1.0, 2.0], [1.0], "shapes"),
        ([1.0, -2.0], [1.0, 1.0], "positive"),
        ([1.0, 2.0], [1.0, np.nan], "positive"),
        (3.0, 1.0, "shapes"),
    ],
)
def test_bad_arguments_are_named(n_params, loss, word):
    with pytest.raises(ValueError, match=word):
        tell_breakdown(n_params, loss)


def test_bad_level_and_sizes_are_named():
    with pytest.raises(ValueError, match="level"):
        tell_breakdown(N, N**-0.5, level=0.0)
    with pytest.raises(ValueError, match="n_params"):
        noise_floor_loss([0.0], dim=2, floor=0.1)
