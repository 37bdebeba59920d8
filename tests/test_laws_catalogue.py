"""Every law of the table: finite, its gradient right, free of units, recovered, kept by JSON."""

import json

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.laws import LAWS, LawFit, find_law, fit
from quantascope.laws.forms.law import Law

NAMES = list(LAWS)
N_POINTS = 60


def _inputs(law: Law, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw inputs over four decades, around 1e6 where their unit is free."""
    draw = stream(seed, "inputs", law.name)
    found = {name: 1e6 * 10 ** draw.uniform(-2, 2, N_POINTS) for name in law.inputs}
    if "E" in found:
        found["E"] = draw.integers(1, 300, N_POINTS).astype(float)
    if "U" in found:
        found["U"] = found["D"] / 10 ** draw.uniform(0, 1.2, N_POINTS)
    return found


def _truth(law: Law, inputs: dict[str, np.ndarray]) -> dict[str, float]:
    """Parameters, in the inputs' units, under which each matters on these inputs."""
    middle = {name: float(np.exp(np.log(column).mean())) for name, column in inputs.items()}
    x = middle.get(law.inputs[0], 1.0)
    special = {
        "power": {"A": 3.0 * x**0.3, "alpha": 0.3},
        "floor": {"E": 1.5, "A": x**0.5, "alpha": 0.5},
        "shifted": {"E": 1.5, "A": x**0.6, "alpha": 0.6, "s": x / 5},
        "m4": {"E": 0.5, "L0": 4.0, "a": 0.6, "b": x**0.5, "c": 0.5},
        "bnsl-0": {"a": 1.0, "b": x**0.4, "c0": 0.4},
        "bnsl-1": {"a": 0.5, "b": 2 * x**0.1, "c0": 0.1, "c1": 0.6, "d1": x, "f1": 0.3},
        "bnsl-2": {
            **{"a": 0.2, "b": 3 * x**0.05, "c0": 0.05, "c1": 0.7, "d1": x / 10, "f1": 0.2},
            **{"c2": -0.6, "d2": 8 * x, "f2": 0.2},
        },
        "bnsl-3": {
            **{"a": 0.1, "b": 3 * x**0.05, "c0": 0.05, "c1": 0.9, "d1": x / 15, "f1": 0.1},
            **{"c2": -0.8, "d2": x, "f2": 0.1, "c3": 0.9, "d3": 15 * x, "f3": 0.1},
        },
        "logistic": {"lo": 0.1, "hi": 0.9, "x0": x, "k": 1.2},
        "kaplan-N": {"Nc": x * 1e9, "aN": 0.08},
        "kaplan-D": {"Dc": x * 1e9, "aD": 0.09},
        "kaplan-C": {"Cc": x * 1e9, "aC": 0.05},
        "kaplan-ND": {"Nc": x * 1e7, "Dc": x * 1e6, "aN": 0.076, "aD": 0.103},
        "kaplan-NS": {"Nc": x * 1e6, "Sc": x / 30, "aN": 0.077, "aS": 0.6},
        "critical-batch": {"B_star": 5.0 * x**4.76, "aB": 0.21},
        "steps-batch": {"S_min": 500.0, "B_crit": x},
        "compute-batch": {"C_min": 500.0, "B_crit": x},
        "chinchilla": {"E": 1.7, "A": x**0.34, "B": 2 * x**0.4, "alpha": 0.34, "beta": 0.4},
        "chinchilla-tied": {"E": 1.7, "A": x**0.35, "B": 2 * x**0.35, "alpha": 0.35},
        "overtraining": {"E": 1.7, "a": 1.0 * x**0.0, "b": 1.0 * x**0.6, "eta": 0.3},
        "data-constrained": {
            **{"E": 1.7, "A": x**0.35, "B": 2 * x**0.35, "alpha": 0.35, "beta": 0.35},
            **{"R_D": 5.0, "R_N": 5.0},
        },
        "routing": {"a": -0.1, "b": -0.2, "c": 0.01, "d": 2.0, "E_start": 1.5, "E_max": 200.0},
        "quanta-max": {"E": 0.7, "A": x**0.4, "B": x**0.286, "alpha": 0.4},
        "quanta-smooth": {"E": 0.7, "A": x, "B": x ** (1 / 1.4), "alpha": 0.4},
        "quanta-finite-N": {"E": 0.1, "Delta": 1.0, "alpha": 0.5, "C": x / 20, "n_tasks": 800.0},
        "quanta-finite-D": {"E": 0.1, "Delta": 1.0, "alpha": 0.5, "tau": x / 100, "n_tasks": 800.0},
    }
    return special[law.name]


def _meaning(law: Law) -> dict[str, str]:
    return dict.fromkeys(law.units_needed, "counted by hand")


@pytest.mark.parametrize("name", NAMES)
def test_law_is_finite_on_its_inputs(name: str) -> None:
    law = find_law(name)
    inputs = _inputs(law)
    response = law(_truth(law, inputs), **inputs)
    assert response.shape == (N_POINTS,)
    assert np.isfinite(response).all()
    assert (response > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_central_difference(name: str) -> None:
    """Central differences of step h err by h^2 / 6 times the third derivative, of order 1e-9."""
    law = find_law(name)
    inputs = _inputs(law)
    theta, x = law.encode(_truth(law, inputs)), law.log_inputs(inputs)
    _, gradient = law.form(theta, x)
    for index in range(len(law.params)):
        step = np.zeros_like(theta)
        step[0, index] = 1e-5 * max(1.0, abs(theta[0, index]))
        high, low = law.form(theta + step, x)[0], law.form(theta - step, x)[0]
        numeric = (high - low)[0] / (2 * step[0, index])
        # the max form and finite sums have kinks, where both slopes are right
        agree = np.abs(numeric - gradient[0, index]) <= 1e-6 * (1 + np.abs(numeric))
        assert agree.mean() >= (0.95 if name.startswith("quanta") else 1.0)


def test_a_wrong_gradient_is_seen() -> None:
    law = find_law("floor")
    inputs = _inputs(law)
    theta, x = law.encode(_truth(law, inputs)), law.log_inputs(inputs)
    gradient = law.form(theta, x)[1] * 1.001
    step = np.array([[0.0, 0.0, 1e-5]])
    numeric = (law.form(theta + step, x)[0] - law.form(theta - step, x)[0])[0] / 2e-5
    assert np.abs(numeric - gradient[0, 2]).max() > 1e-6 * (1 + np.abs(numeric)).max()


@pytest.mark.parametrize("name", NAMES)
def test_noiseless_data_give_back_the_curve(name: str) -> None:
    """A minimum of zero is reached to rounding: residuals below 1e-9 in logs."""
    law = find_law(name)
    inputs = _inputs(law)
    truth = _truth(law, inputs)
    table = {**inputs, law.response: law(truth, **inputs)}
    held = {k: truth[k] for k in ("n_tasks",) if k in truth}
    found = fit(law, table, meaning=_meaning(law), fixed=held, objective="lsq-log")
    assert np.abs(found.residuals()).max() < 1e-9
    assert found.converged


@pytest.mark.parametrize("name", NAMES)
def test_fit_does_not_depend_on_units(name: str) -> None:
    """Inputs times 1000 and response times 7 give the same residuals and objective."""
    law = find_law(name)
    inputs = _inputs(law)
    noise = np.exp(0.01 * stream(1, "noise", name).normal(size=N_POINTS))
    response = law(_truth(law, inputs), **inputs) * noise
    free = [n for n in law.inputs if n not in law.unscaled]
    scaled = {n: column * (1000.0 if n in free else 1.0) for n, column in inputs.items()}
    held = {"n_tasks": 800.0} if "n_tasks" in law.names else {}
    here, there = (
        fit(law, {**x, law.response: y}, meaning=_meaning(law), fixed=held, objective="lsq-log")
        for x, y in ((inputs, response), (scaled, 7 * response))
    )
    assert here.converged
    assert there.converged
    # both stop within the first-order tolerance, 1e-11 of the objective; curves to its root
    assert there.objective == pytest.approx(here.objective, rel=1e-9)
    again = law(there.params, **scaled) / 7
    assert np.abs(np.log(again / law(here.params, **inputs))).max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_fit_goes_through_json_unchanged(name: str) -> None:
    law = find_law(name)
    inputs = _inputs(law)
    noise = np.exp(0.02 * stream(2, "noise", name).normal(size=N_POINTS))
    table = {**inputs, law.response: law(_truth(law, inputs), **inputs) * noise}
    held = {"n_tasks": 800.0} if "n_tasks" in law.names else {}
    found = fit(law, table, meaning=_meaning(law), fixed=held)
    again = LawFit.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again.params == found.params
    assert again.intervals == found.intervals
    assert np.array_equal(again.predict(inputs), found.predict(inputs))
    assert again.to_json() == found.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_law_states_source_formula_and_meaning(name: str) -> None:
    law = find_law(name)
    assert law.source
    assert all(param.meaning for param in law.params)
    first_words = {param.name.rstrip("0123456789") for param in law.params}
    assert all(word in law.formula for word in first_words)
