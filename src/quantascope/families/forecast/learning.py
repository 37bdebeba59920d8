"""Learning what is common to the curves of all groups, by expectation and maximisation."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from quantascope.core.rng import stream
from quantascope.families.forecast.hierarchy import (
    Ensemble,
    Hierarchy,
    positions_prior,
    responsibilities,
)
from quantascope.families.forecast.mixture import Unit
from quantascope.families.forecast.prior import (
    NEVER,
    SCATTER,
    SLOPE,
    Prior,
    make_noises,
    start_prior,
)
from quantascope.families.forecast.seen import Floats, Seen
from quantascope.families.forecast.shapes import make_shapes
from quantascope.families.forecast.table import Table

__all__ = ["fit_hierarchy"]

_SAMPLE: Final = 1200
"""Groups from which the prior is learned: its error is then far below the spread of groups."""
_MOST_LEVELS: Final = 12
"""Levels that are used: cost grows with their square, and neighbours say the same."""
_ROUNDS: Final = 12
_PSEUDO: Final = 4.0
"""Groups that the starting values count as."""
_LOWER: Final = (0.5, 1.0)
"""How far below its likeliest value the mean floor is tried too, in the later half's fall."""
_USUAL_SHIFT: Final = 0.3
"""Standard deviation of how far runs are ahead, in gaps between levels."""
_MOST_SHIFT: Final = 0.4
_COUNT_AS: Final = 200.0
"""Groups that a family counts as where it is weighed against a prior."""


def fit_hierarchy(
    seen: Seen,
    *,
    unit: Unit,
    end: float,
    follows_use: bool,
    seed: int = 0,
    alone: bool = False,
) -> Ensemble:
    """Learn what is common to the curves of all groups.

    Parameters
    ----------
    seen
        Groups.
    unit
        In which losses are Gaussian.
    end
        Largest size or step that will be asked for.
    follows_use
        Whether positions of steps follow the use of groups, or all have one prior.
    seed
        Of the sample from which the prior is learned, where groups are many.
    alone
        Leave out the members with lower floors.
    """
    if len(seen.x) > _MOST_LEVELS:  # the last always, the others evenly
        places = np.linspace(0, len(seen.x) - 1, _MOST_LEVELS).round().astype(np.int64)
        seen = seen.levels(places)
    z = unit.forward(seen.losses)
    part = np.arange(len(z))
    if len(z) > _SAMPLE:
        part = np.sort(stream(seed, "forecast", "sample").permutation(len(z))[:_SAMPLE])
    shapes = make_shapes(seen.t, end=float(np.log(end)))
    start = Hierarchy(
        seen=seen,
        unit=unit,
        shapes=shapes,
        noise=make_noises(seen, z),
        prior=start_prior(seen, z, shapes),
        follows_use=follows_use,
        log_likelihood=float("nan"),
        ahead=np.zeros(len(seen.t)),
    )
    free = _learn(start, z, part)
    fall = max(float((z[:, (z.shape[1] - 1) // 2] - z[:, -1]).mean()), 0.0)
    members = [free]
    for lower in _LOWER if fall > 0 and not alone else ():
        floor = float(free.prior.mean[1]) - lower * fall
        prior = replace(free.prior, mean=np.array([free.prior.mean[0], floor]))
        members.append(_learn(replace(start, prior=prior, floor=floor), z, part))
    score = np.array([member.log_likelihood for member in members])
    weights = np.exp((score - score.max()) * min(len(part) * z.shape[1], _COUNT_AS))
    return Ensemble(members=tuple(members), weights=weights / weights.sum())


def _learn(found: Hierarchy, z: Floats, part: NDArray[np.int64]) -> Hierarchy:
    """Learn the prior from some groups, in turns with how far runs are ahead."""
    use, unit = found.seen.use[part], found.unit
    for turn in range(_ROUNDS):
        found = _improve(found, z[part], use, settle=turn % 3 == 0)
        if turn % 2 and turn > 2 and z.shape[1] > 2:
            found = _align(found, part)
    slope = unit.log_slope(found.seen.losses[part])
    per_loss = found.log_likelihood / z[part].size + slope.mean()
    return replace(found, log_likelihood=float(per_loss))


def _align(found: Hierarchy, part: NDArray[np.int64]) -> Hierarchy:
    """Move each level to where the runs behind it seem to stand, all groups together.

    A shift of all levels, or one in proportion to ln x, is no one's: these are taken out.
    """
    mine = replace(found, seen=found.seen.rows(part))
    fitted, slope = mine.at_levels()
    off = found.unit.forward(mine.seen.losses) - fitted
    gap = float(np.median(np.diff(found.seen.t)))
    noise = float((off**2).mean()) / (_USUAL_SHIFT * gap) ** 2
    groups = min(1.0, _COUNT_AS / len(part))
    pull = groups * (slope**2).sum(axis=0) + noise
    step = groups * (slope * off).sum(axis=0) / np.maximum(pull, 1e-12)
    ahead = found.ahead + step
    trend = np.polynomial.Polynomial.fit(found.seen.t, ahead, 1)
    ahead = np.clip(ahead - trend(found.seen.t), -_MOST_SHIFT * gap, _MOST_SHIFT * gap)
    return replace(found, ahead=ahead)


def _improve(found: Hierarchy, z: Floats, use: Floats, *, settle: bool) -> Hierarchy:
    """Take one step of expectation and maximisation; `settle` moves the line of positions too."""
    prior, shapes = found.prior, found.shapes
    table = Table.of(found.t, shapes, found.noise, prior=prior)
    weight, log_likelihood = responsibilities(found, table, z, use)
    n_noise = len(prior.noise)
    by_shape = weight.reshape(len(z), -1, n_noise)
    noise = by_shape.sum(axis=(0, 1)) + _PSEUDO / n_noise
    of_type = np.bincount(shapes.type_of, weights=by_shape.sum(axis=(0, 2)))
    start = np.append(np.full(len(of_type) - 1, (1 - NEVER) / (len(of_type) - 1)), NEVER)
    types = np.asarray(of_type + _PSEUDO * start, dtype=np.float64)
    mean, covariance = _ends(prior, table, weight, z, floor=found.floor)
    moved = replace(
        prior,
        noise=np.log(noise / noise.sum()),
        types=np.log(types / types.sum()),
        mean=mean,
        covariance=covariance,
    )
    if settle:
        line, spread = _fit_line(found, weight, z, use)
        moved = replace(moved, line=line, line_covariance=spread)
    return replace(found, prior=moved, log_likelihood=log_likelihood)


def _ends(
    prior: Prior, table: Table, weight: Floats, z: Floats, *, floor: float | None
) -> tuple[Floats, Floats]:
    """Give mean and covariance of start and floor over groups, from sums over cases."""
    n, n_levels = z.shape
    share = weight.sum(axis=0)
    sums = weight.T @ z
    squares = weight.T @ (z[:, :, None] * z[:, None, :]).reshape(n, n_levels**2)
    gain = table.ends_gain(prior)
    base = prior.mean - np.einsum("jel,jl->je", gain, table.mean)
    first = np.einsum("jel,jl->je", gain, sums) + share[:, None] * base
    outer = gain @ squares.reshape(-1, n_levels, n_levels) @ gain.transpose(0, 2, 1)
    mixed = np.einsum("jel,jl,jf->jef", gain, sums, base)
    outer += mixed + mixed.transpose(0, 2, 1)
    outer += share[:, None, None] * base[:, :, None] * base[:, None, :]
    left = prior.covariance - gain @ table.design @ prior.covariance
    second = outer.sum(axis=0) + (share[:, None, None] * left).sum(axis=0)
    total = n + _PSEUDO
    first_sum = first.sum(axis=0) + _PSEUDO * prior.mean
    second += _PSEUDO * (prior.covariance + np.outer(prior.mean, prior.mean))
    mean = first_sum / total
    if floor is not None:
        mean[1] = floor
    crossed = np.outer(first_sum, mean)
    covariance = (second - crossed - crossed.T) / total + np.outer(mean, mean)
    return mean, (covariance + covariance.T) / 2 + 1e-9 * np.eye(2) * np.trace(covariance)


def _fit_line(found: Hierarchy, weight: Floats, z: Floats, use: Floats) -> tuple[Floats, Floats]:
    """Move the line of positions to its most probable place; give it with its covariance."""
    shapes, t = found.shapes, found.seen.t
    n_noise = len(found.noise.scale)
    by_shape = weight.reshape(len(z), -1, n_noise).sum(axis=2)
    by_cell = by_shape[:, : shapes.n_steps].reshape(len(z), len(shapes.position), -1).sum(axis=2)
    rest = by_shape[:, shapes.n_steps :].sum(axis=1)
    per_prior = by_cell / positions_prior(found, use, found.prior.line)  # likelihood up to a factor
    plain = replace(found, prior=replace(found.prior, line_covariance=np.zeros((2, 2))))
    middle, span = float(t.mean()), float(t[-1] - t[0])

    def minus_log(line: NDArray[np.float64]) -> float:
        inside = (positions_prior(plain, use, line) * per_prior).sum(axis=1) + rest
        off = (line - [middle, *(v[0] for v in (SLOPE, SCATTER))]) / [
            3 * span,
            SLOPE[1],
            SCATTER[1],
        ]
        return float(-np.log(inside).sum() + 0.5 * (off**2).sum())

    best = minimize(
        minus_log,
        found.prior.line,
        method="Nelder-Mead",
        options={"maxiter": 150, "xatol": 1e-2, "fatol": 1e-2},
    ).x
    return best, _curvature(minus_log, best)


def _curvature(minus_log, best: Floats) -> Floats:  # type: ignore[no-untyped-def]
    """Give the covariance of middle and slope from second differences."""
    size = np.array([0.1, 0.05, 0.1])
    hessian = np.empty((3, 3))
    for i in range(3):
        for k in range(i, 3):
            a, b = np.eye(3)[i] * size, np.eye(3)[k] * size
            mixed = minus_log(best + a + b) - minus_log(best + a - b)
            mixed -= minus_log(best - a + b) - minus_log(best - a - b)
            hessian[i, k] = hessian[k, i] = mixed / (4 * size[i] * size[k])
    values, vectors = np.linalg.eigh(hessian)
    covariance = vectors @ np.diag(1 / np.maximum(values, 0.1)) @ vectors.T
    return np.asarray(covariance[:2, :2])
