"""Groups joined by the overlap of the subspaces in which their gradients lie.

A quantum is met with either sign and in many input patterns, each of which sends the gradient along
another direction of one subspace. Neighbours in the graph share a pattern, so its communities are
fragments. For two groups the mean squared cosine over pairs is the overlap of their subspaces,
``tr(C_1 C_2)`` with ``C`` the mean of ``x x'``: small for fragments of one quantum, but seen over
all pairs it stands out. Fragments are joined, largest mean overlap first (average linkage), and the
number of groups is where the joins change from fragments to strangers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.qdg.config import ClustersConfig
from quantascope.qdg.leiden import Grouping, Labels, by_size, leiden_runs, stability_of

__all__ = ["MergeTree", "group_overlaps", "merge_groups", "merged_grouping"]

_COARSEST: Final = 8.0
"""Least resolution of the fine groups, so that few predictions come in fragments too."""
_LEAST_EXCESS: Final = 0.1
"""Least overlap told from none, as a share of that of unrelated vectors."""
_BLOCK: Final = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class MergeTree:
    """What joining groups one by one gives, and where to stop."""

    labels: NDArray[np.int64]
    """Group after the cut of each group before it."""
    n_groups: NDArray[np.int64]
    """Groups left at each step, falling from the number of groups given."""
    overlap: NDArray[np.float64]
    """Mean squared cosine of the pair joined at each step; NaN at the first, where none was."""
    contrast: NDArray[np.float64]
    """See `merge_groups`; -inf before the first join."""


def merged_grouping(
    graph: sparse.csr_array, sketch: NDArray[np.floating], *, config: ClustersConfig
) -> Grouping:
    """Merge the fine communities of a graph, with reruns on other seeds and random subsets.

    Parameters
    ----------
    graph
        Symmetric angular similarities, axes ``(pred, pred)``.
    sketch
        Unit vectors, axes ``(pred, dim)``.
    config
        Fine size, seeds and subsets.

    Returns
    -------
    Grouping
        Its stability is that of the whole procedure, the number of groups included.
    """
    resolution = max(_COARSEST, graph.shape[0] / config.fine_size)
    whole, subsets = leiden_runs(
        graph,
        resolution=resolution,
        n_seeds=config.leiden_seeds,
        n_resamples=config.resamples,
        resample_share=config.resample_share,
        seed=config.seed,
    )
    fine = [*whole, *subsets]
    overlaps = group_overlaps(sketch, fine)
    chance = 1.0 / sketch.shape[1]
    found = [_merged(*pair, chance=chance) for pair in zip(fine, overlaps, strict=True)]
    return Grouping(
        name="merged",
        method="merged",
        parameter=resolution,
        labels=found[0],
        stability=stability_of(found[: len(whole)], found[len(whole) :]),
        reruns=tuple(found[1:]),
    )


def group_overlaps(
    sketch: NDArray[np.floating], labellings: Sequence[Labels]
) -> list[NDArray[np.float64]]:
    """Sum squared cosines between the members of every two groups.

    Parameters
    ----------
    sketch
        Unit vectors, axes ``(pred, dim)``.
    labellings
        Groups from 0 of each prediction, -1 to leave it out; each of axis ``pred``.

    Returns
    -------
    list[NDArray[np.float64]]
        For each labelling the sums, axes ``(group, group)``; a prediction is not paired with
        itself. One pass over the products of all pairs, which are never in memory together.
    """
    vectors = np.asarray(sketch, dtype=np.float32)
    members = [_members(labels) for labels in labellings]
    sums = [np.zeros((each.shape[1], each.shape[1])) for each in members]
    for begin in range(0, len(vectors), _BLOCK):
        rows = np.arange(begin, min(begin + _BLOCK, len(vectors)))
        squares = (vectors[rows] @ vectors.T) ** 2
        squares[np.arange(len(rows)), rows] = 0.0
        for place, each in enumerate(members):
            sums[place] += each[rows].T @ (squares @ each)
    return sums


def merge_groups(
    overlap: NDArray[np.float64],
    sizes: NDArray[np.integer],
    *,
    chance: float = 0.0,
) -> MergeTree:
    """Join groups, largest mean overlap first, and choose where to stop.

    Parameters
    ----------
    overlap
        Sums of squared cosines, axes ``(group, group)``, see `group_overlaps`.
    sizes
        Members of each group.
    chance
        Mean squared cosine of unrelated vectors, 1 over their dimension; what exceeds it counts.

    Returns
    -------
    MergeTree
        The contrast of a cut is the mean over predictions of ``own - next``: ``own`` is the mean
        logarithm of a given group's overlaps with the others it was joined with, ``next`` that with
        the members of the nearest group it was not (0 where it was joined with none). Too many
        groups leave fragments of one quantum as nearest strangers, too few mix strangers in. Quanta
        may in turn form families, so the finest cut is taken whose contrast no cut with more than
        half as many groups exceeds.

    Notes
    -----
    The contrast is a silhouette (Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7) in logarithms,
    taken over given groups and not over single predictions, whose own overlaps are noise. With
    plain means a group that took in strangers would still show the overlap of its kin.
    """
    counts = sizes.astype(np.float64)
    between = overlap.astype(np.float64).copy()
    logs, weights = _log_excess(between, counts, chance=chance)
    label = np.arange(len(counts))
    heights, contrasts, labels = [np.nan], [-np.inf], [label.copy()]
    joined, alive = counts.copy(), label.copy()
    while len(alive) > 2:
        means = between[np.ix_(alive, alive)] / np.outer(joined[alive], joined[alive])
        np.fill_diagonal(means, -np.inf)
        low, high = sorted(alive[list(np.unravel_index(means.argmax(), means.shape))])
        heights.append(float(means.max()))
        between[low] += between[high]
        for columns in (between, logs, weights):
            columns[:, low] += columns[:, high]
        joined[low] += joined[high]
        label[label == high] = low
        alive = alive[alive != high]
        labels.append(label.copy())
        own = np.searchsorted(alive, label)
        contrasts.append(_contrast(logs[:, alive], weights[:, alive], own=own, counts=counts))
    n_groups = np.arange(len(counts), len(counts) - len(labels), -1)
    contrast = np.array(contrasts)
    best = labels[_finest_peak(n_groups, contrast)]
    return MergeTree(
        labels=np.unique(best, return_inverse=True)[1].astype(np.int64),
        n_groups=n_groups,
        overlap=np.array(heights),
        contrast=contrast,
    )


def _log_excess(
    overlap: NDArray[np.float64], counts: NDArray[np.float64], *, chance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give logarithms of mean overlaps above chance, weighted by the second group, and weights."""
    least = max(_LEAST_EXCESS * chance, float(np.finfo(np.float64).tiny))
    excess = np.maximum(overlap / np.outer(counts, counts) - chance, least)
    weights = np.tile(counts, (len(counts), 1))
    np.fill_diagonal(weights, 0.0)
    return np.log(excess) * weights, weights


def _finest_peak(n_groups: NDArray[np.int64], contrast: NDArray[np.float64]) -> int:
    best = [contrast[2 * n_groups > n].max() for n in n_groups]
    return int(np.argmax(contrast == np.array(best)))


def _contrast(
    logs: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    own: NDArray[np.integer],
    counts: NDArray[np.float64],
) -> float:
    rows = np.arange(len(own))
    known = weights > 0
    means = np.where(known, logs / np.where(known, weights, 1.0), -np.inf)
    inside, alone = means[rows, own], ~known[rows, own]
    means[rows, own] = -np.inf
    beyond = means.max(axis=1)
    return float(np.average(np.where(alone, 0.0, inside - beyond), weights=counts))


def _merged(labels: Labels, overlap: NDArray[np.float64], *, chance: float) -> Labels:
    chosen = labels >= 0
    tree = merge_groups(overlap, np.bincount(labels[chosen]), chance=chance)
    found = np.full(len(labels), -1)
    found[chosen] = by_size(tree.labels[labels[chosen]])
    return found


def _members(labels: Labels) -> sparse.csr_array:
    chosen = np.flatnonzero(labels >= 0)
    ones = np.ones(len(chosen), dtype=np.float32)
    shape = (len(labels), int(labels.max()) + 1)
    return sparse.csr_array((ones, (chosen, labels[chosen])), shape=shape)
