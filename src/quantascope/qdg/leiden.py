"""Communities of the neighbour graph over a range of resolutions, each with its stability.

A neighbour graph enters; for each resolution a grouping leaves, with groupings of other seeds and
of random subsets of the predictions, which say how far it can be trusted.

References
----------
Traag, Waltman and van Eck 2019, doi:10.1038/s41598-019-41695-z (Leiden);
Reichardt and Bornholdt 2006, doi:10.1103/PhysRevE.74.016110 (resolution).
"""

from dataclasses import dataclass
from typing import Final

import graspologic_native
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.rng import derive_seed, stream
from quantascope.qdg.agreement import adjusted_rand
from quantascope.qdg.similarity import edge_weight

__all__ = [
    "Grouping",
    "Labels",
    "by_size",
    "leiden_groupings",
    "leiden_runs",
    "most_stable",
    "stability_of",
]

Labels = NDArray[np.int64]

_ITERATIONS: Final = 4
"""Full Leiden cycles; the gain in modularity is below 1e-4 after that (measured)."""
_LARGEST_SHARE: Final = 0.5
"""Above this share of predictions in one group, a grouping has not divided them."""
_MEAN_SIZE: Final = 3.0
"""Below this many predictions a group, a grouping has found pairs and singletons."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouping:
    """One clustering of the predictions, and the reruns it was compared with."""

    name: str
    method: str
    parameter: float
    """Resolution, or number of clusters asked for."""
    labels: Labels
    """Group of each prediction by falling size, axis ``pred``."""
    stability: float
    """Mean adjusted Rand index over pairs of reruns; NaN where there were none."""
    reruns: tuple[Labels, ...] = ()
    """Other groupings of the same predictions, -1 where a rerun left a prediction out."""


def leiden_groupings(
    graph: sparse.csr_array,
    *,
    resolutions: tuple[float, ...],
    n_seeds: int = 3,
    n_resamples: int = 3,
    resample_share: float = 0.8,
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> list[Grouping]:
    """Group predictions at each resolution, with reruns on other seeds and on random subsets.

    Parameters
    ----------
    graph
        Symmetric angular similarities, axes ``(pred, pred)``.
    resolutions
        Resolutions of modularity, each above 0; higher ones give more groups.
    n_seeds
        Runs on the whole graph, at least 1; the first is the grouping itself.
    n_resamples
        Runs on random subsets.
    resample_share
        Share of predictions in a subset, in (0, 1].
    seed
        Seed of runs and subsets.
    advance
        Told each resolution done.

    Returns
    -------
    list[Grouping]
        One for each resolution, in their order. Stability averages the adjusted Rand index over
        pairs of seeds and over pairs of subsets (on the predictions they share), both with equal
        weight.

    Raises
    ------
    ValueError
        If a resolution is not positive, or the share is outside (0, 1].
    """
    if min(resolutions, default=0.0) <= 0:
        raise ValueError(f"resolutions: {resolutions}; at least one, each above 0")
    groupings = []
    for resolution in resolutions:
        runs, resampled = leiden_runs(
            graph,
            resolution=resolution,
            n_seeds=n_seeds,
            n_resamples=n_resamples,
            resample_share=resample_share,
            seed=seed,
        )
        groupings.append(
            Grouping(
                name=f"leiden-{resolution:g}",
                method="leiden",
                parameter=resolution,
                labels=runs[0],
                stability=stability_of(runs, resampled),
                reruns=(*runs[1:], *resampled),
            )
        )
        advance(1)
    return groupings


def leiden_runs(
    graph: sparse.csr_array,
    *,
    resolution: float,
    n_seeds: int,
    n_resamples: int,
    resample_share: float,
    seed: int,
) -> tuple[list[Labels], list[Labels]]:
    """Run Leiden on several seeds, and on random subsets; -1 where a subset leaves one out."""
    if not 0 < resample_share <= 1 or n_seeds < 1:
        raise ValueError(
            f"resample_share, n_seeds: {resample_share}, {n_seeds}; allowed: (0, 1] and from 1"
        )
    weighted = _weighted(graph)
    runs = [_leiden(weighted, resolution, (seed, "whole", r)) for r in range(n_seeds)]
    resampled = []
    for place in range(n_resamples):
        rows = _subset(graph.shape[0], resample_share, (seed, place))
        labels = np.full(graph.shape[0], -1)
        labels[rows] = _leiden(weighted[rows][:, rows], resolution, (seed, "subset", place))
        resampled.append(labels)
    return runs, resampled


def stability_of(runs: list[Labels], resampled: list[Labels]) -> float:
    """Average the agreement over pairs of seeds and over pairs of subsets, both alike."""
    return _mean_of_known([_mean_agreement(runs), _mean_agreement(resampled)])


def most_stable(groupings: list[Grouping]) -> Grouping:
    """Choose the most stable grouping that divides the predictions and is no dust.

    One group for all predictions, or one for each, is perfectly stable and says nothing. So a
    grouping counts as trivial when one group holds more than half of the predictions, or groups
    hold fewer than three on average; trivial ones are chosen only if all are, and of equally
    stable ones that with fewer groups.
    """
    useful = [grouping for grouping in groupings if not _is_trivial(grouping.labels)]
    return max(
        useful or groupings,
        key=lambda grouping: (np.nan_to_num(grouping.stability, nan=-1.0), -grouping.labels.max()),
    )


def by_size(labels: NDArray[np.integer]) -> Labels:
    """Renumber groups by falling size from 0, equal sizes by their first prediction."""
    _, first, inverse, counts = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -counts))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[inverse]


def _is_trivial(labels: Labels) -> bool:
    sizes = np.bincount(labels)
    return bool(sizes.max() > _LARGEST_SHARE * len(labels) or sizes.mean() < _MEAN_SIZE)


def _weighted(graph: sparse.csr_array) -> sparse.csr_array:
    weighted = graph.astype(np.float64)
    weighted.data = edge_weight(weighted.data)
    weighted.eliminate_zeros()
    return weighted


def _subset(n: int, share: float, address: tuple[int, int]) -> NDArray[np.int64]:
    chosen = stream(address[0], "resample", address[1]).permutation(n)[: max(2, round(share * n))]
    return np.sort(chosen)


def _leiden(
    weighted: sparse.csr_array, resolution: float, address: tuple[int | str, ...]
) -> Labels:
    n = weighted.shape[0]
    if weighted.nnz == 0:
        return np.arange(n)
    _, found = graspologic_native.leiden_csr(
        weighted.indptr.astype(np.int64),
        weighted.indices.astype(np.int32),
        weighted.data,
        n,
        resolution=resolution,
        iterations=_ITERATIONS,
        seed=derive_seed(int(address[0]), "leiden", *address[1:]),
    )
    labels = np.array([found.get(node, -1 - node) for node in range(n)])  # -1 - node: isolated
    return by_size(labels)


def _mean_agreement(runs: list[Labels]) -> float:
    """Mean adjusted Rand index over pairs, each on the predictions that both contain."""
    scores = []
    for place, first in enumerate(runs):
        for second in runs[:place]:
            both = (first >= 0) & (second >= 0)
            scores.append(adjusted_rand(first[both], second[both]))
    return float(np.mean(scores)) if scores else float("nan")


def _mean_of_known(scores: list[float]) -> float:
    known = [score for score in scores if not np.isnan(score)]
    return float(np.mean(known)) if known else float("nan")
