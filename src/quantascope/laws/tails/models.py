"""What a tail could be other than a power law: four shapes, each fitted above the cut-off.

Each is normalised on ``x >= q``. On whole numbers the lognormal, the exponential and the stretched
exponential are real values rounded to the nearest whole number, ``P(x) = [S(x - 1/2) -
S(x + 1/2)] / S(q - 1/2)``; the truncated power law is ``x^-a e^(-b x)`` over its sum. Lengths are
in units of the cut-off's edge, so that every parameter is of order one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr

from quantascope.laws.tails.power import Floats
from quantascope.laws.tails.sample import Sample

__all__ = ["ALTERNATIVES", "TailModel", "fit_alternative", "truncated_log_norm"]

_N_PANELS: Final = 16
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_N_DIRECT: Final = 64
_DEEP: Final = 745.0  # exp(-745) is the smallest double
_N_BINS: Final = 20_000
_LIMIT: Final = 0.02  # how near a parameter may come to its bound before the fit says so


@dataclass(frozen=True, kw_only=True)
class TailModel:
    """One shape fitted to a tail."""

    name: str
    params: dict[str, float]
    """Parameters as in the formula, in units of the data."""
    log_density: Floats
    """Log probability (density) of each distinct value of the tail."""
    converged: bool
    limit: str
    """Which limiting case the fit has run into, if any."""


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """A shape in internal coordinates: ``log S(u)`` and ``log f(u)`` for u = x / edge."""

    bounds: tuple[tuple[float, float], ...]
    start: Callable[[Floats, Floats], list[float]]
    log_survival: Callable[[Floats, Floats], Floats]
    """Of u, up to a factor common to all u."""
    log_density: Callable[[Floats, Floats], Floats]
    """Of u, normalised as the survival is."""
    params: Callable[[Floats, float], dict[str, float]]
    limits: tuple[tuple[int, int, str], ...] = ()
    """(parameter, which bound, what the model becomes there)."""


def fit_alternative(name: str, tail: Sample, *, xmin: float) -> TailModel:
    """Fit one of `ALTERNATIVES` to a tail by maximum likelihood.

    Parameters
    ----------
    name
        ``truncated_power_law`` ``x^-a e^(-b x)``, ``lognormal`` ``(1/x) e^(-(ln x - mu)^2 /
        (2 sigma^2))``, ``exponential`` ``e^(-b x)``, ``stretched_exponential``
        ``S(x) = e^(-(x/scale)^beta)``.
    tail
        Values at or above `xmin`, at least two distinct.
    xmin
        Cut-off, in the units of the values.

    Returns
    -------
    TailModel
        ``converged=False`` where the simplex search did not settle.

    Raises
    ------
    ValueError
        If the name is unknown.

    References
    ----------
    arXiv 0706.1062, table 2.1.
    """
    if name not in ALTERNATIVES:
        raise ValueError(f"name: {name!r} found; allowed are {', '.join(ALTERNATIVES)}")
    if name == "truncated_power_law":
        return _fit_truncated(tail, xmin)
    shape = _SHAPES[name]
    edge = xmin - 0.5 if tail.discrete else xmin
    u = tail.values / edge
    half = 0.5 / edge if tail.discrete else None
    points, weights = (u, tail.counts) if tail.discrete else _bin(u, tail.counts)
    weights = weights / weights.sum()

    def log_density(theta: Floats, u: Floats) -> Floats:
        first = shape.log_survival(theta, np.array(1.0))
        if half is None:
            return np.asarray(shape.log_density(theta, u) - first - np.log(edge))
        upper = shape.log_survival(theta, u + half) - first
        return _log_difference(shape.log_survival(theta, u - half) - first, upper)

    theta, converged = _search(
        lambda t: -float(weights @ log_density(t, points)),
        shape.start(np.log(points), weights),
        shape.bounds,
    )
    return TailModel(
        name=name,
        params=shape.params(theta, edge),
        log_density=log_density(theta, u),
        converged=converged,
        limit=_limit(shape, theta),
    )


def truncated_log_norm(a: float, rate: float, q: float, *, discrete: bool) -> float:
    """Give the log of the sum or integral of ``(x/q)^-a e^(-rate (x/q - 1))`` over x >= q.

    Parameters
    ----------
    a
        Exponent, any real; > 1 where rate is 0.
    rate
        Decay in units of the cut-off, >= 0.
    q
        Cut-off.
    discrete
        Sum over whole numbers or integral.

    Notes
    -----
    Integral by Gauss-Legendre in log x, 320 nodes; sum by 64 terms and Euler-Maclaurin with
    three terms from there on: relative error below 1e-10.
    """
    if not discrete:
        return float(np.log(q) + _log_integral(a, rate))
    j = np.arange(_N_DIRECT)
    direct = np.exp(-a * np.log1p(j / q) - rate * j / q).sum()
    end = q + _N_DIRECT
    scale = end / q
    size = np.exp(-a * np.log(scale) - rate * (scale - 1))
    slope, curve = a / end + rate / q, a / end**2
    third = slope**3 + 3 * slope * curve + 2 * curve / end
    edge = 0.5 + slope / 12 - third / 720
    rest = end * np.exp(_log_integral(a, rate * scale)) + edge
    return float(np.log(direct + size * rest))


def _log_integral(a: float, rate: float) -> float:
    """Integrate ``v^-a e^(-rate (v - 1))`` over v >= 1, in w = log v."""
    if rate <= 0:
        return -float(np.log(a - 1))
    last = np.log1p(_DEEP / rate)
    if a > 1:
        last = min(last, _DEEP / (a - 1))
    # panels shorten towards the start, where a fast decay would else fall between nodes
    ends = last * np.linspace(0, 1, _N_PANELS + 1) ** 2
    middle, half = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
    w = middle[:, None] + half[:, None] * _NODES
    exponent = (1 - a) * w - rate * np.expm1(w)
    top = exponent.max()
    return float(top + np.log((half @ np.exp(exponent - top)) @ _WEIGHTS))


def _fit_truncated(tail: Sample, xmin: float) -> TailModel:
    weights = tail.counts / tail.counts.sum()
    log_u, u1 = np.log(tail.values / xmin), tail.values / xmin - 1
    mean_log, mean_u1 = float(weights @ log_u), float(weights @ u1)

    def cost(theta: Floats) -> float:
        a, rate = theta[0], np.exp(theta[1])
        log_norm = truncated_log_norm(a, rate, xmin, discrete=tail.discrete)
        return float(a * mean_log + rate * mean_u1 + log_norm)

    rough = 1 + 1 / max(mean_log, 1e-9)
    bounds = ((-20.0, 200.0), (-60.0, 12.0))
    starts = [[min(rough, 100.0), -np.log(max(mean_u1, 1e-9)) - 4], [1.0, -np.log(mean_u1)]]
    found = [_search(cost, start, bounds) for start in starts]
    theta, converged = min(found, key=lambda one: cost(one[0]))
    a, rate = float(theta[0]), float(np.exp(theta[1]))
    log_norm = truncated_log_norm(a, rate, xmin, discrete=tail.discrete)
    return TailModel(
        name="truncated_power_law",
        params={"a": a, "b": rate / xmin},
        log_density=-a * log_u - rate * u1 - log_norm,
        converged=converged,
        limit="power law" if rate * u1.max() < _LIMIT else "",
    )


def _bin(u: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Gather many real values in 20,000 bins of log u, each at its mean: what a search needs.

    The error of the mean log density is its curvature times a bin's variance, below 1e-6.
    """
    log_u = np.log(u)
    if len(u) <= _N_BINS:
        return u, counts
    place = np.minimum((log_u / log_u[-1] * _N_BINS).astype(np.int64), _N_BINS - 1)
    weight = np.bincount(place, weights=counts).astype(np.float64)
    total = np.bincount(place, weights=counts * log_u)
    return np.exp(total[weight > 0] / weight[weight > 0]), weight[weight > 0]


def _search(
    cost: Callable[[Floats], float], start: list[float], bounds: tuple[tuple[float, float], ...]
) -> tuple[Floats, bool]:
    """Minimise by simplex, started a second time where the first ended."""
    theta = np.clip(start, *np.array(bounds).T)
    for _ in range(2):
        found = minimize(
            cost,
            theta,
            method="Nelder-Mead",
            bounds=bounds,
            options={"xatol": 1e-6, "fatol": 1e-13, "maxiter": 600, "maxfev": 1200},
        )
        theta = found.x
    return np.asarray(theta), bool(found.success)


def _limit(shape: _Shape, theta: Floats) -> str:
    for which, side, meaning in shape.limits:
        lo, hi = shape.bounds[which]
        if abs(theta[which] - shape.bounds[which][side]) < _LIMIT * (hi - lo):
            return meaning
    return ""


def _log_difference(upper: Floats, lower: Floats) -> Floats:
    """Give ``log(e^upper - e^lower)`` for upper > lower."""
    gap = np.minimum(lower - upper, -np.finfo(float).tiny)
    return np.asarray(upper + np.log(-np.expm1(gap)))


# Lognormal: theta = (z, log sigma), z the edge in standard deviations above mu. A large z with
# z / sigma fixed is the power law of exponent 1 + z / sigma.
def _lognormal_z(theta: Floats, u: Floats) -> Floats:
    return np.asarray(theta[0] + np.log(u) * np.exp(-theta[1]))


def _lognormal_start(log_u: Floats, weights: Floats) -> list[float]:
    mean = weights @ log_u
    spread = np.sqrt(weights @ (log_u - mean) ** 2)
    return [0.0, float(np.log(1.5 * spread))]


def _lognormal_params(theta: Floats, edge: float) -> dict[str, float]:
    sigma = float(np.exp(theta[1]))
    return {"mu": float(np.log(edge) - theta[0] * sigma), "sigma": sigma}


# Exponential: theta = (log rate,), u in units of the edge.
def _exponential_start(log_u: Floats, weights: Floats) -> list[float]:
    return [-float(np.log(weights @ np.expm1(log_u)))]


# Stretched exponential: theta = (log beta, log rate), S = exp(-rate (u^beta - 1) / beta), which for
# beta -> 0 is the power law of exponent 1 + rate.
def _stretched_start(log_u: Floats, weights: Floats) -> list[float]:
    return [float(np.log(0.5)), -float(np.log(weights @ log_u)) - 0.5]


def _stretched_hazard(theta: Floats, u: Floats) -> Floats:
    beta = np.exp(theta[0])
    return np.asarray(np.exp(theta[1]) * np.expm1(beta * np.log(u)) / beta)


def _stretched_params(theta: Floats, edge: float) -> dict[str, float]:
    beta, rate = np.exp(theta)
    return {"beta": float(beta), "scale": float(edge * (beta / rate) ** (1 / beta))}


_SHAPES: Final = {
    "lognormal": _Shape(
        bounds=((-30.0, 30.0), (-12.0, 8.0)),
        start=_lognormal_start,
        log_survival=lambda t, u: np.asarray(log_ndtr(-_lognormal_z(t, u))),
        log_density=lambda t, u: np.asarray(
            -0.5 * _lognormal_z(t, u) ** 2 - np.log(u) - t[1] - 0.5 * np.log(2 * np.pi)
        ),
        params=_lognormal_params,
        limits=((0, 1, "power law"),),
    ),
    "exponential": _Shape(
        bounds=((-40.0, 20.0),),
        start=_exponential_start,
        log_survival=lambda t, u: np.asarray(-np.exp(t[0]) * (u - 1)),
        log_density=lambda t, u: np.asarray(t[0] - np.exp(t[0]) * (u - 1)),
        params=lambda t, edge: {"b": float(np.exp(t[0]) / edge)},
    ),
    "stretched_exponential": _Shape(
        bounds=((-5.0, 2.0), (-30.0, 12.0)),
        start=_stretched_start,
        log_survival=lambda t, u: -_stretched_hazard(t, u),
        log_density=lambda t, u: np.asarray(
            t[1] + (np.exp(t[0]) - 1) * np.log(u) - _stretched_hazard(t, u)
        ),
        params=_stretched_params,
        limits=((0, 0, "power law"),),
    ),
}
ALTERNATIVES: Final = ("truncated_power_law", *_SHAPES)
