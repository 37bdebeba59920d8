"""Kaplan's plan: the closed form is the minimum, exponents follow, rates are the paper's."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from quantascope.laws import Bootstrap, fit
from quantascope.laws.planning.steps import (
    KAPLAN_BATCH,
    KAPLAN_FITTED,
    KAPLAN_STEPS,
    compute_exponents,
    critical_batch_size,
    minimum_compute,
    minimum_examples,
    minimum_steps,
    plan_steps,
    wrong_size_cost,
)

PF_DAY = 8.64e19


def loss_at(size, flop):
    """Loss of a size with C_min of a budget, solved from arXiv:2001.08361, eq. B.3."""
    p, b = KAPLAN_STEPS, KAPLAN_BATCH

    def gap(loss):
        steps = flop / (6 * size * b["B_star"] * loss ** (-1 / b["aB"]))
        return (p["Nc"] / size) ** p["aN"] + (p["Sc"] / steps) ** p["aS"] - loss

    return brentq(gap, 1e-3, 1e3, xtol=1e-14)


@pytest.mark.parametrize("flop", [1e18, 1e21, 1e24])
def test_the_plan_is_the_lowest_point_of_the_law(flop):
    found = plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [2 * flop])[0]
    best = minimize_scalar(
        lambda log_n: loss_at(np.exp(log_n), flop),
        bracket=(np.log(found.n_params) - 1, np.log(found.n_params) + 1.5),
    )
    assert found.loss == pytest.approx(best.fun, rel=1e-9)
    assert np.log(found.n_params) == pytest.approx(best.x, abs=1e-4)  # a flat minimum: root of eps
    assert loss_at(1.05 * found.n_params, flop) > found.loss  # twin: a wrong size is worse


def test_the_derived_exponents_of_the_paper():
    """.68, .25, .07 and .052 of appendix B.2, from aN .077, aS .76, aB .21; the fitted differ."""
    found = compute_exponents(aN=0.077, aS=0.76, aB=0.21)
    assert found.loss == pytest.approx(1 / (1 / 0.76 + 1 / 0.21 + 1 / 0.077), rel=1e-14)
    assert [round(v, 2) for v in (found.size, found.batch, found.steps)] == [0.68, 0.25, 0.07]
    assert round(found.loss, 3) == 0.052
    assert found.size + found.batch + found.steps == pytest.approx(1.0, rel=1e-14)
    assert found.data == pytest.approx(found.batch + found.steps, rel=1e-12)
    assert sum(KAPLAN_FITTED.values()) == pytest.approx(1.0)
    assert round(found.size, 2) != KAPLAN_FITTED["N"]


def test_plans_grow_with_the_derived_exponents():
    near, far = plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [1e20, 1e23])
    rate = compute_exponents(aN=0.077, aS=0.76, aB=0.21)
    for name, exponent in (
        ("n_params", rate.size),
        ("batch", rate.batch),
        ("n_steps", rate.steps),
        ("n_tokens", rate.data),
        ("loss", -rate.loss),
    ):
        grown = np.log(getattr(far, name) / getattr(near, name)) / np.log(1e3)
        assert grown == pytest.approx(exponent, abs=1e-12)


def test_the_loss_is_a_tenth_above_that_of_endless_training():
    """(1 + aN/aS) L(N, infinity), appendix B.2; and near the paper's L(C_min) at a PF-day."""
    found = plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [2 * PF_DAY])[0]
    endless = (KAPLAN_STEPS["Nc"] / found.n_params) ** KAPLAN_STEPS["aN"]
    assert found.loss == pytest.approx((1 + 0.077 / 0.76) * endless, rel=1e-12)
    # (3.1e8)^.050 = 2.66 (eq. 1.3) is another fit, its exponent known to a digit: 1e-3 ln 3e8 = 2 %
    assert found.loss == pytest.approx(3.1e8**0.050, rel=0.02)


@pytest.mark.parametrize("ratio", [0.1, 1.0, 7.0])
def test_the_budget_is_spent_and_the_trade_off_holds(ratio):
    """C = 6 N B S, and (S/S_min - 1)(E/E_min - 1) = 1 (eq. 5.1) at every batch size."""
    found = plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [1e21], batch_ratio=ratio)[0]
    assert 6 * found.n_params * found.n_tokens == pytest.approx(1e21, rel=1e-12)
    critical = critical_batch_size(found.loss, **KAPLAN_BATCH)
    assert found.batch == pytest.approx(ratio * critical, rel=1e-12)
    steps = minimum_steps(found.n_steps, found.batch, critical=critical)
    examples = minimum_examples(found.n_steps, found.batch, critical=critical)
    product = (found.n_steps / steps - 1) * (found.n_tokens / examples - 1)
    assert product == pytest.approx(1.0, rel=1e-9)
    assert examples == pytest.approx(critical * steps, rel=1e-12)
    assert minimum_compute(1e21, found.batch, critical=critical) == pytest.approx(found.min_flop)


def test_at_the_critical_batch_size_a_run_costs_twice():
    assert minimum_steps(10.0, 3.0, critical=3.0) == 5.0
    assert minimum_compute(10.0, 3.0, critical=3.0) == 5.0
    assert minimum_steps(10.0, 3e9, critical=3.0) == pytest.approx(10.0, rel=1e-8)


def test_a_wrong_size_costs_what_the_paper_says():
    """Appendix B.4: 20 % more compute at .6 and 2.2 times the size, 45 % fewer steps at 2.2."""
    cost, steps = wrong_size_cost([0.6, 1.0, 2.2], aN=0.077, aS=0.76)
    assert cost[1] == steps[1] == 1.0
    assert cost[[0, 2]] == pytest.approx([1.2, 1.2], abs=0.05)
    assert steps[2] == pytest.approx(0.55, abs=0.005)
    # a model whose endless loss is the target: r^-aN = 1 + aN/aS
    smallest = (1 + 0.077 / 0.76) ** (-1 / 0.077)
    assert np.isinf(wrong_size_cost(0.99 * smallest, aN=0.077, aS=0.76)[0])


def world(seed):
    draw = np.random.default_rng(seed)
    size, steps = (
        v.ravel() for v in np.meshgrid(np.geomspace(1e6, 1e9, 8), np.geomspace(1e3, 1e5, 8))
    )
    p = KAPLAN_STEPS
    loss = (p["Nc"] / size) ** p["aN"] + (p["Sc"] / steps) ** p["aS"]
    table = {"N": size, "S": steps, "loss": loss * np.exp(draw.normal(0, 0.003, len(loss)))}
    level = np.linspace(2, 6, 30)
    batch = critical_batch_size(level, **KAPLAN_BATCH) * np.exp(draw.normal(0, 0.1, 30))
    meaning = {"N": "non-embedding parameters", "S": "minimum steps"}
    one = fit("kaplan-NS", table, meaning=meaning, bootstrap=Bootstrap(n=300), objective="lsq-log")
    two = fit(
        "critical-batch",
        {"L": level, "B": batch},
        meaning={"L": "nats"},
        bootstrap=Bootstrap(n=400, seed=1),
        objective="lsq-log",
    )
    return one, two


def test_the_planted_plan_is_within_its_intervals():
    """15 intervals at 95 %, five a world and correlated: ten or more hold unless all is wrong."""
    true = plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [1e20])[0]
    held = 0
    for seed in range(3):
        found = plan_steps(*world(seed), [1e20])[0]
        for name in ("n_params", "batch", "n_steps", "n_tokens", "loss"):
            lo, hi = found.intervals[name]
            assert lo < getattr(found, name) < hi
            held += lo <= getattr(true, name) <= hi
    assert held >= 10
    # twin: a budget ten times larger is outside
    assert not lo <= plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [1e21])[0].loss <= hi


def test_a_law_given_by_numbers_counts_as_exact_and_says_so():
    one, _ = world(0)
    found = plan_steps(one, KAPLAN_BATCH, [1e20])[0]
    assert found.warnings == ("the uncertainty of critical-batch is not in the intervals",)
    assert plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [1e20])[0].intervals == {}
    assert not found.extrapolated
    assert plan_steps(one, KAPLAN_BATCH, [1e24])[0].extrapolated


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [0.0]), "flop"),
        (lambda: plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [float("inf")]), "flop"),
        (lambda: plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [1e20], batch_ratio=0), "batch_ratio"),
        (lambda: plan_steps(KAPLAN_BATCH, KAPLAN_BATCH, [1e20]), "missing or unknown"),
        (lambda: compute_exponents(aN=0.0, aS=0.7, aB=0.2), "aN"),
        (lambda: compute_exponents(aN=0.1, aS=float("nan"), aB=0.2), "aS"),
    ],
)
def test_bad_arguments_are_one_line(call, word):
    with pytest.raises(ValueError, match=word) as caught:
        call()
    assert "\n" not in str(caught.value)
