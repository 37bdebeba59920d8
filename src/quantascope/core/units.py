"""Units: losses are nats everywhere; angles between gradients are angular similarities."""

from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["NATS_PER_BIT", "angular_similarity", "nats_to_bits"]

NATS_PER_BIT: Final = float(np.log(2.0))
"""Also the loss [nat] of guessing one of two equally likely labels."""
_Loss = TypeVar("_Loss", float, NDArray[np.floating[Any]])


def angular_similarity(cosine: NDArray[np.floating]) -> NDArray[np.floating]:
    """Convert cosines to angular similarities.

    ``1 - arccos(clip(cosine, -1, 1)) / pi``: 1 for equal, 0.5 for orthogonal, 0 for opposite
    directions. The clip keeps a cosine that rounding has pushed past 1 from becoming NaN.

    Parameters
    ----------
    cosine
        Cosines of angles between gradients, any shape.

    Returns
    -------
    NDArray[np.floating]
        Same shape and dtype, in [0, 1].

    References
    ----------
    arXiv:2303.13506, section 5 (similarity of gradients).

    Examples
    --------
    >>> angular_similarity(np.array([1.0, 0.0, -1.0, 1.0 + 1e-7])).tolist()
    [1.0, 0.5, 0.0, 1.0]
    """
    similarity: NDArray[np.floating] = 1.0 - np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi
    return similarity.astype(cosine.dtype)


def nats_to_bits(nats: _Loss) -> _Loss:
    """Convert a loss for a figure that stands beside one in bits; everything else is in nats.

    Examples
    --------
    >>> round(float(nats_to_bits(np.log(2.0))), 12)
    1.0
    """
    return nats / NATS_PER_BIT
