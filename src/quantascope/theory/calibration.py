"""Constants of the skill model read off one skill, to predict all others.

In goes one skill's strength along time, samples or width; out comes the one constant that carries
the multilinear model of `quantascope.theory.skills` over to a network, with an interval from the
scatter of the points.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from quantascope.theory.quanta import Floats, check_range
from quantascope.theory.skills import check_start

__all__ = ["Calibration", "calibrate_capacity", "calibrate_rate", "calibrate_samples"]

_INSIDE: Final = (0.05, 0.95)
"""Strengths from which a calibration reads; nearer to the ends noise decides."""
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """One constant of the model, read off one skill, with its 95 % interval."""

    value: float
    lo: float
    hi: float
    n_points: int
    """Points with a strength between 5 and 95 %."""
    identified: bool
    reason: str = ""


def calibrate_rate(
    time: ArrayLike,
    strength: ArrayLike,
    *,
    frequency: float,
    initial: float,
    rate: float,
    target: float = 1.0,
) -> Calibration:
    """Read the factor on the rate off one skill's curve in time.

    ``logit(R / S) + ln(S / R(0) - 1) = 2 eta f P S T``: every point gives one f. It is the B^2 of
    the source, whose B multiplies the skill functions.

    References
    ----------
    arXiv:2404.17563, equation 14 (1/22 there, for a two-layer network on one skill).
    """
    T, share = _curve(time, strength, target)
    start = check_start(initial, target)
    ratio = np.log(share / (1 - share)) + np.log(target / start - 1)
    return _mean(ratio / (2 * rate * frequency * target * T))


def calibrate_samples(shown: ArrayLike, strength: ArrayLike, *, target: float = 1.0) -> Calibration:
    """Read D_c off one skill's strengths: ``D_c = d / (1 - (1 - R/S)^2)`` at every point.

    References
    ----------
    arXiv:2404.17563, equation 17 (800 there).
    """
    d, share = _curve(shown, strength, target)
    return _mean(d / (1 - (1 - share) ** 2))


def calibrate_capacity(
    n_units: ArrayLike, strength: ArrayLike, *, target: float = 1.0
) -> Calibration:
    """Read N_c off the first skill's strengths: ``N_c = N S / R`` at every point.

    References
    ----------
    arXiv:2404.17563, equation 21 (4 there).
    """
    N, share = _curve(n_units, strength, target)
    return _mean(N / share)


def _curve(x: ArrayLike, strength: ArrayLike, target: float) -> tuple[Floats, Floats]:
    """Give the points with a resource above 0 and a strength well inside its range."""
    resource = np.asarray(x, dtype=np.float64).ravel()
    share = np.asarray(strength, dtype=np.float64).ravel() / check_range("target", target, above=0)
    if resource.shape != share.shape:
        raise ValueError(f"x, strength: {resource.size}, {share.size} found; allowed: equal counts")
    keep = (share > _INSIDE[0]) & (share < _INSIDE[1]) & (resource > 0)
    return resource[keep], share[keep]


def _mean(estimates: Floats) -> Calibration:
    """Average the estimates of the points; their scatter gives Student's interval."""
    n = len(estimates)
    value = float(estimates.mean()) if n else float("nan")
    if n < 2:
        nan = float("nan")
        why = f"{n} points between {_INSIDE[0]:.0%} and {_INSIDE[1]:.0%}; an interval needs two"
        return Calibration(value=value, lo=nan, hi=nan, n_points=n, identified=False, reason=why)
    half = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, n - 1) * estimates.std(ddof=1) / np.sqrt(n))
    return Calibration(value=value, lo=value - half, hi=value + half, n_points=n, identified=True)
