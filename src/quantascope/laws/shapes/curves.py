"""Curves for shape tests: points, their errors and groups, checked and on the scale of the test."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Curves", "Metric", "read_curves"]

Floats = NDArray[np.float64]

Metric = Literal["loss", "accuracy", "count"]
_MAX_POINTS: Final = 64  # windows grow as its square
_ERRORS: Final = (1e-9, 1e9)  # of the largest value
_LOWEST: Final = {"loss": "> 0", "accuracy": "finite", "count": ">= 0"}


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Curves over one x, on the scale of the test, points in ascending order."""

    t: Floats
    """log x, axis ``point``."""
    y: Floats
    """Transformed means over the largest, axes ``curve point``; NaN where a point is missing."""
    noise: Floats | None
    """Standard errors of `y`, axes ``curve point``; None if each curve must tell its own."""
    noise_dof: float
    """Degrees of freedom of one curve's noise; infinite where it is given."""
    metric: Metric


def read_curves(x: ArrayLike, y: ArrayLike, *, metric: Metric, stderr: ArrayLike | None) -> Curves:
    """Check curves and bring them to the scale of the test.

    Loss in logs, counts as square roots, accuracy as it is; standard errors by the delta rule.
    Arguments as `quantascope.laws.shapes.classify_shapes`.

    Raises
    ------
    ValueError
        If an argument is out of its range or shapes do not fit together.
    """
    if metric not in get_args(Metric):
        raise ValueError(f"metric: {metric!r} found; allowed are {', '.join(get_args(Metric))}")
    places, values = _floats("x", x), _floats("y", y)
    values = values[None] if values.ndim == 1 else values
    if places.ndim != 1 or values.ndim not in {2, 3} or values.shape[-1] != len(places):
        raise ValueError(
            f"x, y: shapes {places.shape}, {np.shape(y)}; the last axis of y must be that of x"
        )
    if len(places) > _MAX_POINTS:
        raise ValueError(f"x: {len(places)} points; allowed are {_MAX_POINTS}: average neighbours")
    if not (np.isfinite(places) & (places > 0)).all() or len(np.unique(places)) < len(places):
        raise ValueError("x: allowed are distinct finite numbers > 0; give repeats as replicates")
    _check_values(values, metric)
    order = np.argsort(places)
    noise, dof = None, 0.0
    if stderr is not None:
        if values.ndim == 3:
            raise ValueError("stderr: given together with replicates; give one of the two")
        error = _floats("stderr", stderr)
        noise, dof = _transform_errors(_broadcast(error, values), values, metric), np.inf
        values = _transform(values, metric)
    else:
        values = _transform(values, metric)
        if values.ndim == 3:
            values, noise, dof = _average(values)
    values, noise = _scale(values, noise)
    return Curves(
        t=np.log(places[order]),
        y=values[:, order],
        noise=None if noise is None else noise[:, order],
        noise_dof=dof,
        metric=metric,
    )


def _floats(name: str, values: ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: {repr(values).splitlines()[0]:.40} found; allowed are numbers"
        ) from None


def _check_values(values: Floats, metric: str) -> None:
    lowest = {"loss": values <= 0, "accuracy": np.zeros(values.shape, bool), "count": values < 0}
    bad = np.argwhere(lowest[metric] | np.isinf(values))
    if len(bad):
        place = ", ".join(str(i + 1) for i in bad[0])
        raise ValueError(
            f"y: {values[tuple(bad[0])]:g} found at place {place}; allowed for metric {metric} are"
            f" numbers {_LOWEST[metric]}"
        )


def _broadcast(error: Floats, values: Floats) -> Floats:
    try:
        full = np.broadcast_to(error, values.shape)
    except ValueError as fault:
        raise ValueError(
            f"stderr: shape {error.shape}; allowed is that of y, {values.shape}"
        ) from fault
    used = full[np.isfinite(values)]
    if not (np.isfinite(used) & (used > 0)).all():
        raise ValueError("stderr: allowed are finite numbers > 0 at every point")
    return full


def _transform(values: Floats, metric: str) -> Floats:
    if metric == "loss":
        return np.asarray(np.log(values))
    return np.asarray(np.sqrt(values)) if metric == "count" else values


def _transform_errors(error: Floats, values: Floats, metric: str) -> Floats:
    if metric == "loss":
        return np.asarray(error / values)
    if metric == "count":  # no rule at a count of 0; half a count is usual
        return np.asarray(error / (2 * np.sqrt(np.maximum(values, 0.5))))
    return error


def _average(values: Floats) -> tuple[Floats, Floats | None, float]:
    """Average replicates; one error a curve, pooled over its points."""
    present = np.isfinite(values)
    count = present.sum(axis=1)
    total = np.where(present, values, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    squares = np.where(present, (values - mean[:, None, :]) ** 2, 0.0).sum(axis=(1, 2))
    dof = np.maximum(count - 1, 0).sum(axis=1)
    if not dof.all():
        return mean, None, 0.0  # some curve has single points alone: all tell their own noise
    scale = np.sqrt(squares / dof)
    noise = scale[:, None] / np.sqrt(np.maximum(count, 1))
    return mean, noise, float(dof.min())


def _scale(values: Floats, noise: Floats | None) -> tuple[Floats, Floats | None]:
    """Divide each curve by its largest value, as no test knows a unit, and bound the errors.

    Equal replicates are not without error, and beyond either bound no result would change.
    """
    size = np.abs(np.where(np.isfinite(values), values, 0.0)).max(axis=1, keepdims=True)
    size = np.where(size > 0, size, 1.0)
    if noise is not None:
        with np.errstate(over="ignore"):  # an error beyond all numbers is the largest allowed
            noise = np.clip(noise / size, *_ERRORS)
    return values / size, noise
