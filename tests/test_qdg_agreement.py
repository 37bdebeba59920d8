"""Laws of agreement: hand-made groupings, and what became of each known group."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.qdg.agreement import agree, recover

KNOWN = np.repeat([0, 1, 2, 3], [8, 4, 4, 2])


def test_equal_groupings_agree_fully_whatever_their_names():
    score = agree(KNOWN[::-1].max() - KNOWN, KNOWN)
    assert score.adjusted_rand == score.adjusted_mutual == score.purity == 1.0


def test_unrelated_groupings_agree_no_better_than_chance():
    """2,000 predictions: adjusted scores have a spread below .01; purity is the largest share."""
    rng = stream(0, "test", "agreement")
    known, found = rng.integers(0, 5, (2, 2000))
    score = agree(found, known)
    assert abs(score.adjusted_rand) < 0.01
    assert abs(score.adjusted_mutual) < 0.01
    assert score.purity < 0.3


def test_every_verdict():
    """Group 0 is cut in four; 1 is whole; 2 and 3 lie together, where 2 rules."""
    found = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5])
    rows = {row.known: row for row in recover(found, KNOWN)}
    assert [rows[k].verdict for k in range(4)] == ["split", "found", "found", "merged"]
    assert rows[0].jaccard == rows[0].recall == 0.25
    assert rows[2].precision == pytest.approx(4 / 6)
    assert [row.known for row in recover(found, KNOWN)] == [0, 1, 2, 3]


def test_a_group_scattered_over_others_is_missed():
    known = np.repeat([0, 1, 2, 3], [9, 9, 9, 3])
    found = np.r_[np.repeat([0, 1, 2], 9), 0, 1, 2]
    assert recover(found, known)[-1].verdict == "missed"


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="equal numbers from 1"):
        agree(np.array([], dtype=int), np.array([], dtype=int))
