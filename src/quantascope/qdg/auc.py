"""Area under the ROC curve of scores, with its interval: how well they tell members from others.

References
----------
Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747: the standard error of the area.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

__all__ = ["Auc", "area"]

_LEAST: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Auc:
    """Chance that a member scores above another prediction, ties counting half."""

    estimate: float
    """NaN where there are no members or no others."""
    lo: float
    hi: float


def area(
    inside: NDArray[np.floating] | NDArray[np.bool_],
    outside: NDArray[np.floating] | NDArray[np.bool_],
    *,
    level: float = 0.95,
) -> Auc:
    """Measure how well scores tell members from others.

    The ends of the interval are the areas from which the measured one is as far as their own
    standard error allows, so that they stay within 0 and 1 and an area of 1 has an interval too.

    Parameters
    ----------
    inside, outside
        Scores of members and of others, finite.
    level
        Confidence of the interval, in (0, 1).

    Returns
    -------
    Auc
        NaN throughout where a side is empty.

    Examples
    --------
    >>> found = area(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    >>> found.estimate, found.hi
    (1.0, 1.0)
    """
    m, n = len(inside), len(outside)
    if not (m and n):
        return Auc(estimate=float("nan"), lo=float("nan"), hi=float("nan"))
    ranks = stats.rankdata(np.concatenate([inside, outside]).astype(np.float64))
    found = float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))
    z = float(stats.norm.ppf((1 + level) / 2))
    lo = _end(found, z, (m, n), towards=_LEAST)
    hi = _end(found, z, (m, n), towards=1 - _LEAST)
    return Auc(estimate=found, lo=lo, hi=hi)


def _end(found: float, z: float, counts: tuple[int, int], *, towards: float) -> float:
    """Find the area whose own standard error, z times, reaches the one that was found."""
    limit = float(round(towards))

    def beyond(theta: float) -> float:
        return abs(found - theta) - z * _standard_error(theta, *counts)

    start = min(max(found, _LEAST), 1 - _LEAST)
    if found == limit or beyond(start) > 0 or beyond(towards) < 0:
        return limit
    return float(optimize.brentq(beyond, start, towards))


def _standard_error(theta: float, m: int, n: int) -> float:
    """Of an area from m members and n others, eq. 1 with exponential scores."""
    both = theta / (2 - theta) - theta**2, 2 * theta**2 / (1 + theta) - theta**2
    spread = theta * (1 - theta) + (m - 1) * both[0] + (n - 1) * both[1]
    return float(np.sqrt(max(spread, 0.0) / (m * n)))
