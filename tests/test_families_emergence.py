"""When curves were learned: intervals cover, whatever the form of a curve that crosses once."""

import numpy as np
import pytest

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.families.emergence import find_emergence
from tests.families_worlds import make_series

N = 2000
LEVELS = np.arange(8)
X = np.geomspace(1e2, 1e5, 8)
FORMS = {
    "step": lambda u, m: np.where(u < m, 5.0, 1.0),
    "logistic": lambda u, m: 1 + 4 / (1 + np.exp((u - m) / 0.1)),
    "line": lambda u, m: 3 + 4 * (m - u),
}


def curves(form, *, n_runs, noise, seed=0, tracked=False, offset=2.0):
    """Draw curves that cross 3 nat at random places; give the truth as x."""
    rng = stream(seed, "emergence", form)
    middle = rng.uniform(0.1, 0.9, (N, 1))
    truth = FORMS[form](LEVELS / 7, middle)[:, :, None]
    losses = truth + noise * rng.standard_normal((N, 8, n_runs))
    at = X[0] * (X[-1] / X[0]) ** middle[:, 0]
    if not tracked:
        return make_series(losses, n_runs=n_runs), at
    losses += offset * noise * rng.standard_normal((N, 1, n_runs))
    return make_series((losses).transpose(0, 2, 1), n_runs=n_runs, tracked=True), at


def covered(found, at):
    return ((found.lo <= at) & (at <= found.hi)).mean()


BOUND = 0.9 - 3 * np.sqrt(0.9 * 0.1 / N)


@pytest.mark.parametrize("noise", [0.05, 0.5])
@pytest.mark.parametrize("form", FORMS)
def test_intervals_at_a_fixed_loss_cover_at_least_at_their_level(form, noise):
    series, at = curves(form, n_runs=3, noise=noise)
    assert covered(find_emergence(series, threshold=3.0, level=0.9, n_shuffles=50), at) > BOUND


@pytest.mark.parametrize("offset", [0.0, 2.0, 10.0])
def test_intervals_cover_along_steps_whatever_the_offsets_of_runs(offset):
    """In units of the noise; they are ends, not infinite, where offsets are as small as it."""
    series, at = curves("line", n_runs=3, noise=0.05, tracked=True, offset=offset)
    found = find_emergence(series, threshold=3.0, level=0.9, n_shuffles=50)
    assert covered(found, at) > BOUND
    inside = (at > X[1]) & (at < X[-2])
    assert offset > 2 or (np.isfinite(found.hi) & (found.lo > 0))[inside].mean() > 0.99


def test_offsets_left_out_would_not_be_covered():
    """Twin: runs taken as without offsets, by the error of slopes alone."""
    series, at = curves("line", n_runs=3, noise=0.05, tracked=True, offset=10.0)
    mean = series.losses.reshape(N, 3, 8).mean(axis=1)
    z = (mean - 3) / (0.05 / np.sqrt(3))
    lo = np.append(X, 0)[np.where(z > 3, LEVELS, -1).max(axis=1)]
    hi = np.append(X, np.inf)[np.where(z < -3, LEVELS, 8).min(axis=1)]
    assert ((lo <= at) & (at <= hi)).mean() < BOUND


def test_intervals_cover_from_roughness():
    """One run, straight in log x: a bend would count as noise."""
    series, at = curves("line", n_runs=1, noise=0.2)
    assert covered(find_emergence(series, threshold=3.0, level=0.9), at) > BOUND


@pytest.mark.parametrize("tracked", [False, True])
def test_intervals_at_the_middle_of_the_drop_cover(tracked):
    """A step has its middle at 3 nat; offsets of runs cancel."""
    series, at = curves("step", n_runs=3, noise=0.5, tracked=tracked)
    found = find_emergence(series, level=0.9, n_shuffles=50)
    assert covered(found, at) > BOUND
    assert (found.hi / found.lo).max() < np.inf or not tracked


def test_intervals_of_one_level_would_not_cover():
    """Twin: each level tested by itself, without holding all at once."""
    series, at = curves("line", n_runs=3, noise=1.0)
    mean = series.losses.reshape(N, 8, 3).mean(axis=2)
    error = series.losses.reshape(N, 8, 3).std(axis=2, ddof=1) / np.sqrt(3)
    above, below = mean - error > 3, mean + error < 3
    lo = np.append(X, 0)[np.where(above, LEVELS, -1).max(axis=1)]
    hi = np.append(X, np.inf)[np.where(below, LEVELS, 8).min(axis=1)]
    assert ((lo <= at) & (at <= hi)).mean() < BOUND


def test_a_clear_step_is_bracketed_by_its_gap_and_placed_in_its_middle():
    losses = np.where(LEVELS < 3, 5.0, 1.0)[None, :, None] + 0.01 * stream(0, "step").random(
        (1, 8, 3)
    )
    found = find_emergence(make_series(losses, n_runs=3), threshold=3.0)
    assert (found.lo[0], found.hi[0]) == (X[2], X[3])
    assert found.at[0] == pytest.approx(np.sqrt(X[2] * X[3]), rel=0.01)
    assert found.gap[0] == pytest.approx(np.log(X[3] / X[2]))
    assert found.width[0] == pytest.approx(found.gap[0] / 2, rel=0.01)
    assert found.drop[0] == pytest.approx(4, abs=0.02)
    assert found.learned[0]
    assert found.monotone[0]


def test_width_is_that_of_the_middle_half():
    """A straight line in log x has half its drop in half its range."""
    losses = np.repeat((6 - 0.5 * LEVELS)[None, :, None], 3, axis=2)
    found = find_emergence(make_series(losses, n_runs=3))
    assert found.width[0] == pytest.approx(np.log(X[-1] / X[0]) / 2)


def test_what_is_never_learned_always_known_or_lost_again_is_so_called():
    rng = stream(0, "never")
    shapes = np.stack(
        [
            np.full(8, 5.0),
            np.full(8, 1.0),
            np.where((LEVELS > 1) & (LEVELS < 6), 1.0, 5.0),
            np.where((LEVELS == 3) | (LEVELS > 5), 1.0, 5.0),
        ]
    )
    series = make_series(shapes[:, :, None] + 0.05 * rng.standard_normal((4, 8, 3)), n_runs=3)
    found = find_emergence(series, threshold=3.0)
    assert found.learned.tolist() == [False, True, False, True]
    assert np.isnan(found.at[:3]).all()
    assert X[5] < found.at[3] < X[6]  # for good only after the sixth
    assert found.hi.tolist()[:1] == [np.inf]
    assert found.lo.tolist()[1] == 0
    assert not found.monotone[2:].any()
    assert found.to_table().num_rows == 4


def test_a_cluster_s_interval_is_not_narrowed_by_its_size():
    """All members share their runs' effects: the mean of 50 covers, and is as wide as one."""
    rng = stream(0, "cluster")
    truth = FORMS["line"](LEVELS / 7, 0.45)[:, None]
    effect = 0.5 * rng.standard_normal((400, 1, 8, 3))
    losses = np.broadcast_to(truth + effect, (400, 50, 8, 3)).reshape(-1, 8, 3)
    series = make_series(losses, n_runs=3).averaged(np.repeat(np.arange(400), 50))
    found = find_emergence(series, threshold=3.0, level=0.9, n_shuffles=50)
    at = X[0] * (X[-1] / X[0]) ** 0.45
    assert covered(found, at) > 0.9 - 3 * np.sqrt(0.09 / 400)


def test_arguments_out_of_range_are_refused():
    series = make_series(np.ones((1, 7, 3)), n_runs=3)
    with pytest.raises(ValueError, match="threshold: 0"):
        find_emergence(series, threshold=0)
    with pytest.raises(ValueError, match="level: 1"):
        find_emergence(series, level=1)
    with pytest.raises(DataError, match="nothing can be tested"):
        find_emergence(make_series(np.ones((1, 3, 1)), n_runs=1))
