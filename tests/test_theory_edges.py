"""Where closed forms meet rounding: thresholds, nothing learned, nothing wrong, no noise."""

import numpy as np
import pytest

from quantascope.theory.descent import ridgeless_excess_risk
from quantascope.theory.families import FamilyConfig, sample_family
from quantascope.theory.inverse import capacity_from_quanta, quanta_from_loss
from quantascope.theory.metrics import brier_score, token_edits
from quantascope.theory.resources import QuantaModel, learned_quanta, required_resource

RANKS = np.arange(1.0, 501.0)


def model(alpha):
    return QuantaModel(
        alpha=alpha, n_tasks=500, capacity=1 / 3, threshold=0.7, first_step=7.3, whole=True
    )


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.3])
@pytest.mark.parametrize("by", ["N", "D", "S"])
def test_what_n_whole_quanta_take_buys_n(by, alpha):
    """Exactly n at the threshold, n - 1 at a billionth below: 1e-12 is forgiven, not more."""
    needed = required_resource(model(alpha), by, RANKS)
    assert (learned_quanta(model(alpha), by, needed) == RANKS).all()
    assert (learned_quanta(model(alpha), by, needed * (1 - 1e-9)) == RANKS - 1).all()


def test_rounding_down_alone_would_lose_a_quantum():
    """Twin: without the allowance, hundreds of 500 thresholds are missed by one."""
    smooth = QuantaModel(alpha=0.4, n_tasks=500, first_step=100)
    n = learned_quanta(smooth, "S", required_resource(smooth, "S", RANKS))
    assert (np.floor(n) != RANKS).sum() > 10


@pytest.mark.parametrize("by", ["N", "D", "S"])
def test_a_family_and_its_closed_form_agree_on_thresholds(by):
    name = {"N": "n_params", "D": "n_tokens", "S": "n_steps"}[by]
    config = FamilyConfig(n_samples=1, n_params=(np.inf,))
    amounts = required_resource(config.theory, by, RANKS[::7])
    family = sample_family(
        FamilyConfig(n_samples=1, **{"n_params": (np.inf,), name: tuple(amounts.tolist())}), seed=0
    )
    assert family.strength.sum(axis=1).tolist() == RANKS[::7].tolist()
    assert learned_quanta(config.theory, by, amounts).tolist() == RANKS[::7].tolist()


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.1, 0.3), (1.7, 3.1)])
def test_the_loss_of_nothing_learned_is_no_quantum_and_no_capacity(a, b):
    n = quanta_from_loss(b, 0.4, a=a, b=b)
    assert n == 0
    with pytest.raises(ValueError, match="n: 0 found; allowed: > 0"):
        capacity_from_quanta(1e6, n)


@pytest.mark.parametrize(("loss", "wrong"), [(1e-17, 1e-17), (1e-12, 1e-12), (800.0, 1.0)])
def test_metrics_are_right_where_next_to_nothing_or_everything_is_wrong(loss, wrong):
    """To first order 1 - exp(-CE) is CE, the next term CE / 2 of it: below 1e-12."""
    assert token_edits(loss, n_tokens=5) == pytest.approx(5 * wrong, rel=1e-12)
    assert brier_score(loss, n_choices=4) == pytest.approx(wrong**2 * 4 / 3, rel=2e-12)


def test_without_noise_interpolation_is_no_peak():
    """The truth is found from p = n down, and a share n / p of it above: a projection."""
    found = ridgeless_excess_risk([10, 59, 60, 61, 120], n_samples=60, signal=4.0, noise=0.0)
    assert found == pytest.approx([0, 0, 0, 4 / 61, 2], rel=1e-12)
    tiny = ridgeless_excess_risk([60], n_samples=60, signal=4.0, noise=1e-9)
    assert np.isinf(tiny).all()
