"""Groups joined by the overlap of the subspaces in which their gradients lie.

A quantum is met with either sign and in many input patterns, each of which sends the gradient along
another direction of one subspace. Neighbours in the graph share a pattern, so its communities are
fragments. For two groups the mean squared cosine over pairs is the overlap of their subspaces,
``tr(C_1 C_2)`` with ``C`` the mean of ``x x'``: small for fragments of one quantum, but seen over
all pairs it stands out. Fragments are joined, largest mean overlap first (average linkage), as long
as the overlap is more than unrelated subspaces show by chance; among these cuts, the number of
groups is where the joins change from fragments to strangers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
_FACTOR: Final = 1.5
"""What counts as more: of groups in a cut, and of overlap with kin than with strangers."""
_BLOCK: Final = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class MergeTree:
    """What joining groups one by one gives, and where to stop."""

    labels: NDArray[np.int64]
    """Group after the cut of each group before it."""
    n_groups: NDArray[np.int64]
    """Groups left at each step, falling from the number of groups given to 1."""
    overlap: NDArray[np.float64]
    """Mean squared cosine of the pair joined at each step; NaN at the first, where none was."""
    floor: NDArray[np.float64]
    """What that pair would show by chance at most, see `merge_groups`; NaN at the first."""
    contrast: NDArray[np.float64]
    """See `merge_groups`; 0 before the first join and where one group is left."""
    joins: NDArray[np.int64]
    """Groups joined at each step after the first, axes ``(step, 2)``; the first of both stays."""

    @property
    def fewest(self) -> int:
        """Groups left before the first join of a pair below its floor."""
        below = np.flatnonzero(self.overlap[1:] < self.floor[1:])
        return int(self.n_groups[below[0]] if len(below) else self.n_groups[-1])

    def cut(self, n_groups: int) -> NDArray[np.int64]:
        """Give the labels of the cut that leaves so many groups, or all given if fewer."""
        label = np.arange(self.n_groups[0])
        for low, high in self.joins[: max(0, len(label) - n_groups)]:
            label[label == high] = low
        return np.unique(label, return_inverse=True)[1].astype(np.int64)


def merged_grouping(
    graph: sparse.csr_array, sketch: NDArray[np.floating], *, config: ClustersConfig
) -> Grouping:
    """Merge the fine communities of a graph, with reruns on other seeds and random subsets.

    Parameters
    ----------
    graph
        Symmetric angular similarities, axes ``(pred, pred)``.
    sketch
        Unit vectors, axes ``(pred, dim)``; rows of zeros become groups of their own.
    config
        Fine size, seeds and subsets.

    Returns
    -------
    Grouping
        The number of groups is chosen by the contrast averaged over all reruns. The stability is
        that of fragments and joins at this number.
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
    silent = np.logical_not(np.any(sketch, axis=1, keepdims=True))[:, 0]
    fine = [_without(labels, silent) for labels in [*whole, *subsets]]
    chance = 1.0 / sketch.shape[1]
    trees = [
        merge_groups(sums, np.bincount(labels[labels >= 0]), chance=chance)
        for labels, sums in zip(fine, group_overlaps(sketch, fine), strict=True)
    ]
    n_groups = _common_number(trees)
    pairs = zip(fine, trees, strict=True)
    found = [_relabelled(labels, tree.cut(n_groups), silent) for labels, tree in pairs]
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
        Two subspaces turned at random overlap by ``b sum_i a_i z_i^2``, with ``z`` normal and ``a``
        the products of their spectra. With P pairs of groups the largest is below
        ``b (1 + 2 q sqrt(log P) + 2 q log P)`` but for one in P; ``q^2`` is the product of the mean
        squared cosines within both groups, ``b`` the median between groups. A pair below this
        floor ends the joins. The contrast of a cut is the mean over predictions of
        ``own - next``: ``own`` is the mean logarithm of a given group's overlaps with the others it
        was joined with, ``next`` that with the members of the nearest group it was not (0 where it
        was joined with none). Quanta may in turn form families, so the finest cut is taken whose
        contrast is at least log 1.5, and exceeded by no cut with more than two thirds as many
        groups; where there is none, that of largest contrast. No join and one group for all are
        cuts, too.

    Notes
    -----
    The contrast is a silhouette (Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7) in logarithms,
    taken over given groups and not over single predictions, whose own overlaps are noise. With
    plain means a group that took in strangers would still show the overlap of its kin. The floor is
    lemma 1 of Laurent and Massart 2000, doi:10.1214/aos/1015957395.
    """
    counts = sizes.astype(np.float64)
    overlap = np.asarray(overlap, dtype=np.float64)
    if not len(counts):
        none, empty = np.array([np.nan]), np.empty(0, dtype=np.int64)
        return MergeTree(
            labels=empty,
            n_groups=np.zeros(1, dtype=np.int64),
            overlap=none,
            floor=none,
            contrast=np.zeros(1),
            joins=empty.reshape(0, 2),
        )
    joins, heights, floors = _linkage(overlap, counts)
    logs, weights = _log_excess(overlap, counts, chance=chance)
    contrast = _contrasts(logs, weights, joins=joins, counts=counts)
    found = MergeTree(
        labels=np.arange(len(counts)),
        n_groups=np.arange(len(counts), 0, -1),
        overlap=np.r_[np.nan, heights],
        floor=np.r_[np.nan, floors],
        contrast=contrast,
        joins=joins,
    )
    return replace(found, labels=found.cut(_common_number([found])))


def _common_number(trees: Sequence[MergeTree]) -> int:
    """Choose one number of groups for trees of the same predictions by their mean contrast."""
    fewest = int(np.median([tree.fewest for tree in trees]))
    most = max(fewest, min(int(tree.n_groups[0]) for tree in trees))
    if most == 0:  # no prediction has a gradient
        return 0
    n_groups = np.arange(most, fewest - 1, -1)
    steps = [np.maximum(tree.n_groups[0] - n_groups, 0) for tree in trees]
    contrast = np.mean([t.contrast[step] for t, step in zip(trees, steps, strict=True)], axis=0)
    best = np.array([contrast[_FACTOR * n_groups > n].max() for n in n_groups])
    peaks = np.flatnonzero((contrast == best) & (contrast >= np.log(_FACTOR)))
    return int(n_groups[peaks[0] if len(peaks) else contrast.argmax()])


class _RowMaxima:
    """Largest entry of each row of a matrix, kept while single columns change."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self.at = values.argmax(axis=1)
        self.largest = values[np.arange(len(values)), self.at]

    def update(self, low: int, high: int, stale: NDArray[np.bool_]) -> None:
        """Look again where the largest stood in one of two changed columns, or a row is stale."""
        again = np.flatnonzero(stale | (self.at == low) | (self.at == high))
        risen = np.flatnonzero(self.values[:, low] > self.largest)
        self.at[risen], self.largest[risen] = low, self.values[risen, low]
        self.at[again] = self.values[again].argmax(axis=1)
        self.largest[again] = self.values[again, self.at[again]]


def _linkage(
    overlap: NDArray[np.float64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Join by average linkage; give joined groups, mean overlaps and their floors."""
    sums, joined, n = overlap.copy(), counts.copy(), len(counts)
    means = sums / np.outer(joined, joined)
    typical = float(np.median(means[np.triu_indices(n, 1)])) if n > 1 else 0.0
    trials = np.log(max(1.0, n * (n - 1) / 2))
    np.fill_diagonal(means, -np.inf)
    rows = _RowMaxima(means)
    joins, heights, floors = np.empty((n - 1, 2), dtype=np.int64), np.empty(n - 1), np.empty(n - 1)
    for step in range(n - 1):
        first = int(rows.largest.argmax())
        low, high = sorted((first, int(rows.at[first])))
        within = [_within(sums[g, g], joined[g]) for g in (low, high)]
        share = float(np.sqrt(within[0] * within[1]))
        joins[step], heights[step] = (low, high), rows.largest[first]
        floors[step] = typical * (1.0 + 2.0 * share * (np.sqrt(trials) + trials))
        sums[low] += sums[high]
        sums[:, low] += sums[:, high]
        joined[low] += joined[high]
        means[low] = np.where(np.isneginf(means[low]), -np.inf, sums[low] / (joined * joined[low]))
        means[:, low] = means[low]
        means[high] = means[:, high] = -np.inf
        stale = np.zeros(n, dtype=np.bool_)
        stale[[low, high]] = True
        rows.update(low, high, stale)
    return joins, heights, floors


def _within(total: float, count: float) -> float:
    """Mean squared cosine of different members; 1 of a single one."""
    return min(1.0, total / (count * (count - 1.0))) if count > 1 else 1.0


def _log_excess(
    overlap: NDArray[np.float64], counts: NDArray[np.float64], *, chance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give logarithms of mean overlaps above chance, weighted by the second group, and weights."""
    least = max(_LEAST_EXCESS * chance, float(np.finfo(np.float64).tiny))
    excess = np.maximum(overlap / np.outer(counts, counts) - chance, least)
    weights = np.tile(counts, (len(counts), 1))
    np.fill_diagonal(weights, 0.0)
    return np.log(excess) * weights, weights


def _contrasts(
    logs: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    joins: NDArray[np.int64],
    counts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Contrast of every cut, see `merge_groups`; `logs` and `weights` are used up."""
    rows = np.arange(len(counts))
    own, contrasts = rows.copy(), [0.0]
    means = logs / np.where(weights > 0, weights, 1.0)
    np.fill_diagonal(means, -np.inf)
    beyond, inside = _RowMaxima(means), np.zeros(len(counts))
    for low, high in joins:
        logs[:, low] += logs[:, high]
        weights[:, low] += weights[:, high]
        means[:, low] = logs[:, low] / np.where(weights[:, low] > 0, weights[:, low], 1.0)
        own[own == high] = low
        members = own == low
        inside[members] = means[members, low]
        means[members, low] = -np.inf
        means[:, high] = -np.inf
        beyond.update(low, high, members)
        if np.isneginf(beyond.largest).any():  # one group is left
            contrasts.append(0.0)
            break
        alone = weights[rows, own] == 0
        gaps = np.where(alone, 0.0, inside - beyond.largest)
        contrasts.append(float(np.average(gaps, weights=counts)))
    return np.array(contrasts)


def _without(labels: Labels, silent: NDArray[np.bool_]) -> Labels:
    """Leave out predictions without gradient, and number the groups anew."""
    kept = (labels >= 0) & ~silent
    found = np.full(len(labels), -1)
    found[kept] = np.unique(labels[kept], return_inverse=True)[1]
    return found


def _relabelled(labels: Labels, group: NDArray[np.int64], silent: NDArray[np.bool_]) -> Labels:
    """Give each prediction its merged group, and a group of its own without gradient."""
    found = np.full(len(labels), -1)
    chosen = labels >= 0
    found[chosen] = group[labels[chosen]]
    found[silent] = len(group) + np.arange(int(silent.sum()))
    known = found >= 0
    found[known] = by_size(found[known])
    return found


def _members(labels: Labels) -> sparse.csr_array:
    chosen = np.flatnonzero(labels >= 0)
    ones = np.ones(len(chosen), dtype=np.float32)
    shape = (len(labels), int(labels.max(initial=-1)) + 1)
    return sparse.csr_array((ones, (chosen, labels[chosen])), shape=shape)
