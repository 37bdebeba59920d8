"""N-grams as skills: predictions grouped by the tokens before and the token that is predicted.

Tokens of a corpus and some of its predictions enter; leaves the n-gram of each and how often it
occurs. Whoever predicts `target` after the same n - 1 tokens uses the same skill, in the simplest
reading of the word: the frequency of use is then known, and nothing has to be clustered.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ngrams", "group_ngrams"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ngrams:
    """N-grams by falling frequency; arrays have the axis ``ngram`` unless they say otherwise."""

    group: NDArray[np.int64]
    """N-gram of each prediction, -1 where there is none; axis ``pred``."""
    tokens: NDArray[np.int64]
    """Token ids, the target last; axes ``ngram token``."""
    n_corpus: NDArray[np.int64]
    """How often it occurs in the corpus."""
    n_preds: NDArray[np.int64]
    """Predictions given that are of it."""
    frequency: NDArray[np.float64]
    """Share of all predictions of the corpus that are of it."""


def group_ngrams(
    tokens: NDArray[np.integer[Any]],
    offsets: NDArray[np.integer[Any]],
    pred: NDArray[np.int64],
    *,
    n: int = 2,
    least: int = 20,
) -> Ngrams:
    """Group predictions by the n - 1 tokens before and the target.

    Parameters
    ----------
    tokens
        Flat token ids, axis ``token``.
    offsets
        Bounds of the documents, which no n-gram crosses.
    pred
        Places of the predicted tokens, axis ``pred``.
    n
        Length, the target counted in; from 1.
    least
        Predictions given that an n-gram must have, from 1; rarer ones are none.

    Returns
    -------
    Ngrams
        Ties of frequency in the order of their tokens.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> tokens, offsets = np.array([7, 8, 7, 8, 9, 7, 8]), np.array([0, 5, 7])
    >>> found = group_ngrams(tokens, offsets, np.array([1, 3, 4, 6]), n=2, least=2)
    >>> found.tokens.tolist(), found.n_corpus.tolist(), found.group.tolist()
    ([[7, 8]], [3], [0, 0, -1, 0])
    """
    if n < 1 or least < 1:
        raise ValueError(f"n, least: {n}, {least} found; both are whole numbers from 1")
    if len(pred) and not (pred.min() >= 0 and pred.max() < len(tokens)):
        raise ValueError(f"pred: places outside 0 to {len(tokens) - 1} found")
    place = np.arange(len(tokens))
    begins = np.asarray(offsets)[np.searchsorted(offsets, place, side="right") - 1]
    whole = place - begins >= max(n - 1, 1)  # the first token of a document is not predicted
    code = _codes(np.asarray(tokens, dtype=np.int64), n)
    known, n_corpus = np.unique(code[whole], return_counts=True)
    mine = np.where(whole[pred], np.searchsorted(known, code[pred]), -1)
    n_mine = np.bincount(mine[mine >= 0], minlength=len(known))
    kept = np.flatnonzero(n_mine >= least)
    kept = kept[np.argsort(-n_corpus[kept], kind="stable")]
    rank = np.full(len(known) + 1, -1)
    rank[kept] = np.arange(len(kept))
    first = _first_places(code, whole, known[kept])
    n_predictions = int((place - begins >= 1).sum())
    return Ngrams(
        group=rank[mine],
        tokens=np.asarray(tokens, dtype=np.int64)[first[:, None] + np.arange(1 - n, 1)],
        n_corpus=n_corpus[kept],
        n_preds=n_mine[kept],
        frequency=n_corpus[kept] / max(n_predictions, 1),
    )


def _codes(tokens: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Give the number of the n-gram that ends at each place; the first n - 1 mean nothing."""
    code = np.unique(tokens, return_inverse=True)[1].astype(np.int64)
    own = code.copy()
    for back in range(1, n):
        shifted = np.concatenate([np.zeros(min(back, len(own)), dtype=np.int64), own[:-back]])
        pair = shifted[: len(own)] * (int(code.max(initial=0)) + 1) + code
        code = np.unique(pair, return_inverse=True)[1].astype(np.int64)
    return code


def _first_places(
    code: NDArray[np.int64], whole: NDArray[np.bool_], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    places = np.flatnonzero(whole)
    known, first = np.unique(code[places], return_index=True)
    return places[first[np.searchsorted(known, wanted)]]
