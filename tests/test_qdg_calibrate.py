"""Laws of calibrated slopes: worlds are what they say, belts cover, the table is the one."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import nn

import quantascope
from quantascope.core.errors import DataError
from quantascope.core.rng import derive_seed, stream
from quantascope.qdg.calibrate import calibrate_slopes, table
from quantascope.qdg.calibrate import slope as slope_module
from quantascope.qdg.calibrate.belt import fit_belt
from quantascope.qdg.calibrate.design import (
    SIZES,
    Planted,
    Range,
    planted_conditions,
    read_world,
    read_worlds,
    thinned_size,
    world_of,
)
from quantascope.qdg.calibrate.kinds import SIGNED
from quantascope.qdg.calibrate.readings import METHODS, Reading, read_vectors, zipf_slope
from quantascope.qdg.calibrate.slope import calibrate_reading
from quantascope.qdg.config import ClustersConfig
from quantascope.qdg.worlds import draw_sizes, floor_sizes, planted_world, sizes_of, within_of_noise
from quantascope.reader.conclusions import conclusions

DEFAULT_METHOD = SIGNED.default
WORLD = Planted(points=1000, population=1000, slope=1.1, within=0.4, between=0.0, dim=300)


@pytest.fixture(scope="module")
def vectors():
    return world_of(WORLD, seed=11).vectors


@pytest.fixture(scope="module")
def found(vectors):
    return {slope.method: slope for slope in calibrate_slopes(vectors, level=0.98)}


# --- worlds


def test_sizes_of_the_papers_worlds():
    """N = A = 1,000 (figure A10 of arXiv 2303.13506), summed here one by one."""
    for slope in (0.8, 1.0, 1.5):
        by_hand = sum(int(1000 / i**slope) for i in range(1, 1001))
        assert floor_sizes(slope, scale=1000, n_groups=1000).sum() == by_hand


@pytest.mark.parametrize("slope", [0.3, 0.8, 1.0, 1.37, 3.0])
@pytest.mark.parametrize("n_points", [2, 37, 2000])
def test_sizes_of_a_number_of_points_are_the_largest_that_fit(n_points, slope):
    """One more in A would give more points than asked for; steps of floor at 1/i may be large."""
    sizes = sizes_of(n_points, slope=slope)
    assert sizes.sum() <= n_points
    assert sizes.min() >= 1
    assert np.all(np.diff(sizes) <= 0)
    assert floor_sizes(slope, scale=sizes[0] + 1).sum() > n_points


def test_cosines_of_a_planted_world_are_those_asked_for():
    """Squared lengths of N(0, I_d)/sqrt(d) scatter by sqrt(2/d), products of two by 1/sqrt(d)."""
    sizes, d = np.full(20, 40), 2000
    world = planted_world(sizes, dim=d, within=0.5, between=0.2, seed=3)
    cosines = world.vectors @ world.vectors.T
    same = world.labels[:, None] == world.labels
    within = cosines[same & ~np.eye(len(same), dtype=bool)].mean()
    between = cosines[~same].mean()
    assert np.allclose(np.linalg.norm(world.vectors, axis=1), 1, atol=1e-6)
    assert within == pytest.approx(0.5, abs=4 * np.sqrt(2 / d))
    assert between == pytest.approx(0.2, abs=4 * np.sqrt(2 / d))
    twin = planted_world(sizes, dim=d, within=0.5, between=0.0, seed=3)
    assert abs((twin.vectors @ twin.vectors.T)[~same].mean() - 0.2) > 4 * np.sqrt(2 / d)


def test_the_papers_noise_is_a_mean_cosine():
    """Of points N(m, sigma^2 I) around means N(0, I): 1 / (1 + sigma^2), up to 4/sqrt(d)."""
    rng, d, sigma = stream(0, "noise"), 4000, 2.0
    mean = rng.standard_normal(d)
    a, b = mean + sigma * rng.standard_normal((2, d))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert cosine == pytest.approx(within_of_noise(sigma), abs=4 / np.sqrt(d))


def test_drawn_sizes_have_the_frequencies_of_the_law():
    law = sizes_of(2000, slope=1.2)
    drawn = draw_sizes(law, n_points=10**6, rng=stream(0, "draw"))
    share = law / law.sum()
    assert drawn.sum() == 10**6
    assert np.all(np.abs(drawn - 10**6 * share) < 6 * np.sqrt(10**6 * share))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: floor_sizes(0.0, scale=10), "slope: 0.0"),
        (lambda: floor_sizes(1.0, scale=0.5), "scale"),
        (lambda: floor_sizes(0.2, scale=1000), "n_groups"),
        (lambda: sizes_of(1, slope=1.0), "n_points"),
        (lambda: sizes_of(100, slope=np.nan), "slope"),
        (lambda: planted_world(np.array([3]), dim=1, within=0.5), "dim: 1"),
        (lambda: planted_world(np.array([3]), dim=9, within=0.5, between=0.6), "between"),
        (lambda: read_vectors(np.ones((5, 3))), "200 or more"),
        (lambda: read_vectors(np.ones(500)), "shape"),
        (lambda: read_vectors(np.ones((500, 3))), "unit vectors"),
        (lambda: read_vectors(np.full((500, 3), np.nan)), "unit vectors"),
        (lambda: calibrate_slopes(np.ones((300, 3)), methods=("hdbscan",)), "envelope"),
        (lambda: calibrate_slopes(np.ones((300, 3)), level=1.0), "level"),
        (lambda: calibrate_slopes(np.ones(1000), sign_free=True), "two axes"),
        (lambda: calibrate_slopes(np.ones((300, 3)), simulate=5), "from 90"),
        (lambda: fit_belt(np.ones(9), np.ones(9), np.ones((9, 2))), "worlds"),
    ],
)
def test_bad_arguments_are_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


# --- readings


@pytest.mark.parametrize("s", [0.0, 0.7, 1.0, 2.5])
def test_zipf_slope_of_exact_weights_is_exact(s):
    assert zipf_slope(np.arange(1.0, 30) ** -s) == pytest.approx(s, abs=1e-9)


def test_zipf_slope_needs_three_weights_that_fall():
    assert np.isnan(zipf_slope(np.array([5, 3])))
    assert np.isnan(zipf_slope(np.zeros(5)))
    assert np.isnan(zipf_slope(np.array([1.0, 0, 0])))


def test_readings_of_a_world_that_is_easy_to_see():
    """Ten groups, cosine .9: Leiden finds them, so both means are .9 within 4/sqrt(d)."""
    world = planted_world(np.full(10, 60), dim=1000, within=0.9, seed=1)
    reading = read_vectors(world.vectors)
    assert reading.coarse == pytest.approx(0.9, abs=4 / np.sqrt(1000))
    assert reading.fine == pytest.approx(0.9, abs=4 / np.sqrt(1000))
    assert reading.mean == pytest.approx(0.9 * 59 / 599, abs=4 / np.sqrt(1000))
    assert abs(reading.leiden) < 0.2  # equal sizes: no slope


def test_vectors_in_another_order_read_the_same_conditions(vectors):
    """Sums in another order differ by rounding, clusterings by their start alone."""
    order = stream(0, "order").permutation(len(vectors))
    here, there = read_vectors(vectors), read_vectors(vectors[order])
    assert there.mean == pytest.approx(here.mean, rel=1e-4)
    assert there.dimension == pytest.approx(here.dimension, rel=1e-4)
    assert there.spectrum == pytest.approx(here.spectrum, rel=1e-3)
    assert there.coarse == pytest.approx(here.coarse, rel=0.2)


@pytest.mark.parametrize("n_kinds", [1, 3])
def test_equal_vectors_are_not_calibrated_and_say_why(n_kinds):
    """Equal points: eigenvalues coincide, some methods read nothing, none may fail."""
    equal = np.eye(n_kinds, 64, dtype=np.float32)[np.arange(1000) % n_kinds]
    found = calibrate_slopes(equal)
    assert all(not slope.calibrated and slope.reason for slope in found)


# --- belts


def made_up(n, *, seed, noise=0.05):
    """Read slope .3 + .4 s + .2 c + .1 s c, twice as noisy at the upper end of c."""
    rng = stream(seed, "belt")
    s, c = rng.uniform(0.5, 1.8, n), rng.uniform(-1, 1, n)
    sd = noise * np.where(c > 0, 2.0, 1.0)
    return s, 0.3 + 0.4 * s + 0.2 * c + 0.1 * s * c + sd * rng.standard_normal(n), c[:, None]


def test_a_belt_covers_at_its_level_and_has_no_bias():
    """600 answers: coverage within 4 binomial errors, bias within 4 errors of the mean."""
    belt = fit_belt(*made_up(800, seed=0, noise=0.02))
    drawn = zip(*made_up(900, seed=1, noise=0.02), strict=True)
    tests = [row for row in drawn if 0.8 < row[0] < 1.5 and abs(row[2]) < 0.95]
    for level in (0.5, 0.9):
        found = [belt.invert(read, c, level=level) for _, read, c in tests]
        covered = [one.lo <= s <= one.hi for one, (s, _, _) in zip(found, tests, strict=True)]
        assert np.mean(covered) == pytest.approx(level, abs=4 * np.sqrt(0.25 / len(tests)))
    error = np.array([one.estimate - s for one, (s, _, _) in zip(found, tests, strict=True)])
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error))
    assert np.abs(np.array([read - s for s, read, _ in tests])).mean() > 0.1


def test_a_belt_that_never_saw_the_condition_is_wider():
    s, read, c = made_up(800, seed=0)
    known, blind = fit_belt(s, read, c), fit_belt(s, read, 0 * c)
    one, other = known.invert(0.8, np.zeros(1)), blind.invert(0.8, np.zeros(1))
    assert other.hi - other.lo > 1.3 * (one.hi - one.lo)


def test_a_read_slope_without_information_gives_the_whole_range():
    s, read, c = made_up(400, seed=0)
    belt = fit_belt(s, stream(0, "shuffle").permutation(read), c)
    found = belt.invert(0.75, np.zeros(1))
    assert np.isnan(found.estimate)
    assert "beyond those of the table" in found.reason


def test_a_slope_beyond_the_table_is_not_answered_and_one_near_its_end_is_left_open():
    """A read slope of a true one .3 beyond the last; and the last one itself."""
    s, read, c = made_up(800, seed=0)
    belt = fit_belt(s, read, c)
    at = {end: float(np.mean(read[np.abs(s - end) < 0.05])) for end in (s.min(), s.max())}
    rise = (at[s.max()] - at[s.min()]) / (s.max() - s.min())
    beyond = belt.invert(at[s.max()] + 0.3 * rise, np.zeros(1))
    assert np.isnan(beyond.estimate)
    below = belt.invert(at[s.min()] - 0.3 * rise, np.zeros(1))
    assert np.isnan(below.estimate)
    near = [belt.invert(at[s.max()] - step * rise, np.zeros(1)) for step in np.linspace(0, 0.5, 40)]
    open_ends = [one for one in near if np.isfinite(one.estimate) and one.hi == np.inf]
    assert open_ends
    assert all("upper end" in one.reason for one in open_ends)


def test_outside_its_table_a_belt_says_so():
    belt = fit_belt(*made_up(400, seed=0))
    assert "middle of the table" in belt.invert(0.8, np.array([3.0])).reason
    assert "no true slope" in belt.invert(9.0, np.zeros(1)).reason
    assert "no slope was read" in belt.invert(np.nan, np.zeros(1)).reason
    with pytest.raises(ValueError, match="level"):
        belt.invert(0.8, np.zeros(1), level=0.0)


# --- the table and what it gives


def test_the_shipped_table_is_the_one_of_its_hash(tmp_path, monkeypatch):
    rows, digest = table.shipped_table()
    text = table.format_table(rows)
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    assert set(rows["points"]) == set(SIZES)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "slope_calibration.csv").write_text(text.replace("1", "2", 1))
    (tmp_path / "data" / "slope_calibration.sha256").write_text(f"{digest}  slope_calibration.csv")
    monkeypatch.setattr(table, "files", lambda _: tmp_path)
    with pytest.raises(DataError, match="slope-table"):
        table.shipped_table()


def test_a_row_of_the_table_is_what_its_world_reads():
    """The first row of 1,000 points again; k-means may end elsewhere on other machines."""
    rows, _ = table.shipped_table()
    place = int(np.flatnonzero(rows["points"] == 1000)[0])
    planted = planted_conditions(1, points=1000)[0]
    again = read_world(planted, seed=derive_seed(0, "table", 1000, 0))
    for name, value in again.items():
        near = 0.05 if name in METHODS else 1e-3
        assert rows[name][place] == pytest.approx(value, rel=near), name


def test_conditions_of_a_longer_design_begin_with_the_shorter():
    assert planted_conditions(9, points=2000)[:4] == planted_conditions(4, points=2000)


def test_how_many_points_are_read():
    sizes = {n: thinned_size(n) for n in (999, 1000, 1999, 2000, 16000, 16001)}
    assert sizes == {999: 0, 1000: 1000, 1999: 1000, 2000: 2000, 16000: 2000, 16001: 0}


def test_a_planted_world_gets_its_slope_back(found):
    """Within the 98 % interval, nearer than what was read; row and hash are recorded."""
    best = found[DEFAULT_METHOD]
    assert best.calibrated
    assert best.lo <= WORLD.slope <= best.hi
    assert abs(best.estimate - WORLD.slope) < abs(best.read - WORLD.slope)
    assert best.table == table.shipped_table()[1]
    rows = table.shipped_table()[0]
    assert rows["points"][best.row] == 1000
    assert rows["within"][best.row] == pytest.approx(WORLD.within, abs=0.15)


def test_a_higher_level_is_a_wider_interval(vectors, found):
    one = calibrate_slopes(vectors, methods=(DEFAULT_METHOD,), level=0.8)[0]
    wide = found[DEFAULT_METHOD]
    assert wide.hi - wide.lo > one.hi - one.lo
    assert wide.estimate == one.estimate


def test_too_few_or_too_many_points_are_not_calibrated():
    few = world_of(replace(WORLD, points=400, population=400), seed=1).vectors
    for slope in calibrate_slopes(few):
        assert not slope.calibrated
        assert "400 points; the table has 1000 to 16000" in slope.reason


@pytest.mark.slow
def test_worlds_planted_for_a_run_serve_where_the_table_does_not():
    few = world_of(replace(WORLD, points=200, population=200), seed=2).vectors
    slope = calibrate_slopes(few, methods=(DEFAULT_METHOD,), level=0.98, simulate=90)[0]
    assert slope.calibrated
    assert slope.lo <= WORLD.slope <= slope.hi
    assert slope.n_rows == 90
    assert slope.table != table.shipped_table()[1]


def test_beyond_its_range_the_shipped_table_is_not_asked(monkeypatch):
    """17,000 points, thinned to 2,000: the table ends at 16,000, so planted worlds alone answer.

    The worlds stand in here: every other row of the table, told apart by number and hash.
    """
    planted = []

    def matched(_, *, points, population, n, seed):
        planted.append((points, population, n, seed))
        return {name: column[::2] for name, column in table.shipped_table()[0].items()}

    monkeypatch.setattr(slope_module, "matched_table", matched)
    many = world_of(replace(WORLD, points=17_000, population=17_000, dim=100), seed=1).vectors
    for n_points, n_planted in ((17_000, 1), (2000, 0)):
        planted.clear()
        few = many[:: 17_000 // n_points][:n_points]
        found = calibrate_slopes(few, methods=(DEFAULT_METHOD,), simulate=90)[0]
        assert found.calibrated
        assert planted == [(2000, 17_000, 90, 0)] * n_planted
        assert (found.table == table.shipped_table()[1]) == (not n_planted)
    refused = calibrate_slopes(many, methods=(DEFAULT_METHOD,))[0]
    assert "17000 points; the table has" in refused.reason


@pytest.mark.slow
def test_a_run_has_its_calibrated_slope(tmp_path, vectors):
    """A linear module whose loss is its output: the gradient of a sample is the sample."""
    module = nn.Linear(WORLD.dim, 1, bias=False)
    batches = [torch.from_numpy(vectors[i : i + 250]) for i in range(0, 1000, 250)]
    quantascope.discover(
        module,
        batches,
        lambda module, batch: module(batch)[:, 0] - module(batch)[:, 0].detach() + 1.0,
        run=tmp_path / "run",
        method="published",
        clusters=ClustersConfig(spectral=False, resolutions=(1.0,), resamples=0, leiden_seeds=1),
    )
    run = quantascope.load(tmp_path / "run")
    row = run.fits.loc[f"calibrated_{DEFAULT_METHOD}"]
    assert row["calibrated"]
    assert abs(row["estimate"] + WORLD.slope) < row["hi"] - row["lo"]  # a 90 % interval may miss
    assert not run.fits.loc["envelope_slope", "calibrated"]
    used = run.table("ranks", "calibration").set_index("method").loc[DEFAULT_METHOD]
    assert used["table"] == table.shipped_table()[1]
    assert used["row"] >= 0
    assert any("Calibrated on planted worlds" in line for line in conclusions(run))


@pytest.mark.slow
def test_intervals_cover_in_new_worlds():
    """60 worlds of 2,000 points: coverage in the 99.8 % range of a binomial; mean error < .05.

    The recipe ``slope-table`` does it on 300.
    """
    tested = Range(slope=(0.8, 1.5), within=(0.2, 0.7), dim=(50, 2000), between=(0, 0.3))
    planted = planted_conditions(60, points=2000, population=2000, within=tested, seed=77)
    rows, _ = table.shipped_table()
    names = Reading.__dataclass_fields__
    error, plain, covered = [], [], []
    for world in read_worlds(planted, seed=77):
        reading = Reading(**{name: world[name] for name in names})
        slope = calibrate_reading(
            reading, rows, points=2000, population=2000, methods=(DEFAULT_METHOD,)
        )[0]
        error.append(abs(slope.estimate - world["slope"]))
        plain.append(abs(world["envelope"] - world["slope"]))
        covered.append(slope.lo <= world["slope"] <= slope.hi)
    low, high = binom.ppf([0.001, 0.999], 60, 0.9)
    assert low <= sum(covered) <= high
    assert np.nanmean(error) < 0.05
    assert 0.1 < np.mean(plain) < 0.35
