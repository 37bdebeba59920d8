"""Curves of all groups fitted together: a dictionary of shapes, its prior learned from the groups.

Every group has one shape of the dictionary, a start and a floor; its means lie off the curve by
noise, part of which lasts along the levels. Given shape and noise all of this is linear and
Gaussian, so start and floor are integrated out, and what is left is a table of likelihoods
(group x shape x noise). How common shapes and noise are, and how starts and floors are spread, is
learned by expectation and maximisation (empirical Bayes). Positions of steps have a logistic prior
around a line in what the Quantization Model says (`Seen.use`), or around one number for all.
A forecast of a group averages over all shapes: what its own points leave open, the others fill.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from quantascope.families.forecast.mixture import Mixture, Unit, gather, join
from quantascope.families.forecast.prior import Noise, Prior
from quantascope.families.forecast.seen import Floats, Seen
from quantascope.families.forecast.shapes import Shapes
from quantascope.families.forecast.table import Table

__all__ = ["Ensemble", "Hierarchy", "positions_prior", "responsibilities"]

_LEAST_WEIGHT: Final = 0.02
_ROWS: Final = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Hierarchy:
    """A fitted family of curves."""

    seen: Seen
    unit: Unit
    shapes: Shapes
    noise: Noise
    prior: Prior
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
        table = Table.of(self.t, self.shapes, self.noise, prior=self.prior)
        point = np.log(target) + shift
        kind = np.tile(self.noise.size_of, len(self.shapes.type_of))
        gain, offset, variance = table.look(point, self.shapes, self.noise, prior=self.prior)
        parts = []
        for start in range(0, len(z), _ROWS):
            rows = slice(start, start + _ROWS)
            weight = responsibilities(self, table, z[rows], self.seen.use[rows])[0]
            location = z[rows] @ gain.T + offset
            parts.append(gather(weight, location, variance, kind=kind, n_kinds=self.noise.n_sizes))
        weight, location, scale = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Mixture(weight=weight, location=location, scale=scale, unit=self.unit)

    def at_levels(self) -> tuple[Floats, Floats]:
        """Give fitted curves at the levels seen and their slopes in ln x, axes ``group level``."""
        z = self.unit.forward(self.seen.losses)
        t, step = self.t, 0.05 * float(np.median(np.diff(self.seen.t)))
        table = Table.of(t, self.shapes, self.noise, prior=self.prior)
        left, ahead = self.shapes.left(t), self.shapes.left(t + step)
        fitted, slope = np.empty_like(z), np.empty_like(z)
        for begin in range(0, len(z), _ROWS):
            rows = slice(begin, begin + _ROWS)
            weight = responsibilities(self, table, z[rows], self.seen.use[rows])[0]
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
    """By likelihood, a family counting as a bounded number of observations."""

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


def positions_prior(found: Hierarchy, use: Floats, line: Floats) -> Floats:
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
    where = np.log(positions_prior(found, use, prior.line))
    by_shape[:, : shapes.n_steps] += np.repeat(where, len(shapes.width), axis=1)
    return (by_shape[:, :, None] + prior.noise).reshape(len(use), -1)


def responsibilities(
    found: Hierarchy, table: Table, z: Floats, use: Floats
) -> tuple[Floats, float]:
    """Give the probability of each case for each group, and the log likelihood of all."""
    both = table.log_likelihood(z) + _log_prior(found, use)
    top = both.max(axis=1, keepdims=True)
    both -= top
    np.exp(both, out=both)
    total = both.sum(axis=1, keepdims=True)
    both /= total
    return both, float((np.log(total) + top).sum())
