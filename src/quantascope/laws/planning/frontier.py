"""The compute-optimal frontier ``N_opt = k C^a`` as any approach finds it, with its bootstrap.

Hoffmann et al. (2022, arXiv:2203.15556, section 3) find it in three ways; each gives one
`Frontier`, so that they can be compared and drawn together.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from quantascope.laws.forms.law import Floats

__all__ = [
    "FLOP_PER_PARAM_TOKEN",
    "Frontier",
    "check_positive",
    "no_frontier",
    "percentiles",
    "weighted_lines",
]

FLOP_PER_PARAM_TOKEN: Final = 6.0
"""Training costs ``C = 6 N D`` FLOP (Kaplan et al. 2020, arXiv:2001.08361, section 2.1)."""
_USABLE: Final = 0.5
"""An interval needs this share of the replicates."""


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """``N_opt = k C^a``, ``D_opt = C / (6 N_opt)``, or the reason why there is none."""

    approach: str
    exponent: float
    """a; NaN where not identified."""
    interval: tuple[float, float]
    """Of a; infinite ends where the data give none."""
    log_k: float
    replicates: Floats = field(repr=False)
    """Bootstrap of (a, log k), axes ``boot param``; rows of NaN where a replicate has none."""
    confidence: float
    method: str
    flop_range: tuple[float, float]
    """Budgets that the frontier was found on [FLOP]."""
    identified: bool
    reason: str = ""
    """Why the exponent or its interval is not identified."""

    @property
    def data_exponent(self) -> float:
        """Exponent b of the tokens, ``D_opt ~ C^b``: 1 - a, since C = 6 N D."""
        return 1.0 - self.exponent

    @property
    def data_interval(self) -> tuple[float, float]:
        """Interval of b."""
        return 1.0 - self.interval[1], 1.0 - self.interval[0]

    def n_opt(self, flop: ArrayLike) -> Floats:
        """Optimal number of parameters at budgets [FLOP]."""
        return np.asarray(np.exp(self.log_k + self.exponent * np.log(flop)))

    def band(self, flop: ArrayLike) -> tuple[Floats, Floats]:
        """Interval of `n_opt` at budgets [FLOP]; infinite where the data give none."""
        at = np.log(np.atleast_1d(np.asarray(flop, dtype=np.float64)))
        a, log_k = self.replicates.T
        ends = [percentiles(log_k + a * one, confidence=self.confidence) for one in at]
        return np.exp([lo for lo, _ in ends]), np.exp([hi for _, hi in ends])

    def to_json(self) -> dict[str, Any]:
        """Plain objects, the replicates left out."""
        return {
            "approach": self.approach,
            "exponent": self.exponent,
            "interval": list(self.interval),
            "data_exponent": self.data_exponent,
            "data_interval": list(self.data_interval),
            "log_k": self.log_k,
            "confidence": self.confidence,
            "method": self.method,
            "flop_range": list(self.flop_range),
            "identified": self.identified,
            "reason": self.reason,
        }


def check_positive(name: str, values: ArrayLike) -> list[float]:
    """Give a number or several as a list.

    Raises
    ------
    ValueError
        If there is none, or one is no finite number > 0.
    """
    try:
        found = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: {repr(values).splitlines()[0]:.40}; allowed are finite numbers > 0"
        ) from None
    bad = found[~(np.isfinite(found) & (found > 0))]
    if len(bad) or not len(found):
        first = f"{bad[0]:g}" if len(bad) else "none given"
        raise ValueError(f"{name}: {first}; allowed are finite numbers > 0")
    return list(found.tolist())


def no_frontier(approach: str, reason: str, *, confidence: float) -> Frontier:
    """Give the frontier of data that have none."""
    nan = float("nan")
    return Frontier(
        approach=approach,
        exponent=nan,
        interval=(-np.inf, np.inf),
        log_k=nan,
        replicates=np.full((1, 2), nan),
        confidence=confidence,
        method="none",
        flop_range=(nan, nan),
        identified=False,
        reason=reason,
    )


def percentiles(values: Floats, *, confidence: float) -> tuple[float, float]:
    """Percentile interval over finite replicates; infinite where fewer than half are finite."""
    known = values[np.isfinite(values)]
    if len(known) < max(_USABLE * len(values), 2):
        return -np.inf, np.inf
    tail = (1 - confidence) / 2
    lo, hi = np.quantile(known, [tail, 1 - tail])
    return float(lo), float(hi)


def weighted_lines(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Slope and intercept of weighted least squares, one line a row.

    Parameters
    ----------
    x, y, weights
        Axes ``boot point``; x may have one row. Weight 0 leaves a point out, whatever its y.

    Returns
    -------
    Floats
        Axes ``boot 2``; NaN where fewer than two distinct x have weight.
    """
    y = np.where(weights > 0, y, 0.0)
    x = np.where(weights > 0, x, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # rows without points give NaN
        x_mean = (weights * x).sum(axis=1, keepdims=True) / total
        y_mean = (weights * y).sum(axis=1, keepdims=True) / total
        across = (weights * (x - x_mean) ** 2).sum(axis=1)
        across = np.where(across > 1e-12 * total[:, 0], across, np.nan)
        slope = (weights * (x - x_mean) * (y - y_mean)).sum(axis=1) / across
    return np.stack([slope, y_mean[:, 0] - slope * x_mean[:, 0]], axis=1)
