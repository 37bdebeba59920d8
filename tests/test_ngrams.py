"""Laws of n-grams: what a plain count over documents finds."""

from collections import Counter

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.families.ngrams import group_ngrams


def plain_count(tokens: np.ndarray, offsets: np.ndarray, n: int) -> tuple[Counter, dict]:
    """Count n-grams inside documents, the first token of each never being predicted."""
    counts, of_pred = Counter(), {}
    for start, end in zip(offsets[:-1], offsets[1:], strict=True):
        for place in range(max(start + n - 1, start + 1), end):
            gram = tuple(tokens[place - n + 1 : place + 1].tolist())
            counts[gram] += 1
            of_pred[place] = gram
    return counts, of_pred


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_groups_are_those_of_a_plain_count(n):
    rng = stream(0, "ngrams", n)
    tokens = rng.choice([3, 7, 900, 50_000], size=3000, p=[0.6, 0.2, 0.1, 0.1]).astype(np.int32)
    cuts = np.unique(rng.integers(1, 3000, size=40))
    offsets = np.concatenate([[0], cuts, [3000]])
    begins = np.isin(np.arange(3000), offsets)
    pred = np.flatnonzero(~begins & (rng.random(3000) < 0.5))
    counts, of_pred = plain_count(tokens, offsets, n)
    found = group_ngrams(tokens, offsets, pred, n=n, least=4)
    mine = Counter(of_pred[p] for p in pred.tolist() if p in of_pred)
    wanted = {gram for gram, count in mine.items() if count >= 4}
    names = [tuple(row) for row in found.tokens.tolist()]
    assert set(names) == wanted
    assert found.n_corpus.tolist() == [counts[name] for name in names]
    assert found.n_preds.tolist() == [mine[name] for name in names]
    assert (np.diff(found.n_corpus) <= 0).all()
    for place, group in zip(pred.tolist(), found.group.tolist(), strict=True):
        gram = of_pred.get(place)
        assert (names[group] if group >= 0 else None) == (gram if gram in wanted else None)
    np.testing.assert_allclose(found.frequency, found.n_corpus / (3000 - begins[:3000].sum()))


def test_nothing_is_common_enough():
    found = group_ngrams(np.arange(50), np.array([0, 50]), np.arange(1, 50), n=2, least=2)
    assert found.tokens.shape == (0, 2)
    assert (found.group == -1).all()


def test_a_document_shorter_than_the_ngram_has_none():
    found = group_ngrams(np.array([1, 1, 1]), np.array([0, 1, 3]), np.array([2]), n=3, least=1)
    assert found.group.tolist() == [-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 0}, "n, least: 0, 1"),
        ({"least": 0}, "n, least: 2, 0"),
        ({"pred": [9]}, "pred: places"),
    ],
)
def test_faults_are_one_line(change, words):
    given = {"pred": [1], "n": 2, "least": 1} | change
    with pytest.raises(ValueError, match=words) as caught:
        group_ngrams(
            np.arange(5), np.array([0, 5]), np.array(given["pred"]), n=given["n"],
            least=given["least"],
        )  # fmt: skip
    assert "\n" not in str(caught.value)
