"""Bootstrap of a fit: cases, clusters, wild and parametric, all replicates at once.

A replicate of cases or clusters is a vector of counts; one of wild or parametric errors is a new
response at the same inputs. Replicates start from the estimate and go through the same minimiser.
"""

from dataclasses import replace
from typing import Final, Literal, get_args

import numpy as np
from scipy import stats

from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.rng import stream
from quantascope.laws.fitting.data import Points
from quantascope.laws.fitting.frame import Frame
from quantascope.laws.fitting.minimise import Minimum, minimise
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.fitting.spread import residuals_of
from quantascope.laws.forms.law import Floats

__all__ = [
    "BootstrapKind",
    "bca_interval",
    "expanded_interval",
    "jackknife",
    "percentile_interval",
    "refit",
    "replicate",
]

BootstrapKind = Literal["case", "cluster", "wild", "parametric"]
_KINDS: Final = get_args(BootstrapKind)
_BATCH: Final = 500
_BATCH_FLOATS: Final = 5_000_000
"""Counts of one batch of replicates: 40 MB."""


def replicate(
    frame: Frame,
    points: Points,
    objective: Objective,
    *,
    theta: Floats,
    kind: BootstrapKind,
    n_replicates: int,
    seed: int,
    advance: Advance = ignore_progress,
) -> Minimum:
    """Fit bootstrap replicates.

    Parameters
    ----------
    frame, points, objective
        The fit, in the frame it was made in.
    theta
        Its minimum, axis ``param``.
    kind
        ``case`` draws points with replacement (Efron 1979), ``cluster`` draws groups (runs),
        ``wild`` flips the signs of residuals, group by group where there are groups (Wu 1986;
        Rademacher), ``parametric`` draws normal errors, enlarged for the fitted parameters.
    n_replicates
        At least 1.
    seed
        Of the resampling.
    advance
        Told of finished replicates.

    Raises
    ------
    ValueError
        If the kind is unknown, or clusters are asked for without groups.
    """
    if kind not in _KINDS:
        raise ValueError(f"bootstrap: {kind!r}; allowed are {', '.join(_KINDS)}")
    if kind == "cluster" and points.groups is None:
        raise ValueError("bootstrap: cluster needs groups; name the column of the run with group")
    if kind in {"case", "parametric"} and points.groups is not None:
        raise ValueError(
            f"bootstrap: {kind} takes points as independent, which points in groups are not; "
            "allowed are cluster and wild"
        )
    if n_replicates < 1:
        raise ValueError(f"n_replicates: {n_replicates}; allowed are integers >= 1")
    draw = stream(seed, "bootstrap", kind)
    parts = []
    batch = max(1, min(_BATCH, _BATCH_FLOATS // points.n))
    for first in range(0, n_replicates, batch):
        n = min(batch, n_replicates - first)
        if kind in {"case", "cluster"}:
            counts = _counts(points, kind, n=n, draw=draw)
            parts.append(refit(frame, points, objective, theta=theta, cases=counts))
        else:
            response = _responses(frame, points, objective, theta=theta, kind=kind, n=n, draw=draw)
            parts.append(refit(frame, points, objective, theta=theta, response=response))
        advance(n)
    return Minimum(
        theta=np.concatenate([part.theta for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        converged=np.concatenate([part.converged for part in parts]),
        n_steps=np.concatenate([part.n_steps for part in parts]),
    )


def refit(
    frame: Frame,
    points: Points,
    objective: Objective,
    *,
    theta: Floats,
    cases: Floats | None = None,
    response: Floats | None = None,
) -> Minimum:
    """Fit replicates given by case counts [boot, point] or responses in the frame's unit."""
    problem = frame.problem(points, objective)
    if cases is not None:
        problem = replace(problem, cases=points.weights * cases)
    if response is not None:
        problem = replace(problem, response=response)
    n = len(cases if cases is not None else problem.response)
    return minimise(problem, np.repeat(theta[None], n, axis=0))


def jackknife(frame: Frame, points: Points, objective: Objective, *, theta: Floats) -> Floats:
    """Fits without one point, or without one group, each; axes ``point|group param``."""
    groups = np.arange(points.n) if points.groups is None else points.groups
    labels = np.unique(groups)
    batch = max(1, _BATCH_FLOATS // points.n)
    parts = [
        refit(frame, points, objective, theta=theta, cases=(some[:, None] != groups).astype(float))
        for some in np.array_split(labels, -(-len(labels) // batch))
    ]
    return np.concatenate([part.theta for part in parts])


def percentile_interval(replicates: Floats, *, confidence: float) -> tuple[float, float]:
    """Percentiles of replicates (Efron 1979)."""
    return _between(replicates, 0.5 - confidence / 2)


def expanded_interval(
    replicates: Floats, *, confidence: float, n_cases: int, n_free: int
) -> tuple[float, float]:
    """Percentiles moved outwards for the parameters that the fit has used up.

    Replicates of n cases are too narrow by ``sqrt((n - p) / n)`` and normal where Student's law
    holds (Hesterberg 2015, doi:10.1080/00031305.2015.1089789, section 5.3, there with p = 1).
    """
    freedom = max(n_cases - n_free, 1)
    limit = stats.t.ppf(0.5 + confidence / 2, freedom) * np.sqrt(n_cases / freedom)
    return _between(replicates, float(stats.norm.cdf(-limit)))


def _between(replicates: Floats, tail: float) -> tuple[float, float]:
    lo, hi = np.quantile(replicates, [tail, 1 - tail])
    return float(lo), float(hi)


def bca_interval(
    replicates: Floats, *, estimate: float, without_one: Floats, confidence: float
) -> tuple[float, float]:
    """Percentiles corrected for bias and for an error that grows with the parameter.

    Efron 1987, doi:10.1080/01621459.1987.10478410; the acceleration from the jackknife.
    """
    below = np.mean(replicates < estimate) + 0.5 * np.mean(replicates == estimate)
    n = len(replicates)
    bias = stats.norm.ppf(np.clip(below, 0.5 / n, 1 - 0.5 / n))
    pull = without_one.mean() - without_one
    power = (pull**2).sum() ** 1.5
    acceleration = (pull**3).sum() / (6 * power) if power > 0 else 0.0
    z = bias + stats.norm.ppf([0.5 - confidence / 2, 0.5 + confidence / 2])
    level = stats.norm.cdf(bias + z / (1 - acceleration * z))
    lo, hi = np.percentile(replicates, 100 * level)
    return float(lo), float(hi)


def _counts(points: Points, kind: BootstrapKind, *, n: int, draw: np.random.Generator) -> Floats:
    if kind == "case" or points.groups is None:
        return _draws(points.n, n, draw)
    n_groups = int(points.groups.max()) + 1
    return _draws(n_groups, n, draw)[:, points.groups]


def _draws(size: int, n: int, draw: np.random.Generator) -> Floats:
    picked = draw.integers(0, size, (n, size)) + size * np.arange(n)[:, None]
    return np.bincount(picked.ravel(), minlength=n * size).reshape(n, size).astype(np.float64)


def _responses(
    frame: Frame,
    points: Points,
    objective: Objective,
    *,
    theta: Floats,
    kind: BootstrapKind,
    n: int,
    draw: np.random.Generator,
) -> Floats:
    residual, _ = residuals_of(frame, points, objective, theta=theta)
    problem = frame.problem(points, objective)
    fit = np.exp(frame.law.form(theta[None], problem.log_inputs)[0])
    enlarged = np.sqrt(points.n / max(points.n - frame.ties.shape[1], 1))
    if kind == "wild":
        groups = np.arange(points.n) if points.groups is None else points.groups
        signs = draw.choice([-1.0, 1.0], (n, int(groups.max()) + 1))[:, groups]
        error = signs * residual * enlarged
    else:
        error = draw.normal(0.0, enlarged * np.sqrt(np.mean(residual**2)), (n, points.n))
    return np.asarray(np.maximum(fit + error, 0.0) if objective.raw else fit * np.exp(error))
