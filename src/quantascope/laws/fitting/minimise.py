"""The one minimiser: many damped Newton descents of one law at once.

Starts of a point fit, bootstrap replicates and the points of a profile are rows of one array.
Each row minimises a sum over cases of a loss of residuals. The step solves

    (H_newton + damping (H_irls + eps diag)) step = gradient,

where ``H_irls`` is the matrix of iteratively reweighted least squares, which always bounds the
objective from above, and ``H_newton`` that of the residuals inside Huber's quadratic zone: far
from the optimum a row walks like reweighted least squares, near it like Newton's method on a
piecewise quadratic function (quadratic convergence; a replicate of Chinchilla's law takes 8
steps on average, reweighted least squares 41). Only decreases are accepted.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from quantascope.laws.fitting.objective import Objective
from quantascope.laws.forms.law import Bools, Floats, Ints, LogForm

__all__ = ["Minimum", "Problem", "evaluate", "minimise"]

_MAX_STEPS: Final = 400
_TOLERANCE: Final = 1e-11
"""A row has arrived when the decrease that its step promises is this share of its objective."""
_EXACT: Final = 1e-14
"""Residuals of this size (unit: log response) are rounding: the data lie on the law."""
_STUCK: Final = 1e9
_BLOCK_FLOATS: Final = 300_000
"""Gradients of one block of rows stay in the processor's second cache."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A law on data, with what may move.

    Inputs and response are divided by their geometric means. ``cases`` are weights with axes
    ``boot point`` (or ``1 point``): a bootstrap replicate is a vector of counts.
    """

    form: LogForm
    log_inputs: Floats
    """Axes ``input point``."""
    response: Floats
    """Axes ``boot point`` or ``1 point``."""
    cases: Floats
    objective: Objective
    lo: Floats
    """Lower bounds of theta, axis ``param``."""
    hi: Floats
    ties: Floats
    """0/1 matrix ``param free``: which free coordinate moves which parameter; a parameter with
    an empty row is held fixed, two parameters in one column are tied."""


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """Where each row ended."""

    theta: Floats
    """Axes ``boot param``."""
    value: Floats
    """Objective, axis ``boot``."""
    converged: Bools
    """Whether the first-order test holds."""
    n_steps: Ints


@dataclass
class _Rows:
    """The rows still on their way."""

    row: Ints
    theta: Floats
    damping: Floats
    value: Floats
    residual: Floats
    gradient: Floats
    """Of the fitted response (or its logarithm) in free coordinates, axes ``boot free point``."""
    cases: Floats
    response: Floats

    def keep(self, mask: Bools) -> "_Rows":
        """Drop the rows that have arrived."""
        return _Rows(
            self.row[mask],
            self.theta[mask],
            self.damping[mask],
            self.value[mask],
            self.residual[mask],
            self.gradient[mask],
            _pick(self.cases, mask),
            _pick(self.response, mask),
        )


def minimise(problem: Problem, theta: Floats) -> Minimum:
    """Descend from every start.

    Parameters
    ----------
    problem
        Law, data, objective, bounds.
    theta
        Starts in internal coordinates, axes ``boot param``; clipped to the bounds.

    Returns
    -------
    Minimum
        One row a start. ``converged`` is a first-order test in a scale-free form: the decrease
        promised by the last step, damped by 1 at most, is below 1e-11 of the objective.
    """
    n_points, n_params = problem.log_inputs.shape[1], theta.shape[1]
    block = max(1, _BLOCK_FLOATS // (n_points * n_params))
    parts = [
        _descend(_slice(problem, slice(start, start + block)), theta[start : start + block])
        for start in range(0, len(theta), block)
    ]
    return Minimum(
        theta=np.concatenate([part.theta for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        converged=np.concatenate([part.converged for part in parts]),
        n_steps=np.concatenate([part.n_steps for part in parts]),
    )


def evaluate(problem: Problem, theta: Floats) -> Floats:
    """Objective at parameter vectors, axis ``boot``; infinite where the law overflows."""
    n_points, n_params = problem.log_inputs.shape[1], theta.shape[1]
    block = max(1, _BLOCK_FLOATS // (n_points * n_params))
    values = []
    for start in range(0, len(theta), block):
        part = _slice(problem, slice(start, start + block))
        residual, _ = _residual(part, theta[start : start + block], part.response)
        values.append((part.cases * part.objective.loss(residual)).sum(axis=1))
    found = np.concatenate(values)
    return np.where(np.isfinite(found), found, np.inf)


def _descend(problem: Problem, starts: Floats) -> Minimum:
    theta = np.clip(starts, problem.lo, problem.hi)
    out = Minimum(
        theta=theta.copy(),
        value=np.full(len(theta), np.inf),
        converged=np.zeros(len(theta), dtype=np.bool_),
        n_steps=np.zeros(len(theta), dtype=np.int64),
    )
    rows = _open(problem, theta)
    for _ in range(_MAX_STEPS):
        arrived, stopped = _step(problem, rows)
        out.n_steps[rows.row] += 1
        leaving = arrived | stopped
        if leaving.any():
            _record(out, rows, leaving)
            out.converged[rows.row[arrived]] = True
            rows = rows.keep(~leaving)
        if not len(rows.row):
            break
    _record(out, rows, np.ones(len(rows.row), dtype=np.bool_))
    return out


def _open(problem: Problem, theta: Floats) -> _Rows:
    residual, gradient = _residual(problem, theta, problem.response)
    value = (problem.cases * problem.objective.loss(residual)).sum(axis=1)
    return _Rows(
        row=np.arange(len(theta)),
        theta=theta,
        damping=np.full(len(theta), 1.0 if problem.objective.robust else 1e-2),
        value=np.where(np.isfinite(value), value, np.inf),
        residual=residual,
        gradient=gradient,
        cases=problem.cases,
        response=problem.response,
    )


def _step(problem: Problem, rows: _Rows) -> tuple[Bools, Bools]:
    """Move every row one accepted step; say which have arrived and which are stuck."""
    slope, matrix = _model(problem, rows)
    step = np.linalg.solve(matrix, slope[:, :, None])[:, :, 0]
    step = np.where(np.isfinite(step), step, 0.0)
    promised = (slope * step).sum(axis=1)
    theta = np.clip(rows.theta + step @ problem.ties.T, problem.lo, problem.hi)
    residual, gradient = _residual(problem, theta, rows.response)
    value = (rows.cases * problem.objective.loss(residual)).sum(axis=1)
    better = value <= rows.value  # false for NaN
    gained = np.where(better, rows.value - value, 0.0)
    trusted = gained > 0.25 * promised  # half of the promise is exact for a quadratic function
    exact = rows.value <= rows.residual.shape[1] * _EXACT**2
    arrived = ((promised <= _TOLERANCE * rows.value) & (rows.damping <= 1)) | exact
    rows.damping = np.where(better, rows.damping * np.where(trusted, 0.3, 1.0), rows.damping * 3)
    rows.theta = np.where(better[:, None], theta, rows.theta)
    rows.value = np.where(better, value, rows.value)
    rows.residual = np.where(better[:, None], residual, rows.residual)
    rows.gradient = np.where(better[:, None, None], gradient, rows.gradient)
    return arrived, rows.damping > _STUCK


def _model(problem: Problem, rows: _Rows) -> tuple[Floats, Floats]:
    """Gradient of the descent and damped matrix, with coordinates that press on a bound frozen."""
    objective, gradient = problem.objective, rows.gradient
    weight = rows.cases * objective.weight(rows.residual)
    slope = np.matmul(gradient, (weight * rows.residual)[:, :, None])[:, :, 0]
    across = gradient.transpose(0, 2, 1)
    reweighted = np.matmul(gradient * weight[:, None, :], across)
    diagonal = np.einsum("rii->ri", reweighted).copy()
    damping = rows.damping[:, None]
    if objective.robust:
        bend = rows.cases * objective.curvature(rows.residual)
        matrix = np.matmul(gradient * bend[:, None, :], across) + damping[:, :, None] * reweighted
        extra = (1e-3 * damping + 1e-10) * diagonal
    else:
        matrix, extra = reweighted, (damping + 1e-12) * diagonal
    floor = 1e-300 + 1e-20 * diagonal.max(axis=1, keepdims=True)
    np.einsum("rii->ri", matrix)[:] += extra + floor
    frozen = _pressing(problem, rows.theta, slope)
    if frozen.any():
        slope = np.where(frozen, 0.0, slope)
        matrix = np.where(frozen[:, :, None] | frozen[:, None, :], 0.0, matrix)
        np.einsum("rii->ri", matrix)[:] += frozen
    return slope, matrix


def _pressing(problem: Problem, theta: Floats, slope: Floats) -> Bools:
    first = problem.ties.argmax(axis=0)  # bounds of tied parameters are equal
    at, lo, hi = theta[:, first], problem.lo[first], problem.hi[first]
    return np.asarray(((at <= lo) & (slope < 0)) | ((at >= hi) & (slope > 0)))


def _residual(problem: Problem, theta: Floats, response: Floats) -> tuple[Floats, Floats]:
    """Residuals, and the gradient of the fit in free coordinates."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # judged by finiteness
        log_fit, gradient = problem.form(theta, problem.log_inputs)
        if problem.objective.raw:
            fit = np.exp(log_fit)
            residual, gradient = response - fit, gradient * fit[:, None, :]
        else:
            residual = np.log(response) - log_fit
        if problem.ties.shape[0] != problem.ties.shape[1]:
            gradient = np.matmul(problem.ties.T, gradient)
    return residual, gradient


def _record(out: Minimum, rows: _Rows, mask: Bools) -> None:
    where = rows.row[mask]
    out.theta[where] = rows.theta[mask]
    out.value[where] = rows.value[mask]


def _slice(problem: Problem, part: slice) -> Problem:
    return Problem(
        form=problem.form,
        log_inputs=problem.log_inputs,
        response=_pick(problem.response, part),
        cases=_pick(problem.cases, part),
        objective=problem.objective,
        lo=problem.lo,
        hi=problem.hi,
        ties=problem.ties,
    )


def _pick(array: Floats, rows: Bools | slice) -> Floats:
    """Rows of an array whose first axis may be 1, standing for all."""
    return array if len(array) == 1 else array[rows]
