"""Whether skills are learned in the order of their use: rank correlation, and slope with censoring.

When each of many skills came below its threshold enters, with its frequency of use; leaves how far
the frequent come first, and the slope of ln(step or size learned) in ln(frequency). Skills that are
not learned yet are censored, not left out: leaving them out flattens the slope.

References
----------
arXiv:2303.13506, section 2: step ``~ 1 / p_k``, parameters ``~ k ~ p_k^(-1/(1+alpha))``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantascope.laws.censored import fit_censored_power_law
from quantascope.laws.order import order_agreement
from quantascope.laws.powerlaw import PowerLawFit

__all__ = ["LearnedOrder", "crossing_bounds", "learned_order"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LearnedOrder:
    """Order of learning against frequency of use."""

    n: int
    n_learned: int
    correlation: float
    """Spearman's, of frequency with earliness; skills not learned tie as the last."""
    lo: float
    """Lower end of its 90 % interval, by bootstrap over skills."""
    hi: float
    slope: PowerLawFit
    """Of step or size learned in frequency; 95 % interval. Skills are taken as independent."""


def crossing_bounds(
    x: ArrayLike, loss: NDArray[np.floating[Any]], threshold: ArrayLike
) -> tuple[Floats, Floats]:
    """Bracket where curves come below a threshold and stay there.

    Parameters
    ----------
    x
        Steps or sizes, > 0, ascending, axis ``level``.
    loss
        Curves [nat], axes ``curve level``; NaN counts as above.
    threshold
        One, or one a curve [nat].

    Returns
    -------
    earliest, latest
        Levels around it: 0 where a curve is below from the first level on, infinite `latest` where
        it is not below at the last. Axis ``curve``.

    Examples
    --------
    >>> loss = np.array([[3.0, 0.1, 0.1], [0.1, 0.1, 0.1], [3.0, 0.1, 2.0]])
    >>> bounds = crossing_bounds([1.0, 10.0, 100.0], loss, 0.2)
    >>> [end.tolist() for end in bounds]
    [[1.0, 0.0, 100.0], [10.0, 1.0, inf]]
    """
    levels = np.asarray(x, dtype=np.float64)
    above = ~(loss < np.broadcast_to(np.asarray(threshold, dtype=np.float64), len(loss))[:, None])
    last = np.where(above, np.arange(len(levels)), -1).max(axis=1)
    return np.append(levels, 0.0)[last], np.append(levels, np.inf)[last + 1]


def learned_order(
    frequency: NDArray[np.floating[Any]], earliest: Floats, latest: Floats, *, seed: int = 0
) -> LearnedOrder:
    """Hold the order of learning against the frequency of use.

    Parameters
    ----------
    frequency
        Of use, > 0, axis ``skill``.
    earliest, latest
        As `crossing_bounds` gives them.
    seed
        Of the bootstrap.

    Examples
    --------
    >>> frequency = 2.0 ** -np.arange(8)
    >>> step = 100 / frequency * np.array([1, 1.2, 0.9, 1, 1.1, 0.8, 1, 1])
    >>> latest = np.where(step < 5000, step, np.inf)
    >>> found = learned_order(frequency, np.minimum(step, 5000.0), latest)
    >>> found.n_learned, found.slope.lo < -1 < found.slope.hi
    (6, True)
    """
    correlation, lo, hi = order_agreement(np.asarray(frequency, dtype=float), latest, seed=seed)
    return LearnedOrder(
        n=len(latest),
        n_learned=int(np.isfinite(latest).sum()),
        correlation=correlation,
        lo=lo,
        hi=hi,
        slope=fit_censored_power_law(frequency, earliest, latest),
    )
