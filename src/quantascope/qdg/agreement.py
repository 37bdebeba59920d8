"""How far two groupings of the same predictions agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
)

__all__ = [
    "Agreement",
    "Recovery",
    "adjusted_rand",
    "agree",
    "best_jaccard",
    "jaccard_matrix",
    "mean_pairwise_rand",
    "recover",
]

Labels = NDArray[np.integer]
_HALF = 0.5


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


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far found groups agree with known ones, over all predictions given."""

    adjusted_rand: float
    """1 for equal groupings, 0 on average for unrelated ones."""
    adjusted_mutual: float
    """Mutual information over the mean entropy, less its expectation by chance."""
    normalised_mutual: float
    """The same without the correction; rises with the number of groups."""
    purity: float
    """Share of predictions that belong to the commonest known group of their found one."""
    n_found: int
    n_known: int


def agree(found: Labels, known: Labels) -> Agreement:
    """Score found groups against known ones.

    Parameters
    ----------
    found, known
        Group of each prediction, axis ``pred``; at least one prediction.

    Returns
    -------
    Agreement
        All scores of the two.

    Raises
    ------
    ValueError
        If there is no prediction, or the two differ in length.

    References
    ----------
    Vinh, Epps and Bailey 2010, JMLR 11, 2837 (adjusted mutual information).

    Examples
    --------
    >>> score = agree(np.array([0, 0, 1, 2]), np.array([5, 5, 7, 7]))
    >>> score.purity, score.n_found, score.n_known, round(score.adjusted_rand, 2)
    (1.0, 3, 2, 0.57)
    """
    if not len(found) == len(known) > 0:
        raise ValueError(
            f"found, known: {len(found)} and {len(known)} predictions; equal numbers from 1 needed"
        )
    shared = _shared(found, known)
    return Agreement(
        adjusted_rand=adjusted_rand(known, found),
        adjusted_mutual=float(adjusted_mutual_info_score(known, found)),
        normalised_mutual=float(normalized_mutual_info_score(known, found)),
        purity=float(shared.max(axis=1).sum() / len(found)),
        n_found=shared.shape[0],
        n_known=shared.shape[1],
    )


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What became of one known group."""

    known: int
    """Its number, as given."""
    n_preds: int
    jaccard: float
    """With the found group that matches it best."""
    recall: float
    """Share of it in that group."""
    precision: float
    """Share of that group that is of it."""
    verdict: Literal["found", "merged", "split", "missed"]
    """``found``: Jaccard index above one half. Else ``split``: half of it or more lies in groups in
    which it is the commonest; ``merged``: half or more in one group ruled by another; ``missed``:
    scattered over groups ruled by others."""


def recover(found: Labels, known: Labels) -> list[Recovery]:
    """Say of each known group whether it was found, and if not, why.

    Parameters
    ----------
    found, known
        Group of each prediction, axis ``pred``.

    Returns
    -------
    list[Recovery]
        By falling size of the known group.
    """
    shared = _shared(found, known)
    sizes, groups = shared.sum(axis=0), shared.sum(axis=1)
    jaccard = shared / (groups[:, None] + sizes[None, :] - shared)
    ruler = shared.argmax(axis=1)
    names = np.unique(known)
    rows = []
    for place in np.argsort(-sizes, kind="stable"):
        best = int(jaccard[:, place].argmax())
        ruled = shared[ruler == place, place].sum() / sizes[place]
        others = shared[ruler != place, place] / sizes[place]
        verdict: Literal["found", "merged", "split", "missed"] = "missed"
        if jaccard[best, place] > _HALF:  # of one group with one known group only
            verdict = "found"
        elif ruled >= _HALF:
            verdict = "split"
        elif others.max(initial=0.0) >= _HALF:
            verdict = "merged"
        rows.append(
            Recovery(
                known=int(names[place]),
                n_preds=int(sizes[place]),
                jaccard=float(jaccard[best, place]),
                recall=float(shared[best, place] / sizes[place]),
                precision=float(shared[best, place] / groups[best]),
                verdict=verdict,
            )
        )
    return rows


def _shared(found: Labels, known: Labels) -> NDArray[np.float64]:
    """Count the predictions that each found and each known group share."""
    rows = np.unique(found, return_inverse=True)[1]
    columns = np.unique(known, return_inverse=True)[1]
    counts = sparse.coo_array((np.ones(len(rows)), (rows, columns)))
    return np.asarray(counts.toarray())
