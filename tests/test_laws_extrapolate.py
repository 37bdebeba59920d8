"""Extrapolation scores and the leaderboard: the law that made the data predicts best."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.laws import LAWS, find_law
from quantascope.laws.choosing.extrapolate import extrapolate
from quantascope.laws.choosing.select import candidates, compare_laws
from quantascope.laws.fitting.data import read_points
from quantascope.laws.fitting.objective import Objective
from tests.test_laws_fit import chinchilla_points


def _floor_data(seed: int, *, noise: float = 0.01) -> dict[str, np.ndarray]:
    x = np.geomspace(1e4, 1e9, 40)
    clean = LAWS["floor"]({"E": 1.7, "A": 40.0, "alpha": 0.25}, x=x)
    return {"x": x, "loss": clean * np.exp(noise * stream(seed, "noise").normal(size=40))}


def test_law_that_made_the_data_extrapolates_to_its_noise() -> None:
    """Held-out errors are noise (1 %) plus what 20 fitted points leave open: below 5 %."""
    data = _floor_data(0)
    points = read_points(find_law("floor"), data, response="loss")
    score = extrapolate(find_law("floor"), points, Objective("lsq-log"))
    assert score is not None
    assert score.rmsle < 0.05
    assert score.rmsle_power > 3 * score.rmsle  # a straight line misses the floor


def test_held_out_points_are_the_upper_end() -> None:
    """Changing the held-out responses changes the score and not the fit to the rest."""
    data = _floor_data(1)
    law = find_law("floor")
    points = read_points(law, data, response="loss")
    worse = {"x": data["x"], "loss": data["loss"].copy()}
    worse["loss"][32:] *= 1.5
    one, two = (
        extrapolate(law, read_points(law, table, response="loss"), Objective(), shares=(0.2,))
        for table in (data, worse)
    )
    assert one is not None
    assert two is not None
    assert one.splits[0].n_held == two.splits[0].n_held == 8
    assert two.splits[0].bias - one.splits[0].bias == pytest.approx(-np.log(1.5), rel=1e-9)
    assert points.n == 40


def test_points_of_equal_resource_stay_together() -> None:
    x = np.repeat(np.geomspace(1e4, 1e8, 10), 3)
    law = find_law("power")
    points = read_points(law, {"x": x, "loss": 9 * x**-0.1}, response="loss")
    score = extrapolate(law, points, Objective("lsq-log"), shares=(0.15, 0.5))
    assert score is not None
    assert all(split.n_held % 3 == 0 for split in score.splits)


def test_too_few_points_give_no_score() -> None:
    law = find_law("bnsl-1")
    x = np.geomspace(1e4, 1e8, 8)
    points = read_points(law, {"x": x, "loss": 9 * x**-0.1}, response="loss")
    assert extrapolate(law, points, Objective()) is None


def test_leaderboard_puts_the_planted_form_before_the_power_law() -> None:
    board = compare_laws(["power", "floor", "logistic"], _floor_data(2), objective="lsq-log")
    order = [row.law for row in board.rows]
    assert order.index("floor") < order.index("power")
    best = next(row for row in board.rows if row.law == "floor")
    assert best.cv_rmsle == pytest.approx(0.01, abs=0.004)  # its noise, known to 1/sqrt(2 40)
    assert next(row for row in board.rows if row.law == "power").aic > 50


def test_leaderboard_of_the_chinchilla_points_prefers_sums_of_powers() -> None:
    board = compare_laws(candidates(["N", "D"]), chinchilla_points())
    assert {row.law for row in board.rows[:2]} == {"chinchilla", "chinchilla-tied"}
    assert {"kaplan-ND", "quanta-max", "quanta-smooth"} <= {row.law for row in board.rows}


def test_laws_with_too_many_parameters_are_left_out_with_the_reason() -> None:
    x = np.geomspace(1e4, 1e8, 6)
    board = compare_laws(["power", "bnsl-3"], {"x": x, "loss": 9 * x**-0.1 + 0.01 * x**-0.5})
    assert [row.law for row in board.rows] == ["power"]
    assert board.left_out == {"bnsl-3": "6 points for 12 parameters"}


def test_candidates_share_the_inputs() -> None:
    assert {law.name for law in candidates(["N", "D"])} == {
        "chinchilla",
        "chinchilla-tied",
        "kaplan-ND",
        "quanta-max",
        "quanta-smooth",
    }
    single = {law.name for law in candidates(["N"])}
    assert {"power", "floor", "shifted", "m4", "bnsl-1", "kaplan-N", "quanta-finite-N"} <= single
    assert "kaplan-D" not in single
    assert candidates(["Q", "R"]) == []
