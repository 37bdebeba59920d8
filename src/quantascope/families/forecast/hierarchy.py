"""Curves of all groups fitted together: a dictionary of shapes, its prior learned from the groups.

Every group has one shape of the dictionary, a start and a floor; its means lie off the curve by
noise, part of which lasts along the levels. Given shape and noise all of this is linear and
Gaussian, so start and floor are integrated out, and what is left is a table of likelihoods
(group x shape x noise). How common shapes and noise are, and how starts and floors are spread, is
learned by expectation and maximisation (empirical Bayes). Positions of steps have a logistic prior
around a line in what the Quantization Model says (`Seen.use`), or around one number for all.
A forecast of a group averages over all shapes: what its own points leave open, the others fill.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from quantascope.core.rng import stream
from quantascope.families.forecast.mixture import Mixture, Unit, gather, join
from quantascope.families.forecast.seen import Floats, Seen
from quantascope.families.forecast.shapes import Shapes, make_shapes

__all__ = ["Ensemble", "Hierarchy", "fit_hierarchy"]

_SAMPLE: Final = 1200
"""Groups from which the prior is learned: its error is then far below the spread of groups."""
_MOST_LEVELS: Final = 12
"""Levels that are used: cost grows with their square, and neighbours say the same."""
_ROUNDS: Final = 12
_N_SCALES: Final = 4
_SCALES: Final = (0.01, 0.6)  # standard deviation of noise, in that of all losses
_LASTING: Final = (0.0, 0.9)
"""Shares of the noise's variance that last along the levels."""
_MEMORY: Final = 0.5  # of the log range seen: length over which it lasts
_PSEUDO: Final = 4.0
"""Groups that the starting values count as."""
_NEVER: Final = 0.05  # prior share of groups that do not change
_SLOPE: Final = (1.0, 0.5)  # prior mean and standard deviation: theory has 1
_SCATTER: Final = (-0.4, 0.7)  # of ln of the scatter about the line [ln of ln x]
_LOWER: Final = (0.5, 1.0)
"""How far below its likeliest value the mean floor is tried too, in the later half's fall."""
_LEAST_WEIGHT: Final = 0.02
_USUAL_SHIFT: Final = 0.3
"""Standard deviation of how far runs are ahead, in gaps between levels."""
_MOST_SHIFT: Final = 0.4
_COUNT_AS: Final = 200.0
"""Groups that a family counts as where it is weighed against a prior."""
_ROWS: Final = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class _Prior:
    """What is common to groups."""

    mean: Floats
    """Of start and floor."""
    covariance: Floats
    types: Floats
    """ln of the share of each kind of shape."""
    noise: Floats
    """ln of the share of each noise, axis ``noise``."""
    line: Floats
    """Middle of positions at `use` 0, slope, ln of the scatter."""
    line_covariance: Floats
    """Of middle and slope."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Noise:
    """Standard deviation and lasting share of each noise, axis ``noise``."""

    scale: Floats
    lasting: Floats
    length: float

    def covariance(self, t: Floats, other: Floats, *, same: bool) -> Floats:
        """Give covariances, axes ``noise t other``; `same`: a time shares its own error."""
        kept = np.exp(-np.abs(t[:, None] - other) / self.length)
        own = np.eye(len(t)) if same else np.zeros(kept.shape)
        lasting = self.lasting[:, None, None]
        return self.scale[:, None, None] ** 2 * (lasting * kept + (1 - lasting) * own)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hierarchy:
    """A fitted family of curves."""

    seen: Seen
    unit: Unit
    shapes: Shapes
    noise: _Noise
    prior: _Prior
    follows_use: bool
    log_likelihood: float
    """Of the losses of the groups that the prior was learned from, an observation [ln 1/nat]."""
    ahead: Floats
    """How much farther the runs of each level have come than its ln x says, axis ``level``."""
    floor: float | None = None
    """Mean of the floors where it is held; None: learned."""

    @property
    def t(self) -> Floats:
        """Logarithm of the levels seen, runs that are ahead counted as such."""
        return self.seen.t + self.ahead

    @property
    def slope(self) -> tuple[float, float]:
        """Slope of ln x of learning against `Seen.use`, and its standard error; theory has 1."""
        return float(self.prior.line[1]), float(np.sqrt(self.prior.line_covariance[1, 1]))

    @property
    def scatter(self) -> float:
        """Scale of the logistic scatter of positions about the line [ln x]."""
        return float(np.exp(self.prior.line[2]))

    def predict(self, target: float, *, shift: float = 0.0) -> Mixture:
        """Give the distribution of each group's loss at a target.

        Parameters
        ----------
        target
            Size or step.
        shift
            How much farther a run has come than its ln x says, in ln x.
        """
        z = self.unit.forward(self.seen.losses)
        table = _Table.of(self.t, self.shapes, self.noise, prior=self.prior)
        point = np.log(target) + shift
        of_noise = np.repeat(np.arange(_N_SCALES), len(_LASTING))
        kind = np.tile(of_noise, len(self.shapes.type_of))
        gain, offset, variance = table.look(point, self.shapes, self.noise, prior=self.prior)
        parts = []
        for start in range(0, len(z), _ROWS):
            rows = slice(start, start + _ROWS)
            weight = _responsibilities(self, table, z[rows], self.seen.use[rows])[0]
            location = z[rows] @ gain.T + offset
            parts.append(gather(weight, location, variance, kind=kind, n_kinds=_N_SCALES))
        weight, location, scale = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Mixture(weight=weight, location=location, scale=scale, unit=self.unit)

    def at_levels(self) -> tuple[Floats, Floats]:
        """Give fitted curves at the levels seen and their slopes in ln x, axes ``group level``."""
        z = self.unit.forward(self.seen.losses)
        t, step = self.t, 0.05 * float(np.median(np.diff(self.seen.t)))
        table = _Table.of(t, self.shapes, self.noise, prior=self.prior)
        left, ahead = self.shapes.left(t), self.shapes.left(t + step)
        fitted, slope = np.empty_like(z), np.empty_like(z)
        for begin in range(0, len(z), _ROWS):
            rows = slice(begin, begin + _ROWS)
            weight = _responsibilities(self, table, z[rows], self.seen.use[rows])[0]
            start, floor = table.ends(z[rows], prior=self.prior)
            by_shape = [
                (weight * each).reshape(len(weight), len(left), -1).sum(axis=2)
                for each in (start, floor)
            ]
            fitted[rows] = by_shape[0] @ left + by_shape[1] @ (1 - left)
            slope[rows] = (by_shape[0] - by_shape[1]) @ ((ahead - left) / step)
        return fitted, slope


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """Fits that differ in the mean of the floors, which few levels hardly tell."""

    members: tuple[Hierarchy, ...]
    weights: Floats
    """By likelihood, a family counting as `_COUNT_AS` observations at most."""

    @property
    def seen(self) -> Seen:
        """What was seen."""
        return self.members[0].seen

    @property
    def best(self) -> Hierarchy:
        """The likeliest member."""
        return self.members[int(np.argmax(self.weights))]

    @property
    def log_likelihood(self) -> float:
        """Of the members together, an observation [ln 1/nat]."""
        return float(self.weights @ [member.log_likelihood for member in self.members])

    def predict(self, target: float, *, shift: float = 0.0) -> Mixture:
        """Give the distribution of each group's loss; arguments as `Hierarchy.predict`."""
        kept = np.flatnonzero(self.weights > _LEAST_WEIGHT)
        parts = [self.members[i].predict(target, shift=shift) for i in kept]
        return join(parts, self.weights[kept] / self.weights[kept].sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Table:
    """Gaussians of the losses at the levels seen, one a shape and noise; axis ``case`` first."""

    design: Floats
    """Axes ``case level end``."""
    mean: Floats
    """Axes ``case level``."""
    inverse: Floats
    """Of the covariance, axes ``case level level``."""
    log_norm: Floats
    t: Floats

    @classmethod
    def of(cls, t: Floats, shapes: Shapes, noise: _Noise, *, prior: _Prior) -> "_Table":
        """Make the table."""
        left = shapes.left(t)
        design = np.repeat(np.stack([left, 1 - left], axis=2), len(noise.scale), axis=0)
        own = np.tile(noise.covariance(t, t, same=True), (len(left), 1, 1))
        covariance = design @ prior.covariance @ design.transpose(0, 2, 1) + own
        _, log_det = np.linalg.slogdet(covariance)
        return cls(
            design=design,
            mean=design @ prior.mean,
            inverse=np.asarray(np.linalg.inv(covariance), dtype=np.float64),
            log_norm=-0.5 * (log_det + len(t) * np.log(2 * np.pi)),
            t=t,
        )

    def log_likelihood(self, z: Floats) -> Floats:
        """Give axes ``group case``."""
        n, n_levels = z.shape
        squares = (z[:, :, None] * z[:, None, :]).reshape(n, n_levels**2)
        pull = np.einsum("jkl,jl->jk", self.inverse, self.mean)
        bias = np.einsum("jk,jk->j", pull, self.mean)
        quadratic = squares @ self.inverse.reshape(-1, n_levels**2).T - 2 * z @ pull.T + bias
        return self.log_norm - 0.5 * np.maximum(quadratic, 0.0)

    def ends(self, z: Floats, *, prior: _Prior) -> tuple[Floats, Floats]:
        """Give expected start and floor, each with axes ``group case``."""
        gain = self.ends_gain(prior)
        base = prior.mean - np.einsum("jel,jl->je", gain, self.mean)
        start, floor = (z @ gain[:, e].T + base[:, e] for e in range(2))
        return start, floor

    def ends_gain(self, prior: _Prior) -> Floats:
        """Give axes ``case end level``."""
        return np.asarray(prior.covariance @ self.design.transpose(0, 2, 1) @ self.inverse)

    def look(
        self, point: float, shapes: Shapes, noise: _Noise, *, prior: _Prior
    ) -> tuple[Floats, Floats, Floats]:
        """Give weights of the losses seen, constant and variance of the loss at ln x."""
        at = np.array([point])
        left = shapes.left(at)
        there = np.repeat(np.concatenate([left, 1 - left], axis=1), len(noise.scale), axis=0)
        lasting = np.tile(noise.covariance(at, self.t, same=False)[:, 0], (len(left), 1))
        spread = there @ prior.covariance
        cross = np.einsum("je,jle->jl", spread, self.design) + lasting
        gain = np.einsum("jl,jlk->jk", cross, self.inverse)
        own = np.tile(noise.scale**2, len(left))
        variance = (spread * there).sum(axis=1) + own - (gain * cross).sum(axis=1)
        offset = there @ prior.mean - (gain * self.mean).sum(axis=1)
        return gain, offset, np.maximum(variance, 1e-4 * own)


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
        noise=_noises(seen, z),
        prior=_start(seen, z, shapes),
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


def _noises(seen: Seen, z: Floats) -> _Noise:
    size = np.geomspace(*_SCALES, _N_SCALES) * max(float(z.std()), 1e-6)
    scale, lasting = (v.ravel() for v in np.meshgrid(size, _LASTING, indexing="ij"))
    return _Noise(scale=scale, lasting=lasting, length=_MEMORY * float(seen.t[-1] - seen.t[0]))


def _start(seen: Seen, z: Floats, shapes: Shapes) -> _Prior:
    spread = max(float(z.std()), 1e-6)
    n_noise = _N_SCALES * len(_LASTING)
    n_changing = shapes.n_types - 1
    share = np.append(np.full(n_changing, (1 - _NEVER) / n_changing), _NEVER)
    return _Prior(
        mean=np.array([z[:, 0].mean(), np.quantile(z[:, -1], 0.1)]),
        covariance=np.diag([z[:, 0].var() + 0.01 * spread**2, (0.3 * spread) ** 2]),
        types=np.log(share),
        noise=np.full(n_noise, -np.log(n_noise)),
        line=np.array([seen.t.mean(), _SLOPE[0], _SCATTER[0]]),
        line_covariance=np.zeros((2, 2)),
    )


def _positions(found: Hierarchy, use: Floats, line: Floats) -> Floats:
    """Give the prior of positions of each group, axes ``group cell``."""
    slope = line[1] if found.follows_use else 0.0
    middle = line[0] + slope * use
    cov = found.prior.line_covariance
    extra = cov[0, 0] + 2 * cov[0, 1] * use + cov[1, 1] * use**2
    scale = np.sqrt(np.exp(2 * line[2]) + 3 / np.pi**2 * extra)
    below = expit((found.shapes.edges - middle[:, None]) / scale[:, None])
    ends = [np.zeros((len(use), 1)), below, np.ones((len(use), 1))]
    return np.maximum(np.diff(np.concatenate(ends, axis=1), axis=1), 1e-12)


def _log_prior(found: Hierarchy, use: Floats) -> Floats:
    """Give axes ``group case``."""
    shapes, prior = found.shapes, found.prior
    by_shape = np.broadcast_to(prior.types[shapes.type_of], (len(use), len(shapes.type_of))).copy()
    where = np.log(_positions(found, use, prior.line))
    by_shape[:, : shapes.n_steps] += np.repeat(where, len(shapes.width), axis=1)
    return (by_shape[:, :, None] + prior.noise).reshape(len(use), -1)


def _responsibilities(
    found: Hierarchy, table: _Table, z: Floats, use: Floats
) -> tuple[Floats, float]:
    """Give the probability of each case for each group, and the log likelihood of all."""
    both = table.log_likelihood(z) + _log_prior(found, use)
    top = both.max(axis=1, keepdims=True)
    both -= top
    np.exp(both, out=both)
    total = both.sum(axis=1, keepdims=True)
    both /= total
    return both, float((np.log(total) + top).sum())


def _improve(found: Hierarchy, z: Floats, use: Floats, *, settle: bool) -> Hierarchy:
    """Take one step of expectation and maximisation; `settle` moves the line of positions too."""
    prior, shapes = found.prior, found.shapes
    table = _Table.of(found.t, shapes, found.noise, prior=prior)
    weight, log_likelihood = _responsibilities(found, table, z, use)
    n_noise = len(prior.noise)
    by_shape = weight.reshape(len(z), -1, n_noise)
    noise = by_shape.sum(axis=(0, 1)) + _PSEUDO / n_noise
    of_type = np.bincount(shapes.type_of, weights=by_shape.sum(axis=(0, 2)))
    start = np.append(np.full(len(of_type) - 1, (1 - _NEVER) / (len(of_type) - 1)), _NEVER)
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
    prior: _Prior, table: _Table, weight: Floats, z: Floats, *, floor: float | None
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
    per_prior = by_cell / _positions(found, use, found.prior.line)  # likelihood up to a factor
    plain = replace(found, prior=replace(found.prior, line_covariance=np.zeros((2, 2))))
    middle, span = float(t.mean()), float(t[-1] - t[0])

    def minus_log(line: NDArray[np.float64]) -> float:
        inside = (_positions(plain, use, line) * per_prior).sum(axis=1) + rest
        off = (line - [middle, *(v[0] for v in (_SLOPE, _SCATTER))]) / [
            3 * span,
            _SLOPE[1],
            _SCATTER[1],
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
