"""Laws of decomposition: parts add up, intervals cover, the largest are measured elsewhere."""

import numpy as np
import pytest
from scipy import stats

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.families.breakdown import break_down, find_level
from quantascope.families.concentration import concentrate
from quantascope.families.decompose import decompose, known_parts, make_parts
from quantascope.families.series import Series
from quantascope.theory.families import FamilyConfig, sample_family
from tests.families_worlds import make_series


def family(n: int, *, seed: int = 0, n_levels: int = 4, n_runs: int = 3) -> Series:
    rng = stream(seed, "decompose tests")
    level = np.arange(n_levels)[:, None]
    speed = rng.exponential(size=(n, 1, 1))
    return make_series(
        9 - speed * level + 0.1 * rng.standard_normal((n, n_levels, n_runs)), n_runs=n_runs
    )


def test_parts_add_up_to_the_mean_loss_and_drops_to_its_drop():
    series = family(500)
    group = stream(1, "groups").integers(-1, 7, size=500)
    parts = make_parts(series, group)
    # sums of 500 doubles near 9, in another order: 500 roundings of 2^-52 * 9 at most
    bound = 500 * 9 * 2.0**-52
    np.testing.assert_allclose(parts.whole, series.losses.mean(axis=0), atol=bound)
    assert parts.share.sum() == pytest.approx(1, abs=1e-12)
    found = decompose(parts, first=1, last=-1)
    means = series.level_means().mean(axis=0)
    assert found.total == pytest.approx(means[1] - means[3], abs=4 * bound)
    assert found.share_of_drop.sum() == pytest.approx(1, abs=1e-12)
    rest = series.losses[group < 0].mean(axis=0)
    np.testing.assert_allclose(parts.series.losses[-1], rest, atol=1e3 * bound)
    assert found.to_table(np.arange(7)).column("part").to_pylist()[-1] == "rest"


def test_groups_that_hold_all_leave_no_rest():
    parts = make_parts(family(50), np.arange(50) % 3)
    assert not parts.has_rest
    assert decompose(parts).covered["drop"] == pytest.approx(1)


def test_what_stands_for_a_larger_whole_leaves_the_rest_of_it_exactly():
    """A selection and a random sample are at hand, and the mean of all."""
    every = family(2000)
    chosen = every.losses[:, -1] < np.quantile(every.losses[:, -1], 0.1)  # low at the end
    at_hand = chosen | (stream(2, "sample").random(2000) < 0.2)
    group = np.where(chosen, np.arange(2000) % 4, -1)
    parts = make_parts(
        every.rows(at_hand), group[at_hand], whole=every.losses.mean(axis=0), n_whole=2000
    )
    bound = 2000 * 9 * 2.0**-52
    np.testing.assert_allclose(parts.whole, every.losses.mean(axis=0), atol=bound)
    np.testing.assert_allclose(
        parts.series.losses[-1], every.losses[~chosen].mean(axis=0), atol=1e3 * bound
    )
    assert decompose(parts).covered["predictions"] == pytest.approx(0.1, abs=1e-3)
    # chosen for a low end they fall further: a tenth of the predictions, more of the drop
    assert decompose(parts).covered["drop"] > 0.2
    with pytest.raises(DataError, match="below that of the groups"):
        make_parts(every.rows(at_hand), group[at_hand], whole=0.05 * every.losses[0], n_whole=2000)
    with pytest.raises(ValueError, match="one given without the other"):
        make_parts(every, np.zeros(2000, dtype=int), n_whole=2000)


def test_only_quanta_learned_between_two_sizes_carry_the_drop():
    config = FamilyConfig(
        n_params=(1e4, 1e5, 1e6), n_quanta=200, capacity=1e4, n_samples=20_000, quanta_per_sample=1
    )
    made = sample_family(config, seed=0)
    quantum = made.quanta[:, 0]
    n_levels = len(config.n_params)
    series = make_series(made.losses.astype(float).reshape(-1, n_levels, 1), n_runs=1)
    used, group = np.unique(quantum, return_inverse=True)
    found = decompose(make_parts(series, group), first=0, last=1)  # 1 to 10 quanta learned
    learned = (used >= 1) & (used < 10)
    assert found.share_of_drop[learned].sum() == pytest.approx(1, abs=1e-12)
    assert not found.share_of_drop[~learned].any()
    np.testing.assert_allclose(
        found.share_of_drop[learned], found.parts.share[learned] / found.parts.share[learned].sum()
    )


def coverage(errors: np.ndarray, estimates: np.ndarray, truth: np.ndarray) -> float:
    return float((np.abs(estimates - truth) <= errors).mean())


@pytest.mark.parametrize("tracked", [False, True])
def test_intervals_over_seeds_cover(tracked):
    """Runs shift all parts together: 500 families of 4 parts, 3 runs, 95 % intervals."""
    rng, hits = stream(3, "seeds", tracked), []
    share = np.array([0.4, 0.3, 0.2, 0.1])
    before, after = np.array([4.0, 5, 6, 7]), np.array([3.0, 5, 4, 1])
    truth = share * (before - after) / (share @ (before - after))
    for _ in range(500):
        noise = 0.2 * rng.standard_normal((4, 2, 3)) + 0.3 * rng.standard_normal((1, 2, 3))
        losses = np.stack([before, after], axis=1)[:, :, None] + noise
        if tracked:
            losses = losses.transpose(0, 2, 1)
        series = make_series(losses, n_runs=3, tracked=tracked)
        found = decompose(known_parts(series, share))
        hits.append(np.abs(found.share_of_drop - truth) <= found.seed_error)
    rate = np.mean(hits)
    # parts of a family go together: at most 500 independent; 4 sigma of .0097, and Welch's
    # degrees of freedom err by two points at most to the wide side with 2 + 2 of them
    assert 0.95 - 0.04 < rate < 0.95 + 0.05
    one = losses[:, :1] if tracked else losses[:, :, :1]
    alone = decompose(known_parts(make_series(one, n_runs=1, tracked=tracked), share))
    assert np.isnan(alone.seed_error).all()


def test_intervals_over_predictions_cover_and_a_quarter_of_them_does_not():
    rng, hits, narrow = stream(4, "preds"), [], []
    weight = np.array([0.5, 0.3, 0.2])
    mean = np.array([0.5, 2.0, 1.0])
    truth = weight * mean / (weight @ mean)
    for _ in range(400):
        group = rng.choice(3, size=800, p=weight)
        fall = rng.exponential(mean[group])
        series = make_series(np.stack([fall, 0 * fall], axis=1)[:, :, None], n_runs=1)
        found = decompose(make_parts(series, group))
        off = np.abs(found.share_of_drop - truth)
        hits.append(off <= found.pred_error)
        narrow.append(off <= found.pred_error / 4)
    # 4 sigma of 400 families
    assert abs(np.mean(hits) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 400)
    assert np.mean(narrow) < 0.5


def test_gini_and_top_shares_are_those_of_their_definition():
    drop = np.array([8.0, 4, 2, 1, 1, 1, 1, 1, 1, 0])
    series = make_series(np.stack([drop, 0 * drop], axis=1)[:, :, None], n_runs=1)
    found = concentrate(decompose(known_parts(series, np.ones(10))))
    np.testing.assert_allclose(found.share, 8 / 20)  # 1, 5 and 10 % of ten groups are one each
    falls = drop[drop > 0]
    pairs = np.abs(falls[:, None] - falls).mean() / (2 * falls.mean())
    assert found.gini == pytest.approx(pairs)
    assert found.halves == "nothing"
    assert np.isnan(found.share_crossed).all()


@pytest.mark.parametrize("n_runs", [1, 4])
def test_what_is_largest_by_chance_is_not_large_on_the_other_half(n_runs):
    """All groups fall alike; the noise of predictions or runs makes some look larger."""
    rng = stream(5, "chance", n_runs)
    level = np.arange(2)[:, None]
    losses = 9 - 2.0 * level + 2.0 * rng.standard_normal((400, 2, n_runs))
    parts = make_parts(make_series(losses, n_runs=n_runs), np.arange(400) // 4)
    found = concentrate(decompose(parts))
    assert found.halves == ("runs" if n_runs > 1 else "predictions")
    assert found.share[2] > found.preds[2] + 0.05
    # a share of 10 groups: their drops on the other half have the noise of 20 predictions' runs
    error = 2.0 * np.sqrt(2 / (20 * n_runs)) / 2.0 * found.preds[2]
    assert abs(found.share_crossed[2] - found.preds[2]) < 4 * error


def test_a_mean_loss_that_rises_has_no_shares():
    series = make_series(np.array([[[1.0], [2.0]], [[1.0], [3.0]]]), n_runs=1)
    found = decompose(make_parts(series, np.array([0, 1])))
    assert found.total == pytest.approx(-1.5)
    assert np.isnan(found.share_of_drop).all()
    assert np.isnan(concentrate(found).share).all()


def test_faults_are_one_line():
    series = family(20)
    parts = make_parts(series, np.zeros(20, dtype=int))
    for call, words in (
        (lambda: decompose(parts, first=1, last=1), "a drop needs two levels"),
        (lambda: decompose(parts, first=0, last=9), "there are 4 levels"),
        (lambda: known_parts(series, np.zeros(20)), "frequency: one finite number above 0"),
        (lambda: find_level(series, 5.0, default=0), "from, to: 5 found; the levels are 100"),
        (lambda: decompose(parts).to_table(np.arange(3)), "1 groups need one each"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_breakdown_fits_between_its_levels_whichever_comes_first():
    series = family(200, n_levels=6)
    parts = make_parts(series, np.arange(200) % 5)
    there = break_down(parts, np.arange(5).astype(str), first=1, last=4)
    back = break_down(parts, np.arange(5).astype(str), first=4, last=1)
    assert there.measured == back.measured
    assert there.measured.n_levels == 4
    assert there.found.total == pytest.approx(-back.found.total)
    x, y = np.log(series.x[1:5]), np.log(series.level_means().mean(axis=0)[1:5])
    assert there.measured.exponent == pytest.approx(-stats.linregress(x, y).slope, abs=1e-9)
    assert there.verdicts == {"endless": "not judged", "finite": "not judged"}
