"""Approach 3: the plan is the lowest point of the law on its budget, with intervals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from quantascope.laws import LAWS, Bootstrap, fit
from quantascope.laws.planning.advice import plan_warnings
from quantascope.laws.planning.allocate import optimum, overtrain, plan
from quantascope.laws.planning.consistency import compare_approaches, parametric_frontier
from quantascope.laws.planning.isoflop import isoflop_profiles
from quantascope.laws.planning.steps import plan_steps
from quantascope.recipes.chinchilla_refit import read_chinchilla

MEANING = {"N": "total parameters", "D": "tokens"}
VECTORS = {
    "chinchilla": {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37},
    "chinchilla-tied": {"E": 1.8, "A": 480.0, "B": 1500.0, "alpha": 0.35},
    "kaplan-ND": {"Nc": 6.4e13, "Dc": 1.8e13, "aN": 0.076, "aD": 0.103},
    "quanta-max": {"E": 1.8, "A": 400.0, "B": 300.0, "alpha": 0.35},
    "quanta-smooth": {"E": 1.8, "A": 1e8, "B": 1e9, "alpha": 0.35},
}


@pytest.fixture(scope="module")
def refit():
    return fit("chinchilla", read_chinchilla(), meaning=MEANING, bootstrap=Bootstrap(n=400))


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("product", [1e18, 1e22])
def test_the_optimum_is_the_lowest_point_on_the_budget(name, product):
    """A grid of 2,049 in log N with a parabola is right to a hundredth of a step, .02 / 100.

    The law of the scarcer resource has a kink there: to half a step.
    """
    law = LAWS[name]
    theta = law.encode(VECTORS[name])

    def log_loss(log_n):
        return law.form(theta, np.array([[log_n], [np.log(product) - log_n]]))[0][0, 0]

    found, inside = optimum(law, theta, product=product)
    log_n = np.log(found[0])
    step = np.log(product) / 2048
    best = minimize_scalar(log_loss, bounds=(log_n - 3, log_n + 3), options={"xatol": 1e-9})
    assert inside[0]
    assert log_n == pytest.approx(best.x, abs=step / 2 if name == "quanta-max" else 2e-4)
    assert log_loss(log_n + 0.2) > log_loss(log_n)  # twin
    assert log_loss(log_n - 0.2) > log_loss(log_n)


def test_a_law_without_an_inner_optimum_says_so():
    """A data term that is nothing: more parameters are always better."""
    law = LAWS["chinchilla-tied"]
    theta = law.encode({"E": 1.8, "A": 480.0, "B": 1e-30, "alpha": 0.35})
    assert not optimum(law, theta, product=1e20)[1][0]
    law = LAWS["chinchilla"]
    for name in ("A", "B", "alpha", "beta"):
        theta = law.encode({**VECTORS["chinchilla"], name: 0.0})
        assert not optimum(law, theta, product=1e20)[1][0]


def test_chinchilla_points_ask_for_18_tokens_a_parameter(refit):
    """1 : 17.9 at the budget of Chinchilla, 5.76e23 FLOP; measured here."""
    found = plan(refit, [5.76e23])[0]
    assert found.tokens_per_param == pytest.approx(17.92, abs=0.01)
    assert 6 * found.n_params * found.n_tokens == pytest.approx(5.76e23, rel=1e-12)
    assert found.extrapolated
    assert found.reach == pytest.approx(5.76e23 / 1.2956e22, rel=1e-3)
    for name, (lo, hi) in found.intervals.items():
        assert lo < getattr(found, name) < hi
    assert float(refit.predict({"N": found.n_params, "D": found.n_tokens})[0]) == pytest.approx(
        found.loss, rel=1e-12
    )


def test_intervals_widen_beyond_the_data(refit):
    near, far = plan(refit, [1e21, 1e25])
    width = [
        np.log(one.intervals["n_params"][1] / one.intervals["n_params"][0]) for one in (near, far)
    ]
    assert width[1] > 2 * width[0]
    assert not near.extrapolated


def test_a_dearer_token_is_a_smaller_budget(refit):
    assert plan(refit, [1e21], flop_per_param_token=12)[0].n_params == pytest.approx(
        plan(refit, [5e20])[0].n_params, rel=1e-12
    )


def test_the_planted_optimum_is_within_the_interval_of_most_worlds():
    """95 % each: four misses or more of twelve have a chance of .002."""
    true = VECTORS["chinchilla"]
    law = LAWS["chinchilla"]
    best = optimum(law, law.encode(true), product=1e22)[0][0]
    held = missed = 0
    for seed in range(12):
        draw = np.random.default_rng(seed)
        size, tokens = np.exp(draw.uniform([[18], [21]], [[23], [26]], (2, 80)))
        loss = law(true, N=size, D=tokens) * np.exp(draw.normal(0, 0.005, 80))
        table = {"N": size, "D": tokens, "loss": loss}
        boot = Bootstrap(n=200, seed=seed)
        found = fit("chinchilla", table, meaning=MEANING, bootstrap=boot, objective="lsq-log")
        lo, hi = plan(found, [6e22])[0].intervals["n_params"]
        held += lo <= best <= hi
        missed += not lo <= 10 * best <= hi
    assert held >= 9
    assert missed >= 9  # twin: ten times the truth lies outside


def test_smaller_models_cost_more_and_at_last_cannot(refit):
    rows = overtrain(refit, 5.76e23, shrink=[1.0, 0.5, 0.25, 0.01])
    factors = [row.flop_factor for row in rows]
    assert factors == sorted(factors)
    assert factors[0] == pytest.approx(1.0, abs=1e-6)
    assert np.isinf(factors[-1])
    half = rows[1]
    tokens = half.n_tokens * half.flop_factor
    reached = float(refit.predict({"N": half.n_params, "D": tokens})[0])
    assert reached == pytest.approx(rows[0].loss, rel=1e-9)


@pytest.mark.parametrize("flop", [[], [0.0], [-1.0], [float("nan")], [float("inf")]])
def test_budgets_that_are_none_are_refused(refit, flop):
    with pytest.raises(ValueError, match="flop"):
        plan(refit, flop)


@pytest.mark.parametrize("flop", [1e-9, 1.0, 7.0])
def test_a_budget_that_buys_less_than_one_of_each_is_refused(refit, flop):
    with pytest.raises(ValueError, match=f"flop: {flop:g} buys .* parameters with .* tokens"):
        plan(refit, [1e20, flop])
    with pytest.raises(ValueError, match=f"flop: {flop:g} buys"):
        overtrain(refit, flop)
    least = 1e4  # twin: 6 N D with some tens of each
    found = plan(refit, [least])[0]
    assert min(found.n_params, found.n_tokens) > 1


def test_a_share_of_less_than_one_of_each_is_refused(refit):
    for share in (1e-12, 1e14):
        with pytest.raises(ValueError, match="shrink: .* of the optimum is"):
            overtrain(refit, 1e20, shrink=[1.0, share])
    assert overtrain(refit, 1e20, shrink=[1e-5])[0].n_params > 1


@pytest.mark.parametrize(
    "change", [{"A": 0.0}, {"B": 0.0}, {"alpha": 0.0}, {"beta": -0.1}, {"alpha": 1e-9, "A": 1e-300}]
)
def test_parameters_without_an_optimum_are_refused(refit, change):
    broken = replace(refit, params=refit.params | change)
    for call in (lambda: plan(broken, [1e21]), lambda: overtrain(broken, 1e21)):
        with pytest.raises(ValueError, match=r"fit: law chinchilla with .* has no optimum|buys"):
            call()


def test_replicates_without_an_optimum_are_left_out_of_the_intervals(refit):
    """One of 200 moves a percentile by less than the spread of its neighbours, never to NaN."""
    column = refit.row.index("A")
    replicates = refit.replicates.copy()
    replicates[7, column] = 0.0
    broken = replace(refit, replicates=replicates)
    found, row = plan(broken, [1e21])[0], overtrain(broken, 1e21, shrink=[0.5])[0]
    for one, plain in (
        (found, plan(refit, [1e21])[0]),
        (row, overtrain(refit, 1e21, shrink=[0.5])[0]),
    ):
        for name, ends in one.intervals.items():
            assert np.isfinite(ends).all()
            assert ends == pytest.approx(plain.intervals[name], rel=0.5)


def test_a_law_lowest_at_an_end_says_so_and_nothing_is_over_trained():
    """Tokens of kaplan-ND that hardly count: the loss falls all the way to one token."""
    points = {"N": 10.0 ** np.arange(6, 12), "D": 10.0 ** np.arange(7, 13)}
    law = LAWS["kaplan-ND"]
    params = {"Nc": 1e13, "Dc": 1e-30, "aN": 0.1, "aD": 0.1}
    found = fit(law, points | {"loss": law(params, **points)}, meaning=MEANING)
    found = replace(found, params=params)
    one = plan(found, [1e20])[0]
    assert not one.interior
    assert one.n_tokens == pytest.approx(1)
    assert "nowhere lower than with one token" in plan_warnings(found, [one])[0]
    with pytest.raises(ValueError, match="nowhere lower than with one token"):
        overtrain(found, 1e20)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda _: plan("fit", [1e20]), "fit: str found"),
        (lambda _: overtrain(None, 1e20), "fit: NoneType found"),
        (lambda _: parametric_frontier({}), "fit: dict found"),
        (lambda f: plan(f, "much"), "flop: 'much'"),
        (lambda f: plan(f, None), "flop"),
        (lambda f: plan(f, [[1e20], [1, 2]]), "flop"),
        (lambda f: plan(f, [1e20], flop_per_param_token=0), "flop_per_param_token: 0"),
        (lambda f: overtrain(f, 1e20, shrink=["half"]), "shrink"),
        (lambda _: plan_steps(3, {}, [1e20]), "kaplan-NS: int found"),
        (lambda _: isoflop_profiles(None), "data: NoneType found"),
        (lambda _: isoflop_profiles({}, tolerance="x"), "tolerance: 'x'"),
        (lambda _: compare_approaches([1]), "frontiers"),
    ],
)
def test_wrong_types_are_one_line(refit, call, word):
    with pytest.raises(ValueError, match=word) as caught:
        call(refit)
    assert "\n" not in str(caught.value)


def test_one_budget_needs_no_list(refit):
    assert plan(refit, 1e21) == plan(refit, [1e21])


def test_a_law_of_other_inputs_is_refused():
    x = np.geomspace(1e6, 1e9, 12)
    found = fit("floor", {"x": x, "loss": 1.7 + 400 * x**-0.34})
    with pytest.raises(ValueError, match="law of N and D"):
        plan(found, [1e20])
