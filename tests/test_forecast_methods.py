"""Laws of forecasts: distributions, what methods know, widths that hold, scores, the ledger."""

import numpy as np
import pytest
from scipy import integrate, stats

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.families.forecast.baselines import predict_baseline
from quantascope.families.forecast.combine import pool_weights
from quantascope.families.forecast.forecast import (
    METHODS,
    choose_unit,
    default_threshold,
    forecast,
    forecasts,
)
from quantascope.families.forecast.learning import fit_hierarchy
from quantascope.families.forecast.mixture import Mixture, Unit, gaussian, join
from quantascope.families.forecast.scores import average, calibration_curve, paired, score
from quantascope.families.forecast.seen import Seen, see
from quantascope.families.ledger import add_entry, check_ledger, parse_ledger
from quantascope.families.series import Series
from quantascope.theory.families import FamilyConfig, sample_family


def plain(losses: np.ndarray, *, x: np.ndarray | None = None, **facts) -> Seen:
    """Make groups with one run a size."""
    n = losses.shape[1]
    sizes = np.geomspace(1e5, 1e7, n) if x is None else x
    place = np.arange(n)
    return see(Series(scale="n_params", x=sizes, losses=losses, level=place, run=place), **facts)


def family(seed: int, *, learning: str = "threshold", uses: int = 1) -> Seen:
    """Sixty groups, each of one quantum, at seven sizes."""
    config = FamilyConfig(
        alpha=0.4,
        n_quanta=60,
        n_params=tuple(np.geomspace(2e4, 6e5, 7)),
        learning=learning,
        width=0.5,
        run_shift=0.1,
        quantum_shift=0.2,
        noise=0.2,
        a=2.0,
        gain=2.5,
        gain_spread=0.2,
        n_samples=4000,
        quanta_per_sample=uses,
    )
    made = sample_family(config, seed=seed)
    _, group = np.unique(made.quanta[:, 0], return_inverse=True)
    place = np.arange(7)
    series = Series(
        scale="n_params",
        x=made.models["n_params"],
        losses=np.maximum(made.losses, 0),
        level=place,
        run=place,
    )
    n = np.bincount(group)
    return see(series.averaged(group), frequency=n / n.sum(), n_preds=n)


def two_humps(unit: Unit) -> Mixture:
    return Mixture(
        weight=np.array([[0.3, 0.7], [1.0, 0.0]]),
        location=np.array([[0.2, 1.0], [0.5, 0.0]]),
        scale=np.array([[0.1, 0.2], [0.3, 1.0]]),
        unit=unit,
    )


@pytest.mark.parametrize("unit", [Unit(), Unit(offset=0.05)])
def test_a_density_in_nats_integrates_to_the_distribution(unit):
    mixture = two_humps(unit)
    for row in range(2):
        one = mixture.rows(np.array([row]))
        ends = unit.back(np.array([-2.0, 0.9])) if unit.offset else np.array([-3.0, 0.9])
        below = integrate.quad(
            lambda y, one=one: np.exp(one.log_density(np.array([y]))[0]), *ends, limit=200
        )[0]
        gap = one.cdf(ends[1:])[0] - one.cdf(ends[:1])[0]
        assert below == pytest.approx(gap, abs=1e-6)


@pytest.mark.parametrize("unit", [Unit(), Unit(offset=0.05)])
def test_quantiles_invert_the_distribution(unit):
    mixture = two_humps(unit)
    for level in (0.3, 0.5, 0.95):
        # a tolerance of 1e-6 in the unit times a density of 2.2 at most
        np.testing.assert_allclose(mixture.cdf(mixture.quantile(level)), level, atol=3e-6)


def test_putting_components_together_keeps_mean_and_variance():
    rng = stream(0, "compact")
    weight = rng.random((5, 300))
    mixture = Mixture(
        weight=weight / weight.sum(axis=1, keepdims=True),
        location=rng.standard_normal((5, 300)),
        scale=0.1 + rng.random((5, 300)),
        unit=Unit(),
    )
    small = mixture.compact()
    assert small.weight.shape[1] <= 56
    np.testing.assert_allclose(small.mean(), mixture.mean(), atol=1e-9)
    np.testing.assert_allclose(small.variance(), mixture.variance(), rtol=1e-9)


def test_crps_of_a_gaussian_is_its_closed_form():
    one = gaussian(np.zeros(1), 1.0, unit=Unit())
    y = 0.7
    known = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
    # losses are not below 0, so the same is asked higher up; 400 levels leave the tails, below .002
    high = gaussian(np.full(1, 10.0), 1.0, unit=Unit())
    assert high.crps(np.array([10.7]), n_levels=400)[0] == pytest.approx(known, abs=2e-3)
    assert one.unit.back(-1.0) == 0


def test_power_laws_with_floors_are_continued():
    x = np.geomspace(1e5, 1e8, 7)
    exponent = np.linspace(0.2, 0.6, 50)[:, None]
    losses = 1.5 + 3 * (x / 1e5) ** -exponent
    seen = plain(losses, x=x)
    found = forecast(seen.upto(5), x[5:], method="pooled")
    off = np.abs(found.groups[1].quantile(0.5) - losses[:, 6])
    last = np.abs(losses[:, 4] - losses[:, 6])
    assert off.mean() < 0.25 * last.mean()  # exponents lie between those of the dictionary


def test_what_is_used_more_is_learned_first_and_only_the_quantization_method_knows():
    rank = np.arange(1, 61)
    x = np.geomspace(1e4, 6.4e5, 7)
    losses = np.where(x >= 1e4 * rank[:, None], 1.0, 4.0)
    losses += 0.02 * stream(0, "order").standard_normal(losses.shape)
    seen = plain(losses, x=x, frequency=rank**-1.4).upto(5)  # 16 are learned at 1.6e5
    chance = {
        name: found.learned()[:, 0]
        for name, found in forecasts(seen, x[5:6], methods=("quantization", "pooled")).items()
    }
    next_, late = slice(16, 26), slice(50, 60)
    assert chance["quantization"][next_].mean() > chance["quantization"][late].mean() + 0.3
    # the pooled prior is the same for all that are not yet learned: noise alone tells them apart
    assert abs(chance["pooled"][next_].mean() - chance["pooled"][late].mean()) < 0.1
    truth = losses[16:, 5] < 2.5
    assert chance["quantization"][16:][truth].mean() > chance["pooled"][16:][truth].mean()


def test_the_slope_of_learning_against_use_is_read():
    rank = np.arange(1, 101)
    x = np.geomspace(1e4, 8e5, 8)
    losses = np.where(x >= 1e4 * rank[:, None], 1.0, 4.0)
    losses += 0.02 * stream(1, "order").standard_normal(losses.shape)
    seen = plain(losses, x=x, frequency=rank**-1.4)
    best = fit_hierarchy(seen, unit=Unit(), end=float(x[-1]), follows_use=True).best
    slope, error = best.slope
    assert abs(slope - 1) < 3 * error + 0.1  # .1: cells of positions are half a gap wide
    assert error < 0.2


@pytest.mark.slow
def test_intervals_hold_over_families_and_narrower_ones_do_not():
    within, narrow = [], []
    for seed in range(4):
        for learning, uses in (("threshold", 1), ("smooth", 4)):
            whole = family(seed, learning=learning, uses=uses)
            found = forecast(whole.upto(5), whole.x[5:])
            for i, mixture in enumerate(found.groups):
                y = whole.losses[:, 5 + i]
                place = mixture.cdf(y)
                within.append(np.mean((place > 0.05) & (place < 0.95)))
                place = mixture.widened(0.2).cdf(y)
                narrow.append(np.mean((place > 0.05) & (place < 0.95)))
    # coverage of one family and target scatters by about .12 (runs are shared): of 16, by .03
    assert 0.80 <= np.mean(within) <= 0.99
    assert np.mean(narrow) < 0.75


def test_the_width_of_the_last_value_is_its_own_error_over_the_same_distance():
    losses = np.array([[4.0, 3.0, 2.5, 2.25], [5.0, 4.0, 3.0, 2.0]])
    seen = plain(losses)
    mixture, remark = predict_baseline(
        "last_value", seen, 1e7 * 100 ** (1 / 3), unit=Unit(), cache={}
    )
    errors = np.diff(losses, axis=1)
    assert mixture.scale[0, 0] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-12)
    assert mixture.location[:, 0].tolist() == losses[:, -1].tolist()
    assert not remark
    far, remark = predict_baseline("last_value", seen, 1e12, unit=Unit(), cache={})
    assert far.scale[0, 0] > mixture.scale[0, 0]
    assert "distance" in remark


def test_a_rule_says_when_levels_are_too_few():
    seen = plain(family(0).losses[:, :3])
    with pytest.raises(ValueError, match="^method: bnsl found; 3 levels"):
        forecast(seen, 1e8, method="bnsl")
    assert "bnsl" not in forecasts(seen, 1e8)
    assert set(forecasts(seen, 1e8)) >= {"mixed", "last_value"}


def test_two_levels_give_a_wide_forecast_that_says_so():
    whole = family(3)
    few = whole.levels(np.array([3, 4]))
    wide = forecast(few, whole.x[6])
    assert any("none could be hidden" in note for note in wide.notes)
    assert any("one run a level" in note for note in wide.notes)
    place = wide.groups[0].cdf(whole.losses[:, 6])
    assert np.mean((place > 0.05) & (place < 0.95)) > 0.8


def test_a_forecast_is_the_same_twice():
    whole = family(2)
    first, again = (forecast(whole.upto(4), whole.x[5:], unit=Unit()) for _ in range(2))
    for a, b in zip(first.groups, again.groups, strict=True):
        assert a.location.tobytes() == b.location.tobytes()
    assert first.to_table().equals(again.to_table())


def test_losses_near_zero_are_taken_in_logarithms_and_others_are_not():
    rng = stream(0, "unit")
    fall = 2.0 * np.exp(-np.linspace(0, 6, 6)) * np.exp(rng.standard_normal((80, 1)))
    scatter = np.exp(0.2 * rng.standard_normal((80, 6)))
    assert choose_unit(plain(fall * scatter)).offset is not None
    flat = 5.0 - 0.3 * np.arange(6) + 0.3 * rng.standard_normal((80, 6))
    assert choose_unit(plain(flat)).offset is None or choose_unit(plain(flat)).offset > 1


def test_the_threshold_does_not_move_with_the_loss_of_a_group():
    losses = family(0).losses.copy()
    before = default_threshold(plain(losses))
    losses[30, 3:] = 4.0
    after = default_threshold(plain(losses))
    assert abs(before[30] - after[30]) < 0.05  # by the tenth of all groups alone


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_with_distributions(method):
    whole = family(1)
    if method == "bnsl":
        whole = see(
            Series(
                scale="n_params",
                x=whole.x,
                losses=np.repeat(whole.losses, 2, axis=1),
                level=np.repeat(np.arange(7), 2),
                run=np.arange(14),
            )
        )
    found = forecast(whole.upto(6), whole.x[6], method=method, unit=Unit())
    mixture = found.groups[0]
    np.testing.assert_allclose(mixture.weight.sum(axis=1), 1, rtol=1e-9)
    assert np.isfinite(mixture.location).all()
    assert (mixture.scale > 0).all()
    table = found.to_table().to_pandas()
    assert (table["p5_nats"] <= table["p50_nats"]).all()
    assert (table["p50_nats"] <= table["p95_nats"]).all()
    assert table["p_learned"].between(0, 1).all()
    assert np.isfinite(found.mean[0].quantile(0.95)).all()


def test_odd_input_is_refused_in_one_line():
    seen = plain(family(0).losses)
    for call, words in (
        (lambda: forecast(seen, 1e5), "targets: 100000 found; allowed: beyond"),
        (lambda: forecast(seen, np.nan), "targets: nan"),
        (lambda: forecast(seen, []), "targets: none"),
        (lambda: forecast(seen, 1e8, method="magic"), "method: "),
        (lambda: forecast(seen, 1e8, threshold=-1.0), "threshold: "),
        (lambda: plain(family(0).losses, frequency=[1.0]), "frequency: shape"),
        (lambda: plain(family(0).losses, frequency=np.zeros(60)), "frequency: a value of 0"),
        (lambda: plain(np.full((3, 1), 2.0)), "series: 3 groups at 1 levels"),
        (lambda: plain(np.full((3, 4), np.inf)), "series: a loss that is not finite"),
    ):
        with pytest.raises(ValueError, match="^" + words) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "losses",
    [np.full((4, 5), 2.0), np.zeros((4, 5)), np.array([[3.0, 2.0, 1.0, 0.5, 0.2]])],
    ids=["flat", "zero", "one group"],
)
def test_flat_zero_and_single_groups_have_forecasts(losses):
    found = forecast(plain(losses), 1e8)  # three levels would do, five try every branch
    assert np.isfinite(found.groups[0].quantile(0.5)).all()
    assert np.isfinite(found.mean[0].quantile(0.5)).all()


def test_pool_weights_go_to_what_did_well_but_not_at_once():
    good, bad = np.zeros((3, 50)), np.full((3, 50), -3.0)
    weights = pool_weights({"quantization": bad, "pooled": good, "last_value": bad})
    assert weights["pooled"] > 0.6
    assert weights["quantization"] > 0.05
    one = pool_weights({"quantization": bad[:1], "pooled": good[:1]})
    assert one["pooled"] < weights["pooled"] + 0.2
    never = pool_weights({"pooled": good, "power_law": np.full((3, 50), -np.inf)})
    assert 0 < never["power_law"] < 0.15


def test_scores_are_those_worked_out_by_hand():
    at = gaussian(np.array([1.0, 3.0]), np.array([0.1, 0.5]), unit=Unit())
    came = np.array([1.05, 1.0])
    found = score(
        at,
        came,
        threshold=np.full(2, 2.0),
        mean=gaussian(np.array([2.0]), 0.1, unit=Unit()),
        share=np.array([0.5, 0.5]),
    )
    log = stats.norm.logpdf(came, [1.0, 3.0], [0.1, 0.5]).mean()
    assert found.log_score == pytest.approx(log, rel=1e-9)
    assert (found.within_50, found.within_90) == (0.5, 0.5)
    p = stats.norm.cdf(2.0, [1.0, 3.0], [0.1, 0.5]).clip(1e-3, 1 - 1e-3)
    assert found.brier == pytest.approx(((1 - p) ** 2).mean(), rel=1e-9)
    assert (found.learned_came, found.learned_right) == (2, 1)
    assert not found.mean_within
    assert sum(found.places) == 2


def test_a_forecast_that_is_right_scores_above_one_too_sure_and_one_too_wide():
    y = 3 + stream(0, "proper").standard_normal(4000)
    means = []
    for width in (0.5, 1.0, 2.0):
        at = gaussian(np.full(4000, 3.0), width, unit=Unit())
        means.append((at.log_density(y).mean(), -at.crps(y).mean()))
    assert means[1] > means[0]
    assert means[1] > means[2]
    assert means[1][1] > max(means[0][1], means[2][1])


def test_paired_differences_see_what_families_share():
    rng = stream(0, "paired")
    shared = 3 * rng.standard_normal(40)
    scores = {"a": shared + 0.1, "b": shared + 0.02 * rng.standard_normal(40)}
    gap = paired(scores, "a")["b"]
    assert 0.08 < gap.lo < 0.1 < gap.hi + 0.02
    alone = average(scores["a"])
    assert alone.hi - alone.lo > 10 * (gap.hi - gap.lo)
    assert np.isnan(average(np.array([1.0])).lo)


def test_the_calibration_curve_of_an_exact_forecast_is_the_diagonal():
    stated, came, error = calibration_curve(np.full((5, 10), 7))
    np.testing.assert_allclose(came, stated)
    assert (error == 0).all()


def test_a_joined_distribution_is_the_weighted_one():
    unit = Unit()
    parts = [gaussian(np.array([1.0]), 0.1, unit=unit), gaussian(np.array([2.0]), 0.1, unit=unit)]
    both = join(parts, np.array([0.25, 0.75]))
    assert both.cdf(np.array([1.5]))[0] == pytest.approx(0.25, abs=1e-6)


def test_a_ledger_shows_every_change():
    entries = []
    for i in range(4):
        entries.append(add_entry(entries, {"what": "forecast", "n": i}, time=float(i)))
    assert check_ledger(entries) == ""
    assert "entry 2" in check_ledger([*entries[:1], entries[1] | {"time": -1.0}, *entries[2:]])
    assert "entry 2" in check_ledger([entries[0], *entries[2:]])
    assert check_ledger([entries[1], entries[0], *entries[2:]])
    forged = add_entry(entries[:1], {"what": "forecast", "n": 9}, time=0.5)
    assert "entry 3" in check_ledger([entries[0], forged, *entries[2:]])
    with pytest.raises(DataError, match="line 1"):
        parse_ledger("no json\n", name="ledger")
