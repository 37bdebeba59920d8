"""Scores of forecasts against what came: how likely, how wide, how often learned rightly.

One forecast of one target gives a `Score`; many families give means with intervals and paired
differences of methods. Groups of a family err together, so that families are what is resampled.

References
----------
Gneiting and Raftery 2007, doi:10.1198/016214506000001437 (proper scores); Dawid 1984,
doi:10.2307/2981683 (where what came lies in its forecast).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream
from quantascope.families.forecast.mixture import Mixture
from quantascope.families.forecast.seen import Floats

__all__ = ["Interval", "Score", "average", "calibration_curve", "paired", "score"]

_SURE: Final = 1e-3
"""Probabilities are held this far from 0 and 1 where their logarithm is taken."""
_N_BINS: Final = 10
_N_BOOT: Final = 2000
_CONFIDENCE: Final = 0.95
_LEAST_LOG: Final = -20.0
"""Log densities below are counted as this [ln 1/nat]: a miss is a miss, by however much."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How one forecast of one target did; means over groups."""

    n_groups: int
    log_score: float
    """Mean log density of what came [ln 1/nat]; more is better."""
    crps_nats: float
    """Continuous ranked probability score; less is better."""
    within_50: float
    """Share of groups within their 50 % interval."""
    within_90: float
    places: tuple[int, ...]
    """Groups by tenth of their distribution in which they came."""
    brier: float
    """Mean square of the probability of being learned less whether it was."""
    learned_log_score: float
    learned_forecast: float
    """Groups expected to be learned."""
    learned_came: int
    learned_right: int
    """Groups for which the likelier answer was right."""
    mean_nats: float
    """Mean loss that came, weighted by use."""
    mean_lo_nats: float
    """Ends of the 90 % interval of the forecast mean."""
    mean_hi_nats: float

    @property
    def mean_within(self) -> bool:
        """Tell whether the mean loss came within its 90 % interval."""
        return self.mean_lo_nats <= self.mean_nats <= self.mean_hi_nats

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        return asdict(self) | {"places": list(self.places), "mean_within": self.mean_within}


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over families, with a 95 % interval by bootstrap; NaN ends where there is one."""

    mean: float
    lo: float
    hi: float
    n: int


def score(
    forecast: Mixture, losses: Floats, *, threshold: Floats, mean: Mixture, share: Floats
) -> Score:
    """Score the forecast of one target.

    Parameters
    ----------
    forecast
        Of each group.
    losses
        What came, axis ``group`` [nat].
    threshold
        Loss below which a group is learned, axis ``group`` [nat].
    mean
        Forecast of the mean loss, one row.
    share
        Weight of each group in the mean loss; sums to 1.

    Examples
    --------
    >>> from quantascope.families.forecast.mixture import Unit, gaussian
    >>> came = np.array([1.0, 2.0])
    >>> at = gaussian(came, 0.1, unit=Unit())
    >>> found = score(at, came, threshold=np.full(2, 1.5), mean=at.rows(np.array([0])),
    ...               share=np.array([1.0, 0.0]))
    >>> round(found.log_score, 3), found.within_50, found.learned_right
    (1.384, 1.0, 2)
    """
    place = forecast.cdf(losses)
    p = np.clip(forecast.cdf(threshold), _SURE, 1 - _SURE)
    learned = losses < threshold
    ends = mean.quantile(0.05)[0], mean.quantile(0.95)[0]
    return Score(
        n_groups=len(losses),
        log_score=float(np.maximum(forecast.log_density(losses), _LEAST_LOG).mean()),
        crps_nats=float(forecast.crps(losses).mean()),
        within_50=float(((place >= 0.25) & (place <= 0.75)).mean()),
        within_90=float(((place >= 0.05) & (place <= 0.95)).mean()),
        places=tuple(np.histogram(place, bins=_N_BINS, range=(0.0, 1.0))[0].tolist()),
        brier=float(((p - learned) ** 2).mean()),
        learned_log_score=float(np.log(np.where(learned, p, 1 - p)).mean()),
        learned_forecast=float(p.sum()),
        learned_came=int(learned.sum()),
        learned_right=int(((p > 0.5) == learned).sum()),
        mean_nats=float(share @ losses),
        mean_lo_nats=float(ends[0]),
        mean_hi_nats=float(ends[1]),
    )


def average(values: Floats, *, seed: int = 0) -> Interval:
    """Average one number a family, and resample families.

    Examples
    --------
    >>> found = average(np.array([1.0, 2.0, 3.0]))
    >>> found.mean, found.lo < 2 < found.hi
    (2.0, True)
    """
    n = len(values)
    if n < 2:
        nan = float("nan")
        return Interval(mean=float(values.mean()) if n else nan, lo=nan, hi=nan, n=n)
    rows = stream(seed, "forecast", "families").integers(n, size=(_N_BOOT, n))
    tail = (1 - _CONFIDENCE) / 2
    lo, hi = np.quantile(values[rows].mean(axis=1), [tail, 1 - tail])
    return Interval(mean=float(values.mean()), lo=float(lo), hi=float(hi), n=n)


def paired(scores: Mapping[str, Floats], method: str, *, seed: int = 0) -> dict[str, Interval]:
    """Compare a method with every other, family by family.

    Parameters
    ----------
    scores
        One number a family, by method; NaN where a method could not say.
    method
        The one that is compared.

    Returns
    -------
    dict[str, Interval]
        By other method, the mean of its own score taken from that of `method`.
    """
    own = scores[method]
    found = {}
    for name, other in scores.items():
        both = np.isfinite(own) & np.isfinite(other)
        if name != method:
            found[name] = average((own - other)[both], seed=seed)
    return found


def calibration_curve(places: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Give how often what came lay below each tenth of its forecast, with error over families.

    Parameters
    ----------
    places
        Groups by tenth, axes ``family tenth``.

    Returns
    -------
    tuple
        Probabilities stated, shares that came below, and their standard errors (0 for one family).
    """
    share = np.cumsum(places, axis=1) / places.sum(axis=1, keepdims=True)
    n = len(share)
    error = share.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(share.shape[1])
    stated = np.arange(1, share.shape[1] + 1) / share.shape[1]
    return stated, share.mean(axis=0), np.asarray(error)
