"""Laws of skills' means and of one metric held against another."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.families.emergence import find_emergence
from quantascope.families.probes import metric_verdicts, skill_means, to_miss
from quantascope.families.series import Series
from quantascope.families.shares import wilson_interval

SIZES = np.geomspace(1e5, 1e8, 7)


def family(losses: np.ndarray, n_seeds: int) -> Series:
    level = np.repeat(np.arange(len(SIZES)), n_seeds)
    return Series(scale="n_params", x=SIZES, losses=losses, level=level, run=np.arange(len(level)))


def world(rng: np.random.Generator, *, n_items: int, n_seeds: int, share: bool) -> np.ndarray:
    """Scores around one truth, .4: items differ, and where there are several also seeds."""
    column = (n_items, len(SIZES) * n_seeds)
    seeds = 0.05 * (n_seeds > 1) * rng.standard_normal((1, column[1]))
    p = np.clip(0.4 + 0.12 * rng.standard_normal((n_items, 1)) + seeds, 0.0, 0.8)
    p = np.broadcast_to(p, column)
    return (rng.random(column) < p).astype(float) if share else p


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("n_seeds", [1, 3])
def test_intervals_hold_the_truth(share, n_seeds):
    """150 worlds whose levels share their items. Clipping at 0 and .8 leaves the mean at .4."""
    held = []
    for number in range(150):
        rng = stream(number, "probe intervals")
        scores = world(rng, n_items=60, n_seeds=n_seeds, share=share)
        found = skill_means(family(scores, n_seeds), np.zeros(60, dtype=np.int64), share=share)
        held.append(((found.lo <= 0.4) & (found.hi >= 0.4)).mean())
    # three binomial errors of 150 worlds; percentiles of 60 items drawn again lose another .01
    assert np.mean(held) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 150) - 0.01


def test_one_seed_says_that_seeds_are_not_counted():
    scores = world(stream(0, "x"), n_items=60, n_seeds=1, share=True)
    one = skill_means(family(scores, 1), np.zeros(60, dtype=np.int64), share=True)
    assert "other seeds are not counted" in one.method
    three = world(stream(0, "x"), n_items=60, n_seeds=3, share=True)
    assert (
        "Student" in skill_means(family(three, 3), np.zeros(60, dtype=np.int64), share=True).method
    )


def test_seeds_that_differ_widen_the_interval():
    rng = stream(0, "seeds differ")
    same = np.repeat(rng.random((50, 7)), 3, axis=1)
    apart = same + np.tile([0.0, 0.3, 0.6], 7)
    skill = np.zeros(50, dtype=np.int64)
    narrow, wide = (skill_means(family(s, 3), skill, share=False) for s in (same, apart))
    assert ((wide.hi - wide.lo) > 3 * (narrow.hi - narrow.lo)).all()


def test_all_wrong_is_not_certain_and_all_right_is_not_either():
    for value in (0.0, 1.0):
        scores = np.full((40, 7), value)
        found = skill_means(family(scores, 1), np.zeros(40, dtype=np.int64), share=True)
        # Wilson at 0 of 40: z^2 / (40 + z^2) = .088
        assert (found.hi - found.lo).max() == pytest.approx(0.0876, abs=1e-3)
        assert found.mean.tolist() == [[value] * 7]


def test_an_interval_of_none_seen_is_not_empty():
    lo, hi = wilson_interval(np.array([0.0, 1.0]), 400)
    z2 = 1.959963985**2  # at the ends Wilson's interval is z^2 / (n + z^2) wide
    np.testing.assert_allclose([lo[0], hi[1]], [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose([hi[0], 1 - lo[1]], z2 / (400 + z2), rtol=1e-8)


def test_chance_is_above_at_or_below_by_the_interval():
    rows = np.concatenate([np.full((60, 7), 0.0), np.full((60, 7), 1.0), np.eye(60, 7) * 0 + 0.5])
    rows[120:150] = 0.0
    rows[150:180] = 1.0
    skill = np.repeat(np.arange(3), 60)
    found = skill_means(family(rows, 1), skill, share=True)
    assert found.against(np.full(3, 0.5))[:, 0].tolist() == ["below", "above", "at"]


def test_a_level_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"level: 1\.5 found"):
        skill_means(family(np.zeros((2, 7)), 1), np.zeros(2, dtype=np.int64), share=True, level=1.5)


def verdicts(curves: np.ndarray, other: np.ndarray) -> list[str]:
    rng = stream(1, "verdicts")
    noise = 0.01 * rng.standard_normal((2, len(curves), 21))
    loss = family(np.repeat(curves, 3, axis=1) + noise[0], 3)
    seen = family(np.repeat(other, 3, axis=1) + noise[1], 3)
    table = metric_verdicts(
        {"token_loss": find_emergence(loss), "exact": find_emergence(seen)}
    ).to_pylist()
    return [row["verdict"] for row in table if row["metric"] == "exact"]


def test_a_smooth_loss_under_a_late_metric_is_sharp_by_its_metric():
    """A loss that falls straight, and a metric that drops at the last size but one."""
    smooth = np.linspace(3.0, 0.5, 7)
    late = np.array([1, 1, 1, 1, 1, 0, 0.0])
    flat = np.ones(7)
    found = verdicts(
        np.stack([smooth, smooth, flat, flat, smooth, 3.0 * late + 1]),
        np.stack([late, smooth / 3, flat, late, flat, late]),
    )
    assert found == [
        "sharp by metric",
        "as the loss",
        "no change",
        "in this metric only",
        "in the loss only",
        "as the loss",
    ]


def test_what_is_missed_is_one_less_what_is_right():
    series = family(np.full((2, 7), 0.25), 1)
    assert to_miss(series).losses.tolist() == np.full((2, 7), 0.75).tolist()
