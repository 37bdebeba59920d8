"""Laws of the selection rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantascope.core.errors import DataError
from quantascope.lm.config import SelectionConfig
from quantascope.lm.selection import copied_ngrams, repeated_contexts, select_predictions


def _world(n_docs: int = 40, length: int = 50, vocab: int = 30) -> tuple:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, vocab, n_docs * length).astype(np.int32)
    offsets = np.arange(n_docs + 1, dtype=np.int64) * length
    losses = rng.exponential(0.3, len(tokens)).astype(np.float32)
    losses[offsets[:-1]] = np.nan
    return losses, tokens, offsets


def _copied_by_loop(tokens, offsets, n):
    copied = np.zeros(len(tokens), dtype=bool)
    for lo, hi in zip(offsets[:-1], offsets[1:], strict=True):
        seen = set()
        for p in range(lo + n - 1, hi):
            gram = tuple(tokens[p - n + 1 : p + 1])
            copied[p] = gram in seen
            seen.add(gram)
    return copied


@pytest.mark.parametrize("n", [2, 3])
@given(data=st.data())
def test_copied_ngrams_equal_the_plain_loop(n, data):
    lengths = data.draw(st.lists(st.integers(2, 30), min_size=1, max_size=5))
    tokens = data.draw(st.lists(st.integers(0, 3), min_size=sum(lengths), max_size=sum(lengths)))
    tokens = np.array(tokens, dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    expected = _copied_by_loop(tokens, offsets, n)
    assert np.array_equal(copied_ngrams(tokens, offsets, n=n), expected)


def test_copied_ngrams_do_not_depend_on_blocks(monkeypatch):
    _, tokens, offsets = _world(vocab=4)
    whole = copied_ngrams(tokens, offsets, n=3)
    monkeypatch.setattr("quantascope.lm.selection._TOKENS_AT_ONCE", 70)
    assert np.array_equal(copied_ngrams(tokens, offsets, n=3), whole)
    assert whole.any()


def test_a_repeated_context_is_marked_and_a_changed_one_is_not():
    context = np.arange(1, 18)
    tokens = np.concatenate([context, [5], context, [6], context]).astype(np.int32)
    tokens[36 + 10] = 99
    offsets = np.array([0, 18, 36, 53], dtype=np.int64)
    preds = np.array([16, 34, 52], dtype=np.int64)
    assert repeated_contexts(tokens, offsets, preds, length=16).tolist() == [False, True, False]


def test_contexts_stop_at_the_document_start():
    tokens = np.array([1, 2, 3, 1, 2, 3, 9, 2, 3], dtype=np.int32)
    offsets = np.array([0, 3, 6, 9], dtype=np.int64)
    preds = np.array([2, 5, 8], dtype=np.int64)
    assert repeated_contexts(tokens, offsets, preds, length=16).tolist() == [False, True, False]


def test_a_smaller_selection_is_a_prefix_of_a_larger_one():
    losses, tokens, offsets = _world()
    small, large = (
        select_predictions(losses, tokens, offsets, config=SelectionConfig(n=n, copied_ngram=0))
        for n in (50, 200)
    )
    assert not large.raised
    assert np.array_equal(small.pred, large.pred[:50])


def test_another_seed_gives_another_order():
    losses, tokens, offsets = _world()
    a, b = (
        select_predictions(losses, tokens, offsets, config=SelectionConfig(n=50, seed=seed))
        for seed in (0, 1)
    )
    assert not np.array_equal(a.pred, b.pred)


def test_threshold_is_kept_where_enough_qualify_and_raised_where_not():
    losses, tokens, offsets = _world()
    few = select_predictions(losses, tokens, offsets, config=SelectionConfig(n=100))
    many = select_predictions(losses, tokens, offsets, config=SelectionConfig(n=1500))
    assert not few.raised
    assert few.loss_nats.max() < 0.1
    assert many.raised
    assert len(many.pred) == 1500
    assert many.loss_nats.max() < many.threshold_nats


def test_counts_chain_from_rule_to_rule():
    losses, tokens, offsets = _world()
    counts = select_predictions(losses, tokens, offsets, config=SelectionConfig(n=100)).counts
    assert all(a.n_after == b.n_before for a, b in zip(counts, counts[1:], strict=False))
    assert counts[-1].n_after == 100


def test_no_document_gives_more_than_the_cap():
    losses, tokens, offsets = _world()
    config = SelectionConfig(n=100, max_per_document=3, threshold_nats=5.0)
    chosen = select_predictions(losses, tokens, offsets, config=config)
    assert np.bincount(chosen.doc).max() == 3
    free = select_predictions(
        losses, tokens, offsets, config=SelectionConfig(n=1000, threshold_nats=5.0)
    )
    assert np.bincount(free.doc).max() > 3


@pytest.mark.parametrize(
    "bad", [{"n": 0}, {"threshold_nats": 0.0}, {"copied_ngram": 4}, {"max_per_document": 0}]
)
def test_settings_outside_their_range_are_named(bad):
    losses, tokens, offsets = _world()
    with pytest.raises(ValueError, match=next(iter(bad))):
        select_predictions(losses, tokens, offsets, config=SelectionConfig(**bad))


def test_nothing_left_is_a_data_error():
    _, tokens, offsets = _world()
    with pytest.raises(DataError, match="none of 0"):
        select_predictions(
            np.full(len(tokens), np.nan, dtype=np.float32),
            tokens,
            offsets,
            config=SelectionConfig(),
        )
