"""What is read off unit vectors, on real runs and on planted worlds alike: slopes and similarities.

The slopes are biased; the similarities say under which conditions they were read, as seen through
the same imperfect clusters. A calibration compares like with like: no true similarity is asked for.

References
----------
Michaud et al. 2023, arXiv 2303.13506, figures 5, A10 and A11.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import brentq
from scipy.sparse.linalg import ArpackError, eigsh
from sklearn.cluster import KMeans

from quantascope.core.rng import derive_seed
from quantascope.laws.powerlaw import fit_power_law
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.leiden import leiden_groupings
from quantascope.qdg.ranks import envelope, rank_sizes
from quantascope.qdg.spectral import spectral_embedding

__all__ = [
    "FEWEST",
    "METHODS",
    "Labels",
    "Reading",
    "Vectors",
    "checked_points",
    "read_vectors",
    "zipf_slope",
]

Labels = NDArray[np.int64]
Vectors = NDArray[np.float32]

METHODS: Final = ("envelope", "leiden", "spectrum")
_COUNTS: Final = np.geomspace(0.005, 0.15, 9)
"""Numbers of clusters of the envelope, as shares of the points; the paper's end at .15."""
_RANKS: Final = (0.01, 0.1)
"""Ranks fitted, as shares of the points (the paper's 101 to 1,000 of 10,000)."""
_COARSE: Final = 1.0
_FINE: Final = 8.0
"""Leiden resolutions: one that keeps large groups whole, one whose groups are pure."""
_EIGENVALUES: Final = 20
_NEIGHBORS: Final = 15
FEWEST: Final = 200
"""Points below which no slope is read."""
_UNIT: Final = 1e-2  # half precision rounds squared lengths by 1e-3


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Slopes (positive, size against rank) and conditions, one column of the table each."""

    envelope: float
    """Slope of the envelope of spectral clusterings, least squares in logs."""
    leiden: float
    """Zipf exponent of Leiden's sizes at resolution 1, by maximum likelihood."""
    spectrum: float
    """Zipf exponent of the 20 largest eigenvalues of the centred cosines, likewise."""
    mean: float
    """Mean cosine of all pairs."""
    coarse: float
    """Mean cosine of pairs in one Leiden group, resolution 1."""
    fine: float
    """Mean cosine with fellow members at resolution 8, averaged over members."""
    dimension: float
    """log participation ratio ``(tr C)^2 / tr C^2`` of the covariance C."""


def read_vectors(vectors: NDArray[np.floating], *, seed: int = 0) -> Reading:
    """Read slopes and conditions off unit vectors.

    Parameters
    ----------
    vectors
        Unit vectors, axes ``(pred, dim)``; 200 or more, not all alike.
    seed
        Seed of k-means and Leiden.

    Returns
    -------
    Reading
        Slopes are NaN where there is none to read: all vectors alike, too few clusters.

    Raises
    ------
    ValueError
        If there are fewer than 200 vectors, or one is neither 0 nor of length 1.

    Notes
    -----
    Dense: about 2 CPU-seconds at 2,000 points, growing as their cube.
    """
    points, lengths = checked_points(vectors)
    coarse, fine = _leiden(points, seed)
    eigenvalues, dimension = _spectrum(points)
    total = points.sum(axis=0, dtype=np.float64)
    sizes = np.bincount(coarse)
    pairs, n_pairs = _pair_sums(points, coarse, lengths)
    return Reading(
        envelope=_envelope_slope(points, seed),
        leiden=zipf_slope(np.sort(sizes)[::-1]),
        spectrum=zipf_slope(eigenvalues),
        mean=float((total @ total - lengths.sum()) / (len(points) * (len(points) - 1))),
        coarse=float(pairs.sum() / max(n_pairs.sum(), 1)),
        fine=_member_mean(points, fine, lengths),
        dimension=float(np.log(dimension)),
    )


def checked_points(vectors: NDArray[np.floating]) -> tuple[Vectors, NDArray[np.float64]]:
    """Give unit vectors in single precision with their squared lengths.

    Raises
    ------
    ValueError
        If there are fewer than 200, or one is neither 0 nor of length 1.
    """
    points = np.asarray(vectors, dtype=np.float32)
    if points.ndim != 2 or len(points) < FEWEST:
        raise ValueError(f"vectors: shape {points.shape}; allowed are ({FEWEST} or more, dim)")
    lengths = np.einsum("ij,ij->i", points, points, dtype=np.float64)
    if not np.all((np.abs(lengths - 1) < _UNIT) | (lengths == 0)):
        raise ValueError(
            f"vectors: squared lengths from {lengths.min():.3g} to {lengths.max():.3g}; allowed "
            "are unit vectors (or 0)"
        )
    return points, lengths


def zipf_slope(weights: NDArray[np.generic]) -> float:
    """Estimate the Zipf exponent of ranked weights, ``w_k ~ k^-s`` for k = 1 to K.

    The likelihood of ranks k drawn with frequencies w_k is largest where the model's mean of log k
    is that of the weights.

    Parameters
    ----------
    weights
        Weights by rank, falling; those below 0 count as 0.

    Returns
    -------
    float
        s; NaN for fewer than 3 weights.

    Examples
    --------
    >>> round(zipf_slope(1 / np.arange(1, 50) ** 1.3), 6)
    1.3
    """
    w = np.maximum(np.asarray(weights, dtype=np.float64), 0.0)
    if len(w) < 3 or w.sum() <= 0:
        return float("nan")
    log_k = np.log(np.arange(1, len(w) + 1))
    target = (w @ log_k) / w.sum()

    def excess(s: float) -> float:
        p = np.exp(-s * log_k)
        return float(p @ log_k / p.sum() - target)

    return float(brentq(excess, -1.0, 40.0)) if excess(40.0) < 0 else float("nan")


def _leiden(points: Vectors, seed: int) -> tuple[Labels, Labels]:
    graph = knn_graph(points, n_neighbors=_NEIGHBORS)
    coarse, fine = leiden_groupings(
        graph, resolutions=(_COARSE, _FINE), n_seeds=1, n_resamples=0, seed=seed
    )
    return coarse.labels, fine.labels


def _envelope_slope(points: Vectors, seed: int) -> float:
    counts = np.unique(np.maximum(2, np.round(_COUNTS * len(points)).astype(int)))
    try:
        embedding = spectral_embedding(points, int(counts[-1]))
    except np.linalg.LinAlgError:  # many equal points: eigenvalues coincide and the solver fails
        return float("nan")
    start = derive_seed(seed, "calibrate", bits=31)
    sizes = {
        int(k): rank_sizes(
            KMeans(k, n_init=1, random_state=start).fit_predict(embedding[:, :k].copy())
        )
        for k in counts
    }
    lo, hi = (round(share * len(points)) for share in _RANKS)
    size, _ = envelope(sizes)
    fit = fit_power_law(np.arange(lo, min(hi, len(size)) + 1), size[lo - 1 : hi], min_points=5)
    return -fit.exponent


def _spectrum(points: Vectors) -> tuple[NDArray[np.float64], float]:
    """Largest eigenvalues of the centred Gram matrix, and its participation ratio."""
    centred = points - points.mean(axis=0)
    gram = centred @ centred.T if len(points) < points.shape[1] else centred.T @ centred
    trace = float(np.trace(gram, dtype=np.float64))
    squares = float(np.square(gram, dtype=np.float64).sum())
    dimension = trace**2 / squares if squares > 0 else float("nan")
    return _largest(gram, _EIGENVALUES), dimension


def _largest(matrix: NDArray[np.float32], n: int) -> NDArray[np.float64]:
    """Largest eigenvalues, falling: by Lanczos, by the dense solver where that cannot work."""
    start = np.arange(1, len(matrix) + 1, dtype=np.float32)  # ones would be in the kernel
    if len(matrix) > 2 * n:
        try:
            values = eigsh(matrix, k=n, v0=start, return_eigenvectors=False, tol=1e-4)
            return np.sort(values.astype(np.float64))[::-1]
        except ArpackError:  # not converged, or nothing but zeros
            pass
    return np.linalg.eigvalsh(matrix.astype(np.float64))[::-1][:n]


def _pair_sums(
    points: Vectors, labels: Labels, lengths: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of cosines over ordered pairs of each group, and the number of those pairs."""
    n, n_groups = len(labels), int(labels.max()) + 1
    ones = np.ones(n, dtype=np.float32)
    sums = sparse.csr_array((ones, (labels, np.arange(n))), shape=(n_groups, n)) @ points
    squares = np.einsum("ij,ij->i", sums, sums, dtype=np.float64)
    sizes = np.bincount(labels).astype(np.float64)
    return squares - np.bincount(labels, weights=lengths), sizes * (sizes - 1)


def _member_mean(points: Vectors, labels: Labels, lengths: NDArray[np.float64]) -> float:
    pairs, n_pairs = _pair_sums(points, labels, lengths)
    some = n_pairs > 0
    if not some.any():
        return 0.0
    return float(np.average(pairs[some] / n_pairs[some], weights=np.bincount(labels)[some]))
