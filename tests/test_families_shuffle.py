"""The exact test of change: its level holds for any noise and any effect shared by a run."""

from itertools import permutations

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.families.shuffle import shuffle_test
from tests.families_worlds import make_series

N = 20_000


def share(p, t):
    """Give the share of p-values up to t and its error where curves are independent."""
    return (p <= t).mean(), np.sqrt(t * (1 - t) / len(p))


@pytest.mark.parametrize("draw", ["standard_normal", "standard_cauchy", "standard_exponential"])
def test_pure_noise_of_any_law_is_called_changed_at_the_level(draw):
    """The shuffles are the same for all curves, but their chance is small beside 5 sigma."""
    noise = getattr(stream(0, "shuffle", draw), draw)((N, 7, 3))
    p = shuffle_test(make_series(noise, n_runs=3))
    for t in (0.5, 0.1, 0.05, 0.01):
        found, error = share(p, t)
        assert abs(found - t) < 5 * error, t


def test_with_one_run_a_size_the_level_holds_but_no_step_in_the_middle_can_be_told():
    """Two of the 35 ways to choose three runs of seven are the first three and the last."""
    noise = stream(0, "one run").standard_normal((N, 7, 1))
    p = shuffle_test(make_series(noise, n_runs=1))
    for t in (0.5, 0.1, 0.05, 0.01):
        found, error = share(p, t)
        assert found < t + 5 * error, t
    step = noise[:100] - 100 * (np.arange(7) > 2)[:, None]
    p = shuffle_test(make_series(step, n_runs=1), n_shuffles=20_000)
    assert p.min() > 2 / 35 * (1 - 5 / np.sqrt(20))  # 20 shuffles settle a curve
    assert p.mean() == pytest.approx(2 / 35, rel=5 / np.sqrt(20))


def test_p_values_are_those_of_all_orders():
    """Four runs: 24 orders; 20,000 shuffles come within 5 sigma of the exact share."""
    losses = stream(0, "orders").standard_normal((40, 4, 1))
    series = make_series(losses, n_runs=1)
    p = shuffle_test(series, n_shuffles=20_000)
    t = np.log(series.x)
    rows = np.stack([t, (t - t.mean()) ** 2, *(np.arange(4) >= k for k in (1, 2, 3))]).astype(float)
    rows -= rows.mean(axis=1, keepdims=True)
    rows[1] -= rows[0] * (rows[1] @ rows[0]) / (rows[0] @ rows[0])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for curve, found in zip(losses[:, :, 0], p, strict=True):
        values = [np.abs(rows @ curve[list(order)]).max() for order in permutations(range(4))]
        exact = np.mean(np.array(values) >= values[0] * (1 - 1e-9))
        settled_after = 20 / exact
        assert abs(found - exact) < 5 * exact / np.sqrt(min(20, 20_000 / settled_after * 20)) + 1e-3


def test_effects_shared_by_all_curves_of_a_run_leave_the_level():
    """400 families of 50 curves with an effect of nine tenths of the variance."""
    rng = stream(1, "shuffle")
    effect = rng.standard_normal((400, 1, 21)) * rng.standard_normal((400, 50, 1))
    noise = np.sqrt(0.9) * effect + np.sqrt(0.1) * rng.standard_normal((400, 50, 21))
    p = shuffle_test(make_series(noise.reshape(-1, 7, 3), n_runs=3)).reshape(400, 50)
    called = (p <= 0.05).mean(axis=1)
    assert abs(called.mean() - 0.05) < 3 * called.std() / np.sqrt(400)
    assert called.std() > 3 * np.sqrt(0.05 * 0.95 / 50)  # errors do come together


def test_checkpoints_of_a_run_cannot_be_shuffled():
    """Twin: taken as runs of their own, checkpoints that depend on the last one fail the level."""
    noise = stream(2, "shuffle").standard_normal((2000, 1, 12)).cumsum(axis=2)
    with pytest.raises(ValueError, match="series: runs with several checkpoints"):
        shuffle_test(make_series(noise, n_runs=1, tracked=True))
    p = shuffle_test(make_series(noise.reshape(2000, 12, 1), n_runs=1))
    assert share(p, 0.05)[0] > 0.5


def test_power_grows_with_the_drop_and_equal_losses_have_none():
    noise = stream(3, "shuffle").standard_normal((500, 7, 3))
    found = [
        (shuffle_test(make_series(noise - drop * np.eye(7)[:4].sum(axis=0)[:, None], n_runs=3)))
        for drop in (0, 1, 2)
    ]
    power = [(p <= 0.01).mean() for p in found]
    assert power[0] < 0.05 < power[1] < power[2]
    assert power[2] > 0.75
    assert (shuffle_test(make_series(np.full((2, 7, 3), 4.2), n_runs=3)) == 1).all()


def test_results_depend_on_the_seed_alone():
    series = make_series(stream(4, "shuffle").standard_normal((50, 7, 3)), n_runs=3)
    one, other = shuffle_test(series, seed=1), shuffle_test(series, seed=1)
    np.testing.assert_array_equal(one, other)
    part = shuffle_test(series.rows(slice(10, 20)), seed=1)
    np.testing.assert_array_equal(part, one[10:20])
    assert not np.array_equal(shuffle_test(series, seed=2), one)


def test_two_sizes_and_odd_numbers_of_shuffles_are_taken():
    series = make_series(stream(5, "shuffle").standard_normal((9, 2, 2)), n_runs=2)
    assert (shuffle_test(series, n_shuffles=7) > 1 / 8 - 1e-12).all()
    with pytest.raises(ValueError, match="n_shuffles: 0"):
        shuffle_test(series, n_shuffles=0)
