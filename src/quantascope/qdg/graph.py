"""The neighbour graph: sketches in, a sparse symmetric matrix of angular similarities out.

Exact, by products of blocks in single precision; right for up to about 300,000 predictions.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.units import angular_similarity

__all__ = ["knn_graph"]


def knn_graph(
    sketch: NDArray[np.floating],
    *,
    n_neighbors: int = 15,
    sign_free: bool = False,
    block: int = 2048,
    advance: Advance = ignore_progress,
) -> sparse.csr_array:
    """Link each prediction to its most similar others.

    Parameters
    ----------
    sketch
        Unit vectors, axes ``(pred, dim)``.
    n_neighbors
        Neighbours of each prediction, at least 1; all others where there are fewer.
    sign_free
        Take the size of each cosine, so that opposite gradients count as alike.
    block
        Rows of one product.
    advance
        Told the number of rows just done.

    Returns
    -------
    scipy.sparse.csr_array
        Angular similarities, axes ``(pred, pred)``, float32: an edge where either end counts the
        other among its nearest, symmetric to the bit, no prediction its own neighbour. Of equally
        similar predictions the first are taken. A row of zeros has no neighbour.

    Raises
    ------
    ValueError
        If there are fewer than two predictions, or `n_neighbors` is below 1.
    """
    n = len(sketch)
    if n < 2:
        raise ValueError(f"sketch: {n} predictions; a graph needs at least 2")
    if n_neighbors < 1:
        raise ValueError(f"n_neighbors: {n_neighbors}; at least 1 is needed")
    count = min(n_neighbors, n - 1)
    vectors = np.asarray(sketch, dtype=np.float32)
    columns = np.empty((n, count), dtype=np.int32)
    cosines = np.empty((n, count), dtype=np.float32)
    for begin in range(0, n, block):
        rows = np.arange(begin, min(begin + block, n))
        products = vectors[rows] @ vectors.T
        if sign_free:
            np.abs(products, out=products)
        products[np.arange(len(rows)), rows] = -np.inf
        columns[rows] = _nearest(products, count)
        cosines[rows] = np.take_along_axis(products, columns[rows], axis=1)
        advance(len(rows))
    pointers = np.arange(0, n * count + 1, count, dtype=np.int64)
    values = angular_similarity(cosines).astype(np.float32)
    silent = np.logical_not(np.any(vectors, axis=1, keepdims=True))
    values[silent | silent[columns, 0]] = 0.0
    graph = sparse.csr_array((values.ravel(), columns.ravel(), pointers), shape=(n, n))
    graph.eliminate_zeros()
    graph.sort_indices()
    both = graph.maximum(graph.T).tocsr()
    both.sort_indices()
    return both


def _nearest(products: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """Columns of the `count` largest entries of each row, rising; the first among equals."""
    least = np.partition(products, -count, axis=1)[:, -count, None]
    taken = products > least
    ties = products == least
    missing = count - taken.sum(axis=1, keepdims=True)
    taken |= ties & (np.cumsum(ties, axis=1, dtype=np.int32) <= missing)
    return np.nonzero(taken)[1].reshape(len(products), count).astype(np.int32)
