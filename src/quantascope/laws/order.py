"""Do the frequent come first? Rank correlation of frequency with the time of learning."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from quantascope.core.rng import stream

__all__ = ["order_agreement"]

_N_BOOT: Final = 400
_INTERVAL: Final = (0.05, 0.95)


def order_agreement(
    frequencies: NDArray[np.float64], steps: NDArray[np.float64], *, seed: int = 0
) -> tuple[float, float, float]:
    """Correlate the order of emergence with the order of frequency.

    Parameters
    ----------
    frequencies
        Of the skills, axis ``rank``.
    steps
        Step (or size) at which each was learned, infinite if it was not (those tie as the last).
    seed
        Of the bootstrap.

    Returns
    -------
    tuple[float, float, float]
        Spearman's rank correlation of frequency with earliness (1 if the more frequent always
        comes first), and its 90 % interval by bootstrap over skills. NaN where all steps are equal,
        or there are fewer than two.

    Examples
    --------
    >>> order_agreement(np.array([0.5, 0.3, 0.2]), np.array([1.0, 2.0, np.inf]))[0]
    1.0
    """
    n = len(steps)
    if n < 2:
        return (float("nan"),) * 3
    rows = stream(seed, "order agreement").integers(n, size=(_N_BOOT, n))
    drawn = _rank_correlations(frequencies[rows], steps[rows])
    found = drawn[np.isfinite(drawn)]
    lo, hi = np.quantile(found, _INTERVAL) if len(found) else (np.nan, np.nan)
    value = _rank_correlations(frequencies[None], steps[None])[0]
    return float(value), float(lo), float(hi)


def _rank_correlations(
    frequencies: NDArray[np.float64], steps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlate ranks row by row; NaN where a row is constant."""
    first, second = (rankdata(values, axis=1) for values in (-frequencies, steps))
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    size = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    products = (first * second).sum(axis=1)
    return np.asarray(np.divide(products, size, out=np.full(len(size), np.nan), where=size > 0))
