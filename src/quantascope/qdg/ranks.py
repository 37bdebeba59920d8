"""Rank-frequency curves of a family of clusterings, their envelope, and its slope.

References
----------
Michaud et al. 2023, arXiv 2303.13506, figure 5: for each rank the largest size over all numbers of
clusters, fitted on ranks 101 to 1,000 of 10,000 predictions.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream
from quantascope.laws.powerlaw import PowerLawFit, fit_power_law, fit_replicates

__all__ = ["envelope", "envelope_slope", "rank_range", "rank_sizes"]

Labels = NDArray[np.integer]

_PAPER_RANKS: Final = (101, 1000)
_PAPER_PREDS: Final = 10_000
_MIN_RANKS: Final = 10


def rank_sizes(labels: Labels) -> NDArray[np.int64]:
    """Sort cluster sizes.

    Parameters
    ----------
    labels
        Cluster of each prediction, numbered from 0, axis ``pred``.

    Returns
    -------
    NDArray[np.int64]
        Sizes [pred], falling, axis ``rank``.
    """
    return np.sort(np.bincount(labels))[::-1]


def envelope(
    sizes: Mapping[int, NDArray[np.integer]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take at each rank the largest size over all clusterings.

    Parameters
    ----------
    sizes
        By number of clusters, sizes by rank.

    Returns
    -------
    size : NDArray[np.int64]
        Envelope, axis ``rank``.
    n_clusters : NDArray[np.int64]
        Number of clusters that reaches it, the smallest of equals.
    """
    counts = sorted(sizes)
    table = np.zeros((len(counts), max(len(sizes[count]) for count in counts)), dtype=np.int64)
    for row, count in enumerate(counts):
        table[row, : len(sizes[count])] = sizes[count]
    return table.max(axis=0), np.array(counts)[table.argmax(axis=0)]


def rank_range(n_preds: int, *, rank_lo: int = 0, rank_hi: int = 0) -> tuple[int, int]:
    """Give the ranks to fit: those asked for, or the paper's scaled to the predictions at hand."""
    scale = n_preds / _PAPER_PREDS
    lo, hi = (max(1, round(rank * scale)) for rank in _PAPER_RANKS)
    return rank_lo or lo, rank_hi or hi


def envelope_slope(
    labels: Mapping[int, Labels],
    *,
    rank_lo: int = 0,
    rank_hi: int = 0,
    n_boot: int = 400,
    seed: int = 0,
) -> PowerLawFit:
    """Fit a power law to the envelope.

    Parameters
    ----------
    labels
        By number of clusters, the cluster of each prediction; all of the same predictions.
    rank_lo, rank_hi
        First and last rank of the fit; 0 scales the paper's.
    n_boot
        Bootstrap replicates: predictions are drawn again together with their clusters. This
        shows the spread from the choice of predictions; that of the clustering is not in it.
    seed
        Seed of the draws.

    Returns
    -------
    PowerLawFit
        Size against rank; not identified with fewer than ten ranks. It is not calibrated: on
        known worlds the slope of this estimator is too flat (the paper's figure A11).

    Raises
    ------
    ValueError
        If there is no clustering.
    """
    if not labels:
        raise ValueError("labels: no clustering; at least one is needed")
    n_preds = len(next(iter(labels.values())))
    lo, hi = rank_range(n_preds, rank_lo=rank_lo, rank_hi=rank_hi)
    fit = _fit({count: rank_sizes(found) for count, found in labels.items()}, lo, hi)
    if not fit.identified:
        return fit
    exponents = np.full(n_boot, np.nan)
    for replicate in range(n_boot):
        drawn = stream(seed, "envelope", replicate).integers(0, n_preds, size=n_preds)
        again = {count: rank_sizes(found[drawn]) for count, found in labels.items()}
        exponents[replicate] = _fit(again, lo, hi).exponent
    return fit_replicates(fit, exponents, method="least squares in logs, bootstrap of predictions")


def _fit(sizes: Mapping[int, NDArray[np.integer]], lo: int, hi: int) -> PowerLawFit:
    size, _ = envelope(sizes)
    ranks = np.arange(1, len(size) + 1)
    chosen = (ranks >= lo) & (ranks <= hi)
    return fit_power_law(ranks[chosen], size[chosen], min_points=_MIN_RANKS)
