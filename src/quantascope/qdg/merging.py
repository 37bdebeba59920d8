"""Groups joined by the overlap of the subspaces in which their gradients lie.

A quantum is met with either sign and in many input patterns, each of which sends the gradient along
another direction of one subspace. Neighbours in the graph share a pattern, so its communities are
fragments. For two groups the mean squared cosine over pairs is the overlap of their subspaces,
``tr(C_1 C_2)`` with ``C`` the mean of ``x x'``: small for fragments of one quantum, but seen over
all pairs it stands out. Fragments are joined by it, see `merge_tree`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.qdg.config import ClustersConfig
from quantascope.qdg.leiden import Grouping, Labels, by_size, leiden_runs, stability_of
from quantascope.qdg.merge_tree import common_number, merge_groups

__all__ = ["group_overlaps", "merged_grouping"]

_COARSEST: Final = 8.0
"""Least resolution of the fine groups, so that few predictions come in fragments too."""
_BLOCK: Final = 1024


def merged_grouping(
    graph: sparse.csr_array,
    sketch: NDArray[np.floating],
    *,
    config: ClustersConfig,
    exact: bool,
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
    exact
        Whether cosines of the vectors are those of the gradients. Else they are a sketch, whose
        second stage gives unrelated ones a mean squared cosine of ``1 / dim``, which is taken off;
        what an input-side projection before it adds is not.

    Returns
    -------
    Grouping
        The number of groups is chosen over all reruns. The stability is that of fragments and
        joins at this number.
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
    chance = 0.0 if exact else 1.0 / sketch.shape[1]
    trees = [
        merge_groups(sums, np.bincount(labels[labels >= 0]), chance=chance)
        for labels, sums in zip(fine, group_overlaps(sketch, fine), strict=True)
    ]
    n_groups = common_number(trees)
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
