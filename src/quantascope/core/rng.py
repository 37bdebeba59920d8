"""Randomness: one integer seed enters, named independent streams leave.

A stream is addressed by names, so adding a consumer never shifts the numbers of another one.
"""

import hashlib
import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["derive_seed", "hash_order", "stream"]

_SPLITMIX_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)  # Steele, Lea, Flood 2014, table 1
_SPLITMIX_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_SPLITMIX_MIX_2: Final = np.uint64(0x94D049BB133111EB)


def derive_seed(seed: int, *names: str | int, bits: int = 63) -> int:
    """Derive the seed of a named stream.

    Parameters
    ----------
    seed
        The run's seed, any integer.
    *names
        Address of the stream, for example ``("sketch", "layer", 3)``.
    bits
        Width of the result, 1 to 256 (libraries differ in what they accept).

    Returns
    -------
    int
        Non-negative integer below ``2**bits``; equal addresses give equal seeds.
    """
    address = json.dumps([seed, *names], separators=(",", ":")).encode()
    return int.from_bytes(hashlib.sha256(address).digest(), "big") >> (256 - bits)


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Open the random generator of a named stream."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names, bits=128)))


def hash_order(keys: NDArray[np.int64], *, seed: int) -> NDArray[np.uint64]:
    """Give each key a pseudo-random rank value that depends on key and seed alone.

    Sorting keys by this value is a seeded shuffle in which the first n keys of a larger
    selection are the whole of a smaller one.

    Parameters
    ----------
    keys
        Keys, axis ``pred``.
    seed
        Seed of the order.

    Returns
    -------
    NDArray[np.uint64]
        SplitMix64 finaliser of ``key * gamma + seed``, axis ``pred``; a bijection for a fixed
        seed, so there are no ties.

    References
    ----------
    Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195.
    """
    offset = np.uint64(derive_seed(seed, "hash_order", bits=64))
    with np.errstate(over="ignore"):
        z = keys.astype(np.uint64) * _SPLITMIX_GAMMA + offset
        z = (z ^ (z >> np.uint64(30))) * _SPLITMIX_MIX_1
        z = (z ^ (z >> np.uint64(27))) * _SPLITMIX_MIX_2
        return z ^ (z >> np.uint64(31))
