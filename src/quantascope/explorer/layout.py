"""Places of clusters in the plane: near where many edges of their graph join them; no chance in it.

Two eigenvectors of the graph give where to start. Then edges pull, and a smoothed count of nodes
pushes from crowded places; both take time in the number of edges and nodes alone.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import LinearOperator, eigsh

__all__ = ["plane_layout"]

Floats = NDArray[np.float64]

_GRID: Final = 48
_ROUNDS: Final = 120
_FEWEST: Final = 4


def plane_layout(weights: sparse.csr_array) -> Floats:
    """Lay out a graph.

    Parameters
    ----------
    weights
        Symmetric, not negative, zero diagonal; axes ``node node``.

    Returns
    -------
    ndarray
        Places in [0, 1], axes ``node 2``. The axes mean nothing, nearness does.

    Examples
    --------
    >>> ring = sparse.csr_array(np.roll(np.eye(8), 1, axis=1))
    >>> plane_layout(ring + ring.T).shape
    (8, 2)
    """
    n = weights.shape[0]
    if n < _FEWEST:
        return np.column_stack([np.linspace(0.2, 0.8, n), np.full(n, 0.5)])
    at = _by_rank(_two_eigenvectors(weights))
    degree = np.maximum(np.asarray(weights.sum(axis=1)).ravel(), 1e-12)
    walk = sparse.diags_array(1 / degree) @ weights
    joined = degree > 1e-12
    for step in np.geomspace(0.3, 0.04, _ROUNDS):
        pull = np.where(joined[:, None], walk @ at - at, 0.0)
        at = np.clip(at + step * pull + 0.12 * step * _push(at), 0.0, 1.0)
    return _spread(at)


def _two_eigenvectors(weights: sparse.csr_array) -> Floats:
    """Second and third eigenvector of the normalised adjacency, held together by a faint star."""
    n = weights.shape[0]
    degree = np.asarray(weights.sum(axis=1)).ravel()
    faint = 0.1 * max(float(degree.mean()), 1e-9)
    root = 1 / np.sqrt(degree + faint)

    def times(v: Floats) -> Floats:
        scaled = root * np.ravel(v)
        return np.asarray(root * (weights @ scaled + faint / n * scaled.sum()))

    start = np.cos(np.arange(n) * 2.399963)  # golden angle: no chance, no symmetry
    operator: Any = LinearOperator((n, n), matvec=times, dtype=np.float64)
    _, vectors = eigsh(operator, k=3, which="LA", v0=start, tol=1e-3, maxiter=300 * n)
    found = vectors[:, [1, 0]] * root[:, None]
    sign = np.sign(found[np.abs(found).argmax(axis=0), [0, 1]])
    return np.asarray(found * sign)


def _by_rank(at: Floats) -> Floats:
    """Spread each coordinate evenly."""
    order = np.argsort(np.argsort(at, axis=0, kind="stable"), axis=0, kind="stable")
    return np.asarray((order + 0.5) / len(at))


def _push(at: Floats) -> Floats:
    """Give for each node the way out of the crowd, of length 1 where it is steepest."""
    cell = np.minimum((at * _GRID).astype(np.int64), _GRID - 1)
    flat = cell[:, 0] * _GRID + cell[:, 1]
    count = np.bincount(flat, minlength=_GRID**2).reshape(_GRID, _GRID).astype(np.float64)
    smooth = ndimage.gaussian_filter(count, 1.5, mode="constant")
    slope: Any = np.gradient(np.sqrt(smooth))  # along both axes
    where = at.T * _GRID - 0.5
    steps: list[Floats] = [
        ndimage.map_coordinates(s, where, order=1, mode="nearest") for s in slope
    ]
    down = -np.stack(steps)
    return np.asarray((down / (np.hypot(*down).max() or 1.0)).T)


def _spread(at: Floats) -> Floats:
    lo, hi = np.quantile(at, 0.005, axis=0), np.quantile(at, 0.995, axis=0)
    return np.clip((at - lo) / np.maximum(hi - lo, 1e-9), 0.0, 1.0)
