"""Two clusterings of one text beside each other: what was kept, split, merged, is new or gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

__all__ = ["KINDS", "Matched", "match_groups"]

Ints = NDArray[np.int64]

KINDS: Final = ("kept", "split", "merged", "changed", "gone", "new", "not shared")
_KEPT: Final = 0.5
"""Jaccard index from which a cluster counts as kept."""
_MAINLY: Final = 0.5
"""Share of a part from which it counts as that of another cluster."""
_PART: Final = 0.2
"""Share of a whole from which a second part makes it split, or merged."""
_NONE: Final = 1e-9
"""Weight of having no partner."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Matched:
    """How the groups of one clustering stand to those of another."""

    kind_a: NDArray[np.str_]
    """Of `KINDS`, axis ``a``."""
    kind_b: NDArray[np.str_]
    partner: Ints
    """Group of b that each of a is matched with one to one; -1 for none."""
    jaccard: NDArray[np.float64]
    """With the partner, over shared predictions; 0 without."""
    into: Ints
    """Group of b that each of a went mainly into; -1 for none."""
    source: Ints
    """Group of a that each of b comes mainly from; -1 for none."""
    n_shared: int
    """Predictions that both clusterings hold."""


def match_groups(a: Sequence[Ints], b: Sequence[Ints]) -> Matched:
    """Match groups of predictions one to one, the sum of Jaccard indices as large as it can be.

    Parameters
    ----------
    a, b
        Predictions of each group; no prediction is twice in one clustering.

    Returns
    -------
    Matched
        Sizes count predictions that both clusterings hold, so that what one of them never saw does
        not count against it. ``split``: two or more groups of b come mainly from it, and the second
        largest holds a fifth of it. ``kept``: a Jaccard index of one half or more, neither split
        nor merged. ``merged``: it went mainly into another. ``changed``: matched, none of these.
        ``not shared``: none of its predictions is in the other.

    Examples
    --------
    >>> old = [np.arange(10), np.arange(10, 30)]
    >>> new = [np.arange(10), np.arange(10, 20), np.arange(20, 30)]
    >>> match_groups(old, new).kind_a.tolist()
    ['kept', 'split']
    """
    overlap = _overlap(a, b)
    size_a, size_b = (np.asarray(overlap.sum(axis=k), dtype=np.float64) for k in (1, 0))
    pairs = overlap.tocoo()
    row, column = pairs.row.astype(np.int64), pairs.col.astype(np.int64)
    union_size = size_a[row] + size_b[column] - pairs.data
    jaccard = sparse.csr_array((pairs.data / union_size, (row, column)), shape=overlap.shape)
    partner, found = _one_to_one(jaccard)
    of_a = pairs.data > _MAINLY * size_b[column]  # b comes mainly from a
    of_b = pairs.data > _MAINLY * size_a[row]  # a went mainly into b
    source, into = np.full(len(b), -1), np.full(len(a), -1)
    source[column[of_a]] = row[of_a]
    into[row[of_b]] = column[of_b]
    split = _parted(row[of_a], pairs.data[of_a], size_a)[:-1]
    union = _parted(column[of_b], pairs.data[of_b], size_b)
    kept = (found >= _KEPT) & ~split & ~union[partner]
    kept_b = np.zeros(len(b), dtype=bool)
    kept_b[partner[kept]] = True
    has = np.zeros(len(b), dtype=bool)
    has[partner[partner >= 0]] = True
    return Matched(
        kind_a=np.select(
            [size_a == 0, kept, split, into >= 0, partner >= 0],
            ["not shared", "kept", "split", "merged", "changed"],
            default="gone",
        ),
        kind_b=np.select(
            [size_b == 0, kept_b, union[:-1], source >= 0, has],
            ["not shared", "kept", "merged", "split", "changed"],
            default="new",
        ),
        partner=partner,
        jaccard=found,
        into=into,
        source=source,
        n_shared=int(overlap.sum()),
    )


def _overlap(a: Sequence[Ints], b: Sequence[Ints]) -> sparse.csr_array:
    """Count shared predictions, axes ``a b``."""
    preds_a, preds_b = (np.concatenate([np.zeros(0, np.int64), *each]) for each in (a, b))
    code_a, code_b = (np.repeat(np.arange(len(s)), [len(g) for g in s]) for s in (a, b))
    _, at_a, at_b = np.intersect1d(preds_a, preds_b, assume_unique=True, return_indices=True)
    ones = np.ones(len(at_a))
    pairs = (code_a[at_a], code_b[at_b])
    return sparse.csr_array(sparse.coo_array((ones, pairs), shape=(len(a), len(b))).tocsr())


def _one_to_one(jaccard: sparse.csr_array) -> tuple[Ints, NDArray[np.float64]]:
    """Solve the assignment; every row may also stay alone."""
    n, m = jaccard.shape
    if not n:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    alone = sparse.diags_array(np.full(n, _NONE)).tocsr()
    rows, columns = min_weight_full_bipartite_matching(
        sparse.hstack([jaccard, alone]).tocsr(), maximize=True
    )
    partner = np.full(n, -1, dtype=np.int64)
    partner[rows] = np.where(columns < m, columns, -1)
    found = np.zeros(n)
    has = partner >= 0
    found[has] = np.asarray(jaccard[np.flatnonzero(has), partner[has]]).ravel()
    return partner, found


def _parted(group: Ints, n: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which groups have a second part of some weight."""
    order = np.lexsort((-n, group))
    group, n = group[order], n[order]
    second = np.flatnonzero(np.r_[False, group[1:] == group[:-1]])
    found = np.zeros(len(size) + 1, dtype=bool)  # the last answers for -1: none
    heavy = second[n[second] >= _PART * size[group[second]]]
    found[group[heavy]] = True
    return found
