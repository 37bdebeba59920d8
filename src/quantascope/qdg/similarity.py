"""Weights of edges from angular similarities (`core.units.angular_similarity`)."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["edge_weight"]


def edge_weight(similarity: NDArray[np.floating]) -> NDArray[np.floating]:
    """Give the weight of an edge, ``max(0, 2 s - 1)``.

    Angular similarities of unrelated predictions sit near 0.5, so used as weights they would make
    all edges nearly equal. The weight is what exceeds that background, scaled to [0, 1].

    Parameters
    ----------
    similarity
        Angular similarities.

    Returns
    -------
    NDArray[np.floating]
        Weights, same shape; 0 where gradients are orthogonal or opposed.
    """
    return np.maximum(2.0 * similarity - 1.0, 0.0)
