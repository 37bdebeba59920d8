"""Units: losses are nats everywhere; bits exist only at the edge of display."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["BITS_PER_NAT", "angular_similarity", "nats_to_bits"]

BITS_PER_NAT: Final = 1.0 / math.log(2.0)


def nats_to_bits(loss_nats: float) -> float:
    """Convert a loss from nats to bits.

    Parameters
    ----------
    loss_nats
        Loss [nat].

    Returns
    -------
    float
        Loss [bit].

    Examples
    --------
    >>> round(nats_to_bits(math.log(2.0)), 12)
    1.0
    """
    return loss_nats * BITS_PER_NAT


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
