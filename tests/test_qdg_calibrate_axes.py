"""Laws of slopes whose signs mean nothing: worlds of subspaces, joined fragments, calibration."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import nn

import quantascope
from quantascope.core.rng import derive_seed, stream
from quantascope.qdg.calibrate import calibrate_slopes, table
from quantascope.qdg.calibrate.axes import AxesReading, join_fragments, read_axes
from quantascope.qdg.calibrate.design import (
    SIZES,
    AxesRange,
    PlantedAxes,
    planted_conditions,
    read_world,
    read_worlds,
    world_of,
)
from quantascope.qdg.calibrate.kinds import SIGN_FREE
from quantascope.qdg.calibrate.readings import zipf_slope
from quantascope.qdg.calibrate.slope import calibrate_reading
from quantascope.qdg.config import ClustersConfig, GraphConfig
from quantascope.qdg.subspaces import Subspaces, subspace_world

BEST = SIGN_FREE.default
KIND = Subspaces(overlap=0.02, flattening=0.5, pattern=10.0, own=0.2)
WORLD = PlantedAxes(
    points=1000,
    population=1000,
    slope=1.2,
    groups=20,
    overlap=0.02,
    flattening=0.4,
    pattern=10.0,
    own=0.2,
    peaked=1.5,
    kin=0.1,
    shared=0.0,
    dim=1500,
)


@pytest.fixture(scope="module")
def vectors():
    return world_of(WORLD, seed=5).vectors


@pytest.fixture(scope="module")
def found(vectors):
    return calibrate_slopes(vectors, sign_free=True, level=0.98)[0]


def overlaps(world, n_groups):
    """Mean squared cosines of groups; those of points with themselves are left out."""
    squares = (world.vectors @ world.vectors.T) ** 2
    np.fill_diagonal(squares, np.nan)
    groups = [world.labels == group for group in range(n_groups)]
    return np.array([[np.nanmean(squares[np.ix_(a, b)]) for b in groups] for a in groups])


# --- worlds


def test_points_of_two_groups_overlap_by_chance_alone():
    """1/d; of 10^4 pairs of 25 patterns a group the mean scatters by sqrt(2/25^2)/d, 4 of that."""
    world = subspace_world(np.array([100, 100, 100]), KIND, dim=500, seed=1)
    between = overlaps(world, 3)[np.triu_indices(3, 1)]
    assert np.allclose(np.linalg.norm(world.vectors, axis=1), 1, atol=1e-6)
    assert between == pytest.approx(1 / 500, rel=0.4)


def test_overlap_of_patterns_is_that_asked_for_and_falls_with_size():
    """Patterns of one point each: overlap + 1/d, but for exp(.3 N) a group: mean of 40 groups.

    The logs scatter by .3 and by what eight axes leave to chance, .5 at most in all; 4 errors.
    """
    kind = replace(KIND, pattern=1.0, own=0.0, overlap=0.05, flattening=0.5)
    sizes = np.repeat([80, 20], 20)
    for flattening, ratio in ((0.5, 2.0), (0.0, 1.0)):
        world = subspace_world(sizes, replace(kind, flattening=flattening), dim=2000, seed=2)
        log_overlap = np.log(np.diag(overlaps(world, 40)) - 1 / 2000)
        large, small = log_overlap[:20], log_overlap[20:]
        assert large.mean() == pytest.approx(np.log(0.05), abs=4 * 0.5 / np.sqrt(20))
        gain = small.mean() - large.mean()
        assert gain == pytest.approx(np.log(ratio), abs=4 * 0.5 * np.sqrt(2 / 20))


def test_signs_of_a_sign_free_world_mean_nothing():
    """Cosines of one group are as often positive as negative; their squares are not small."""
    world = subspace_world(np.array([200]), replace(KIND, overlap=0.3), dim=500, seed=3)
    cosines = (world.vectors @ world.vectors.T)[np.triu_indices(200, 1)]
    mean_vector = np.linalg.norm(world.vectors.mean(axis=0))
    assert mean_vector < 4 * np.sqrt(1 / 200)  # of 200 random signs
    assert np.mean(cosines**2) > 0.1


def test_points_of_a_pattern_are_more_alike_than_the_group():
    """The pattern's share of .5 gives a squared cosine of at least .25 within patterns."""
    kind = replace(KIND, own=0.5, pattern=100.0)
    one = subspace_world(np.array([100]), kind, dim=2000, seed=4)
    assert overlaps(one, 1)[0, 0] > 0.25
    many = subspace_world(np.array([100]), replace(kind, pattern=1.0), dim=2000, seed=4)
    assert overlaps(many, 1)[0, 0] < 0.1


def test_kin_and_background_raise_the_overlap_of_strangers():
    """Four groups are one family; a share s on 16 axes gives s^2/16."""
    sizes = np.full(4, 60)
    off = np.triu_indices(4, 1)
    plain = overlaps(subspace_world(sizes, KIND, dim=2000, seed=6), 4)[off].mean()
    kin = overlaps(subspace_world(sizes, replace(KIND, kin=0.8), dim=2000, seed=6), 4)[off].mean()
    shared = replace(KIND, shared=0.4)
    common = overlaps(subspace_world(sizes, shared, dim=2000, seed=6), 4)[off].mean()
    assert kin > 3 * plain
    assert common == pytest.approx(0.4**2 / 16 + 1 / 2000, rel=0.3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"overlap": 0.0}, "overlap"),
        ({"overlap": float("nan")}, "overlap"),
        ({"flattening": -0.1}, "flattening"),
        ({"pattern": 0.5}, "pattern"),
        ({"peaked": 0.5}, "peaked"),
        ({"own": 1.1}, "own"),
        ({"kin": -0.1}, "kin"),
        ({"shared": 2.0}, "shared"),
    ],
)
def test_bad_subspaces_are_one_line(change, words):
    with pytest.raises(ValueError, match=words) as caught:
        subspace_world(np.array([9, 5]), replace(KIND, **change), dim=9)
    assert "\n" not in str(caught.value)


def test_worlds_of_one_dimension_or_no_points_are_refused():
    with pytest.raises(ValueError, match="dim"):
        subspace_world(np.array([9, 5]), KIND, dim=1)
    with pytest.raises(ValueError, match="no group has a point"):
        subspace_world(np.array([0, 0]), KIND, dim=9)


# --- readings


def test_fragments_are_joined_by_hand():
    """Fragments 0 and 1 overlap by .5, 2 and 3 by .3, all others by .1; the bar decides."""
    mean = np.full((4, 4), 0.1)
    mean[0, 1] = mean[1, 0] = 0.5
    mean[2, 3] = mean[3, 2] = 0.3
    sizes = np.array([10.0, 20.0, 5.0, 5.0])
    sums = mean * np.outer(sizes, sizes)
    by_bar = {bar: join_fragments(sums, sizes, bar=bar).tolist() for bar in (0.6, 0.4, 0.2, 0.05)}
    assert by_bar == {0.6: [0, 1, 2, 3], 0.4: [0, 0, 1, 2], 0.2: [0, 0, 1, 1], 0.05: [0] * 4}


def test_fragments_of_the_largest_group_are_joined_first():
    """Overlap 1/n within groups of n, as whitening leaves it; mean overlaps would join it last."""
    sizes = np.full(24, 10.0)
    group = np.repeat([0, 1, 2], [16, 6, 2])
    own = 1.0 / np.bincount(group)
    mean = np.where(group[:, None] == group, own[group][:, None], 0.001)
    high = join_fragments(mean * 100, sizes, bar=0.05)
    assert np.array_equal(high, group)
    half = 0.5 * mean[0, 1]  # fragments of the largest fall into halves that overlap by half
    mean[:8, 8:16] = mean[8:16, :8] = half
    assert np.array_equal(join_fragments(mean * 100, sizes, bar=0.9 * half), group)
    assert join_fragments(mean * 100, sizes, bar=1.1 * half).max() == 3


def test_signs_do_not_change_what_is_read(vectors):
    """To the bit: products change their sign alone. Mean cosines change (the twin)."""
    signs = stream(0, "signs").choice(np.array([-1, 1], np.float32), (len(vectors), 1))
    assert read_axes(vectors) == read_axes(vectors * signs)
    one_sided = np.abs(vectors)
    means = [np.linalg.norm(each.mean(axis=0)) for each in (one_sided, one_sided * signs)]
    assert means[0] > 0.5
    assert means[1] < 4 / np.sqrt(len(vectors))


def test_a_world_that_is_easy_to_see_is_read_as_it_is():
    """Groups found whole: the slope is that of the ten largest true sizes."""
    sizes = np.array([300, 150, 100, 75, 60, 50, 40, 35, 30, 30, 25, 25])
    world = subspace_world(sizes, replace(KIND, overlap=0.2, pattern=20.0), dim=2000, seed=1)
    reading = read_axes(world.vectors)
    assert reading.joined == pytest.approx(zipf_slope(sizes[:10]), abs=0.05)
    assert reading.large == pytest.approx(np.log(12))


def test_equal_vectors_are_not_calibrated_and_say_why():
    for n_kinds in (1, 3):
        equal = np.eye(n_kinds, 64, dtype=np.float32)[np.arange(1000) % n_kinds]
        slope = calibrate_slopes(equal, sign_free=True)[0]
        assert not slope.calibrated
        assert slope.reason


# --- the table and what it gives


def test_a_row_of_the_sign_free_table_is_what_its_world_reads():
    rows, _ = table.shipped_table(SIGN_FREE.table)
    assert set(rows["points"]) == set(SIZES)
    place = int(np.flatnonzero(rows["points"] == 1000)[0])
    planted = planted_conditions(1, points=1000, within=AxesRange())[0]
    again = read_world(planted, seed=derive_seed(0, "table", 1000, 0))
    assert list(again) == list(rows)
    for name, value in again.items():
        assert rows[name][place] == pytest.approx(value, rel=0.02, abs=0.02), name


def test_every_corner_of_the_wide_range_can_be_planted():
    """Many points at random, and both ends of all: an overlap above 1 was once among them."""
    wide = SIGN_FREE.wide
    rows = stream(0, "corners").integers(0, 2, (60, wide.n_drawn)).astype(float)
    for seed, row in enumerate([*rows, np.zeros(wide.n_drawn), np.ones(wide.n_drawn)]):
        planted = replace(wide.plant(row.tolist(), points=200), population=200)
        assert np.isfinite(world_of(planted, seed=seed).vectors).all()


def test_a_sign_free_world_gets_its_slope_back(found):
    assert found.method == BEST
    assert found.calibrated
    assert found.lo <= WORLD.slope <= found.hi
    assert found.table == table.shipped_table(SIGN_FREE.table)[1]
    assert found.hi - found.lo < 1.0


def test_vectors_without_gradient_are_left_out(vectors, found):
    with_zeros = np.insert(vectors, [3, 500, 500], 0.0, axis=0)
    again = calibrate_slopes(with_zeros, sign_free=True, level=0.98)[0]
    assert again == found


def test_signed_methods_are_refused_where_signs_mean_nothing(vectors):
    with pytest.raises(ValueError, match=f"allowed: {BEST}"):
        calibrate_slopes(vectors, sign_free=True, methods=("envelope",))


def test_too_few_points_are_not_calibrated(vectors):
    slope = calibrate_slopes(vectors[:900], sign_free=True)[0]
    assert not slope.calibrated
    assert "900 points; the table has 1000 to 16000" in slope.reason


def test_conditions_unlike_the_table_are_not_calibrated():
    """Groups in 30 dimensions, where strangers overlap by 1/30: no world of the table has that."""
    sizes = np.array([400, 200, 150, 100, 80, 70])
    unlike = subspace_world(sizes, replace(KIND, overlap=0.6, own=0.3), dim=30, seed=1)
    slope = calibrate_slopes(unlike.vectors, sign_free=True)[0]
    assert not slope.calibrated
    assert "middle of the table" in slope.reason


def test_noise_has_no_slope():
    noise = stream(0, "noise").standard_normal((1000, 20))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    assert not calibrate_slopes(noise, sign_free=True)[0].calibrated


def test_a_sign_free_run_has_its_calibrated_slope(tmp_path, vectors):
    """A linear module whose loss is its output: the gradient of a sample is the sample."""
    module = nn.Linear(WORLD.dim, 1, bias=False)
    batches = [torch.from_numpy(vectors[i : i + 250]) for i in range(0, 1000, 250)]
    quantascope.discover(
        module,
        batches,
        lambda module, batch: module(batch)[:, 0] - module(batch)[:, 0].detach() + 1.0,
        run=tmp_path / "run",
        method="published",
        graph=GraphConfig(sign_free=True),
        clusters=ClustersConfig(spectral=False, resolutions=(1.0,), resamples=0, leiden_seeds=1),
    )
    run = quantascope.load(tmp_path / "run")
    row = run.fits.loc[f"calibrated_{BEST}"]
    assert row["calibrated"]
    assert row["lo"] <= -WORLD.slope <= row["hi"]
    used = run.table("ranks", "calibration").set_index("method").loc[BEST]
    assert used["table"] == table.shipped_table(SIGN_FREE.table)[1]


@pytest.mark.slow
def test_worlds_planted_for_a_sign_free_run_serve_where_the_table_does_not():
    few = world_of(replace(WORLD, points=600, population=600), seed=1).vectors
    slope = calibrate_slopes(few, sign_free=True, level=0.98, simulate=200)[0]
    assert slope.calibrated
    assert slope.lo <= WORLD.slope <= slope.hi
    assert slope.n_rows == 200


@pytest.mark.slow
def test_sign_free_intervals_cover_in_new_worlds():
    """60 worlds of 2,000 points: coverage in the 99.8 % range of a binomial; mean error < .08.

    The recipe ``slope-table`` does it on 300.
    """
    planted = planted_conditions(60, points=2000, population=2000, within=SIGN_FREE.tested, seed=78)
    rows, _ = table.shipped_table(SIGN_FREE.table)
    error, covered = [], []
    for world in read_worlds(planted, seed=78):
        reading = AxesReading(**{name: world[name] for name in SIGN_FREE.read_names})
        slope = calibrate_reading(reading, rows, points=2000, population=2000)[0]
        error.append(abs(slope.estimate - world["slope"]))
        covered.append(slope.lo <= world["slope"] <= slope.hi)
    low, high = binom.ppf([0.001, 0.999], 60, 0.9)
    assert low <= sum(covered) <= high
    assert np.nanmean(error) < 0.08
