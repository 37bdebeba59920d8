"""Predictive distributions: mixtures of Gaussians in nats or in logarithms of the loss.

Every method answers with one: a group whose step may or may not have come by then has two humps,
which no single Gaussian can say. The unit (see `Unit`) is one for all groups of a family.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtr, ndtri

from quantascope.families.forecast.seen import Floats

__all__ = ["Mixture", "Unit", "gather", "gaussian", "join"]

_HALVINGS: Final = 40
_BINS: Final = 14
_WIDTHS: Final = 4
_LIGHT: Final = 1e-5
_KEPT: Final = 1e-4
_MOST_SURPRISE: Final = 4.0
_EXACT: Final = 1e-6
_LN_2PI: Final = float(np.log(2 * np.pi))
_MOST_LOG_SPREAD: Final = 1.5
"""Largest standard deviation [ln] of which a mean in nats is taken: beyond it says nothing."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """In what losses are Gaussian: nats, or ``ln(loss + offset)``."""

    offset: float | None = None
    """None: nats."""

    @property
    def name(self) -> str:
        """Words for it."""
        return "nat" if self.offset is None else f"ln(loss + {self.offset:.3g})"

    def forward(self, loss: ArrayLike) -> Floats:
        """Go from losses [nat] to the unit."""
        y = np.asarray(loss, dtype=np.float64)
        return y if self.offset is None else np.log(np.maximum(y + self.offset, self.offset * 1e-3))

    def back(self, z: ArrayLike) -> Floats:
        """Go from the unit to losses [nat]; none is below 0."""
        y = np.asarray(z, dtype=np.float64)
        return np.maximum(y if self.offset is None else np.exp(y) - self.offset, 0.0)

    def log_slope(self, loss: ArrayLike) -> Floats:
        """Give ln of d unit / d loss, which densities are multiplied with."""
        y = np.asarray(loss, dtype=np.float64)
        return np.zeros_like(y) if self.offset is None else -self.forward(y)


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """Distribution of the loss of each group; arrays have the axes ``group component``."""

    weight: Floats
    """Sums to 1 over components; 0 for those that are none."""
    location: Floats
    scale: Floats
    """Standard deviation, above 0."""
    unit: Unit

    def log_density(self, loss: Floats) -> Floats:
        """Give the log density at one loss a group [ln 1/nat]."""
        z = (self.unit.forward(loss)[:, None] - self.location) / self.scale
        with np.errstate(divide="ignore"):
            parts = np.log(self.weight) - np.log(self.scale) - 0.5 * (z**2 + _LN_2PI)
        return np.asarray(logsumexp(parts, axis=1)) + self.unit.log_slope(loss)

    def cdf(self, loss: Floats) -> Floats:
        """Give the probability of a loss at or below one a group."""
        return self._cdf(self.unit.forward(loss))

    def quantile(self, level: float) -> Floats:
        """Give a quantile of each group [nat], by halving."""
        return self.unit.back(self._quantile(level))

    def mean(self) -> Floats:
        """Give the mean of each group [nat]."""
        return np.asarray((self.weight * self._moments()[0]).sum(axis=1))

    def variance(self) -> Floats:
        """Give the variance of each group [nat^2]."""
        first, second = self._moments()
        return np.maximum((self.weight * second).sum(axis=1) - self.mean() ** 2, 0.0)

    def spread(self) -> Floats:
        """Give half the width between the 15.9 and 84.1 % quantiles [nat]."""
        return (self.quantile(float(ndtr(1.0))) - self.quantile(float(ndtr(-1.0)))) / 2

    def crps(self, loss: Floats, *, n_levels: int = 19) -> Floats:
        """Give the continuous ranked probability score [nat], from quantiles at even levels.

        Twice the mean pinball loss, ``2 E_u[(u - 1(y < q_u)) (y - q_u)]``.

        References
        ----------
        Gneiting and Raftery 2007, doi:10.1198/016214506000001437, section 4.2.
        """
        total = np.zeros(len(loss))
        for level in (np.arange(n_levels) + 0.5) / n_levels:
            off = loss - self.quantile(float(level))
            total += 2 * np.maximum(level * off, (level - 1) * off)
        return total / n_levels

    def compact(self) -> "Mixture":
        """Put components of like location and width together, keeping mean and variance."""
        wide = np.log(self.scale)
        low, high = wide.min(), wide.max()
        kind = ((wide - low) / max(float(high - low), 1e-12) * (_WIDTHS - 1e-9)).astype(np.int64)
        weight, location, scale = gather(
            self.weight, self.location, self.scale**2, kind=kind, n_kinds=_WIDTHS
        )
        used = weight.max(axis=0) > 0
        return Mixture(
            weight=weight[:, used],
            location=location[:, used],
            scale=scale[:, used],
            unit=self.unit,
        )

    def trimmed(self) -> "Mixture":
        """Leave out components that weigh next to nothing, to be written down."""
        weight = np.where(
            self.weight < _KEPT * self.weight.max(axis=1, keepdims=True), 0.0, self.weight
        )
        return Mixture(
            weight=weight / weight.sum(axis=1, keepdims=True),
            location=self.location,
            scale=self.scale,
            unit=self.unit,
        )

    def widened(self, factor: float) -> "Mixture":
        """Widen every component, leaving where it lies."""
        return Mixture(
            weight=self.weight,
            location=self.location,
            scale=self.scale * factor,
            unit=self.unit,
        )

    def surprise(self, loss: Floats) -> Floats:
        """Give where losses came as standard normal deviates, at most 4 either way."""
        edge = float(ndtr(-_MOST_SURPRISE))
        return np.asarray(ndtri(np.clip(self.cdf(loss), edge, 1 - edge)))

    def rows(self, part: np.ndarray) -> "Mixture":
        """Take some of the groups."""
        return Mixture(
            weight=self.weight[part],
            location=self.location[part],
            scale=self.scale[part],
            unit=self.unit,
        )

    def _cdf(self, z: Floats) -> Floats:
        return np.asarray(
            (self.weight * ndtr((z[:, None] - self.location) / self.scale)).sum(axis=1)
        )

    def _quantile(self, level: float) -> Floats:
        off = ndtri(level) * self.scale  # a quantile lies between those of the components
        ends = np.where(self.weight > 0, self.location + off, np.nan)
        low, high = np.nanmin(ends, axis=1), np.nanmax(ends, axis=1)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            below = self._cdf(middle) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
            if np.all(high - low <= _EXACT * (1 + np.abs(high))):
                break
        return (low + high) / 2

    def _moments(self) -> tuple[Floats, Floats]:
        """Give mean and mean square of the components [nat]."""
        if self.unit.offset is None:
            return self.location, self.location**2 + self.scale**2
        spread = np.minimum(self.scale, _MOST_LOG_SPREAD) ** 2
        first = np.exp(self.location + spread / 2)
        second = np.exp(2 * self.location + 2 * spread)
        offset = self.unit.offset
        return first - offset, second - 2 * offset * first + offset**2


def gather(
    weight: Floats, location: Floats, variance: Floats, *, kind: NDArray[np.int64], n_kinds: int
) -> tuple[Floats, Floats, Floats]:
    """Put components into bins of location and kind; each bin keeps its mean and variance.

    Parameters
    ----------
    weight, location, variance
        Axes ``group component``; `variance` may lack the first.
    kind
        From 0, axes as `variance`.
    n_kinds
        Number of kinds.

    Returns
    -------
    tuple
        Weight, location and standard deviation, axes ``group bin``.
    """
    n = len(weight)
    heavy = weight > _LIGHT
    low = np.where(heavy, location, np.inf).min(axis=1, keepdims=True)
    high = np.where(heavy, location, -np.inf).max(axis=1, keepdims=True)
    place = (location - low) / np.maximum(high - low, 1e-12) * (_BINS - 1e-9)
    bins = np.clip(place, 0, _BINS - 1).astype(np.int64) * n_kinds + kind
    size = _BINS * n_kinds
    flat = (np.arange(n)[:, None] * size + bins).ravel()

    def total(values: Floats) -> Floats:
        sums = np.bincount(flat, weights=values.ravel(), minlength=n * size)
        return np.asarray(sums, dtype=np.float64).reshape(n, size)

    share = total(weight)
    safe = np.maximum(share, 1e-300)
    mean = total(weight * location) / safe
    square = total(weight * (location**2 + variance)) / safe
    spread = np.sqrt(np.maximum(square - mean**2, variance.min()))
    share = np.where(share > _LIGHT, share, 0.0)
    return share / share.sum(axis=1, keepdims=True), mean, spread


def gaussian(location: Floats, scale: ArrayLike, *, unit: Unit) -> Mixture:
    """Make Gaussians, one a group.

    Examples
    --------
    >>> one = gaussian(np.array([2.0]), 0.5, unit=Unit())
    >>> one.quantile(0.5).round(3).tolist(), one.cdf(np.array([2.5])).round(3).tolist()
    ([2.0], [0.841])
    """
    wide = np.broadcast_to(np.asarray(scale, dtype=np.float64), location.shape)
    return Mixture(
        weight=np.ones((len(location), 1)),
        location=location[:, None].astype(np.float64),
        scale=wide[:, None].copy(),
        unit=unit,
    )


def join(parts: list[Mixture], weights: Floats) -> Mixture:
    """Mix distributions of the same groups in given proportions."""
    return Mixture(
        weight=np.concatenate([w * p.weight for w, p in zip(weights, parts, strict=True)], axis=1),
        location=np.concatenate([p.location for p in parts], axis=1),
        scale=np.concatenate([p.scale for p in parts], axis=1),
        unit=parts[0].unit,
    )
