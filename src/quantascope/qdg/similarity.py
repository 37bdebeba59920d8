"""Angular similarity of unit vectors.

References
----------
Michaud et al. 2023, arXiv 2303.13506, appendix B: ``1 - arccos(C) / pi``.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["angular_similarity", "edge_weight"]


def angular_similarity(cosine: NDArray[np.floating]) -> NDArray[np.floating]:
    """Compute the angular similarity, ``1 - arccos(cosine) / pi``.

    Parameters
    ----------
    cosine
        Cosines; rounding beyond [-1, 1] is clipped.

    Returns
    -------
    NDArray[np.floating]
        From 0 (opposite) over 0.5 (orthogonal) to 1 (equal), same shape, never NaN for a number.

    Examples
    --------
    >>> angular_similarity(np.array([1.0 + 1e-7, 0.0, -1.0])).tolist()
    [1.0, 0.5, 0.0]
    """
    return 1.0 - np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi


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
