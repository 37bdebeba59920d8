"""The fitter: global minima, objectives, fixed and tied parameters, what is not identified."""

from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.laws import LAWS, LawFit, find_law, fit
from quantascope.laws.fitting.objective import Objective

TABLE = Path(__file__).parents[1] / "examples" / "data" / "chinchilla_points.csv"
MEANING = {"N": "total parameters", "D": "tokens"}


def chinchilla_points() -> dict[str, np.ndarray]:
    """Read the 240 points taken off figure 4 of arXiv:2203.15556, five outliers left out."""
    table = np.genfromtxt(TABLE, delimiter=",", names=True)
    kept = table[table["outlier_top5"] == 0]
    return {"N": kept["params_N"], "D": kept["tokens_D"], "loss": kept["loss"]}


def planted(seed: int, *, noise: float = 0.01) -> dict[str, np.ndarray]:
    """Make a grid of runs under Chinchilla's law."""
    sizes, data = (
        a.ravel() for a in np.meshgrid(np.geomspace(5e7, 1e10, 8), np.geomspace(1e9, 3e11, 8))
    )
    truth = {"E": 1.7, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37}
    loss = LAWS["chinchilla"](truth, N=sizes, D=data)
    return {
        "N": sizes,
        "D": data,
        "loss": loss * np.exp(noise * stream(seed, "noise").normal(size=64)),
    }


def test_chinchilla_refit_is_the_published_minimum() -> None:
    """Besiroglu et al. 2024 (arXiv:2404.10102), released code, to the digits of its objective."""
    found = fit("chinchilla", chinchilla_points(), meaning=MEANING)
    assert found.objective <= 0.00101828
    expected = {"E": 1.81722, "A": 477.83, "B": 2143.42, "alpha": 0.34731, "beta": 0.36717}
    for name, value in expected.items():
        assert found.params[name] == pytest.approx(value, rel=2e-5)
    assert found.converged
    assert found.identified
    assert found.n_reached == found.n_starts


def _scipy_best(data: dict[str, np.ndarray], *, delta: float, n_starts: int) -> float:
    """Plain baseline: many L-BFGS-B descents of the summed Huber loss from random starts."""
    n, d, loss = (np.log(data[name]) for name in ("N", "D", "loss"))
    goal = Objective("huber", delta)

    def value(theta: np.ndarray) -> float:
        a, b, e, alpha, beta = theta
        terms = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
        return float(goal.loss(loss - np.logaddexp.reduce(terms)).sum())

    draw = stream(0, "starts")
    lo, hi = np.array([0, 0, -1, 0, 0]), np.array([25, 25, 1, 2, 2])
    tight = {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 5000, "maxfun": 50_000}
    starts = draw.uniform(lo, hi, (n_starts, 5))
    return min(
        optimize.minimize(value, start, method="L-BFGS-B", options=tight).fun for start in starts
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_random_start_finds_a_lower_minimum(seed: int) -> None:
    data = planted(seed)
    found = fit("chinchilla", data, meaning=MEANING)
    assert found.objective <= _scipy_best(data, delta=1e-3, n_starts=150) * (1 + 1e-6)


@pytest.mark.parametrize("name", ["bnsl-1", "m4", "floor"])
def test_minimum_is_that_of_differential_evolution(name: str) -> None:
    """A slow global optimiser of SciPy, given the truth's neighbourhood, finds nothing lower."""
    law = find_law(name)
    x = np.geomspace(1e4, 1e9, 40)
    truth = {
        "bnsl-1": {"a": 0.5, "b": 4.0, "c0": 0.05, "c1": 0.5, "d1": 3e6, "f1": 0.3},
        "m4": {"E": 0.5, "L0": 4.0, "a": 0.6, "b": 300.0, "c": 0.45},
        "floor": {"E": 1.7, "A": 40.0, "alpha": 0.25},
    }[name]
    loss = law(truth, x=x) * np.exp(0.02 * stream(5, name).normal(size=40))
    found = fit(law, {"x": x, "loss": loss}, objective="lsq-log")
    log_x, log_loss = np.log(x)[None], np.log(loss)

    def value(theta: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            residual = log_loss - law.form(theta[None], log_x)[0][0]
        total = 0.5 * float((residual**2).sum())
        return total if np.isfinite(total) else 1e9

    centre = law.encode(truth)[0]
    box = [(c - 2.0 - 0.3 * abs(c), c + 2.0 + 0.3 * abs(c)) for c in centre]
    rival = optimize.differential_evolution(value, box, rng=1, maxiter=300, popsize=12)
    assert found.objective <= rival.fun * (1 + 1e-6)


def test_a_local_minimum_would_be_seen() -> None:
    """Twin: a descent from the original paper's start stops above the global minimum."""
    data = chinchilla_points()
    n, d, loss = (np.log(data[name]) for name in ("N", "D", "loss"))
    goal = Objective("huber", 1e-3)

    def value(theta: np.ndarray) -> float:
        a, b, e, alpha, beta = theta
        terms = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
        return float(goal.loss(loss - np.logaddexp.reduce(terms)).sum())

    start = np.array([np.log(406.4), np.log(410.7), np.log(1.69), 0.34, 0.28])
    stopped = optimize.minimize(value, start, method="L-BFGS-B")
    assert stopped.success
    assert stopped.fun > 1.05 * 0.00101828


def test_least_squares_in_logs_is_linear_regression() -> None:
    x = np.geomspace(1e3, 1e8, 25)
    loss = 12 * x**-0.2 * np.exp(0.05 * stream(3, "noise").normal(size=25))
    found = fit("power", {"x": x, "loss": loss}, objective="lsq-log")
    line = stats.linregress(np.log(x), np.log(loss))
    assert found.params["alpha"] == pytest.approx(-line.slope, rel=1e-9)
    assert found.params["A"] == pytest.approx(np.exp(line.intercept), rel=1e-9)


def test_profile_of_a_line_is_students_interval() -> None:
    """Equal but for the interpolation between 13 values, good to 1e-3 of the half width."""
    x = np.geomspace(1e3, 1e8, 12)
    loss = 12 * x**-0.2 * np.exp(0.05 * stream(4, "noise").normal(size=12))
    found = fit("power", {"x": x, "loss": loss}, objective="lsq-log")
    line = stats.linregress(np.log(x), np.log(loss))
    half = stats.t.ppf(0.975, 10) * line.stderr
    assert found.interval("alpha") == pytest.approx(
        (-line.slope - half, -line.slope + half), abs=1e-3 * half
    )


def test_huber_ignores_how_far_an_outlier_lies() -> None:
    """Moving a point farther from the curve on its own side leaves the minimum where it is."""
    x = np.geomspace(1e3, 1e8, 41)
    loss = 12 * x**-0.2 * np.exp(0.05 * stream(6, "noise").normal(size=41))
    here = fit("power", {"x": x, "loss": loss})
    farther = loss.copy()
    farther[int(np.argmax(here.residuals()))] *= 3
    there = fit("power", {"x": x, "loss": farther})
    assert there.params == pytest.approx(here.params, rel=1e-6)
    squares = [fit("power", {"x": x, "loss": y}, objective="lsq-log") for y in (loss, farther)]
    assert squares[1].params["alpha"] != pytest.approx(squares[0].params["alpha"], rel=1e-3)


def test_raw_least_squares_minimises_raw_residuals() -> None:
    x = np.geomspace(1e4, 1e8, 30)
    loss = 1.7 + 40 * x**-0.25 + 0.05 * stream(7, "noise").normal(size=30)
    found = fit("floor", {"x": x, "loss": loss}, objective="lsq")

    def rival(theta: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(theta[0]) + np.exp(theta[1] - theta[2] * np.log(x)) - loss)

    start = [
        np.log(found.params[n]) if n != "alpha" else found.params[n] for n in ("E", "A", "alpha")
    ]
    best = optimize.least_squares(rival, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert found.objective == pytest.approx(best.cost, rel=1e-8)
    assert found.objective == pytest.approx(0.5 * (found.residuals() ** 2).sum(), rel=1e-9)


def test_asymmetric_objective_puts_its_share_above_the_curve() -> None:
    """As in quantile regression, about 1 - above of the points end above the curve."""
    x = np.geomspace(1e3, 1e8, 400)
    loss = 12 * x**-0.2 * np.exp(0.05 * stream(8, "noise").normal(size=400))
    for above in (0.2, 0.5, 0.8):
        found = fit("power", {"x": x, "loss": loss}, objective="asymmetric", above=above)
        share = float((found.residuals() > 0).mean())
        assert share == pytest.approx(1 - above, abs=0.02)  # two parameters move a few points


def test_fixed_and_tied_parameters_stay_so() -> None:
    data = chinchilla_points()
    held = fit("chinchilla", data, meaning=MEANING, fixed={"A": 406.4, "alpha": 0.34})
    assert held.params["A"] == pytest.approx(406.4, rel=1e-12)
    assert held.params["alpha"] == 0.34
    assert held.intervals["alpha"] == (0.34, 0.34)
    tied = fit("chinchilla", data, meaning=MEANING, tied={"beta": "alpha"})
    one = fit("chinchilla-tied", data, meaning=MEANING)
    assert tied.params["alpha"] == tied.params["beta"]
    assert tied.objective == pytest.approx(one.objective, rel=1e-8)
    free = fit("chinchilla", data, meaning=MEANING)
    assert min(held.objective, tied.objective) > free.objective


def test_a_floor_can_be_held_at_zero() -> None:
    x = np.geomspace(1e3, 1e8, 25)
    loss = 12 * x**-0.2 * np.exp(0.05 * stream(3, "noise").normal(size=25))
    held = fit("floor", {"x": x, "loss": loss}, fixed={"E": 0.0})
    plain = fit("power", {"x": x, "loss": loss})
    assert held.params["E"] == 0.0
    # the bound that stands for zero is 1e-12 of the response
    assert held.params["alpha"] == pytest.approx(plain.params["alpha"], rel=1e-9)


def test_weights_count_like_repeated_rows() -> None:
    data = planted(2)
    weights = np.where(np.arange(64) % 3 == 0, 2.0, 1.0)
    doubled = {n: np.repeat(c, weights.astype(int)) for n, c in data.items()}
    one = fit("chinchilla", data, meaning=MEANING, weights=weights)
    two = fit("chinchilla", doubled, meaning=MEANING)
    assert one.objective == pytest.approx(two.objective, rel=1e-8)
    assert one.params == pytest.approx(two.params, rel=1e-4)


def test_floor_of_a_pure_power_law_is_not_identified() -> None:
    x = np.geomspace(1e5, 1e9, 30)
    loss = 9 * x**-0.1 * np.exp(0.02 * stream(9, "noise").normal(size=30))
    found = fit("floor", {"x": x, "loss": loss})
    assert not found.identified
    assert "zero" in found.not_identified["E"]
    assert found.intervals["E"][0] == 0.0


def test_floor_that_is_there_is_identified() -> None:
    """Twin of the test above."""
    x = np.geomspace(1e5, 1e9, 30)
    loss = (1.5 + 900 * x**-0.5) * np.exp(0.01 * stream(9, "noise").normal(size=30))
    found = fit("floor", {"x": x, "loss": loss})
    assert found.identified
    assert found.intervals["E"][0] < 1.5 < found.intervals["E"][1]


def test_break_outside_the_data_is_not_identified() -> None:
    """A break at 612 with data up to 405 and noise: nothing bends where the data are."""
    x = np.geomspace(1.0, 60.0, 40)
    truth = {"a": 0.05, "b": 3.0, "c0": 0.2, "c1": 0.6, "d1": 3e4, "f1": 0.1}
    noise = np.exp(0.01 * stream(10, "noise").normal(size=40))
    found = fit("bnsl-1", {"x": x, "loss": LAWS["bnsl-1"](truth, x=x) * noise})
    assert not found.identified
    assert {"d1", "f1", "c1"} & set(found.not_identified)


def test_noiseless_break_beyond_the_data_is_still_found() -> None:
    """Break at 612.6, data to 405: with loose tolerances descents stop at a break of 468."""
    x = np.geomspace(1.0, 405.0, 60)
    truth = {"a": 0.05, "b": 3.0, "c0": 0.2, "c1": 0.6, "d1": 612.6, "f1": 0.4}
    found = fit("bnsl-1", {"x": x, "loss": LAWS["bnsl-1"](truth, x=x)}, objective="lsq-log")
    beyond = np.geomspace(405.0, 1e4, 20)
    ratio = found.predict({"x": beyond}) / LAWS["bnsl-1"](truth, x=beyond)
    assert np.sqrt(np.mean(np.log(ratio) ** 2)) < 1e-6


def test_exponent_of_one_data_size_is_not_identified() -> None:
    data = planted(3)
    one = data["D"] == data["D"][0]
    table = {
        "N": np.tile(data["N"][:8], 3),
        "D": np.full(24, 1e10),
        "loss": np.tile(data["loss"][:8], 3),
    }
    assert one.any()
    found = fit("chinchilla", table, meaning=MEANING)
    assert not found.identified
    assert {"B", "beta"} & set(found.not_identified)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"N": None}, "no column N"),
        ({"loss": -1.0}, "loss: -1.0 at row 3"),
        ({"N": 0.0}, "N: 0.0 at row 3"),
        ({"D": np.nan}, "D: nan at row 3"),
    ],
)
def test_bad_columns_are_refused_in_one_line(change: dict, message: str) -> None:
    data = planted(1)
    for name, value in change.items():
        if value is None:
            del data[name]
        else:
            data[name] = data[name].copy()
            data[name][2] = value
    with pytest.raises(ValueError, match=message) as caught:
        fit("chinchilla", data, meaning=MEANING)
    assert "\n" not in str(caught.value)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="2 points for the 5 free parameters"):
        fit("chinchilla", {"N": [1e8, 1e9], "D": [1e9, 1e10], "loss": [3.0, 2.5]}, meaning=MEANING)


def test_text_and_too_many_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="loss: not a column of numbers"):
        fit("power", {"x": [1.0, 2.0, 3.0], "loss": ["3", "two", "1"]})
    many = np.ones(200_001)
    with pytest.raises(ValueError, match="200,001 points; allowed are 200,000"):
        fit("power", {"x": many, "loss": many})


def test_large_tables_are_fitted() -> None:
    x = np.geomspace(1e3, 1e9, 20_000)
    loss = (1.7 + 40 * x**-0.25) * np.exp(0.02 * stream(11, "noise").normal(size=20_000))
    found = fit("floor", {"x": x, "loss": loss})
    # standard errors are printed with the fit: the truth lies within five of them
    for name, truth in {"E": 1.7, "A": 40.0, "alpha": 0.25}.items():
        assert abs(found.params[name] - truth) < 5 * found.se[name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "chinchila"}, "law: 'chinchila' is unknown; allowed are power"),
        ({"meaning": {}}, "meaning: law chinchilla mixes N, D"),
        ({"meaning": {**MEANING, "S": "steps"}}, "S is no input of law chinchilla"),
        ({"objective": "huber-log"}, "objective: 'huber-log'"),
        ({"delta": 0.0}, "delta: 0.0"),
        ({"above": 1.0}, "above: 1.0"),
        ({"confidence": 95}, "confidence: 95"),
        ({"fixed": {"gamma": 1.0}}, "parameter 'gamma'"),
        ({"fixed": {"E": -1.0}}, "fixed: E=-1.0"),
        ({"fixed": {"alpha": 50.0}}, "fixed: alpha is outside"),
        ({"tied": {"alpha": "E"}}, "different kinds"),
        ({"tied": {"alpha": "beta"}, "fixed": {"beta": 0.3}}, "one of them is fixed"),
        ({"group": ["a"]}, "group: 1 labels for 64 points"),
        ({"weights": -np.ones(64)}, "weights: -1.0 at row 1"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict, message: str) -> None:
    given = {"law": "chinchilla", "meaning": MEANING, **options}
    with pytest.raises(ValueError, match=message):
        fit(given.pop("law"), planted(1), **given)


def test_damaged_json_is_refused() -> None:
    found = fit("power", {"x": [1.0, 2.0, 4.0, 8.0], "loss": [4.0, 3.1, 2.0, 1.7]}).to_json()
    with pytest.raises(DataError, match="not a fit"):
        LawFit.from_json({"schema": "other"})
    del found["params"]
    with pytest.raises(DataError, match="no params"):
        LawFit.from_json(found)


def test_checkpoints_of_a_run_are_noticed() -> None:
    n = np.repeat(np.geomspace(1e7, 1e9, 5), 12)
    d = np.tile(np.geomspace(1e9, 1e11, 12), 5)
    truth = {"E": 1.7, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37}
    loss = LAWS["chinchilla"](truth, N=n, D=d) * np.exp(0.01 * stream(12, "noise").normal(size=60))
    table = {"N": n, "D": d, "loss": loss}
    said = " ".join(fit("chinchilla", table, meaning=MEANING).warnings)
    assert "checkpoints of one run" in said
    grouped = fit("chinchilla", table, meaning=MEANING, group=n)
    assert "checkpoints of one run" not in " ".join(grouped.warnings)
    assert "only 5 groups" in " ".join(grouped.warnings)


def test_delta_in_the_wrong_unit_is_noticed() -> None:
    found = fit("chinchilla", planted(4), meaning=MEANING, delta=1.0)
    assert any("this is least squares" in warning for warning in found.warnings)
    assert not fit("chinchilla", planted(4), meaning=MEANING).warnings
