"""Approaches 1 and 2 and their report: planted optima are found, and what is not there is said."""

import json

import numpy as np
import pytest

from quantascope.laws import Bootstrap, fit
from quantascope.laws.planning.advice import plan_warnings, with_replicates
from quantascope.laws.planning.allocate import overtrain, plan
from quantascope.laws.planning.consistency import (
    KAPLAN_EXPONENT,
    compare_approaches,
    parametric_frontier,
)
from quantascope.laws.planning.envelope import training_envelope
from quantascope.laws.planning.frontier import no_frontier, weighted_lines
from quantascope.laws.planning.isoflop import find_slices, isoflop_profiles
from quantascope.recipes.chinchilla_refit import read_chinchilla

TRUE = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
EXPONENT = TRUE["beta"] / (TRUE["alpha"] + TRUE["beta"])
"""a = beta / (alpha + beta), arXiv:2203.15556, eq. 4."""
MEANING = {"N": "total parameters", "D": "tokens"}


def loss_of(size, tokens):
    return TRUE["E"] + TRUE["A"] / size ** TRUE["alpha"] + TRUE["B"] / tokens ** TRUE["beta"]


def best_size(flop):
    ratio = TRUE["alpha"] * TRUE["A"] / (TRUE["beta"] * TRUE["B"])
    return ratio ** (1 / (TRUE["alpha"] + TRUE["beta"])) * (flop / 6) ** EXPONENT


def slices(seed=0, noise=0.002, span=4.0, jitter=0.0, n_sizes=9):
    draw = np.random.default_rng(seed)
    flop = np.repeat(np.geomspace(6e18, 3e21, 7), n_sizes)
    flop = flop * np.exp(draw.uniform(-jitter, jitter, len(flop)))
    size = best_size(flop) * np.tile(np.geomspace(1 / span, span, n_sizes), 7)
    tokens = flop / 6 / size
    loss = loss_of(size, tokens) * np.exp(draw.normal(0, noise, len(flop)))
    return {"N": size, "D": tokens, "loss": loss}


def curves(n_sizes=12, noise=0.0, seed=0, n_steps=60):
    draw = np.random.default_rng(seed)
    size = np.repeat(np.geomspace(5e7, 1e10, n_sizes), n_steps)
    tokens = np.tile(np.geomspace(1e8, 2e12, n_steps), n_sizes)
    run = np.repeat([f"run {i}" for i in range(n_sizes)], n_steps)
    loss = loss_of(size, tokens) * np.exp(np.repeat(draw.normal(0, noise, n_sizes), n_steps))
    return {"N": size, "D": tokens, "loss": loss}, run


@pytest.fixture(scope="module")
def refit():
    return fit("chinchilla", read_chinchilla(), meaning=MEANING, bootstrap=Bootstrap(n=300))


# approach 2


@pytest.mark.parametrize("jitter", [0.0, 0.08])
def test_parabolas_find_the_planted_exponent_within_their_interval(jitter):
    """At .2 % noise the parabola's own bias (.001) is below the standard error (.005)."""
    inside = []
    for seed in range(10):
        found = isoflop_profiles(slices(seed, jitter=jitter), n_replicates=300, seed=seed).frontier
        inside.append(found.interval[0] <= EXPONENT <= found.interval[1])
    assert len(found.replicates) == 300
    # 95 % each: three misses or more of ten have a chance of .012; the twin below misses always
    assert sum(inside) >= 8


def test_a_world_of_another_exponent_is_outside_the_interval():
    """Twin: sizes moved by C^.1 at equal loss put the optima on a + .1."""
    data = slices()
    flop = 6 * data["N"] * data["D"]
    size = data["N"] * (flop / 1e20) ** 0.1
    moved = {"N": size, "D": flop / 6 / size, "loss": data["loss"]}
    found = isoflop_profiles(moved, n_replicates=300).frontier
    assert not found.interval[0] <= EXPONENT <= found.interval[1]
    assert found.interval[0] <= EXPONENT + 0.1 <= found.interval[1]


def test_vertices_lie_on_the_optimum_and_their_errors_are_of_the_right_size():
    """Without noise a vertex is off by the parabola's bias alone, below 4 % at a span of 2."""
    exact = isoflop_profiles(slices(noise=0, span=2.0), n_replicates=100)
    for one in exact.slices:
        assert one.n_opt == pytest.approx(best_size(one.flop), rel=0.04)
        assert one.loss == pytest.approx(loss_of(one.n_opt, one.flop / 6 / one.n_opt), rel=1e-4)
    scores = []
    for seed in range(20):
        noisy = isoflop_profiles(slices(seed, span=3.0), n_replicates=100).slices
        scores += [
            np.log(s.n_opt / e.n_opt) / s.log_se for s, e in zip(noisy, exact.slices, strict=True)
        ]
    # 140 scores of variance 1: their root mean square is within 5 / sqrt(280) = .30
    assert np.sqrt(np.mean(np.square(scores))) == pytest.approx(1.0, abs=0.3)


def test_slices_without_a_minimum_inside_say_so():
    data = slices(noise=1e-4)
    small = data["N"] < 0.8 * best_size(6 * data["N"] * data["D"])
    found = isoflop_profiles({k: v[small] for k, v in data.items()}, min_points=4)
    assert not found.frontier.identified
    assert "two are needed" in found.frontier.reason
    assert all("larger than every size" in one.reason for one in found.slices)
    assert np.isnan(found.slices[0].n_opt)
    assert found.frontier.interval == (-np.inf, np.inf)
    flat = {**data, "loss": 4 - 0.1 * (data["loss"] - 2)}
    assert "opens downward" in isoflop_profiles(flat, n_replicates=100).slices[0].reason


def test_noise_is_no_bend():
    """With pure noise the bend passes its 5 % test in few slices."""
    usable = 0
    for seed in range(10):
        data = slices(seed)
        noise = 3 + np.random.default_rng(seed).normal(0, 0.01, len(data["N"]))
        found = isoflop_profiles({**data, "loss": noise}, n_replicates=100)
        usable += sum(one.usable for one in found.slices)
    # 70 slices at 5 % or less: over 14 have a chance below 1e-5
    assert usable <= 14


def test_points_of_no_like_compute_are_no_slice():
    draw = np.random.default_rng(0)
    size, tokens = np.exp(draw.uniform(15, 25, (2, 12)))
    found = isoflop_profiles({"N": size, "D": tokens, "loss": loss_of(size, tokens)})
    assert found.slices == ()
    assert found.n_left_out == 12
    assert "no slice" in found.frontier.reason
    json.dumps(found.to_json())


def test_slices_are_the_fullest_windows_in_order_of_compute():
    flop = np.array([1.0, 1.1, 1.2, 5.0, 5.1, 5.2, 5.3, 40.0, 1.24])
    labels = find_slices(flop, tolerance=1.25, min_points=4)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 1, -1, 0]
    assert find_slices(flop, tolerance=1.25, min_points=5).tolist() == [-1] * 9


def test_scale_of_the_units_moves_the_prefactor_alone():
    data = slices()
    found = isoflop_profiles(data, n_replicates=100)
    other = {**data, "N": data["N"] / 1e6, "D": data["D"] / 1e9}
    again = isoflop_profiles(other, n_replicates=100)
    assert again.frontier.exponent == pytest.approx(found.frontier.exponent, rel=1e-9)
    assert again.frontier.interval == pytest.approx(found.frontier.interval, rel=1e-6)
    ratio = found.frontier.n_opt(1e21) / again.frontier.n_opt(1e21 / 1e15)
    assert ratio == pytest.approx(1e6)


def test_chinchilla_points_give_the_published_exponents_of_approach_2(refit):
    """Table 2 of arXiv:2203.15556: a = .49, 80 % of replicates in (.462, .534)."""
    found = isoflop_profiles(read_chinchilla(), n_replicates=500)
    lo, hi = found.frontier.interval
    assert lo < 0.534
    assert hi > 0.462
    both = compare_approaches([found.frontier, parametric_frontier(refit)], flop=[5.76e23])
    assert both.pairs[0].agree
    assert "agree" in both.verdict
    assert both.optima[0]["reach"] > 100


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"tolerance": 1.0}, "tolerance"),
        ({"min_points": 3}, "min_points"),
        ({"n_replicates": 3}, "n_replicates"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_options_of_profiles_out_of_range_are_one_line(change, word):
    with pytest.raises(ValueError, match=word):
        isoflop_profiles(slices(), **change)


def test_checkpoints_are_too_many_for_profiles():
    many = {name: np.ones(5001) for name in ("N", "D", "loss")}
    with pytest.raises(ValueError, match="last one of each run"):
        isoflop_profiles(many)


# approach 1


@pytest.mark.parametrize("n_sizes", [6, 12])
def test_the_envelope_finds_the_planted_exponent(n_sizes):
    """Steps end within one of 1,500 budgets: their middles are off by a thousandth at most."""
    data, run = curves(n_sizes)
    found = training_envelope(data, run=run, n_replicates=200)
    assert found.frontier.exponent == pytest.approx(EXPONENT, abs=0.005)
    assert found.frontier.interval[0] <= EXPONENT <= found.frontier.interval[1]
    assert found.n_sizes == n_sizes
    assert bool(found.warnings) == (n_sizes == 6)  # few sizes are warned of
    json.dumps(found.to_json())


def test_noise_between_runs_is_in_the_interval_of_the_envelope():
    found = [
        training_envelope(*curves(16, 0.002, s)[:1], run=curves(16)[1], n_replicates=200).frontier
        for s in range(5)
    ]
    assert all(one.interval[0] <= EXPONENT <= one.interval[1] for one in found)


def test_a_size_that_is_best_because_others_ended_is_no_step():
    """Twin: every run ends at the same number of tokens, so the largest sizes win by absence."""
    data, run = curves(12)
    short = data["D"] < 3e10
    few = training_envelope({k: v[short] for k, v in data.items()}, run=run[short])
    whole = [step.n_params for step in few.steps if step.whole]
    assert max(whole) < max(step.n_params for step in few.steps)
    assert few.frontier.exponent == pytest.approx(EXPONENT, abs=0.03)


def test_one_size_has_no_frontier():
    data, run = curves(1)
    found = training_envelope(data, run=run)
    assert not found.frontier.identified
    assert "two are needed" in found.frontier.reason


def test_an_envelope_that_follows_noise_is_warned_of():
    data, run = curves(12)
    rough = data["loss"] * np.exp(np.random.default_rng(0).normal(0, 0.02, len(run)))
    assert any(
        "smooth" in said for said in training_envelope({**data, "loss": rough}, run=run).warnings
    )


def test_a_run_of_two_sizes_is_refused():
    data, run = curves(3)
    with pytest.raises(ValueError, match="two sizes"):
        training_envelope(data, run=np.where(run == "run 2", "run 1", run))


# the report


def test_approach_3_has_the_closed_form_exponent(refit):
    found = parametric_frontier(refit)
    assert found.exponent == pytest.approx(
        refit.params["beta"] / (refit.params["alpha"] + refit.params["beta"]), rel=1e-9
    )
    assert float(found.n_opt(1e22)) == pytest.approx(plan(refit, [1e22])[0].n_params, rel=1e-9)
    lo, hi = found.band([1e22])
    ends = plan(refit, [1e22])[0].intervals["n_params"]
    # percentiles are interpolated in logarithms here, between two of 300 replicates
    assert (lo[0], hi[0]) == pytest.approx(ends, rel=1e-3)


def test_a_law_without_closed_form_has_a_frontier_too():
    data = slices(noise=1e-4)
    found = fit("quanta-smooth", data, meaning=MEANING, bootstrap=Bootstrap(n=100))
    assert parametric_frontier(found).identified


def test_contradicting_approaches_are_said(refit):
    """A frontier planted at Kaplan's exponent contradicts the refit; one at its own agrees."""
    third = parametric_frontier(refit)
    draw = np.random.default_rng(0)

    def planted(exponent):
        rows = np.stack([draw.normal(exponent, 0.01, 500), np.full(500, -3.0)], axis=1)
        ends = (exponent - 0.02, exponent + 0.02)
        return type(third)(**{**vars(third), "approach": "planted", "exponent": exponent,
                              "replicates": rows, "interval": ends})  # fmt: skip

    apart = compare_approaches([planted(KAPLAN_EXPONENT), third])
    assert "contradict" in apart.verdict
    assert apart.kaplan_inside == ("planted",)
    near = compare_approaches([planted(third.exponent), third])
    assert near.pairs[0].agree
    assert "none admits" in near.verdict


def test_one_approach_is_nothing_to_compare(refit):
    lost = no_frontier("lost", "no points", confidence=0.95)
    found = compare_approaches([parametric_frontier(refit), lost])
    assert found.pairs == ()
    assert found.verdict.startswith("1 identified")
    with pytest.raises(ValueError, match="each approach once"):
        compare_approaches([])
    with pytest.raises(ValueError, match="flop"):
        compare_approaches([lost], flop=[0.0])


def test_lines_of_no_points_are_nan():
    x, weights = np.arange(3.0)[None], np.array([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]])
    rows = weighted_lines(x, np.tile([1.0, 3.0, 5.0], (3, 1)), weights)
    assert rows[0] == pytest.approx([2.0, 1.0])
    assert np.isnan(rows[1:]).all()


# advice, and smaller models


def test_a_far_budget_and_an_unstated_size_are_warned_of(refit):
    near, far = plan(refit, [1e21, 5.76e23])
    assert plan_warnings(refit, [near]) == ()
    said = plan_warnings(refit, [far])
    assert len(said) == 1
    assert "44.5 times the largest budget" in said[0]
    unstated = fit("chinchilla", read_chinchilla(), meaning={"N": "parameters", "D": "tokens"})
    said = " ".join(plan_warnings(unstated, [near]))
    assert "embedding" in said
    assert "no intervals" in said


def test_a_fit_without_replicates_gets_them_from_its_points(refit):
    bare = fit("chinchilla", read_chinchilla(), meaning=MEANING)
    full = with_replicates(bare, n=300)
    assert np.array_equal(full.replicates, refit.replicates)
    assert with_replicates(full) is full


def test_what_a_smaller_model_costs_has_an_interval(refit):
    rows = overtrain(refit, 1e22, shrink=[1.0, 0.5])
    whole, half = rows
    assert whole.loss_excess == pytest.approx(0.0, abs=1e-9)
    assert whole.flop_factor == pytest.approx(1.0, abs=1e-6)
    for name in ("loss", "loss_excess", "flop_factor"):
        lo, hi = half.intervals[name]
        assert lo <= getattr(half, name) <= hi
    assert whole.intervals["loss_excess"][0] >= 0
    bare = fit("chinchilla", read_chinchilla(), meaning=MEANING)
    assert overtrain(bare, 1e22, shrink=[0.5])[0].intervals == {}
