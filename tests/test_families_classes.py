"""Classes of curves: false claims at most at the rate, whatever runs share; planted ones found."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.families import classes as classes_module
from quantascope.families import noise as noise_module
from quantascope.families.classes import CLAIMS, CLASSES, classify, measure_claims
from quantascope.families.noise import read_floor
from tests.families_worlds import make_series, make_world

LEVEL = 0.05
CHANGE, TURN, UNSTABLE, SHARP = range(4)


def false_share(claimed, true):
    return (claimed & ~true).sum() / max(claimed.sum(), 1)


def worlds(n_worlds, *, n_shuffles, **options):
    """Classify families of the samplers; give false shares and shares found, by claim."""
    rows = []
    for seed in range(n_worlds):
        world = make_world(seed=seed, **options)
        claimed = (
            classify(world.series, seed=seed, level=LEVEL, n_shuffles=n_shuffles).p_adjusted
            <= LEVEL
        )
        changes, sharp = world.truth != "flat", world.truth == "sharp"
        none = np.zeros(len(changes), dtype=bool)
        truths = (changes, none, none, sharp)
        rows.append(
            [false_share(c, t) for c, t in zip(claimed.T, truths, strict=True)]
            + [claimed[changes, CHANGE].mean(), claimed[world.inner, SHARP].mean()]
        )
    rows = np.array(rows)
    return rows.mean(axis=0), rows.std(axis=0) / np.sqrt(n_worlds)


def check_worlds(n_worlds, *, n, shared, n_shuffles=None):
    mean, error = worlds(n_worlds, n=n, shared=shared, n_shuffles=n_shuffles)
    assert (mean[:4] < LEVEL + 3 * error[:4]).all()
    if not shared:  # Benjamini and Hochberg 1995: exactly the share of flat curves of the level
        assert (
            abs(mean[CHANGE] - 0.4 * LEVEL) < 3 * error[CHANGE] + 0.002
        )  # the share is .40 +- .02
    return mean


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_in_sampled_families_false_claims_stay_at_the_rate(shared):
    """Four families of 2,000 curves, seven sizes, three seeds; 40 % flat, 30 % gradual and sharp.

    Changes are found in 9 of 10, steps with two levels on either side in 17 of 20: lower bounds.
    """
    mean = check_worlds(4, n=2000, shared=shared, n_shuffles=2000)
    assert mean[4] > 0.88
    assert mean[5] > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_in_families_of_10_000_curves_false_claims_stay_at_the_rate(shared):
    """Twelve families; changes are found in 9 of 10, steps in 17 of 20: lower bounds."""
    mean = check_worlds(12, n=10_000, shared=shared)
    assert mean[4] > 0.9
    assert mean[5] > 0.85


def noise_families(n_families, n, *, shared, seed, scale=0.3):
    """Draw flat curves of many families; a family's runs have effects on all its curves."""
    rng = stream(seed, "noise families")
    effect = rng.standard_normal((n_families, 1, 21)) * rng.standard_normal((n_families, n, 1))
    own = rng.standard_normal((n_families, n, 21))
    curves = np.sqrt(shared) * effect + np.sqrt(1 - shared) * own
    return 6 + scale * curves.reshape(-1, 7, 3)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_pure_noise_is_claimed_at_most_at_the_rate(shared):
    """In 300 families of 30 curves; any claim in a family is a false one there."""
    series = make_series(noise_families(300, 30, shared=shared, seed=0), n_runs=3)
    p = measure_claims(series, n_shuffles=2000).p.reshape(300, 30, 4)
    single = (p <= LEVEL).mean(axis=1)
    assert (single.mean(axis=0) < LEVEL + 3 * single.std(axis=0) / np.sqrt(300)).all()
    adjusted = np.array([[false_discovery_control(f[:, c]) for c in range(4)] for f in p])
    any_claim = (adjusted <= LEVEL).any(axis=2).mean(axis=0)
    assert (any_claim < LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 300)).all()


def test_taking_shared_effects_out_of_the_noise_alone_claims_too_much():
    """Twin: runs of a size brought to one mean seem exact; what they share moved the size."""
    rng = stream(1, "noise families")
    losses = 6 + 0.3 * (rng.standard_normal((1, 7, 3)) + 0.3 * rng.standard_normal((2000, 7, 3)))
    run = losses.mean(axis=0, keepdims=True)
    cleaned = losses - (run - run.mean(axis=2, keepdims=True))
    p = measure_claims(make_series(cleaned, n_runs=3), n_shuffles=2000).p
    assert (p[:, CHANGE] <= LEVEL).mean() > 0.5


def test_many_predictions_do_not_make_a_run_s_noise_small():
    """Twin: the mean of 100 curves that share their runs' effects, by runs and by predictions."""
    rng = stream(2, "noise families")
    effect, own = rng.standard_normal((500, 1, 7, 3)), rng.standard_normal((500, 100, 7, 3))
    losses = 6 + 0.3 * (effect + own).reshape(-1, 7, 3)
    series = make_series(losses, n_runs=3).averaged(np.repeat(np.arange(500), 100))
    p = measure_claims(series, n_shuffles=1000).p
    assert (p[:, CHANGE] <= LEVEL).mean() < LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 500)
    by_prediction = losses.reshape(500, 100, 7, 3).mean(axis=3)
    error = by_prediction.std(axis=1, ddof=1) / np.sqrt(100)
    z = (by_prediction.mean(axis=1)[:, -1] - by_prediction.mean(axis=1)[:, 0]) / np.hypot(
        error[:, 0], error[:, -1]
    )
    assert (np.abs(z) > 1.96).mean() > 0.5


PLANTED = {
    "flat": lambda u: 0 * u,
    "gradual": lambda u: -4 * u,
    "sharp": lambda u: -4.0 * (u > 0.5),
    "U-shaped": lambda u: 8 * (u - 0.6) ** 2,
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("tracked", [False, True])
def test_planted_classes_are_found(name, tracked):
    """At least nine in ten of 300, seven levels, three runs, noise a thirteenth of the range."""
    shape = PLANTED[name](np.linspace(0, 1, 7))
    noise = 0.3 * stream(0, "planted", name).standard_normal((300, 3, 7))
    losses = 6 + shape + noise
    if tracked:
        losses += stream(1, "planted", name).standard_normal((300, 3, 1))  # offsets of runs
        series = make_series(losses, n_runs=3, tracked=True)
    else:
        series = make_series(losses.transpose(0, 2, 1), n_runs=3)
    table = classify(series)
    assert table.counts[name] >= (300 * 0.9)
    assert sum(table.counts.values()) == 300
    if name == "sharp":
        steps = series.x[2:5]
        found = table.name == "sharp"
        inside = (table.at_lo <= np.sqrt(steps[0] * steps[1]) * 10**0.5) & (table.at_hi >= steps[1])
        assert inside[found].mean() > 0.9


def disagreeing(share, *, n=1200, noise=None):
    """Draw flat curves, and steps that a share of which one of three runs makes a size early."""
    rng = stream(0, "unstable")
    place, run = np.arange(7)[:, None], np.arange(3)
    flat, early = rng.random((2, n, 1, 1)) < np.array([0.3, share])[:, None, None, None]
    middle = rng.integers(2, 6, (n, 1, 1))
    learned = (place > middle) | ((place == middle) & ((run == 0) | ~early))
    error = rng.standard_normal((n, 7, 3)) if noise is None else noise(rng, (n, 7, 3))
    series = make_series(9 - 4 * (learned & ~flat) + 0.3 * error, n_runs=3)
    return series, (early & ~flat)[:, 0, 0]


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_runs_that_disagree_where_a_step_is_are_unstable(share):
    """Nine in ten are found, and at most 5 % and 3 sigma of what is called so is not."""
    series, early = disagreeing(share)
    unstable = classify(series, n_shuffles=1000).name == "unstable"
    assert unstable[early].mean() > 0.9
    false = (unstable & ~early).sum()
    assert false < LEVEL * unstable.sum() + 3 * np.sqrt(LEVEL * unstable.sum())


@pytest.mark.parametrize("law", ["standard_exponential", "laplace", "lognormal"])
def test_heavy_tails_are_no_instability(law):
    """Noise far from Gaussian: the claim stays below 5 % and 3 sigma."""
    series, _ = disagreeing(0, noise=lambda rng, shape: getattr(rng, law)(size=shape))
    p = measure_claims(series, steps=False, n_shuffles=1000).p
    assert (p[:, UNSTABLE] <= LEVEL).mean() < LEVEL + 3 * np.sqrt(LEVEL / len(p))


def test_a_gaussian_null_would_call_heavy_tails_instability(monkeypatch):
    """Twin."""
    monkeypatch.setattr(classes_module, "_FEWEST_CURVES", 10**9)
    series, _ = disagreeing(0, noise=lambda rng, shape: rng.standard_exponential(size=shape))
    p = measure_claims(series, steps=False, n_shuffles=1000).p
    assert (p[:, UNSTABLE] <= LEVEL).mean() > 0.15


def uneven(n=3000):
    """Curves whose noise falls with the loss; half of them are flat, half fall."""
    rng = stream(0, "uneven")
    falls = np.repeat([0, 1], n // 2)[:, None, None]
    truth = rng.uniform(1, 9, (n, 1, 1)) * np.exp(-0.5 * falls * np.arange(7)[:, None])
    return np.abs(truth + (0.02 + 0.12 * truth) * rng.standard_normal((n, 7, 3)))


def test_noise_that_falls_with_the_loss_is_no_instability():
    """At the level, and 3 sigma and a fifth for what the usual noise is off."""
    p = measure_claims(make_series(uneven(), n_runs=3), n_shuffles=500).p[1500:]
    bound = 1.2 * LEVEL + 3 * np.sqrt(LEVEL / 1500)
    assert ((p[:, [TURN, UNSTABLE, SHARP]] <= LEVEL).mean(axis=0) < bound).all()


def test_noise_taken_as_equal_at_all_losses_would_call_it_instability(monkeypatch):
    """Twin."""
    monkeypatch.setattr(noise_module, "_FEWEST_ALIKE", 10**9)
    p = measure_claims(make_series(uneven(), n_runs=3), n_shuffles=500).p[1500:]
    assert (p[:, UNSTABLE] <= LEVEL).mean() > 0.3


def checkpoints(correlation, *, n_runs, n=3000, shared=0.0, seed=0, n_levels=12):
    """Draw flat curves along steps; runs have offsets, neighbouring checkpoints correlate."""
    rng = stream(seed, "checkpoints", n_runs)
    place = np.arange(n_levels)
    root = np.linalg.cholesky(correlation ** np.abs(place[:, None] - place))
    own = rng.standard_normal((n, n_runs, n_levels))
    effect = rng.standard_normal((1, n_runs, n_levels)) * rng.standard_normal((n, 1, 1))
    noise = (np.sqrt(1 - shared) * own + np.sqrt(shared) * effect) @ root.T
    losses = 10 + 0.3 * (noise + rng.standard_normal((n, n_runs, 1)))
    return make_series(losses, n_runs=n_runs, tracked=True)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_flat_training_curves_are_claimed_at_the_rate(correlation):
    """5 % within 3 sigma and a fifth, for the correlation is itself estimated."""
    series = checkpoints(correlation, n_runs=3)
    found = measure_claims(series)
    assert found.floor.correlation == pytest.approx(correlation, abs=0.03)
    claimed = (found.p <= LEVEL).mean(axis=0)
    assert (claimed < 1.2 * LEVEL + 3 * np.sqrt(LEVEL / 3000)).all()


def test_checkpoints_taken_as_independent_are_claimed_too_often():
    """Twin: one run, whose correlation cannot be told; the table says what is assumed."""
    found = measure_claims(checkpoints(0.5, n_runs=1))
    assert (found.p[:, CHANGE] <= LEVEL).mean() > 0.15
    assert "taken as independent" in found.floor.method


def test_offsets_of_runs_are_no_noise_along_steps():
    """Where noise is alike at all losses: an offset does change the loss."""
    series = checkpoints(0.0, n_runs=3, n=50)
    offset = stream(1, "offset").standard_normal((50, 3))[:, series.run]
    moved = replace(series, losses=series.losses + offset)
    one, other = (replace(read_floor(s), usual=None).measure(s.losses) for s in (series, moved))
    np.testing.assert_allclose(one.error * one.scale, other.error * other.scale, rtol=1e-9)


def test_one_run_a_size_is_tested_and_says_where_its_noise_is_from():
    rng = stream(0, "single")
    flat = 6 + 0.3 * rng.standard_normal((3000, 8, 1))
    falls = flat - 0.5 * np.arange(8)[:, None]
    p = measure_claims(make_series(flat, n_runs=1)).p
    assert np.isnan(p[:, UNSTABLE]).all()
    assert (p[:, [CHANGE, TURN, SHARP]] <= LEVEL).mean() < LEVEL + 3 * np.sqrt(LEVEL / 3000)
    table = classify(make_series(np.concatenate([flat[:1000], falls[:1000]]), n_runs=1))
    assert "roughness" in table.method
    assert (table.name[1000:] == "gradual").mean() > 0.95
    assert (table.name[:1000] == "flat").mean() > 0.9


def test_sizes_of_one_run_borrow_the_noise_of_those_with_more():
    """Flat curves, six runs of the second size and one of each other; at most 5 % and 3 sigma."""
    level = np.array([0, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6])
    noise = stream(0, "uneven runs").standard_normal((3000, 12))
    series = make_series(6 + 0.3 * noise.reshape(3000, 12, 1), n_runs=1)
    series = replace(series, x=series.x[:7], level=level)
    found = measure_claims(series, n_shuffles=2000)
    assert found.floor.dof == 5
    assert np.isnan(found.p[:, UNSTABLE]).all()
    assert ((found.p <= LEVEL).mean(axis=0) < LEVEL + 3 * np.sqrt(LEVEL / 3000)).all()
    assert (found.p[:, CHANGE] <= LEVEL).mean() > 0.02


def test_what_few_levels_allow_is_tested_and_the_rest_is_nan():
    rng = stream(0, "few")
    for n_levels, n_runs, tested in (
        (2, 3, "1010"),
        (3, 3, "1110"),
        (5, 1, "1100"),
        (6, 2, "1111"),
    ):
        p = measure_claims(make_series(5 + rng.random((4, n_levels, n_runs)), n_runs=n_runs)).p
        assert "".join(str(int(ok)) for ok in np.isfinite(p).all(axis=0)) == tested
    for tracked, shape in ((True, (4, 1, 4)), (False, (4, 4, 1))):
        with pytest.raises(DataError, match="nothing can be tested"):
            classify(make_series(5 + rng.random(shape), n_runs=1, tracked=tracked))


def test_the_correction_for_any_dependence_claims_less():
    world = make_world(n=1000, seed=0)
    bh, by = (
        classify(world.series, correction=c, n_shuffles=2000).p_adjusted for c in ("bh", "by")
    )
    assert (by >= bh).all()
    assert 0 < (by <= LEVEL)[:, CHANGE].sum() < (bh <= LEVEL)[:, CHANGE].sum()


def test_classes_depend_on_the_seed_alone_and_not_on_units():
    world = make_world(n=500, seed=0)
    table = classify(world.series, seed=3, n_shuffles=1000)
    again = classify(world.series, seed=3, n_shuffles=1000)
    np.testing.assert_array_equal(table.p, again.p)
    doubled = replace(world.series, losses=2 * world.series.losses)
    np.testing.assert_allclose(classify(doubled, seed=3, n_shuffles=1000).p, table.p, rtol=1e-6)
    assert table.to_table(np.arange(500)).num_columns == 3 + 2 * len(CLAIMS) + 3


def test_odd_input_is_answered():
    equal = classify(make_series(np.full((3, 7, 3), 2.0), n_runs=3))
    assert equal.counts["flat"] == 3
    zero = classify(make_series(np.zeros((2, 7, 3)), n_runs=3))
    assert zero.counts["flat"] == 2
    none = classify(make_series(np.zeros((0, 7, 3)), n_runs=3))
    assert sum(none.counts.values()) == 0
    assert set(none.counts) == set(CLASSES)
    noiseless = np.repeat(np.linspace(5, 1, 7)[:, None], 3, axis=1)[None]
    assert classify(make_series(noiseless, n_runs=3)).name[0] in {"gradual", "sharp"}


def test_arguments_out_of_range_are_refused():
    series = make_series(np.ones((1, 7, 3)), n_runs=3)
    with pytest.raises(ValueError, match="level: 0"):
        classify(series, level=0)
    with pytest.raises(ValueError, match="correction: 'no'"):
        classify(series, correction="no")
    for n_levels in (1, 65):
        with pytest.raises(ValueError, match=f"{n_levels} levels"):
            classify(make_series(np.ones((1, n_levels, 2)), n_runs=2))
    with pytest.raises(ValueError, match="n_shuffles: 0"):
        classify(series, n_shuffles=0)
    with pytest.raises(DataError, match="NaN"):
        classify(make_series(np.full((1, 7, 3), np.nan), n_runs=3))
