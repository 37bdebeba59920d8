"""How few groups carry a drop: share of the largest, Gini coefficient, and what chance does to it.

Parts of a drop enter. Groups that are chosen as largest and measured on the same runs look larger
than they are, so the share is also given for groups chosen on one half and measured on the other.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import hash_order
from quantascope.families.decompose import Decomposition, fall_of_each

__all__ = ["TOP", "Concentration", "concentrate"]

Floats = NDArray[np.float64]

TOP: Final = (0.01, 0.05, 0.1)
"""Shares of the groups that are looked at."""
_FEWEST: Final = 4
"""Predictions of a group, in the median, from which their halves say something of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Concentration:
    """How the drop that groups carry is spread over them; arrays have the axis ``top``."""

    n_top: NDArray[np.int64]
    """Groups that make up each share of `TOP`, at least one."""
    share: Floats
    """What the largest carry of the drop of all groups."""
    share_crossed: Floats
    """The same, chosen on one half and measured on the other; NaN where it cannot be halved."""
    preds: Floats
    """What they hold of the predictions in groups: their share, were the drop spread evenly."""
    gini: float
    """0: all groups carry alike; near 1: one carries all. Over groups whose part falls."""
    risen: float
    """What groups whose loss rises add, over the drop of all groups."""
    halves: str
    """What was halved: runs, predictions, or nothing."""


def concentrate(found: Decomposition) -> Concentration:
    """Measure how the drop is spread over groups; the rest is left out.

    Parameters
    ----------
    found
        Parts of a drop.

    Examples
    --------
    >>> from quantascope.families.series import Series
    >>> from quantascope.families.decompose import decompose, known_parts
    >>> series = Series(scale="n_params", x=np.array([1e5, 1e6]),
    ...                 losses=np.array([[4.0, 1.0], [2.0, 1.0]]),
    ...                 level=np.array([0, 1]), run=np.array([0, 1]))
    >>> concentrate(decompose(known_parts(series, np.array([1, 1])))).share.tolist()
    [0.75, 0.75, 0.75]
    """
    n = found.parts.n_groups
    drop, weight = found.drop[:n], found.parts.share[:n]
    n_top = np.maximum(np.ceil(np.array(TOP) * n).astype(np.int64), 1)
    order = np.argsort(-drop, kind="stable")
    total = drop.sum()
    halves, what = _halves(found)
    crossed = np.full(len(TOP), np.nan)
    if halves is not None:
        crossed = (_crossed(*halves, n_top) + _crossed(*halves[::-1], n_top)) / 2
    return Concentration(
        n_top=n_top,
        share=_first(drop[order], n_top) / total if total > 0 else crossed * np.nan,
        share_crossed=crossed,
        preds=_first(weight[order], n_top) / weight.sum(),
        gini=_gini(drop[drop > 0]),
        risen=float(np.abs(drop[drop < 0]).sum() / total) if total > 0 else float("nan"),
        halves=what,
    )


def _first(values: Floats, n_top: NDArray[np.int64]) -> Floats:
    return np.asarray(np.cumsum(values)[np.minimum(n_top, len(values)) - 1])


def _crossed(chosen_on: Floats, measured_on: Floats, n_top: NDArray[np.int64]) -> Floats:
    total = measured_on.sum()
    order = np.argsort(-chosen_on, kind="stable")
    return _first(measured_on[order], n_top) / total if total > 0 else np.full(len(n_top), np.nan)


def _halves(found: Decomposition) -> tuple[tuple[Floats, Floats] | None, str]:
    """Give the drop of each group on two halves of the runs, or else of the predictions."""
    parts, n = found.parts, found.parts.n_groups
    ends = [np.flatnonzero(parts.series.level == level) for level in (found.first, found.last)]
    if min(map(len, ends)) > 1:
        ends = [at[np.argsort(parts.series.run[at])] for at in ends]
        held = parts.share[:n, None] * parts.series.losses[:n]
        first, second = (
            held[:, ends[0][i::2]].mean(axis=1) - held[:, ends[1][i::2]].mean(axis=1)
            for i in (0, 1)
        )
        return (first, second), "runs"
    if parts.source is None or parts.part is None or np.median(parts.n_preds[:n]) < _FEWEST:
        return None, "nothing"
    fall, part = fall_of_each(parts.source, found.first, found.last), parts.part
    odd = hash_order(np.arange(len(fall)), seed=0) % np.uint64(2) == 1
    first, second = (
        np.asarray(np.bincount(part[half], weights=fall[half], minlength=n)[:n], dtype=np.float64)
        for half in (odd, ~odd)
    )
    return (first, second), "predictions"


def _gini(values: Floats) -> float:
    """``sum_i (2 i - n - 1) v_i / (n sum v)`` over ascending values."""
    if not len(values):
        return float("nan")
    ascending, n = np.sort(values), len(values)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * ascending.sum()))
