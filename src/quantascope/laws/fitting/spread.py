"""How far parameters may be off: sandwich covariance and profile likelihood.

Both treat the objective as a quasi-likelihood: the sandwich divides the variance of the influence
by the curvature (Huber 1967; White 1982), the profile scales the rise of the objective so that it
is distributed as chi-square (Ronchetti's test of rho type, Heritier and Ronchetti 1994,
doi:10.1080/01621459.1994.10476822), with Student's correction for few points. With Huber's delta
far below the residuals the curvature lives in few points; it is therefore estimated in a window
around zero, like the density at the median in quantile regression.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import stats
from scipy.interpolate import PchipInterpolator

from quantascope.laws.fitting.data import Points
from quantascope.laws.fitting.frame import Frame
from quantascope.laws.fitting.minimise import evaluate, minimise
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.forms.law import Bools, Floats

__all__ = [
    "Profile",
    "covariance_of",
    "model_covariance",
    "profile_interval",
    "profile_values",
    "residuals_of",
    "sandwich",
]

_N_RELAYS: Final = 2
"""Each value starts again this often from its inner neighbour's solution, and keeps the better."""
_POINTS_PER_PARAM: Final = 5
"""With fewer the sandwich is too small."""
_NEAR: Final = np.array([0.6, 1.2, 1.8, 2.4, 3.2, 4.5])
"""Distances, in standard errors, at which a profile is taken on either side."""
_FAR: Final = np.array([7.0, 12.0, 25.0, 60.0, 1e9])
"""Where the objective has not risen enough by then; the last one is the bound."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The objective minimised over all other parameters, at values of one."""

    name: str
    value: Floats
    """Values of the parameter, in the caller's unit."""
    objective: Floats
    statistic: Floats
    """Signed root of the scaled rise; about Student-t distributed at the truth."""
    lo: float
    hi: float
    open_lo: bool
    """The objective does not rise enough before the lower bound: no lower end is identified."""
    open_hi: bool


def residuals_of(
    frame: Frame, points: Points, objective: Objective, *, theta: Floats
) -> tuple[Floats, Floats]:
    """Residuals [point] and gradient of the fit in all parameters [param, point]."""
    problem = frame.problem(points, objective)
    with np.errstate(divide="ignore", invalid="ignore"):  # a floor of zero has no gradient
        log_fit, gradient = frame.law.form(theta[None], problem.log_inputs)
    if objective.raw:
        fit = np.exp(log_fit)
        return (problem.response - fit)[0], (gradient * fit[:, None, :])[0]
    return (np.log(problem.response) - log_fit)[0], gradient[0]


def sandwich(frame: Frame, points: Points, objective: Objective, *, theta: Floats) -> Floats:
    """Covariance of the parameters, robust to unequal errors and, with groups, to clusters.

    Returns
    -------
    Floats
        Axes ``param param``, internal coordinates of the frame; infinite variance where the
        data say nothing.
    """
    residual, gradient = residuals_of(frame, points, objective, theta=theta)
    free = frame.ties.T @ gradient
    weight = points.weights
    bend = (free * (weight * _curvature(residual, objective, free=len(free)))) @ free.T
    score = free * (weight * objective.weight(residual) * residual)
    n, size = points.n, len(free)
    factor = n / max(n - size, 1)
    if points.groups is not None:
        score = np.stack([np.bincount(points.groups, weights=row) for row in score], dtype=float)
        n_groups = score.shape[1]
        factor = n_groups / max(n_groups - 1, 1) * (n - 1) / max(n - size, 1)
    inverse, lost = _inverse(bend)
    covariance = factor * inverse @ (score @ score.T) @ inverse
    return _all_params(frame, covariance, lost)


def covariance_of(frame: Frame, points: Points, objective: Objective, *, theta: Floats) -> Floats:
    """Covariance of the parameters: the sandwich, from five points a parameter on."""
    few = points.n < _POINTS_PER_PARAM * frame.ties.shape[1]
    way = model_covariance if few and points.groups is None else sandwich
    return way(frame, points, objective, theta=theta)


def model_covariance(
    frame: Frame, points: Points, objective: Objective, *, theta: Floats
) -> Floats:
    """Covariance of the parameters if all errors are of one size, for few points.

    The sandwich estimates the size of each error by its own residual, which a fit with few
    points to spare has made small.
    """
    residual, gradient = residuals_of(frame, points, objective, theta=theta)
    free = frame.ties.T @ gradient
    bend = (free * (points.weights * _curvature(residual, objective, free=len(free)))) @ free.T
    inverse, lost = _inverse(bend)
    factor = _scale(frame, points, objective, theta=theta)
    return _all_params(frame, inverse / factor if factor else np.full_like(inverse, np.inf), lost)


def _all_params(frame: Frame, covariance: Floats, lost: Bools) -> Floats:
    """Spread a covariance of free coordinates over all parameters; infinite where data are mute."""
    usable = np.where(np.isfinite(covariance), covariance, 0.0)
    full = frame.ties @ usable @ frame.ties.T
    mute = lost | ~np.isfinite(np.diag(covariance))
    variance = np.maximum(np.diag(full), 0.0)  # rounding of a zero
    variance = np.where((frame.ties * mute).any(axis=1), np.inf, variance)
    full[np.diag_indices(len(full))] = variance
    return np.asarray(full)


def _inverse(matrix: Floats) -> tuple[Floats, Bools]:
    """Inverse over the directions that data inform, and the coordinates that they do not."""
    scale = np.sqrt(np.diag(matrix))
    safe = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(matrix / np.outer(safe, safe))
    good = values > 1e-11 * max(values.max(), 1e-300)
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T / np.outer(safe, safe)
    lost = (scale == 0) | ((vectors[:, ~good] ** 2).sum(axis=1) > 0.05)
    return inverse, lost


def _curvature(residual: Floats, objective: Objective, *, free: int) -> Floats:
    """Mean second derivative of the loss near zero, smoothed over a window."""
    if not objective.robust:
        return np.ones_like(residual)
    n = len(residual)
    # Hall and Sheather 1988, doi:10.1111/j.2517-6161.1988.tb01735.x: half width n^(-1/3)
    # z^(2/3) (1.5 phi(0)^2)^(1/3) in quantiles, for a 95 % interval and a normal density
    share = 2 * n ** (-1 / 3) * stats.norm.ppf(0.975) ** (2 / 3) * (1.5 / (2 * np.pi)) ** (1 / 3)
    size = np.abs(residual)
    window = max(objective.delta, np.quantile(size, min(max(share, (free + 2) / n), 1.0)))
    inside = size <= window
    # the derivative jumps by 2 delta across zero, however the objective leans
    return np.asarray(inside * objective.delta / window)


def _scale(frame: Frame, points: Points, objective: Objective, *, theta: Floats) -> float:
    """Factor that turns twice a rise of the objective into a chi-square."""
    residual, _ = residuals_of(frame, points, objective, theta=theta)
    n, free = points.n, frame.ties.shape[1]
    bend = (points.weights * _curvature(residual, objective, free=free)).sum()
    power = ((points.weights * objective.weight(residual) * residual) ** 2).sum()
    if power == 0:
        return np.inf
    return float(bend / power * (n - free) / n) if n > free else 0.0


def profile_interval(
    frame: Frame,
    points: Points,
    objective: Objective,
    *,
    theta: Floats,
    name: str,
    confidence: float,
) -> Profile:
    """Profile one parameter until the objective has risen enough on both sides.

    Parameters
    ----------
    frame
        In the caller's units (`choose_frame` with ``own_units``).
    points, objective
        The fit.
    theta
        Its minimum in that frame, axis ``param``.
    name
        Parameter.
    confidence
        Between 0 and 1.
    """
    index = frame.law.index(name)
    error = np.sqrt(sandwich(frame, points, objective, theta=theta)[index, index])
    error = error if 0 < error < np.inf else 1.0
    lowest = float(evaluate(frame.problem(points, objective), theta[None])[0])
    factor = _scale(frame, points, objective, theta=theta)
    freedom = max(points.n - frame.ties.shape[1], 1)
    limit = stats.t.ppf(0.5 + confidence / 2, freedom)
    for reach in (_NEAR, np.concatenate([_NEAR, _FAR])):
        steps = np.concatenate([-reach[::-1], [0.0], reach]) * error
        value = np.unique(np.clip(theta[index] + steps, frame.lo[index], frame.hi[index]))
        minima = profile_values(frame, points, objective, theta=theta, name=name, at=value)
        root = _signed_root(value - theta[index], minima - lowest, factor=factor)
        ends = {"centre": float(theta[index]), "limit": float(limit)}
        lo, open_lo = _crossing(value, root, **ends, upward=False)
        hi, open_hi = _crossing(value, root, **ends, upward=True)
        if not (open_lo or open_hi):
            break
    natural = np.exp if frame.law.params[index].positive else np.asarray
    return Profile(
        name=name,
        value=natural(value),
        objective=minima,
        statistic=root,
        lo=float(natural(lo))
        if not open_lo
        else (0.0 if frame.law.params[index].positive else -np.inf),
        hi=float(natural(hi)) if not open_hi else np.inf,
        open_lo=open_lo,
        open_hi=open_hi,
    )


def _crossing(
    value: Floats, root: Floats, *, centre: float, limit: float, upward: bool
) -> tuple[float, bool]:
    """Walk from the estimate until the root passes the limit; the bound and True if never."""
    side = np.flatnonzero(value >= centre) if upward else np.flatnonzero(value <= centre)[::-1]
    rising = np.maximum.accumulate(np.abs(root[side]))
    if rising[-1] < limit:
        return float(value[side[-1]]), True
    keep = np.append(np.diff(rising) > 0, True)  # of a flat stretch the outer end
    distance, height = np.abs(value[side[keep]] - centre), rising[keep]
    if len(height) == 1 or height[0] >= limit:  # already past it: exact data
        return float(value[side[keep][0]]), False
    at = PchipInterpolator(distance, height).solve(limit, extrapolate=False)
    crossed = float(at[np.isfinite(at)][0])
    return centre + (crossed if upward else -crossed), False


def _signed_root(side: Floats, rise: Floats, *, factor: float) -> Floats:
    """Root of twice the scaled rise, negative below the estimate; bounded for exact data."""
    scaled = np.where(rise > 0, 2 * min(factor, 1e300) * np.maximum(rise, 0.0), 0.0)
    return np.asarray(np.sign(side) * np.sqrt(np.minimum(scaled, 1e18)))


def profile_values(
    frame: Frame, points: Points, objective: Objective, *, theta: Floats, name: str, at: Floats
) -> Floats:
    """Minimise over all other parameters at given values of one (internal coordinates, sorted)."""
    index = frame.law.index(name)
    ties = frame.ties[:, frame.ties[index] == 0]
    starts = np.repeat(theta[None], len(at), axis=0)
    tied = frame.ties[:, frame.ties[index] > 0].any(axis=1) | (np.arange(len(theta)) == index)
    starts[:, tied] = at[:, None]
    problem = frame.problem(points, objective)
    if not ties.shape[1]:
        return evaluate(problem, starts)
    problem = replace(problem, ties=ties)
    ends = minimise(problem, starts)
    best, solution = ends.value, ends.theta
    inner = np.where(
        at > theta[index], np.arange(len(at)) - 1, np.minimum(np.arange(len(at)) + 1, len(at) - 1)
    )
    for _ in range(_N_RELAYS):
        again = minimise(problem, np.where(tied, starts, solution[inner]))
        better = again.value < best
        best = np.where(better, again.value, best)
        solution = np.where(better[:, None], again.theta, solution)
    return best
