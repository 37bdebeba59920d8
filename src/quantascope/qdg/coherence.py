"""Whether the members of a cluster are more alike than predictions drawn at random."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.core.rng import stream
from quantascope.core.units import angular_similarity

__all__ = ["null_similarity", "within_similarity"]

_QUANTILE: Final = 0.99
_GROUPS_A_SHUFFLE: Final = 64


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


def _similarity_of_sums(
    sums: NDArray[np.float32], own: NDArray[np.float64], sizes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Mean cosine of pairs, ``(|sum|^2 - sum of |x|^2) / (n (n - 1))``, as angular similarity."""
    squares = np.einsum("ij,ij->i", sums, sums, dtype=np.float64)
    pairs = np.where(sizes > 1, sizes * (sizes - 1.0), np.nan)
    return angular_similarity((squares - own) / pairs).astype(np.float64)
