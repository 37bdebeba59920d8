"""The paper's rules, word for word; what is made of them over seeds."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.families.genicity import agreement, paper_rules, rule_by_class

SIZES = [
    18_915_328,
    85_056_000,
    302_311_424,
    805_736_448,
    1_208_602_624,
    2_517_652_480,
    6_444_163_072,
]
"""Non-embedding parameters of the family in arXiv:2303.13506."""


def monogenic_by_words(losses):
    """Give the size from which on each is solved, all smaller ones failed (5.0 and 0.3 nat)."""
    found = np.full(len(losses), -1)
    for i, curve in enumerate(losses):
        for j in range(1, len(curve)):
            if all(curve[:j] > 5.0) and all(curve[j:] < 0.3):
                found[i] = j
    return found


def test_monogenic_predictions_are_those_of_the_words():
    rng = stream(0, "genicity")
    levels = np.array([0.1, 0.299, 0.3, 1.0, 5.0, 5.001, 8.0])
    curves = levels[rng.integers(0, 7, (4000, 7))]
    sharp = np.where(np.arange(7) < rng.integers(0, 9, (4000, 1)), 6.0, 0.2)
    losses = np.concatenate([curves, sharp])
    found = paper_rules(losses, SIZES).monogenic_at
    np.testing.assert_array_equal(found, monogenic_by_words(losses))
    assert set(found.tolist()) == {-1, 1, 2, 3, 4, 5, 6}


def test_polygenic_predictions_lie_on_a_steep_line():
    """Slope and R squared against numpy's least squares."""
    t = np.log(SIZES)
    rng = stream(1, "genicity")
    losses = 12 - rng.uniform(0.1, 0.6, (300, 1)) * (t - t[0]) + 0.1 * rng.standard_normal((300, 7))
    found = paper_rules(losses, SIZES)
    for i in range(300):
        slope = np.polyfit(t, losses[i], 1)[0]
        r = np.corrcoef(t, losses[i])[0, 1] ** 2
        assert found.slope[i] == pytest.approx(slope)
        assert found.r_squared[i] == pytest.approx(r)
        assert found.polygenic[i] == (slope < -0.3 and r > 0.98)
    assert 0 < found.polygenic.sum() < 300


def test_a_constant_loss_is_neither():
    found = paper_rules(np.full((1, 7), 2.0), SIZES)
    assert not found.monogenic[0]
    assert not found.polygenic[0]
    assert found.r_squared[0] == 0
    assert found.to_table(np.array([4])).num_rows == 1


def test_a_rule_s_picks_are_counted_by_class():
    rule = np.array([True, True, False, True])
    table = rule_by_class(rule, np.array(["sharp", "flat", "sharp", "sharp"])).to_pylist()
    assert table == [
        {"class": "flat", "picked": 1, "share": pytest.approx(1 / 3), "all": 1},
        {"class": "sharp", "picked": 2, "share": pytest.approx(2 / 3), "all": 3},
    ]


def test_chance_picks_do_not_agree_between_seeds_and_real_ones_do():
    rng = stream(2, "genicity")
    chance = agreement(rng.random((20_000, 3)) < 0.1)
    off = chance[~np.eye(3, dtype=bool)]
    assert np.abs(off - 0.1).max() < 5 * np.sqrt(0.09 / 2000)  # 5 sigma of 2,000 picks
    real = agreement(np.repeat(rng.random((100, 1)) < 0.5, 3, axis=1))
    np.testing.assert_array_equal(real, np.ones((3, 3)))


def test_sizes_that_do_not_ascend_are_refused():
    with pytest.raises(ValueError, match="n_params: allowed are ascending"):
        paper_rules(np.ones((1, 2)), [2.0, 1.0])
    with pytest.raises(ValueError, match="one column a size"):
        paper_rules(np.ones((1, 3)), [1.0, 2.0])
    with pytest.raises(ValueError, match="equal ones"):
        rule_by_class(np.ones(2, bool), np.array(["flat"]))
