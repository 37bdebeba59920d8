"""The global search of a fit: projected starts, the best of each region, descent, agreement.

Nothing is asked of the user: a coarse grid (or a space-filling sample) of the nonlinear
parameters is projected, the best starts overall and of each region of the grid descend together,
and the share of them that reach the same minimum is reported.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from quantascope.laws.fitting.data import Points
from quantascope.laws.fitting.frame import Frame
from quantascope.laws.fitting.minimise import Minimum, evaluate, minimise
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.forms.law import Floats

__all__ = ["Found", "search"]

_N_GRID_POINTS: Final = 128
_N_DESCENT_POINTS: Final = 2_000
_N_BEST: Final = 8
_N_REGIONS: Final = 16
_N_FINAL: Final = 3
_SAME: Final = 1e-6
"""Objectives that agree to this share are one minimum."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The minimum, in the units of the frame."""

    theta: Floats
    """Axis ``param``."""
    value: float
    converged: bool
    n_starts: int
    n_reached: int
    """Descents that ended in the minimum reported (on the 2,000 points that all ran on)."""


def search(frame: Frame, points: Points, objective: Objective) -> Found:
    """Find the global minimum.

    Parameters
    ----------
    frame
        Law, units, bounds, held and tied values.
    points
        Data in the caller's units.
    objective
        What is minimised.

    Returns
    -------
    Found
        The best of all descents. Starts are ranked on at most 128 points spread over the
        resource, descents run on at most 2,000, the last ones on all.
    """
    few = points.take(_spread_rows(points, frame, _N_GRID_POINTS))
    starts = _choose(frame, few, objective)
    some = points.take(_spread_rows(points, frame, _N_DESCENT_POINTS))
    ends = minimise(frame.problem(some, objective), starts)
    found = _best(ends)
    if some.n < points.n:
        best = np.argsort(ends.value)[:_N_FINAL]
        last = _best(minimise(frame.problem(points, objective), ends.theta[best]))
        return replace(last, n_starts=found.n_starts, n_reached=found.n_reached)
    return found


def _choose(frame: Frame, points: Points, objective: Objective) -> Floats:
    """Choose the starts worth a descent: the best overall and of each region of the grid."""
    problem = frame.problem(points, objective)
    response = problem.response[0]
    response = np.maximum(response, 1e-2 * response.max())  # projection works in relative residuals
    with np.errstate(all="ignore"):  # a hopeless corner of a grid is dropped by its value
        theta = frame.settle(frame.law.starts(problem.log_inputs, response))
        theta = np.clip(theta[np.isfinite(theta).all(axis=1)], frame.lo, frame.hi)
        value = evaluate(problem, theta)
    order = np.argsort(value, kind="stable")
    regions = np.array_split(np.arange(len(theta)), min(_N_REGIONS, len(theta)))
    chosen = [*order[:_N_BEST], *(region[np.argmin(value[region])] for region in regions)]
    finite = [int(index) for index in dict.fromkeys(chosen) if np.isfinite(value[index])]
    return theta[finite or order[:1]]


def _spread_rows(
    points: Points, frame: Frame, n: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    if points.n <= n:
        return np.arange(points.n)
    order = np.argsort(points.resource(frame.law), kind="stable")
    return np.asarray(order[np.linspace(0, points.n - 1, n).round().astype(np.int64)])


def _best(ends: Minimum) -> Found:
    value = np.where(np.isfinite(ends.value), ends.value, np.inf)
    best = int(np.argmin(value))
    reached = value <= value[best] * (1 + _SAME) + 1e-25
    return Found(
        theta=ends.theta[best],
        value=float(value[best]),
        converged=bool(ends.converged[best]),
        n_starts=len(value),
        n_reached=int(reached.sum()),
    )
