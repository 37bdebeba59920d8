"""Whether the members of a cluster are more alike than predictions drawn at random.

Alike is the mean cosine over pairs or, where signs do not count, its root mean square.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.core.rng import stream
from quantascope.core.units import angular_similarity

__all__ = ["null_overlap", "null_similarity", "within_overlaps", "within_similarity"]

_QUANTILE: Final = 0.99
_GROUPS_A_SHUFFLE: Final = 64
_NULL_SAMPLE: Final = 1000
"""Predictions among which random groups are drawn where all pairs are needed."""
_BLOCK: Final = 1024


def within_similarity(
    vectors: NDArray[np.float32], labels: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Compute how alike the members of each group are.

    Parameters
    ----------
    vectors
        Unit vectors, axes ``(pred, dim)``.
    labels
        Group of each prediction, numbered from 0, axis ``pred``.

    Returns
    -------
    NDArray[np.float64]
        Angular similarity at the mean cosine of a group's pairs, axis ``cluster``; NaN for a
        single member. The mean cosine follows from the sum of the members, so no pair is formed.
    """
    n, n_groups = len(labels), int(labels.max()) + 1
    ones = np.ones(n, dtype=np.float32)
    indicator = sparse.csr_array((ones, (labels, np.arange(n))), shape=(n_groups, n))
    lengths = np.einsum("ij,ij->i", vectors, vectors)  # 1, or 0 where a gradient vanished
    own = np.bincount(labels, weights=lengths, minlength=n_groups).astype(np.float64)
    return _similarity_of_sums(indicator @ vectors, own, np.bincount(labels, minlength=n_groups))


def null_similarity(
    vectors: NDArray[np.float32], sizes: NDArray[np.integer], *, n_shuffles: int, seed: int
) -> dict[int, float]:
    """Find what random groups reach: the 99th percentile of their similarity, for each size.

    Parameters
    ----------
    vectors
        Unit vectors, axes ``(pred, dim)``.
    sizes
        Group sizes to be judged; repeated ones count once.
    n_shuffles
        Random orders of the predictions; from each, up to 64 groups of every size are cut.
    seed
        Seed of the orders.

    Returns
    -------
    dict[int, float]
        Percentile of the statistic of `within_similarity` by size; NaN for size 1.
    """
    wanted = np.unique(sizes)
    draws: dict[int, list[NDArray[np.float64]]] = {int(size): [] for size in wanted}
    for shuffle in range(n_shuffles):
        order = stream(seed, "null", shuffle).permutation(len(vectors))
        sums = np.cumsum(vectors[order], axis=0, dtype=np.float32)
        own = np.cumsum(np.einsum("ij,ij->i", vectors, vectors)[order], dtype=np.float64)
        for size, found in draws.items():
            ends = np.arange(size - 1, len(vectors), size)[:_GROUPS_A_SHUFFLE]
            groups = np.diff(sums[ends], axis=0, prepend=0)
            lengths = np.diff(own[ends], prepend=0)
            found.append(_similarity_of_sums(groups, lengths, np.full(len(ends), size)))
    return {
        size: float(np.quantile(np.concatenate(found), _QUANTILE)) if size > 1 else float("nan")
        for size, found in draws.items()
    }


def within_overlaps(
    vectors: NDArray[np.float32], labellings: Sequence[NDArray[np.integer]]
) -> list[NDArray[np.float64]]:
    """Compute how alike the members of each group are, whatever the sign.

    Parameters
    ----------
    vectors
        Unit vectors, axes ``(pred, dim)``.
    labellings
        Groups from 0 of each prediction, each of axis ``pred``.

    Returns
    -------
    list[NDArray[np.float64]]
        For each labelling the angular similarity at the root mean squared cosine of a group's
        pairs, axis ``cluster``; NaN for a single member.
    """
    sums = [np.zeros(int(labels.max()) + 1) for labels in labellings]
    for begin in range(0, len(vectors), _BLOCK):
        rows = np.arange(begin, min(begin + _BLOCK, len(vectors)))
        squares = (vectors[rows] @ vectors.T) ** 2
        squares[np.arange(len(rows)), rows] = 0.0
        for place, labels in enumerate(labellings):
            same = labels[rows, None] == labels[None, :]
            own = np.einsum("ij,ij->i", squares, same, dtype=np.float64)
            sums[place] += np.bincount(labels[rows], weights=own, minlength=len(sums[place]))
    return [
        _similarity_of_squares(total, np.bincount(labels))
        for total, labels in zip(sums, labellings, strict=True)
    ]


def null_overlap(
    vectors: NDArray[np.float32], sizes: NDArray[np.integer], *, n_shuffles: int, seed: int
) -> dict[int, float]:
    """Find what random groups reach by `within_overlaps`: the 99th percentile, for each size.

    Parameters
    ----------
    vectors
        Unit vectors, axes ``(pred, dim)``.
    sizes
        Group sizes to be judged; repeated ones count once.
    n_shuffles
        Random orders of up to 1,000 predictions; each is cut into groups of every size.
    seed
        Seed of the orders.

    Returns
    -------
    dict[int, float]
        Percentile by size; NaN for size 1. Groups larger than half of the sample are held
        against groups of that half, whose spread is larger: the test errs on the safe side.
    """
    chosen = stream(seed, "null", "sample").permutation(len(vectors))[:_NULL_SAMPLE]
    squares = (vectors[chosen] @ vectors[chosen].T).astype(np.float64) ** 2
    np.fill_diagonal(squares, 0.0)
    largest = max(2, len(chosen) // 2)
    drawn = {int(size): min(int(size), largest) for size in np.unique(sizes)}
    found: dict[int, list[NDArray[np.float64]]] = {size: [] for size in drawn.values() if size > 1}
    for shuffle in range(n_shuffles):
        order = stream(seed, "null", shuffle).permutation(len(chosen))
        shuffled = squares[np.ix_(order, order)]
        for size, values in found.items():
            n_groups = min(len(order) // size, _GROUPS_A_SHUFFLE)
            cut = shuffled[: n_groups * size, : n_groups * size]
            blocks = cut.reshape(n_groups, size, n_groups, size)
            sums = np.einsum("aiaj->a", blocks)
            values.append(_similarity_of_squares(sums, np.full(n_groups, size)))
    return {
        size: float(np.quantile(np.concatenate(found[cut]), _QUANTILE)) if cut > 1 else float("nan")
        for size, cut in drawn.items()
    }


def _similarity_of_squares(
    sums: NDArray[np.float64], sizes: NDArray[np.integer]
) -> NDArray[np.float64]:
    pairs = np.where(sizes > 1, sizes * (sizes - 1.0), np.nan)
    return angular_similarity(np.sqrt(sums / pairs)).astype(np.float64)


def _similarity_of_sums(
    sums: NDArray[np.float32], own: NDArray[np.float64], sizes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Mean cosine of pairs, ``(|sum|^2 - sum of |x|^2) / (n (n - 1))``, as angular similarity."""
    squares = np.einsum("ij,ij->i", sums, sums, dtype=np.float64)
    pairs = np.where(sizes > 1, sizes * (sizes - 1.0), np.nan)
    return angular_similarity((squares - own) / pairs).astype(np.float64)
