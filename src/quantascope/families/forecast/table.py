"""Gaussians of a group's losses, one for each shape and noise."""

from dataclasses import dataclass

import numpy as np

from quantascope.families.forecast.prior import Noise, Prior
from quantascope.families.forecast.seen import Floats
from quantascope.families.forecast.shapes import Shapes

__all__ = ["Table"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
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
    def of(cls, t: Floats, shapes: Shapes, noise: Noise, *, prior: Prior) -> "Table":
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

    def ends(self, z: Floats, *, prior: Prior) -> tuple[Floats, Floats]:
        """Give expected start and floor, each with axes ``group case``."""
        gain = self.ends_gain(prior)
        base = prior.mean - np.einsum("jel,jl->je", gain, self.mean)
        start, floor = (z @ gain[:, e].T + base[:, e] for e in range(2))
        return start, floor

    def ends_gain(self, prior: Prior) -> Floats:
        """Give axes ``case end level``."""
        return np.asarray(prior.covariance @ self.design.transpose(0, 2, 1) @ self.inverse)

    def look(
        self, point: float, shapes: Shapes, noise: Noise, *, prior: Prior
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
