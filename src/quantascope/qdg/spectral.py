"""The paper's spectral clustering, with one eigendecomposition for all numbers of clusters.

Sketches enter; the dense angular similarity is normalised, its leading eigenvectors are computed
once, and for each number of clusters k-means runs on as many of them. Equal to scikit-learn's
`SpectralClustering` with a precomputed affinity, which solves the eigenproblem each time.

References
----------
Michaud et al. 2023, arXiv 2303.13506, appendix B; von Luxburg 2007, doi:10.1007/s11222-007-9033-z.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.cluster import KMeans

from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.rng import derive_seed
from quantascope.core.units import angular_similarity
from quantascope.qdg.agreement import mean_pairwise_rand
from quantascope.qdg.leiden import Grouping, by_size

__all__ = ["paper_counts", "spectral_embedding", "spectral_groupings"]

Similarity = Callable[[NDArray[np.floating]], NDArray[np.floating]]

_PAPER_COUNTS: Final = (
    *range(10, 100, 10),
    *range(100, 300, 25),
    *(300, 350, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1400, 1500),
)
_STABILITY_SEEDS: Final = 3
_BLOCK: Final = 1024
"""Rows made similar at a time, so that no second matrix of full size is needed."""


def paper_counts(n_preds: int) -> tuple[int, ...]:
    """Give the paper's numbers of clusters up to a tenth of the predictions.

    Parameters
    ----------
    n_preds
        Number of predictions.

    Returns
    -------
    tuple[int, ...]
        Rising; where even the smallest is too large, a tenth of the predictions, at least 2.
    """
    return tuple(k for k in _PAPER_COUNTS if k <= n_preds / 10) or (max(2, n_preds // 10),)


def spectral_groupings(
    sketch: NDArray[np.floating],
    *,
    n_clusters: tuple[int, ...] = (),
    n_init: int = 1,
    stability_counts: int = 5,
    sign_free: bool = False,
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> list[Grouping]:
    """Group predictions into each of several numbers of clusters.

    Parameters
    ----------
    sketch
        Unit vectors, axes ``(pred, dim)``.
    n_clusters
        Numbers of clusters, each from 2 to the number of predictions; empty for the paper's.
    n_init
        Restarts of k-means; the paper took 30.
    stability_counts
        How many of the numbers, evenly spread over the list, are run on three seeds.
    sign_free
        Take the size of each cosine, so that opposite gradients count as alike.
    seed
        Seed of k-means.
    advance
        Told each number of clusters done.

    Returns
    -------
    list[Grouping]
        One for each number, rising; stability is NaN where only one seed was run. A grouping may
        hold fewer groups than asked for if k-means leaves some empty.

    Raises
    ------
    ValueError
        If a number of clusters is out of range.
    """
    counts = tuple(sorted(set(n_clusters or paper_counts(len(sketch)))))
    if counts[0] < 2 or counts[-1] > len(sketch):
        raise ValueError(f"n_clusters: {counts}; allowed are 2 to {len(sketch)} (predictions)")
    similarity = _sign_free if sign_free else angular_similarity
    embedding = spectral_embedding(sketch, counts[-1], similarity=similarity)
    spread = np.linspace(0, len(counts) - 1, min(stability_counts, len(counts)))
    repeated = {counts[round(place)] for place in spread}
    groupings = []
    for count in counts:
        runs = [
            _kmeans(embedding[:, :count], count, n_init, derive_seed(seed, "spectral", r, bits=31))
            for r in range(_STABILITY_SEEDS if count in repeated else 1)
        ]
        groupings.append(
            Grouping(
                name=f"spectral-{count}",
                method="spectral",
                parameter=float(count),
                labels=runs[0],
                stability=mean_pairwise_rand(runs),
                reruns=tuple(runs[1:]),
            )
        )
        advance(1)
    return groupings


def spectral_embedding(
    sketch: NDArray[np.floating],
    n_components: int,
    *,
    similarity: Similarity = angular_similarity,
) -> NDArray[np.float32]:
    """Compute the leading eigenvectors of the random walk on similarities of all pairs.

    Parameters
    ----------
    sketch
        Unit vectors, axes ``(pred, dim)``.
    n_components
        Number of eigenvectors, the constant one included.
    similarity
        Gives similarities, not negative, from cosines.

    Returns
    -------
    NDArray[np.float32]
        Eigenvectors by falling eigenvalue as columns, rows are predictions; each is an
        eigenvector of ``D^-1/2 S D^-1/2`` divided by ``D^1/2`` (S without its diagonal, D its row
        sums).

    Notes
    -----
    S is nearly constant, so its trivial eigenvector dwarfs the others. It is known exactly and is
    taken out first; what is left is of one scale and single precision suffices (residuals of
    1e-8 against eigenvalues of 1e-2 to 1e-5). Dense solver: a fixed cost of about n^3 operations
    (see docs/discovery.md), no starting vector, no convergence to watch.
    """
    affinity = _affinity(sketch, similarity)
    degree = affinity.sum(axis=1, dtype=np.float64)
    root = np.sqrt(degree)
    inverse = (1.0 / root).astype(np.float32)
    trivial = (root / np.linalg.norm(root)).astype(np.float32)
    affinity *= inverse[:, None]
    affinity *= inverse[None, :]
    for begin in range(0, len(affinity), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        affinity[rows] -= np.outer(trivial[rows], trivial)
    n = len(affinity)
    columns = [trivial[:, None]]
    if n_components > 1:
        _, vectors = linalg.eigh(
            affinity,
            subset_by_index=[n - n_components + 1, n - 1],
            overwrite_a=True,
            check_finite=False,
        )
        columns.append(vectors[:, ::-1])
    return np.concatenate(columns, axis=1) * inverse[:, None]


def _affinity(sketch: NDArray[np.floating], similarity: Similarity) -> NDArray[np.float32]:
    """Similarities of all pairs with a zero diagonal, symmetric to the bit."""
    vectors = np.asarray(sketch, dtype=np.float32)
    affinity = np.empty((len(vectors), len(vectors)), dtype=np.float32)
    for begin in range(0, len(vectors), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        affinity[rows, begin:] = similarity(vectors[rows] @ vectors[begin:].T)
        affinity[begin:, rows] = affinity[rows, begin:].T
    np.fill_diagonal(affinity, 0.0)
    return affinity


def _sign_free(cosines: NDArray[np.floating]) -> NDArray[np.floating]:
    return angular_similarity(np.abs(cosines))


def _kmeans(
    embedding: NDArray[np.float32], count: int, n_init: int, seed: int
) -> NDArray[np.int64]:
    means = KMeans(count, n_init=n_init, random_state=seed)
    return by_size(means.fit_predict(np.ascontiguousarray(embedding)))
