"""Units: losses are nats everywhere; bits exist only at the edge of display."""

import math
from typing import Final

__all__ = ["BITS_PER_NAT", "nats_to_bits"]

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
