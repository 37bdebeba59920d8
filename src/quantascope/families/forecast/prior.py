"""What is common to the curves of all groups: how they start, end, step and scatter."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.families.forecast.seen import Floats, Seen
from quantascope.families.forecast.shapes import Shapes

__all__ = ["NEVER", "SCATTER", "SLOPE", "Noise", "Prior", "make_noises", "start_prior"]

_N_SCALES: Final = 4
_SCALES: Final = (0.01, 0.6)  # standard deviation of noise, in that of all losses
_LASTING: Final = (0.0, 0.9)
"""Shares of the noise's variance that last along the levels."""
_MEMORY: Final = 0.5  # of the log range seen: length over which it lasts
NEVER: Final = 0.05  # prior share of groups that do not change
SLOPE: Final = (1.0, 0.5)  # prior mean and standard deviation: theory has 1
SCATTER: Final = (-0.4, 0.7)  # of ln of the scatter about the line [ln of ln x]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prior:
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
class Noise:
    """Standard deviation and lasting share of each noise, axis ``noise``."""

    scale: Floats
    lasting: Floats
    length: float

    @property
    def n_sizes(self) -> int:
        """How many standard deviations there are."""
        return _N_SCALES

    @property
    def size_of(self) -> NDArray[np.int64]:
        """Which standard deviation each noise has, axis ``noise``."""
        return np.repeat(np.arange(_N_SCALES), len(_LASTING))

    def covariance(self, t: Floats, other: Floats, *, same: bool) -> Floats:
        """Give covariances, axes ``noise t other``; `same`: a time shares its own error."""
        kept = np.exp(-np.abs(t[:, None] - other) / self.length)
        own = np.eye(len(t)) if same else np.zeros(kept.shape)
        lasting = self.lasting[:, None, None]
        return self.scale[:, None, None] ** 2 * (lasting * kept + (1 - lasting) * own)


def make_noises(seen: Seen, z: Floats) -> Noise:
    """Give the kinds of noise that groups may have, by the spread of their losses `z`."""
    size = np.geomspace(*_SCALES, _N_SCALES) * max(float(z.std()), 1e-6)
    scale, lasting = (v.ravel() for v in np.meshgrid(size, _LASTING, indexing="ij"))
    return Noise(scale=scale, lasting=lasting, length=_MEMORY * float(seen.t[-1] - seen.t[0]))


def start_prior(seen: Seen, z: Floats, shapes: Shapes) -> Prior:
    """Give the prior that learning starts from."""
    spread = max(float(z.std()), 1e-6)
    n_noise = _N_SCALES * len(_LASTING)
    n_changing = shapes.n_types - 1
    share = np.append(np.full(n_changing, (1 - NEVER) / n_changing), NEVER)
    return Prior(
        mean=np.array([z[:, 0].mean(), np.quantile(z[:, -1], 0.1)]),
        covariance=np.diag([z[:, 0].var() + 0.01 * spread**2, (0.3 * spread) ** 2]),
        types=np.log(share),
        noise=np.full(n_noise, -np.log(n_noise)),
        line=np.array([seen.t.mean(), SLOPE[0], SCATTER[0]]),
        line_covariance=np.zeros((2, 2)),
    )
