"""Edges of the fitter: weights' scale, flat parameters, floors of zero, misfits, damaged files."""

import json

import numpy as np
import pytest

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.laws import LAWS, Bootstrap, LawFit, find_law, fit
from quantascope.laws.choosing.extrapolate import extrapolate
from quantascope.laws.fitting.data import read_points
from quantascope.laws.fitting.objective import Objective
from tests.test_laws_fit import MEANING, planted

X = np.geomspace(1e4, 1e9, 40)


def floor_loss(seed: int = 0) -> np.ndarray:
    return (1.7 + 40 * X**-0.25) * np.exp(0.01 * stream(seed, "edges").normal(size=40))


@pytest.mark.parametrize("objective", ["huber", "lsq-log", "lsq", "asymmetric"])
def test_intervals_do_not_depend_on_the_scale_of_weights(objective: str) -> None:
    one, many = (
        fit("floor", {"x": X, "loss": floor_loss()}, objective=objective, weights=np.full(40, s))  # type: ignore[arg-type]
        for s in (1.0, 1e4)
    )
    for name in one.params:
        assert many.interval(name) == pytest.approx(one.interval(name), rel=1e-4)


@pytest.mark.parametrize(
    ("law", "table"),
    [
        ("chinchilla", {"N": np.full(20, 1e8), "D": np.geomspace(1e9, 1e12, 20)}),
        ("chinchilla-tied", {"N": np.full(20, 1e8), "D": np.geomspace(1e9, 1e12, 20)}),
        ("chinchilla", {"N": np.geomspace(1e9, 1e12, 20), "D": np.geomspace(1e9, 1e12, 20)}),
        ("power", {"x": np.full(20, 1e6)}),
        ("floor", {"x": np.geomspace(1e3, 1e9, 20)}),
    ],
)
def test_an_interval_holds_its_estimate(law: str, table: dict) -> None:
    """Also where nothing is identified: one size, equal inputs, equal losses."""
    size = table.get("D", table.get("x"))
    noise = np.exp(0.01 * stream(1, law).normal(size=20))
    loss = np.full(20, 3.0) if law == "floor" else (1.7 + 300 * size**-0.3) * noise
    found = fit(
        law,
        {**table, "loss": loss},
        meaning=dict.fromkeys(table, "counted") if "N" in table else {},
    )
    assert not found.identified
    for name, value in found.params.items():
        lo, hi = found.interval(name)
        assert lo <= value <= hi


@pytest.mark.parametrize("law", ["floor", "shifted", "bnsl-0"])
def test_a_floor_of_zero_is_zero(law: str) -> None:
    """Exact data of a power law over twelve decades: the nesting form is as exact, and says 0."""
    x = np.geomspace(1e-6, 1e6, 30)
    found = fit(law, {"x": x, "loss": 3 / x}, objective="lsq-log")
    # the bound that stands for zero is 1e-12 of the geometric mean, 1e-6 of the last response
    assert np.abs(found.residuals()).max() < 2e-6
    assert found.params["a" if law == "bnsl-0" else "E"] == 0.0


def test_few_points_have_wide_standard_errors() -> None:
    """Three points for two parameters: s.e. and Student's interval (t of 1 = 12.7) agree."""
    found = fit("power", {"x": X[:3], "loss": floor_loss()[:3]}, objective="lsq-log")
    lo, hi = found.interval("alpha")
    assert (hi - lo) / 2 == pytest.approx(12.706 * found.se["alpha"], rel=1e-3)


def test_a_curve_of_another_shape_is_noticed() -> None:
    u_shape = 3 + 0.05 * (np.log(X) - np.log(X).mean()) ** 2
    noise = np.exp(0.01 * stream(2, "u").normal(size=40))
    found = fit("floor", {"x": X, "loss": u_shape * noise})
    assert any("pattern along x" in warning for warning in found.warnings)


def test_the_right_shape_raises_no_alarm() -> None:
    """Of 60 fits of the law that made the data none is called a misfit (nominal 1 in 10,000)."""
    for seed in range(60):
        found = fit("floor", {"x": X, "loss": floor_loss(seed)}, objective="lsq-log")
        assert not any("pattern" in warning for warning in found.warnings)


def test_an_outlier_is_named() -> None:
    loss = floor_loss(3)
    loss[16] *= 3
    found = fit("floor", {"x": X, "loss": loss})
    assert any("the farthest is point 17" in warning for warning in found.warnings)


def test_the_baseline_of_a_power_law_is_itself() -> None:
    loss = 9 * X**-0.1 * np.exp(0.02 * stream(4, "noise").normal(size=40))
    loss[3] *= 2
    law = find_law("power")
    score = extrapolate(law, read_points(law, {"x": X, "loss": loss}, response="loss"), Objective())
    assert score is not None
    assert score.rmsle == pytest.approx(score.rmsle_power, rel=1e-6)


def test_steep_extrapolations_are_scored_in_full() -> None:
    """A law that falls by five decades in the held-out part is not cut short."""
    x = np.geomspace(1, 1e6, 30)
    law = find_law("power")
    points = read_points(law, {"x": x, "loss": x**-3.0}, response="loss")
    score = extrapolate(law, points, Objective("lsq-log"))
    assert score is not None
    assert max(score.rmsle, score.rmsle_power) < 1e-9


def test_zeros_count_as_the_smallest_response_in_scores() -> None:
    law = find_law("logistic")
    y = np.where(X < 1e6, 0.0, 1 / (1 + (1e7 / X) ** 2))
    points = read_points(law, {"x": X[::-1], "score": y}, response="score", raw=True)
    score = extrapolate(law, points, Objective("lsq"))
    assert score is not None
    assert np.isfinite(score.rmsle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.full(64, 1e300)}, "weights: 1e\\+300 at row 1"),
        ({"group": [float("nan")] * 32 + [1.0] * 32}, "group: a label is missing"),
        ({"delta": "a"}, "delta: 'a'"),
        ({"confidence": "x"}, "confidence: 'x'"),
        ({"bootstrap": 500}, "allowed is Bootstrap"),
        ({"fixed": {"E": "a"}}, "fixed: E='a'"),
    ],
)
def test_misuse_from_python_is_a_value_error(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit("chinchilla", planted(1), meaning=MEANING, **change)


def test_masked_and_empty_columns_are_refused() -> None:
    masked = np.ma.masked_array([3.0, 2.0, 1.5, 1.2], mask=[0, 1, 0, 0])
    with pytest.raises(ValueError, match="loss: nan at row 2"):
        fit("power", {"x": [1.0, 2.0, 3.0, 4.0], "loss": masked})
    with pytest.raises(ValueError, match="no points"):
        fit("power", {"x": [], "loss": []})


def test_bootstraps_have_a_stated_limit() -> None:
    with pytest.raises(ValueError, match="allowed are integers from 100 to 1,000,000"):
        Bootstrap(n=999_999_999)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("confidence", 7, "confidence 7"),
        ("params", {"A": 2.0}, "params must be A, alpha"),
        ("params", {"A": None, "alpha": 0.1}, "A is None"),
        ("params", {"A": -1.0, "alpha": 0.1}, "A is -1.0"),
        ("params", {"A": 2.0, "alpha": "0.3"}, "alpha is '0.3'"),
        ("params", {"A": 2.0, "alpha": 0.1}, "give an objective of"),
        ("replicates", [[1.0]], "replicates must be rows of 2"),
        ("law", "own", "pass a law of your own"),
    ],
)
def test_an_edited_fit_is_refused(key: str, value: object, message: str) -> None:
    found = fit("power", {"x": X, "loss": floor_loss()}).to_json()
    assert LawFit.from_json(json.loads(json.dumps(found))).law == "power"
    with pytest.raises(DataError, match=message):
        LawFit.from_json({**found, key: value})


def test_exact_logistic_is_recovered_exactly() -> None:
    truth = {"lo": 0.0, "hi": 1.0, "x0": 1e7, "k": 1.5}
    y = LAWS["logistic"](truth, x=X)
    found = fit("logistic", {"x": X, "score": y}, objective="lsq-log")
    assert found.params["k"] == pytest.approx(1.5, rel=1e-6)
    assert found.params["hi"] == pytest.approx(1.0, rel=1e-6)


def _runs(*, truth: str, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Make 12 runs of 15 checkpoints that share an error of 1 %."""
    x = np.tile(np.geomspace(1e4, 1e9, 15), 12)
    run = np.repeat(np.arange(12), 15)
    clean = 9 * x**-0.1 if truth == "power" else 1.7 + 40 * x**-0.25
    draw = stream(seed, "runs", truth)
    shared = 0.01 * draw.normal(size=12)[run] + 0.002 * draw.normal(size=180)
    return {"x": x, "loss": clean * np.exp(shared)}, run


def test_groups_are_resampled_whole_unless_told_otherwise() -> None:
    table, run = _runs(truth="floor")
    by_run = fit("floor", table, group=run, bootstrap=Bootstrap(n=200))
    assert by_run.interval_method.startswith("cluster")
    alone = fit("floor", table, bootstrap=Bootstrap(n=200))
    assert alone.interval_method.startswith("case")
    for kind in ("case", "parametric"):
        with pytest.raises(ValueError, match="allowed are cluster and wild"):
            fit("floor", table, group=run, bootstrap=Bootstrap(n=200, kind=kind))  # type: ignore[arg-type]


def test_a_floor_that_is_not_there_is_not_identified_in_groups_either() -> None:
    table, run = _runs(truth="power")
    assert "E" in fit("floor", table, group=run).not_identified


def test_shared_errors_of_runs_are_no_misfit() -> None:
    for seed in range(10):
        table, run = _runs(truth="floor", seed=seed)
        warnings = fit("floor", table, group=run).warnings
        assert not any("pattern" in warning for warning in warnings)


def test_held_parameters_have_no_interval_in_groups() -> None:
    table, run = _runs(truth="power")
    found = fit("floor", table, group=run, fixed={"E": 0.0})
    assert found.intervals["E"] == (0.0, 0.0)


def test_the_band_is_open_where_the_data_say_nothing() -> None:
    """One size: the curve at other sizes may be anywhere, at this size it is known."""
    noise = np.exp(0.01 * stream(5, "one size").normal(size=20))
    d = np.geomspace(1e9, 1e12, 20)
    loss = (1.7 + 300 * d**-0.3) * noise
    found = fit("chinchilla", {"N": np.full(20, 1e8), "D": d, "loss": loss}, meaning=MEANING)
    lo, hi = (float(end[0]) for end in found.predict({"N": 1e6, "D": 1e10}, interval=True)[1:3])
    assert lo == 0.0
    assert hi > 1e300


@pytest.mark.parametrize("above", [0.2, 0.5, 0.8])
def test_asymmetric_profiles_are_as_wide_as_their_estimate_varies(above: float) -> None:
    """Half the 95 % interval over 1.98 is the standard deviation over tables.

    150 tables know a standard deviation to 6 %, the window of the curvature costs some 15 %.
    """
    x, found, widths = np.geomspace(1e3, 1e8, 120), [], []
    for table in range(150):
        loss = 12 * x**-0.2 * np.exp(0.05 * stream(table, "lean").normal(size=120))
        one = fit("power", {"x": x, "loss": loss}, objective="asymmetric", above=above)
        found.append(one.params["alpha"])
        widths.append(np.diff(one.interval("alpha"))[0] / 2 / 1.98)
    assert np.mean(widths) == pytest.approx(np.std(found), rel=0.35)


def test_tied_parameters_share_the_narrower_bounds() -> None:
    truth = {"E": 0.5, "L0": 4.0, "a": 0.4, "b": 300.0, "c": 0.4}
    found = fit("m4", {"x": X, "loss": LAWS["m4"](truth, x=X)}, tied={"a": "c"})
    assert found.params["a"] == found.params["c"]
    mixed = fit("floor", {"x": X, "loss": floor_loss()}, tied={"E": "A"})
    assert mixed.params["E"] == pytest.approx(mixed.params["A"], rel=1e-12)


def test_agreement_of_descents_is_counted_on_large_tables_too() -> None:
    x = np.geomspace(1e3, 1e9, 5_000)
    loss = (1.7 + 40 * x**-0.25) * np.exp(0.02 * stream(6, "large").normal(size=5_000))
    assert fit("floor", {"x": x, "loss": loss}).n_starts > 10


def test_a_floor_at_its_bound_goes_through_json() -> None:
    x = np.geomspace(1e-6, 1e6, 30)
    found = fit("floor", {"x": x, "loss": 3 / x * np.exp(0.01 * stream(7, "far").normal(size=30))})
    assert LawFit.from_json(found.to_json()).objective == found.objective


@pytest.mark.parametrize("key", ["intervals", "se", "ranges", "points", "warnings", "fixed"])
def test_a_fit_cut_short_is_a_data_error(key: str) -> None:
    found = fit("power", {"x": X, "loss": floor_loss()}).to_json()
    with pytest.raises(DataError, match="damaged fit"):
        LawFit.from_json({**found, key: {} if key == "points" else 7})


def test_leaderboard_and_fit_agree_on_the_objective() -> None:
    from quantascope.laws import compare_laws

    table = {"x": X, "loss": floor_loss()}
    for objective in ("lsq", "lsq-log", "huber"):
        row = compare_laws(["floor"], table, objective=objective).rows[0]  # type: ignore[arg-type]
        one = fit("floor", table, objective=objective)  # type: ignore[arg-type]
        assert row.objective == pytest.approx(one.objective, rel=1e-9)


def test_aic_does_not_depend_on_which_quadratic_loss_it_came_from() -> None:
    """Huber's loss with a wide delta is least squares, and gives its differences of AIC."""
    from quantascope.laws import compare_laws

    table = {"x": X, "loss": floor_loss()}
    wide = compare_laws(["floor", "power"], table, delta=10.0)
    squares = compare_laws(["floor", "power"], table, objective="lsq-log")
    assert [row.aic for row in wide.rows] == pytest.approx(
        [row.aic for row in squares.rows], rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["lsq-log", "huber"])
def test_profile_intervals_cover_their_truth(objective: str) -> None:
    """200 tables of a power law with floor: binomial standard error 1.5 %, so 95 % -+ 4 of them."""
    truth = {"E": 1.7, "A": 40.0, "alpha": 0.25}
    held = []
    for table in range(200):
        found = fit("floor", {"x": X, "loss": floor_loss(table)}, objective=objective)  # type: ignore[arg-type]
        held.append([found.intervals[n][0] <= v <= found.intervals[n][1] for n, v in truth.items()])
    covered = np.mean(held, axis=0)
    print(objective, covered)
    assert (np.abs(covered - 0.95) <= 0.062).all()
