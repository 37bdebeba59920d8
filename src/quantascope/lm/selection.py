"""Selection: from losses to the predictions whose gradients are worth taking.

Enters: tokens, document offsets, one model's losses. Leaves: predictions in a seeded order, and
how many each rule kept. The rules are those of arXiv:2303.13506, appendix on QDG: low loss, and
no n-gram copied from earlier in the document; to these come repeated contexts and a cap for each
document, since page headers otherwise make trivial clusters.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.rng import derive_seed, hash_order
from quantascope.lm.config import SelectionConfig

__all__ = ["RuleCount", "Selection", "copied_ngrams", "repeated_contexts", "select_predictions"]

_TOKENS_AT_ONCE: Final = 1 << 22
_QUANTILE_STEP: Final = 1.25  # growth of the candidate count while a raised threshold is sought


@dataclass(frozen=True)
class RuleCount:
    """How many predictions stood before and after one rule."""

    rule: str
    n_before: int
    n_after: int


@dataclass(frozen=True)
class Selection:
    """Chosen predictions, in seeded order.

    Arrays have axis ``pred``; `threshold_nats` is the threshold in force [nat], which is above
    the configured one where `raised` is set.
    """

    pred: NDArray[np.int64]
    doc: NDArray[np.int64]
    pos: NDArray[np.int64]
    loss_nats: NDArray[np.float32]
    order: NDArray[np.uint64]
    counts: list[RuleCount]
    threshold_nats: float
    raised: bool


def select_predictions(
    losses: NDArray[np.float32],
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    *,
    config: SelectionConfig,
) -> Selection:
    """Choose predictions by the rules of the config.

    Parameters
    ----------
    losses
        Loss of each token [nat], axis ``pred``; NaN where there is no prediction.
    tokens
        Flat token ids, axis ``token``.
    offsets
        Start of each document and the end, axis ``doc`` + 1.
    config
        Rules; ``n`` at least 1, ``threshold_nats`` above 0, ``copied_ngram`` 0, 2 or 3.

    Returns
    -------
    Selection
        At most ``n`` predictions; the first m of a larger selection are the selection of m, as
        long as the threshold is the same.

    Raises
    ------
    ValueError
        If a rule's setting is outside its range.
    DataError
        If no prediction is left.

    References
    ----------
    arXiv:2303.13506, appendix "Additional details on QDG".
    """
    _check(config)
    valid = np.flatnonzero(~np.isnan(losses)).astype(np.int64)
    counts = [RuleCount("predictions", len(tokens), len(valid))]
    kept = valid
    if config.copied_ngram:
        copied = copied_ngrams(tokens, offsets, n=config.copied_ngram)
        kept = valid[~copied[valid]]
        counts.append(RuleCount(f"copied {config.copied_ngram}-gram", len(valid), len(kept)))
    order = hash_order(kept, seed=derive_seed(config.seed, "selection"))
    chosen, threshold, tail = _under_threshold(
        losses, tokens, offsets, kept, order=order, config=config
    )
    if not len(chosen):
        raise DataError(
            f"selection: none of {len(valid):,} predictions is left after the rules; "
            "use more text, or set copied_ngram = 0 or repeated_context = 0"
        )
    doc = np.searchsorted(offsets, chosen, side="right") - 1
    return Selection(
        pred=chosen,
        doc=doc,
        pos=chosen - offsets[doc],
        loss_nats=losses[chosen],
        order=hash_order(chosen, seed=derive_seed(config.seed, "selection")),
        counts=counts + tail,
        threshold_nats=threshold,
        raised=threshold > config.threshold_nats,
    )


def copied_ngrams(
    tokens: NDArray[np.int32], offsets: NDArray[np.int64], *, n: int
) -> NDArray[np.bool_]:
    """Mark each token whose n-gram, itself included as the last, occurred earlier in its document.

    Parameters
    ----------
    tokens, offsets
        Flat token ids and document bounds.
    n
        Length of the n-gram [token], 2 or 3.

    Returns
    -------
    NDArray[np.bool_]
        Axis ``token``.
    """
    copied = np.zeros(len(tokens), dtype=bool)
    lo = 0
    while lo < len(offsets) - 1:
        hi = int(np.searchsorted(offsets, offsets[lo] + _TOKENS_AT_ONCE, side="right")) - 1
        hi = min(max(hi, lo + 1), len(offsets) - 1)
        start, stop = int(offsets[lo]), int(offsets[hi])
        copied[start:stop] = _copied(
            np.asarray(tokens[start:stop]), offsets[lo : hi + 1] - start, n
        )
        lo = hi
    return copied


def repeated_contexts(
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    preds: NDArray[np.int64],
    *,
    length: int,
) -> NDArray[np.bool_]:
    """Mark predictions whose preceding tokens equal those of an earlier prediction given.

    Parameters
    ----------
    tokens, offsets
        Flat token ids and document bounds.
    preds
        Predictions, rising.
    length
        How many preceding tokens are compared; near a document's start, those there are.

    Returns
    -------
    NDArray[np.bool_]
        Axis ``pred``, as `preds`. Contexts are compared by a 64-bit hash.
    """
    doc = np.searchsorted(offsets, preds, side="right") - 1
    pos = preds - offsets[doc]
    hashed = np.zeros(len(preds), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for back in range(1, length + 1):
            inside = pos >= back
            token = np.where(inside, tokens[np.maximum(preds - back, 0)].astype(np.int64) + 1, 0)
            hashed = hash_order(hashed.view(np.int64) + token, seed=back)
    first = np.unique(hashed, return_index=True)[1]
    repeated = np.ones(len(preds), dtype=bool)
    repeated[first] = False
    return repeated


def _check(config: SelectionConfig) -> None:
    if config.n < 1:
        raise ValueError(f"selection.n: {config.n} found, at least 1 allowed")
    if not config.threshold_nats > 0:
        raise ValueError(f"selection.threshold_nats: {config.threshold_nats} found, must be > 0")
    if config.copied_ngram not in (0, 2, 3):
        raise ValueError(f"selection.copied_ngram: {config.copied_ngram} found, allowed 0, 2, 3")
    if config.repeated_context < 0 or config.max_per_document < 1:
        raise ValueError("selection: repeated_context must be >= 0 and max_per_document >= 1")


def _copied(tokens: NDArray[np.int32], offsets: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    doc = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    pos = np.arange(len(tokens)) - offsets[doc]
    whole = np.flatnonzero(pos >= n - 1)
    grams = [tokens[whole - back] for back in range(n)]
    by_gram = np.lexsort(np.stack([whole, *grams, doc[whole]]))
    rows = whole[by_gram]
    same = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for back in range(n):
        same &= tokens[rows[1:] - back] == tokens[rows[:-1] - back]
    same &= doc[rows[1:]] == doc[rows[:-1]]
    copied = np.zeros(len(tokens), dtype=bool)
    copied[rows[1:][same]] = True
    return copied


def _under_threshold(
    losses: NDArray[np.float32],
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    kept: NDArray[np.int64],
    *,
    order: NDArray[np.uint64],
    config: SelectionConfig,
) -> tuple[NDArray[np.int64], float, list[RuleCount]]:
    """Apply threshold, repeated contexts, cap and count; raise the threshold until enough pass."""
    loss = losses[kept]
    ascending = np.sort(loss)
    threshold = config.threshold_nats
    while True:
        low = loss < threshold
        chosen, counts = _thin(tokens, offsets, kept[low], order[low], config)
        counts.insert(0, RuleCount(f"loss below {threshold:.4g} nat", len(kept), int(low.sum())))
        if len(chosen) >= config.n or low.all():
            return chosen[: config.n], threshold, counts
        wanted = max(int(np.ceil(low.sum() * _QUANTILE_STEP)), config.n)
        wanted = min(wanted, len(ascending))
        above = np.nextafter(ascending[wanted - 1], np.float32(np.inf))
        threshold = float(above)


def _thin(
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    preds: NDArray[np.int64],
    order: NDArray[np.uint64],
    config: SelectionConfig,
) -> tuple[NDArray[np.int64], list[RuleCount]]:
    counts = []
    if config.repeated_context:
        fresh = ~repeated_contexts(tokens, offsets, preds, length=config.repeated_context)
        rule = f"first of its {config.repeated_context}-token context"
        counts.append(RuleCount(rule, len(preds), int(fresh.sum())))
        preds, order = preds[fresh], order[fresh]
    shuffled = preds[np.argsort(order, kind="stable")]
    doc = np.searchsorted(offsets, shuffled, side="right") - 1
    chosen = shuffled[_occurrence(doc) < config.max_per_document]
    rule = f"at most {config.max_per_document} of a document"
    counts.append(RuleCount(rule, len(shuffled), len(chosen)))
    counts.append(
        RuleCount(f"first {config.n:,} in seeded order", len(chosen), min(len(chosen), config.n))
    )
    return chosen, counts


def _occurrence(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count, for each entry, the equal entries before it."""
    by_value = np.argsort(values, kind="stable")
    ordered = values[by_value]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(values) else values
    lengths = np.diff(np.r_[starts, len(values)])
    occurrence = np.empty(len(values), dtype=np.int64)
    occurrence[by_value] = np.arange(len(values)) - np.repeat(starts, lengths)
    return occurrence
