"""Laws of exponents beside those that frequencies of use predict."""

import numpy as np
import pytest
from scipy.stats import linregress

from quantascope.core.rng import stream
from quantascope.families.exponents import (
    UseExponent,
    compare,
    measure_exponent,
    predict_exponent,
)
from quantascope.families.series import Series
from quantascope.theory.finite import PARITY_WIDTHS, parity_params
from quantascope.theory.resources import QuantaModel, predict_loss


def mean_series(x: np.ndarray, loss: np.ndarray, *, scale: str = "n_params", runs: int = 1):
    place = np.arange(len(x) * runs)
    return Series(
        scale=scale,
        x=x,
        losses=loss.reshape(1, -1),
        level=place % len(x),
        run=place // len(x) if scale == "step" else place,
    )


def known(alpha: float, **more) -> UseExponent:
    return UseExponent(alpha=alpha, lo=alpha, hi=alpha, calibrated=True, source="known", **more)


def test_an_exact_power_law_gives_its_exponent_and_no_floor():
    x = np.geomspace(1e4, 1e8, 9)
    found = measure_exponent(mean_series(x, 30 * x**-0.3))
    assert found.exponent == pytest.approx(0.3, abs=1e-9)
    assert found.name == "alpha_N"
    assert np.isnan(found.with_floor.exponent)
    assert found.with_floor.reason


def test_a_floor_is_found_where_there_is_one_and_flattens_the_plain_exponent():
    x = np.geomspace(1e4, 1e8, 12)
    rng = stream(0, "floor")
    loss = (1.5 + 30 * x**-0.3) * np.exp(0.002 * rng.standard_normal(12))
    found = measure_exponent(mean_series(x, loss))
    assert found.with_floor.lo < 0.3 < found.with_floor.hi
    assert abs(found.with_floor.floor - 1.5) < 0.1
    assert found.exponent < 0.15
    few = measure_exponent(mean_series(x[::3], loss[::3]))
    assert few.with_floor.reason == "4 levels; 5 are needed"


def test_finite_tasks_give_the_exponents_of_the_parity_experiment():
    """C = 7,000 at alpha .4: a line through 20 widths has .422 (arXiv 2303.13506, figure A4)."""
    params = parity_params(PARITY_WIDTHS)
    model = QuantaModel(alpha=0.4, n_tasks=500, capacity=7000, b=np.log(2))
    series = mean_series(params, predict_loss(model, "N", params))
    use = known(0.4, n_tasks=500, loss_before=np.log(2))
    predicted = predict_exponent(use, series)
    assert predicted.exponent == 0.4
    assert predicted.finite == pytest.approx(0.422, abs=5e-4)
    assert predicted.constant == pytest.approx(7000, rel=1e-3)
    assert predicted.scatter < 1e-3
    measured = measure_exponent(series)
    assert compare(measured, predicted, finite=True) == "agree"
    # without the loss before anything is learned there is none
    assert np.isnan(predict_exponent(known(0.4, n_tasks=500), series).finite)


@pytest.mark.parametrize(("scale", "name"), [("step", "alpha_S"), ("n_unique", "alpha_D")])
def test_steps_and_data_have_alpha_over_one_plus_alpha(scale, name):
    x = np.geomspace(1e3, 1e7, 9)
    predicted = predict_exponent(known(0.4), mean_series(x, 5 * x**-0.2, scale=scale))
    assert predicted.exponent == pytest.approx(0.4 / 1.4)
    assert np.isnan(predicted.finite)  # endlessly many quanta: there is no finite prediction
    assert measure_exponent(mean_series(x, 5 * x**-0.2, scale=scale)).name == name


def test_what_is_not_calibrated_is_shown_and_never_judged():
    x = np.geomspace(1e4, 1e8, 9)
    series = mean_series(x, 30 * x**-0.4)
    use = UseExponent(alpha=0.4, lo=0.3, hi=0.5, calibrated=False, source="envelope")
    predicted = predict_exponent(use, series)
    assert (predicted.exponent, predicted.lo, predicted.hi) == (0.4, 0.3, 0.5)
    assert compare(measure_exponent(series), predicted) == "not judged"
    noisy = mean_series(x, 30 * x**-0.4 * np.exp(0.05 * stream(1, "noise").standard_normal(9)))
    assert compare(measure_exponent(noisy), predict_exponent(known(0.4), noisy)) == "agree"
    assert compare(measure_exponent(noisy), predict_exponent(known(0.9), noisy)) == "differ"


def test_frequencies_that_fall_too_slowly_predict_nothing():
    x = np.geomspace(1e4, 1e8, 9)
    predicted = predict_exponent(known(-0.3), mean_series(x, 30 * x**-0.4))
    assert np.isnan(predicted.exponent)
    assert "not above 0" in predicted.reason
    open_end = UseExponent(alpha=0.2, lo=-0.1, hi=0.5, calibrated=True, source="belt")
    found = predict_exponent(open_end, mean_series(x, 30 * x**-0.4))
    assert (found.lo, found.hi) == (0.0, 0.5)


def test_one_run_along_steps_has_an_interval_that_counts_its_points_as_fewer():
    """Curves whose neighbouring checkpoints correlate by .8."""
    rng, hits, narrow = stream(2, "runs"), [], []
    x = np.geomspace(1e2, 1e5, 40)
    for _ in range(25):
        noise = 0.01 * rng.standard_normal(60)
        for i in range(1, 60):
            noise[i] += 0.8 * noise[i - 1]
        loss = 5 * x**-0.2 * np.exp(noise[20:])
        one = measure_exponent(mean_series(x, loss, scale="step"))
        hits.append(one.lo < 0.2 < one.hi)
        line = linregress(np.log(x), np.log(loss))
        narrow.append(abs(line.slope + 0.2) < 1.96 * line.stderr)
    # 3 sigma of 25 from .95, and 5 points for a correlation that is estimated
    assert np.mean(hits) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 25) - 0.05
    assert np.mean(narrow) < 0.75  # the twin: points taken as independent


def test_several_runs_along_steps_give_the_interval():
    rng = stream(3, "runs")
    x = np.geomspace(1e2, 1e5, 40)
    runs = 5 * x**-0.2 * np.exp(0.02 * rng.standard_normal((5, 1)) * np.log(x))
    five = measure_exponent(mean_series(x, runs, scale="step", runs=5))
    assert "5 runs" in five.method
    assert five.lo < 0.2 < five.hi
    assert five.lo < five.exponent < five.hi


def test_a_table_of_several_rows_is_refused():
    x = np.geomspace(1e4, 1e8, 9)
    series = Series(
        scale="n_params", x=x, losses=np.ones((2, 9)), level=np.arange(9), run=np.arange(9)
    )
    with pytest.raises(ValueError, match="give one, the mean loss"):
        measure_exponent(series)
