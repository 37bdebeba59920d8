"""Parabolas of loss in log N, one for each slice of like compute, as one linear model.

All slices share a slope of the loss in log C, which takes out what is left of the budget's
spread within them, and one error variance.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from quantascope.core.rng import stream
from quantascope.laws.fitting.data import Points
from quantascope.laws.forms.law import Bools, Floats, Ints

__all__ = ["Parabolas", "Slice"]

_SURE: Final = 1.645
"""The bend must exceed so many of its standard errors (5 %, one-sided)."""
_LEVERAGE: Final = 0.95
"""Residuals are enlarged for leverage up to this one; beyond, a point has no residual left."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Runs of like compute and the parabola through them."""

    flop: float
    """Geometric mean of the runs' compute [FLOP]."""
    flop_spread: float
    """Largest over smallest compute within the slice."""
    n_points: int
    n_params_range: tuple[float, float]
    n_opt: float
    """Vertex of the parabola [parameter]; NaN where there is no minimum."""
    log_se: float
    """Standard error of log n_opt (delta method, errors pooled over slices)."""
    loss: float
    """Loss at the vertex [nat]; NaN where there is none."""
    coefficients: tuple[float, float, float]
    """``loss = c0 + c1 u + c2 u^2``, u = log N less the mean of log N in the slice."""
    centre: float
    """That mean."""
    runs: tuple[tuple[float, float], ...]
    """Size and loss of each run, the loss moved to the slice's budget along the shared slope."""
    usable: bool
    reason: str = ""
    """Why the slice has no minimum."""


class Parabolas:
    """One linear model of all slices: a parabola each, and a shared slope in log C."""

    def __init__(self, points: Points, flop: Floats, labels: Ints) -> None:
        self.labels, self.response = labels, points.response
        self.n_slices = int(labels.max()) + 1
        self.log_n, self.log_flop = np.log(points.inputs[0]), np.log(flop)
        self.centres, self.budgets = self._means(self.log_n), self._means(self.log_flop)
        u = self.log_n - self.centres[labels]
        mine = np.eye(self.n_slices)[labels]
        powers = mine[:, :, None] * np.stack([np.ones_like(u), u, u * u], axis=-1)[:, None, :]
        drift = self.log_flop - self.budgets[labels]
        self.matrix = np.column_stack([powers.reshape(len(u), -1), drift])
        self.inverse = np.linalg.pinv(self.matrix)

    def _means(self, values: Floats) -> Floats:
        return np.bincount(self.labels, values) / np.bincount(self.labels)

    def solve(self, responses: Floats) -> Floats:
        """Give the coefficients of responses [boot, point]."""
        return responses @ self.inverse.T

    def vertices(self, responses: Floats) -> tuple[Floats, Bools]:
        """Give the log optimal size [boot, slice], and whether it is among the sizes tried."""
        c1, c2 = np.moveaxis(self._parabolas(self.solve(responses))[:, :, 1:], -1, 0)
        at = self.centres - c1 / (2 * np.where(c2 > 0, c2, 1.0))
        lo, hi = self.ends()
        return at, (c2 > 0) & (at >= lo) & (at <= hi)

    def ends(self) -> tuple[Floats, Floats]:
        """Give the logs of the smallest and largest size of each slice."""
        parts = [self.log_n[self.labels == name] for name in range(self.n_slices)]
        return np.array([part.min() for part in parts]), np.array([part.max() for part in parts])

    def _parabolas(self, coefficients: Floats) -> Floats:
        return coefficients[:, :-1].reshape(len(coefficients), self.n_slices, 3)

    def residuals(self) -> Floats:
        """Divide residuals by the root of 1 - leverage: as large as errors, not as their fit."""
        leverage = np.einsum("pc,cp->p", self.matrix, self.inverse)
        residual = self.response - self.matrix @ (self.inverse @ self.response)
        return np.asarray(residual / np.sqrt(1 - np.minimum(leverage, _LEVERAGE)))

    def resample(self, *, n: int, seed: int) -> Floats:
        """Draw responses with errors anew within each slice, axes ``boot point``."""
        draw = stream(seed, "isoflop", "bootstrap")
        fitted = self.matrix @ (self.inverse @ self.response)
        residual, error = self.residuals(), np.empty((n, len(fitted)))
        for name in range(self.n_slices):
            mine = np.flatnonzero(self.labels == name)
            centred = residual[mine] - residual[mine].mean()
            error[:, mine] = centred[draw.integers(0, len(mine), (n, len(mine)))]
        return np.asarray(fitted + error)

    def slices(self) -> tuple[Slice, ...]:
        """Describe every slice."""
        found = self._parabolas(self.solve(self.response[None]))[0]
        rank = int(np.linalg.matrix_rank(self.matrix))
        residual = self.response - self.matrix @ (self.inverse @ self.response)
        variance = (residual**2).sum() / max(len(residual) - rank, 1)
        covariance = variance * self.inverse @ self.inverse.T
        return tuple(
            self._slice(
                name, found[name], covariance[3 * name : 3 * name + 3, 3 * name : 3 * name + 3]
            )
            for name in range(self.n_slices)
        )

    def _slice(self, name: int, parabola: Floats, covariance: Floats) -> Slice:
        mine = self.labels == name
        sizes, flop = np.exp(self.log_n[mine]), np.exp(self.log_flop[mine])
        c0, c1, c2 = (float(c) for c in parabola)
        reason = _no_minimum(
            c1, c2, bend_se=float(np.sqrt(covariance[2, 2])), u=np.log(sizes) - self.centres[name]
        )
        at = -c1 / (2 * c2) if not reason else float("nan")
        drift = self.solve(self.response[None])[0, -1]
        moved = self.response[mine] - drift * (self.log_flop[mine] - self.budgets[name])
        slope = np.array([0.0, -1.0, c1 / c2]) / (2 * c2) if not reason else np.full(3, np.nan)
        return Slice(
            flop=float(np.exp(self.budgets[name])),
            flop_spread=float(flop.max() / flop.min()),
            n_points=int(mine.sum()),
            n_params_range=(float(sizes.min()), float(sizes.max())),
            n_opt=float(np.exp(self.centres[name] + at)),
            log_se=float(np.sqrt(slope @ covariance @ slope)),
            loss=c0 + c1 * at + c2 * at * at,
            coefficients=(c0, c1, c2),
            centre=float(self.centres[name]),
            runs=tuple(zip(sizes.tolist(), moved.tolist(), strict=True)),
            usable=not reason,
            reason=reason,
        )


def _no_minimum(c1: float, c2: float, *, bend_se: float, u: Floats) -> str:
    if not c2 > 0:
        return "the parabola opens downward: no minimum"
    if not c2 > _SURE * bend_se:
        return "the bend is within its error: no minimum is told from noise"
    if not u.min() <= -c1 / (2 * c2) <= u.max():
        side = "larger" if -c1 / (2 * c2) > u.max() else "smaller"
        return f"no minimum inside: the optimum is {side} than every size of the slice"
    return ""
