"""The interval of a share that was counted: not empty where none, or all, were seen."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

__all__ = ["wilson_interval"]

Floats = NDArray[np.float64]


def wilson_interval(
    share: NDArray[np.floating[Any]], n: ArrayLike, *, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Give Wilson's interval of shares: those p with ``|share - p| <= z sqrt(p (1 - p) / n)``.

    Parameters
    ----------
    share
        Shares counted, 0 to 1, any shape.
    n
        Number behind each, at least 1.
    level
        Confidence, in (0, 1).

    Returns
    -------
    tuple[NDArray[np.float64], NDArray[np.float64]]
        Lower and upper ends. For means of scores between 0 and 1 they are wide enough, for no such
        score scatters more than one that is 0 or 1.

    References
    ----------
    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212.

    Examples
    --------
    >>> lo, hi = wilson_interval(np.array([0.0, 0.5]), 40)
    >>> lo.round(3).tolist(), hi.round(3).tolist()
    ([0.0, 0.352], [0.088, 0.648])
    """
    z, count = ndtri((1 + level) / 2), np.asarray(n, dtype=np.float64)
    p = np.asarray(share, dtype=np.float64)
    middle = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    return np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)
