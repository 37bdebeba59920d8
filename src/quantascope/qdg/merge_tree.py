"""A tree of joins between groups of gradients, and where to stop joining.

Fragments of one quantum are joined, largest mean overlap first (average linkage), as long as the
overlap is more than unrelated subspaces show by chance. Among these cuts the one is taken where the
joins change from fragments to strangers: at a break of the overlaps if there is one, else where
groups stand out from each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MergeTree", "common_number", "merge_groups"]

_LEAST_EXCESS: Final = 0.1
"""Least overlap told from none, as a share of that of unrelated vectors."""
_ROUNDING: Final = 1e-12
"""Least squared cosine told from none where nothing else bounds it."""
_FACTOR: Final = 1.5
"""What counts as more: of groups in a cut, and of overlap with kin than with strangers."""
_STEEP: Final = 3.0
"""How much faster than the number of groups overlaps fall at a break, as a power of it."""
_MOST: Final = 0.5
"""Least share of predictions that were joined before a break."""


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
    """What strangers like that pair show by chance, see `merge_groups`; NaN at the first."""
    contrast: NDArray[np.float64]
    """See `merge_groups`; 0 before the first join and where one group is left."""
    joins: NDArray[np.int64]
    """Groups joined at each step after the first, axes ``(step, 2)``; the first of both stays."""
    joined: NDArray[np.float64]
    """Share of predictions in groups of two given ones or more, at each step."""
    typical: float
    """Median overlap of the given groups, without pairs that have none."""
    chance: float
    """Mean squared cosine of unrelated vectors."""

    @property
    def fewest(self) -> int:
        """Groups left before the first join of a pair below its floor."""
        below = np.flatnonzero(self.overlap[1:] < self.floor[1:])
        return int(self.n_groups[below[0]] if len(below) else self.n_groups[-1])

    def step(self, n_groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the step that leaves so many groups; the first if fewer were given."""
        return np.maximum(self.n_groups[0] - n_groups, 0)

    def log_excess(self, n_groups: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the logarithm of the least overlap above chance that led to so many groups.

        Infinite where so many are given, or more: none was joined. What is below the typical
        overlap of strangers counts as that: how far below says nothing of kin.
        """
        least = np.minimum.accumulate(np.r_[np.inf, np.maximum(self.overlap[1:], self.typical)])
        return _log_above(least[self.step(n_groups)], self.chance)

    def cut(self, n_groups: int) -> NDArray[np.int64]:
        """Give the labels of the cut that leaves so many groups, or all given if fewer."""
        label = np.arange(self.n_groups[0])
        for low, high in self.joins[: max(0, len(label) - n_groups)]:
            label[label == high] = low
        return np.unique(label, return_inverse=True)[1].astype(np.int64)


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
        the products of their spectra. Of P pairs of groups about one is above
        ``b (1 + 2 q sqrt(log P) + 2 q log P)``; ``q^2`` is the product of the mean squared cosines
        within both groups, ``b`` the median between groups, taken for the mean. A pair below this
        floor ends the joins. Where to stop before that is told by `common_number`.

    Notes
    -----
    The contrast of a cut is the mean over predictions of ``own - next``: ``own`` is the mean
    logarithm of a given group's overlaps with the others it was joined with, ``next`` that with the
    members of the nearest group it was not (0 where it was joined with none). It is a silhouette
    (Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7) in logarithms, taken over given groups and
    not over single predictions, whose own overlaps are noise. With plain means a group that took in
    strangers would still show the overlap of its kin. The floor is lemma 1 of Laurent and Massart
    2000, doi:10.1214/aos/1015957395.
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
            joined=np.zeros(1),
            typical=0.0,
            chance=chance,
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
        joined=_joined(joins, counts),
        typical=_typical(overlap / np.outer(counts, counts)),
        chance=chance,
    )
    return replace(found, labels=found.cut(common_number([found])))


def common_number(trees: Sequence[MergeTree]) -> int:
    """Choose one number of groups for trees of the same predictions.

    Parameters
    ----------
    trees
        Trees of reruns, at least one.

    Returns
    -------
    int
        Cuts below the floor of half of the trees are not looked at. A cut is a break where half
        of the predictions or more were joined, and the next join has an overlap lower by a factor
        of 1.5 and of ``(n / (n - 1))^3`` or more, with n the groups of the cut, in the mean
        logarithm over trees: kin were joined, strangers would be. Of breaks the largest is taken.
        Where there is none, kin and strangers shade into each other. Quanta may in turn form
        families, so the finest cut is taken then whose contrast, averaged over trees, is at least
        log 1.5, and exceeded by no cut with more than two thirds as many groups; where there is
        none, that of largest contrast. No join and one group for all are cuts, too.
    """
    fewest = int(np.median([tree.fewest for tree in trees]))
    most = max(fewest, min(int(tree.n_groups[0]) for tree in trees))
    if most == 0:  # no prediction has a gradient
        return 0
    n_groups = np.arange(most, fewest - 1, -1)
    breaks = _breaks(trees, n_groups)
    if breaks.any():
        return int(n_groups[breaks.argmax()])
    contrast = np.mean([tree.contrast[tree.step(n_groups)] for tree in trees], axis=0)
    best = np.array([contrast[_FACTOR * n_groups > n].max() for n in n_groups])
    peaks = np.flatnonzero((contrast == best) & (contrast >= np.log(_FACTOR)))
    return int(n_groups[peaks[0] if len(peaks) else contrast.argmax()])


def _breaks(trees: Sequence[MergeTree], n_groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logarithm of the fall of overlaps at the next join; 0 where that is no break."""
    at = np.mean([tree.log_excess(n_groups) for tree in trees], axis=0)
    after = np.mean([tree.log_excess(np.maximum(n_groups - 1, 1)) for tree in trees], axis=0)
    joined = np.isfinite(at) & (n_groups > 1)
    fall = np.where(joined, at, 0.0) - np.where(joined, after, 0.0)
    share = np.mean([tree.joined[tree.step(n_groups)] for tree in trees], axis=0)
    least = np.log(n_groups / np.maximum(n_groups - 1, 0.5)) * _STEEP
    is_break = (fall >= np.maximum(least, np.log(_FACTOR))) & (share >= _MOST)
    return np.where(is_break, fall, 0.0)


def _typical(means: NDArray[np.float64]) -> float:
    """Take the median over pairs of groups that overlap at all; 0 if none do."""
    between = means[np.triu_indices(len(means), 1)]
    between = between[between > 0]
    return float(np.median(between)) if len(between) else 0.0


def _joined(joins: NDArray[np.int64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of predictions whose given group was joined with another, at each step."""
    first = np.unique(joins.ravel(), return_index=True)[1] // 2
    given = np.unique(joins.ravel())
    gained = np.bincount(first + 1, weights=counts[given], minlength=len(counts))
    shares: NDArray[np.float64] = np.cumsum(gained) / max(float(counts.sum()), 1.0)
    return shares


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


def _log_above(overlap: NDArray[np.float64], chance: float) -> NDArray[np.float64]:
    """Logarithm of what exceeds chance."""
    least = max(_LEAST_EXCESS * chance, _ROUNDING)
    logs: NDArray[np.float64] = np.log(np.maximum(overlap - chance, least))
    return logs


def _log_excess(
    overlap: NDArray[np.float64], counts: NDArray[np.float64], *, chance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give logarithms of mean overlaps above chance, weighted by the second group, and weights."""
    weights = np.tile(counts, (len(counts), 1))
    np.fill_diagonal(weights, 0.0)
    return _log_above(overlap / np.outer(counts, counts), chance) * weights, weights


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
