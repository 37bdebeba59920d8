"""Laws of curve shapes: false claims at their rate, planted shapes found, turns bracketed."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from quantascope.core.rng import stream
from quantascope.laws.shapes import CLAIMS, SHAPES, classify_shapes
from quantascope.laws.shapes.null import p_value

N = 500
X = {n: np.geomspace(1e6, 1e9, n) for n in (6, 10, 20)}
PLANTED = {
    "flat": lambda u: 0 * u,
    "power": lambda u: -u,
    "floor": lambda u: np.log(0.3 + np.exp(-3 * u)),
    "logistic": lambda u: -expit((u - 0.5) / 0.15),
    "rising": lambda u: 0.8 * u,
    "U": lambda u: 4 * (u - 0.5) ** 2,
    "inverted U": lambda u: -4 * (u - 0.5) ** 2,
    "double descent": lambda u: -1.5 * u + 1.2 * np.exp(-(((u - 0.55) / 0.12) ** 2)),
    "abrupt": lambda u: -1.0 * (u > 0.5),
    "broken": lambda u: -0.3 * u - 3 * np.maximum(u - 0.6, 0),
}


def log_curves(name, n_points, *, noise, n=N, seed=0):
    u = np.linspace(0, 1, n_points)
    errors = stream(seed, "shapes", name, n_points).standard_normal((n, n_points))
    return PLANTED[name](u) + noise * errors


def classify(name, n_points, *, noise, known, n=N, seed=0, **options):
    y = np.exp(log_curves(name, n_points, noise=noise, n=n, seed=seed))
    stderr = noise * y if known else None
    return classify_shapes(X[n_points], y, stderr=stderr, seed=seed, **options)


def claims(table, level=0.05):
    return dict(zip(CLAIMS, (np.nan_to_num(table.p, nan=1) <= level).mean(axis=0), strict=True))


SIGMA = np.sqrt(0.05 * 0.95 / N)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("n_points", [6, 10, 20])
def test_on_pure_noise_changes_are_claimed_at_the_level_and_the_rest_at_most(n_points, known):
    """The first is exact there: 5 % within 3 sigma (fixed seed)."""
    found = claims(classify("flat", n_points, noise=0.1, known=known))
    assert abs(found["change"] - 0.05) < 3 * SIGMA
    assert found["bend"] < 0.05 + 3 * SIGMA
    assert found["turn"] < 0.05 + 3 * SIGMA
    assert found["second turn"] < 0.05 + 3 * SIGMA


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("n_points", [6, 20])
@pytest.mark.parametrize("name", ["power", "floor", "logistic"])
def test_smooth_monotone_curves_neither_turn_nor_break_beyond_the_level(name, n_points, known):
    """At most 5 % and 3 sigma."""
    found = claims(classify(name, n_points, noise=0.05, known=known))
    for claim in ("turn", "second turn", "bend"):
        assert found[claim] < 0.05 + 3 * SIGMA, claim


def off_grid(n_points, *, per_noise=1000):
    """Draw smooth bends between the members of any grid, at two precisions."""
    rng, u = stream(0, "off grid", n_points), np.linspace(0, 1, n_points)
    middle, width = rng.uniform(0.15, 0.85, (per_noise, 1)), rng.uniform(0.1, 0.25, (per_noise, 1))
    ratio, decay = np.exp(rng.uniform(0, 4, (per_noise, 1))), rng.uniform(1, 7, (per_noise, 1))
    power = rng.uniform(-6, 6, (per_noise, 1))
    return {
        "logistic": -expit((u - middle) / width),
        "floor": np.log(1 / ratio + np.exp(-decay * u)),
        "power": np.expm1(power * u) / np.abs(np.expm1(power)),
    }


@pytest.mark.parametrize("noise", [0.05, 0.01])
@pytest.mark.parametrize("n_points", [6, 20])
@pytest.mark.parametrize("name", ["logistic", "floor", "power"])
def test_smooth_bends_between_the_grid_are_not_broken(name, n_points, noise):
    """At most 5 % and 3 sigma of 1,000, also where the noise is a hundredth of the range."""
    truth = off_grid(n_points)[name]
    error = noise * stream(0, "off grid noise", name, n_points).standard_normal(truth.shape)
    y = np.exp(truth + error)
    found = claims(classify_shapes(X[n_points], y, stderr=noise * y))
    assert found["bend"] < 0.05 + 3 * SIGMA / np.sqrt(2)


def test_curves_with_opposite_errors_in_one_table_are_each_tested_at_the_level():
    """Errors that grow tenfold in one half, and fall in the other; flat truth, 1,000 of each."""
    error = np.repeat([0.1 ** np.linspace(0, 1, 10), 0.1 ** np.linspace(1, 0, 10)], 1000, axis=0)
    y = 1 + error * stream(0, "opposite").standard_normal(error.shape)
    p = classify_shapes(X[10], y, metric="accuracy", stderr=error).p
    for half in (p[:1000], p[1000:]):
        assert ((half <= 0.05).mean(axis=0) < 0.05 + 3 * SIGMA / np.sqrt(2)).all()


def test_errors_taken_as_equal_would_claim_too_much():
    """Twin: the same curves, told the average error."""
    error = np.repeat([0.1 ** np.linspace(0, 1, 10)], 500, axis=0)
    y = 1 + error * stream(0, "opposite").standard_normal(error.shape)
    p = classify_shapes(X[10], y, metric="accuracy", stderr=np.sqrt((error**2).mean())).p
    assert (p[:, 0] <= 0.05).mean() > 0.05 + 3 * SIGMA


@pytest.mark.parametrize("name", ["abrupt", "broken"])
def test_a_step_or_break_is_no_turn(name):
    found = claims(classify(name, 20, noise=0.05, known=True))
    assert found["turn"] < 0.05 + 3 * SIGMA


@pytest.mark.parametrize("name", ["U", "inverted U"])
def test_one_turn_is_not_two(name):
    assert claims(classify(name, 20, noise=0.05, known=True))["second turn"] < 0.05 + 3 * SIGMA


@pytest.mark.parametrize("correction", ["bh", "holm"])
def test_among_flat_curves_a_shape_is_named_as_rarely_as_promised(correction):
    """All curves flat: both corrections bound the chance of any claim; 8 tables of 50."""
    wrong = sum(
        (
            classify("flat", 10, noise=0.1, known=True, n=50, seed=s, correction=correction).shape
            != "flat"
        ).any()
        for s in range(8)
    )
    assert wrong <= binom.ppf(1 - 1e-4, 8, 0.05)


POWER = [  # (planted, named, points, noise of log y, standard errors given, share found)
    ("power", "monotone", 6, 0.05, True, 0.99),
    ("power", "monotone", 10, 0.05, False, 0.95),
    ("rising", "inverse", 10, 0.05, False, 0.95),
    ("U", "U", 6, 0.05, True, 0.99),
    ("U", "U", 10, 0.05, False, 0.95),
    ("U", "U", 20, 0.2, True, 0.80),
    ("inverted U", "inverted U", 20, 0.05, False, 0.99),
    ("double descent", "double descent", 10, 0.05, True, 0.99),
    ("double descent", "double descent", 20, 0.03, False, 0.90),
    ("abrupt", "abrupt", 10, 0.05, True, 0.95),
    ("abrupt", "abrupt", 20, 0.1, False, 0.90),
    ("broken", "broken", 20, 0.02, True, 0.95),
    ("broken", "broken", 20, 0.02, False, 0.90),
]


@pytest.mark.parametrize("case", POWER)
def test_planted_shapes_are_found_with_this_power(case):
    name, named, n_points, noise, known, share = case
    table = classify(name, n_points, noise=noise, known=known)
    assert (table.shape == named).mean() >= share


def test_little_data_is_not_overrated():
    """Six noisy points without errors: a U of one sigma is not told from flat."""
    table = classify("U", 6, noise=1.0, known=False)
    assert (table.shape == "flat").mean() > 0.95


@pytest.mark.parametrize(
    ("name", "truth"), [("U", 0.5), ("inverted U", 0.5), ("double descent", 0.53), ("broken", 0.6)]
)
def test_the_interval_of_a_turn_covers_it(name, truth):
    """At least 95 % less 3 sigma; of the peak 0.53 is the maximum of the planted curve."""
    table = classify(name, 20, noise=0.02, known=True)
    placed = np.isfinite(table.turning_point)
    lo, hi = (np.log(v / 1e6) / np.log(1e3) for v in (table.turning_lo, table.turning_hi))
    assert placed.mean() > 0.9
    covered = (lo[placed] <= truth + 1e-9) & (hi[placed] >= truth - 1e-9)
    assert covered.mean() > 0.95 - 3 * SIGMA
    assert (hi - lo)[placed].mean() < 0.7


def test_a_step_lies_between_its_two_points():
    table = classify("abrupt", 20, noise=0.05, known=False)
    middle = 10 ** (6 + 3 * 0.5)
    assert ((table.turning_lo < middle) & (middle < table.turning_hi)).mean() > 0.95
    assert np.median(table.sharpness) > 0.8
    assert np.median(classify("power", 20, noise=0.02, known=True).sharpness) < 0.3


def test_direction_follows_the_metric():
    u = np.linspace(0, 1, 10)
    rising = np.stack([0.2 + 0.5 * u, 0.7 - 0.5 * u])
    for metric, expected in (
        ("loss", ["worsens", "improves"]),
        ("accuracy", ["improves", "worsens"]),
    ):
        table = classify_shapes(X[10], rising, metric=metric, stderr=0.01)
        assert table.direction.tolist() == expected
    mirrored = -log_curves("double descent", 20, noise=0.05, n=20)
    table = classify_shapes(X[20], mirrored, metric="accuracy", stderr=0.05)
    assert (table.shape == "double descent").all()


def test_replicates_are_a_standard_error():
    noise = 0.2 * stream(0, "replicates").standard_normal((N, 8, 10))
    flat = classify_shapes(X[10], noise, metric="accuracy")
    assert abs((flat.p[:, 0] <= 0.05).mean() - 0.05) < 3 * SIGMA
    shaped = classify_shapes(X[10], noise + PLANTED["U"](np.linspace(0, 1, 10)), metric="accuracy")
    assert (shaped.shape == "U").mean() > 0.95
    assert "replicates, 70 degrees" in shaped.method


def test_scale_and_order_of_the_input_change_nothing():
    y = np.exp(log_curves("U", 10, noise=0.05, n=20))
    table = classify_shapes(X[10], y)
    shuffled = classify_shapes(X[10][::-1] * 7, y[:, ::-1] * 3)
    assert (table.shape == shuffled.shape).all()
    np.testing.assert_allclose(table.p, shuffled.p, rtol=1e-6)
    np.testing.assert_allclose(table.turning_point * 7, shuffled.turning_point, rtol=1e-12)


@pytest.mark.parametrize("error", [1e-200, 1e200, np.geomspace(1e-160, 1, 12)])
@pytest.mark.parametrize("unit", [1e-150, 1.0, 1e150])
def test_no_unit_and_no_error_overflows(error, unit):
    """A step of one unit: abrupt where errors are small beside it, else flat."""
    y = unit * (np.linspace(0, 1, 12) > 0.5)
    table = classify_shapes(np.geomspace(1, 1e3, 12), y, metric="accuracy", stderr=error)
    assert table.shape[0] == ("abrupt" if np.median(error) < 1e-3 * unit else "flat")


def test_missing_points_and_short_curves_are_handled():
    y = np.exp(log_curves("power", 10, noise=0.02, n=5))
    y[1, 3] = np.nan
    y[2, :6] = np.nan
    table = classify_shapes(X[10], y)
    assert table.shape.tolist() == ["monotone"] * 2 + ["too few points"] + ["monotone"] * 2
    assert table.n_points.tolist() == [10, 9, 4, 10, 10]
    assert np.isnan(table.p[2]).all()
    assert (classify_shapes([1, 2, 3], [3.0, 2, 1], stderr=0.01).shape == "monotone").all()


def test_curves_without_noise_are_read_as_they_are():
    assert classify_shapes(X[6], np.ones((1, 3, 6))).shape.tolist() == ["flat"]
    u = np.linspace(0, 1, 10)
    y = np.stack([np.full(10, 2.0), np.exp(-u), np.exp(4 * (u - 0.5) ** 2)])
    assert classify_shapes(X[10], y).shape[:2].tolist() == ["flat", "monotone"]


def test_corrected_p_values_are_those_of_the_definitions():
    """Written out: Holm p_(i) (n - i), Benjamini-Hochberg p_(i) n / (i + 1), made monotone."""
    table = classify("flat", 10, noise=0.1, known=True, n=6)
    p = np.sort(table.p[:, 0])
    holm = np.minimum(np.maximum.accumulate(p * (6 - np.arange(6))), 1)
    bh = np.minimum.accumulate((p * 6 / (np.arange(6) + 1))[::-1])[::-1]
    np.testing.assert_allclose(np.sort(table.p_holm[:, 0]), holm)
    np.testing.assert_allclose(np.sort(table.p_bh[:, 0]), np.minimum(bh, 1))
    assert set(table.shape) <= set(SHAPES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"x": [1, 2, 2], "y": [1, 1, 1]}, "distinct"),
        ({"x": [0, 1, 2], "y": [1, 1, 1]}, "x: allowed"),
        ({"x": [1, 2, 3], "y": [1, 1]}, "last axis"),
        ({"x": [1, 2, 3], "y": [1, 0, 1]}, "y: 0 found at place 1, 2"),
        ({"x": [1, 2, 3], "y": [1, -1, 1], "metric": "count"}, "metric count"),
        ({"x": [1, 2, 3], "y": [1, np.inf, 1], "metric": "accuracy"}, "y: inf"),
        ({"x": [1, 2, 3], "y": [1, 1, 1], "metric": "f1"}, "metric: 'f1'"),
        ({"x": [1, 2, 3], "y": [1, 1, 1], "stderr": [1, 1, 0]}, "stderr: allowed"),
        ({"x": [1, 2, 3], "y": [1, 1, 1], "stderr": [1, 1]}, "stderr: shape"),
        ({"x": [1, 2, 3], "y": np.ones((2, 2, 3)), "stderr": 1.0}, "replicates"),
        ({"x": [1, 2, 3], "y": [1, 1, 1], "level": 0}, "level: 0"),
        ({"x": [1, 2, 3], "y": [1, 1, 1], "correction": "none"}, "correction"),
        ({"x": np.arange(1, 66), "y": np.ones(65)}, "65 points"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        classify_shapes(**arguments)


def test_a_null_whose_largest_values_are_equal_is_not_continued():
    """The tail has no power to continue: the plain rank, without a division by zero."""
    null = np.r_[np.linspace(0.1, 0.9, 400), np.ones(100)]
    assert p_value(null, np.array([0.5, 1.0, 9.0])).tolist() == pytest.approx(
        [(1 + (null >= 0.5).sum()) / 501, 101 / 501, 1 / 501]
    )
