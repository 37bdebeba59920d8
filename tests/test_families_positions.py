"""Loss by position: block by block as all at once; the gain is that of the formula."""

import numpy as np
import pytest

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.families.positions import LossByPosition, merge_positions


def planted(n=60_000):
    """Draw losses that fall with ln(position), faster under the second model."""
    rng = stream(0, "positions")
    pos = rng.integers(1, 1025, n)
    truth = 5 - np.log(pos)[:, None] * np.array([0.1, 0.3])
    return truth + 0.5 * rng.standard_normal((n, 2)), pos


def summed(losses, pos, **options):
    found = LossByPosition(losses.shape[1], **options)
    found.add(losses, pos)
    return found


def test_means_are_those_of_each_group():
    losses, pos = planted()
    found = summed(losses, pos)
    for group, (first, end) in enumerate(zip(found.edges[:-1], found.edges[1:], strict=True)):
        inside = losses[(pos >= first) & (pos < end)]
        np.testing.assert_allclose(found.mean()[:, group], inside.mean(axis=0), rtol=1e-12)
        wanted = inside.std(axis=0, ddof=1) / np.sqrt(len(inside))
        np.testing.assert_allclose(found.stderr()[:, group], wanted, rtol=1e-6)
    assert found.counts.sum() == len(pos)


def test_the_gain_is_the_exponent_times_ln_of_ten():
    """Groups around 50 and 500 reach over a tenth to either side: off by second order, .002."""
    found = summed(*planted())
    error = np.hypot(*found.stderr()[:, [8, 14]].T)
    assert (np.abs(found.gain() - np.array([0.1, 0.3]) * np.log(10)) < 5 * error + 0.002).all()


def test_shuffled_positions_have_no_gain():
    """Twin."""
    losses, pos = planted()
    found = summed(losses, stream(1, "positions").permutation(pos))
    assert (np.abs(found.gain()) < 5 * np.hypot(*found.stderr()[:, [8, 14]].T)).all()


def test_parts_add_up_to_the_whole():
    losses, pos = planted(5000)
    cuts = np.array_split(np.arange(5000), 4)
    merged = merge_positions([summed(losses[c], pos[c]) for c in cuts[::-1]])
    np.testing.assert_allclose(merged.mean(), summed(losses, pos).mean(), rtol=1e-12)
    with pytest.raises(ValueError, match="differ"):
        merge_positions([merged, LossByPosition(2, edges=(1, 5))])
    with pytest.raises(ValueError, match="parts: none"):
        merge_positions([])


def test_first_tokens_and_far_positions_are_left_out():
    losses = np.array([[np.nan], [1.0], [2.0], [3.0]])
    found = summed(losses, np.array([0, 1, 9, 10]), edges=(1, 10))
    assert found.counts.tolist() == [2]
    assert found.n_left_out == 1
    assert found.to_table()["last_pos"].to_pylist() == [9]


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="losses: shape"):
        summed(np.ones((2, 1)), np.array([1]))
    with pytest.raises(DataError, match="NaN or infinite"):
        summed(np.array([[1.0, np.nan]]), np.array([1]))
    with pytest.raises(ValueError, match="edges"):
        LossByPosition(1, edges=(3, 2))
    with pytest.raises(ValueError, match="early, late"):
        LossByPosition(1, edges=(1, 9)).gain()
