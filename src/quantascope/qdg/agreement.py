"""How far two groupings of the same predictions agree."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

__all__ = ["adjusted_rand", "best_jaccard", "mean_pairwise_rand"]

Labels = NDArray[np.integer]


def adjusted_rand(first: Labels, second: Labels) -> float:
    """Compute the adjusted Rand index of two groupings.

    Parameters
    ----------
    first, second
        Group of each prediction, axis ``pred``; the numbers of the groups mean nothing.

    Returns
    -------
    float
        1 for equal groupings, 0 on average for unrelated ones.

    References
    ----------
    Hubert and Arabie 1985, doi:10.1007/BF01908075.
    """
    return float(adjusted_rand_score(first, second))


def mean_pairwise_rand(groupings: list[Labels]) -> float:
    """Average the adjusted Rand index over all pairs; NaN for fewer than two groupings."""
    scores = [
        adjusted_rand(first, second)
        for place, first in enumerate(groupings)
        for second in groupings[:place]
    ]
    return float(np.mean(scores)) if scores else float("nan")


def best_jaccard(first: Labels, second: Labels) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find for each group of `first` the most alike group of `second`.

    Parameters
    ----------
    first, second
        Group of each prediction, axis ``pred``, numbered from 0; -1 for predictions in no group.

    Returns
    -------
    overlap : NDArray[np.float64]
        Largest Jaccard index (intersection over union) of each group of `first`.
    match : NDArray[np.int64]
        Group of `second` that reaches it, the first of equals; -1 where nothing is shared.
    """
    jaccard = jaccard_matrix(first, second)
    if jaccard.shape[1] == 0:
        return np.zeros(jaccard.shape[0]), np.full(jaccard.shape[0], -1)
    overlap = jaccard.max(axis=1)
    match = np.where(overlap > 0, jaccard.argmax(axis=1), -1)
    return overlap, match.astype(np.int64)


def jaccard_matrix(first: Labels, second: Labels) -> NDArray[np.float64]:
    """Jaccard index of every pair of groups, axes ``(cluster of first, cluster of second)``."""
    both = (first >= 0) & (second >= 0)
    shape = (int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1)
    counts = sparse.coo_array((np.ones(both.sum()), (first[both], second[both])), shape=shape)
    shared = counts.toarray()
    sizes = np.bincount(first[first >= 0], minlength=shape[0])[:, None]
    others = np.bincount(second[second >= 0], minlength=shape[1])[None, :]
    return shared / np.maximum(sizes + others - shared, 1.0)
