"""How far two groupings of the same predictions agree."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

__all__ = ["adjusted_rand", "best_jaccard", "jaccard_matrix", "mean_pairwise_rand"]

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


def mean_pairwise_rand(groupings: Sequence[Labels]) -> float:
    """Average the adjusted Rand index over all pairs; NaN for fewer than two groupings."""
    scores = [
        adjusted_rand(first, second)
        for place, first in enumerate(groupings)
        for second in groupings[:place]
    ]
    return float(np.mean(scores)) if scores else float("nan")


def best_jaccard(first: Labels, second: Labels) -> NDArray[np.float64]:
    """Find how well each group of `first` is found again in `second`.

    Parameters
    ----------
    first, second
        Group of each prediction, axis ``pred``, numbered from 0; -1 in `second` leaves a
        prediction out of the comparison.

    Returns
    -------
    NDArray[np.float64]
        Largest Jaccard index with any group of `second`, axis ``cluster``; NaN for a group none of
        whose predictions are compared.
    """
    n_groups = int(first.max(initial=-1)) + 1
    compared = second >= 0
    shared = np.bincount(first[compared], minlength=n_groups) > 0
    jaccard = jaccard_matrix(first[compared], second[compared])
    best = np.full(n_groups, np.nan)
    if jaccard.shape[1]:
        best[: len(jaccard)] = jaccard.max(axis=1)
    best[~shared] = np.nan
    return best


def jaccard_matrix(first: Labels, second: Labels) -> NDArray[np.float64]:
    """Compute the Jaccard index, intersection over union, of every pair of groups.

    Parameters
    ----------
    first, second
        Group of each prediction, axis ``pred``, numbered from 0.

    Returns
    -------
    NDArray[np.float64]
        Axes ``(cluster of first, cluster of second)``.
    """
    shape = (int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1)
    shared = sparse.coo_array((np.ones(len(first)), (first, second)), shape=shape).toarray()
    sizes, others = shared.sum(axis=1, keepdims=True), shared.sum(axis=0, keepdims=True)
    return shared / np.maximum(sizes + others - shared, 1.0)
