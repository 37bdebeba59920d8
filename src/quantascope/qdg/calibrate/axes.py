"""What is read off unit vectors that are compared whatever their sign: slopes and conditions.

A group is a subspace, met in many patterns. Fine communities of the graph are its fragments; two
fragments overlap by the mean squared cosine of their members, that is ``tr(C_a C_b)``. Fragments
are joined as long as they overlap by more than fragments do on average, and sizes are counted.
Nothing is asked of a rule that merges clusters elsewhere: the reading stays what it was when the
table was filled.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.qdg.calibrate.readings import Labels, Vectors, checked_points, zipf_slope
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.leiden import leiden_groupings
from quantascope.qdg.merging import group_overlaps

__all__ = ["AXES_METHODS", "AxesReading", "join_fragments", "read_axes"]

Floats = NDArray[np.float64]

AXES_METHODS: Final = ("joined",)
_RANKS: Final = 10
"""Largest groups whose sizes are fitted: where a law ends need not be known."""
_FINE: Final = 8.0
_FRAGMENT: Final = 75.0
"""Resolution of Leiden, 8 or points / 75: it leaves fragments of about a dozen points."""
_BARS: Final = (0.6, 0.7, 0.85, 1.0, 1.2)
"""Bars for joining, as shares of the mean overlap: where one fails, its neighbours outvote it."""
_MEAN: Final = _BARS.index(1.0)
_LEAST: Final = 20
"""Members of a group that is large enough for its overlap to be read."""
_TINY: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class AxesReading:
    """Slopes (positive, size against rank) and conditions, one column of the table each."""

    joined: float
    """Zipf exponent of the ten largest groups, by maximum likelihood; median over five bars."""
    mean: float
    """log mean squared cosine of all pairs."""
    background: float
    """log median overlap of two fragments."""
    fine: float
    """log mean squared cosine within fragments."""
    coarse: float
    """log mean overlap of fragments that were joined, at the mean overlap."""
    decline: float
    """Exponent with which that falls with the size of a group."""
    relatives: float
    """log 95th percentile of overlaps of fragments that were not joined, less their median."""
    fragments: float
    """log number of fragments a point."""
    large: float
    """log number of joined groups of 20 points or more."""
    strain: float
    """What the slope at the lowest bar has over the median."""
    slack: float
    """What the slope at the highest bar has over the median."""


def read_axes(vectors: NDArray[np.floating], *, seed: int = 0) -> AxesReading:
    """Read slopes and conditions off unit vectors whose signs mean nothing.

    Parameters
    ----------
    vectors
        Unit vectors, axes ``(pred, dim)``; 200 or more.
    seed
        Seed of Leiden.

    Returns
    -------
    AxesReading
        NaN where there is nothing to read: all vectors alike, fewer than three groups.

    Raises
    ------
    ValueError
        If there are fewer than 200 vectors, or one is neither 0 nor of length 1.

    Notes
    -----
    Two products of all pairs: about 1 CPU-second at 2,000 points of 2,000 numbers.
    """
    points, _ = checked_points(vectors)
    fine = _fragments(points, seed)
    sizes = np.bincount(fine).astype(np.float64)
    sums = group_overlaps(points, [fine])[0]
    pairs = np.outer(sizes, sizes)
    apart = ~np.eye(len(sizes), dtype=bool)
    between = sums[apart].sum() / max(pairs[apart].sum(), 1.0)
    joined = [join_fragments(sums, sizes, bar=share * between) for share in _BARS]
    slopes = [_largest_slope(group, sizes) for group in joined]
    group, slope = joined[_MEAN], float(np.median(slopes))
    overlap = sums / np.maximum(pairs - np.diag(sizes), 1.0)
    kin = (group[:, None] == group) & apart
    return AxesReading(
        joined=slope if np.isfinite(slope) else float("nan"),
        mean=_log(sums.sum() / (len(points) * (len(points) - 1.0))),
        background=_log(float(np.median(overlap[apart]))) if len(sizes) > 1 else float("nan"),
        fine=_log(np.diag(sums).sum() / max((sizes * (sizes - 1)).sum(), 1.0)),
        coarse=_log(sums[kin].sum() / max(pairs[kin].sum(), 1.0)),
        decline=_decline(sums * apart, pairs * apart, group=group, sizes=sizes),
        relatives=_relatives(overlap[group[:, None] != group]),
        fragments=_log(len(sizes) / len(points)),
        large=_log(float((np.bincount(group, weights=sizes) >= _LEAST).sum())),
        strain=_gain(slopes[0], slope),
        slack=_gain(slopes[-1], slope),
    )


def join_fragments(sums: Floats, sizes: Floats, *, bar: float) -> Labels:
    """Join fragments, largest first, as long as two overlap by more than a bar.

    The next pair is that with the largest ``(S_ab - bar n_a n_b) / sqrt(n_a n_b)``: an entry of
    the matrix of squared cosines above the bar, compressed to the groups. Mean overlaps alone would
    join the fragments of the largest group last, because whitening makes their overlaps smallest.

    Parameters
    ----------
    sums
        Sums of squared cosines S, axes ``(group, group)``, see `group_overlaps`.
    sizes
        Members of each fragment, n.
    bar
        Mean squared cosine that has to be exceeded.

    Returns
    -------
    NDArray[np.int64]
        Group of each fragment, counted from 0.
    """
    excess = sums - bar * np.outer(sizes, sizes)
    np.fill_diagonal(excess, -np.inf)
    sizes, group = sizes.copy(), np.arange(len(sizes))
    weighed = excess / np.sqrt(np.outer(sizes, sizes))
    while len(sizes) > 1:
        one, other = divmod(int(np.argmax(weighed)), len(sizes))
        if not weighed[one, other] > 0:
            break
        group[group == other] = one
        sizes[one] += sizes[other]
        excess[one] += excess[other]
        excess[:, one] = excess[one]
        excess[other] = excess[:, other] = weighed[other] = weighed[:, other] = -np.inf
        weighed[one] = weighed[:, one] = excess[one] / np.sqrt(sizes[one] * sizes)
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _fragments(points: Vectors, seed: int) -> Labels:
    graph = knn_graph(points, sign_free=True)
    fine = max(_FINE, len(points) / _FRAGMENT)
    return leiden_groupings(graph, resolutions=(fine,), n_seeds=1, n_resamples=0, seed=seed)[
        0
    ].labels


def _largest_slope(group: Labels, sizes: Floats) -> float:
    """Slope of the ten largest groups; infinite where fewer than three are left."""
    slope = zipf_slope(np.sort(np.bincount(group, weights=sizes))[::-1][:_RANKS])
    return slope if np.isfinite(slope) else float("inf")


def _decline(sums: Floats, pairs: Floats, *, group: Labels, sizes: Floats) -> float:
    """Slope of log overlap within groups against log size, weighted by the root of the size."""
    member = np.eye(int(group.max()) + 1)[group]
    within, n_pairs = (np.einsum("ag,ab,bg->g", member, each, member) for each in (sums, pairs))
    size = sizes @ member
    large = (size >= _LEAST) & (n_pairs > 0) & (within > 0)
    if large.sum() < 3:
        return 0.0
    x, y = np.log(size[large]), np.log(within[large] / n_pairs[large])
    covariance = np.cov(x, y, aweights=np.sqrt(size[large]))
    return float(-covariance[0, 1] / max(covariance[0, 0], _TINY))


def _gain(other: float, slope: float) -> float:
    """Difference of slopes, at most 1 either way."""
    return float(np.clip(other - slope, -1.0, 1.0)) if np.isfinite(slope) else float("nan")


def _relatives(overlap: Floats) -> float:
    if not len(overlap):
        return float("nan")
    return _log(float(np.quantile(overlap, 0.95) / max(np.median(overlap), _TINY)))


def _log(value: float) -> float:
    return float(np.log(max(value, _TINY)))
