"""Premature stops, shown: what SciPy's default optimisers report as success from a given start.

Absolute tolerances ask whether the objective is small, not whether it is minimal: averaged over
points, or started where the gradient is small already, they end far from the minimum and say
"converged". Besiroglu et al. (2024, arXiv:2404.10102, section 3) trace the published fit of
Chinchilla's law to this. The project's own fits stop on a first-order test instead.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize as scipy_minimize

from quantascope.laws.fitting.data import Points, read_points
from quantascope.laws.fitting.frame import choose_frame
from quantascope.laws.fitting.objective import Objective, ObjectiveName
from quantascope.laws.fitting.search import search
from quantascope.laws.forms.law import Floats, Law
from quantascope.laws.forms.table import find_law

__all__ = ["METHODS", "Stop", "Total", "above", "descend", "premature_stops"]

Total = Literal["sum", "mean"]
METHODS: Final = ("L-BFGS-B", "BFGS")
_AT_MINIMUM: Final = 1e-4
"""A stop this share above the minimum is not premature: BFGS with defaults gets this near."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Where one optimiser ended."""

    method: str
    total: Total
    """Whether it was given the sum over points or their mean."""
    objective: float
    """The sum over points, whatever it was given."""
    excess: float
    """Objective over the global minimum, less 1."""
    success: bool
    """What the optimiser reported."""
    message: str
    n_iterations: int
    params: dict[str, float]

    @property
    def premature(self) -> bool:
        """Whether it reported success above the minimum."""
        return self.success and self.excess > _AT_MINIMUM

    @property
    def warning(self) -> str:
        """One line for a reader, empty where the stop is not premature."""
        if not self.premature:
            return ""
        return (
            f"{self.method} on the {self.total} reports success at {self.objective:.7g}, "
            f"{above(self.excess)} the minimum, after {self.n_iterations} iterations"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return {**asdict(self), "premature": self.premature, "warning": self.warning}


def above(excess: float) -> str:
    """Say how far above a minimum: ``4.5% above``, or ``30 times`` where far."""
    return f"{excess:.1%} above" if excess < 9 else f"{1 + excess:.3g} times"


def premature_stops(
    law: str | Law,
    data: Mapping[str, ArrayLike],
    start: Mapping[str, float],
    *,
    response: str | None = None,
    objective: ObjectiveName = "huber",
    delta: float = 1e-3,
) -> tuple[Stop, ...]:
    """Run L-BFGS-B and BFGS with SciPy's default tolerances, on the sum and on the mean.

    Parameters
    ----------
    law
        A name of the table ``LAWS``, or a law of your own.
    data
        Columns by name.
    start
        Parameters to start from, in the units of the data.
    response
        Name of the response's column; the law's own where not given.
    objective, delta
        As in `fit`; least squares in logs or Huber.

    Returns
    -------
    tuple[Stop, ...]
        One row a method and total. Positive parameters move as logarithms, inputs are not
        centred, the gradient is analytic: as in the published notebook.

    Raises
    ------
    ValueError
        If a column or parameter is missing, or a positive parameter of the start is 0.

    References
    ----------
    Besiroglu et al. 2024, arXiv:2404.10102, section 3 and its notebook
    (github.com/epoch-research/analyzing-chinchilla).
    """
    row, goal = find_law(law), Objective(objective, delta)
    points = read_points(row, data, response=response or row.response, raw=goal.raw)
    theta = row.encode(start)[0]
    if not np.isfinite(theta).all():
        zero = row.names[int(np.flatnonzero(~np.isfinite(theta))[0])]
        raise ValueError(f"start: {zero} is 0 or not finite; allowed are finite numbers > 0")
    least = search(choose_frame(row, points, fixed={}, tied={}), points, goal).value
    return descend(row, points, goal, theta=theta, least=least)


def descend(
    law: Law, points: Points, objective: Objective, *, theta: Floats, least: float
) -> tuple[Stop, ...]:
    """Run every method on both totals from internal coordinates; `least` is the minimum."""
    log_inputs = np.log(points.inputs)

    def value_and_slope(at: Floats, scale: float) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):  # a line search may overflow; SciPy backs off
            log_fit, gradient = law.form(at[None], log_inputs)
            fit = np.exp(log_fit[0])
            residual = points.response - fit if objective.raw else np.log(points.response / fit)
            pull = points.weights * objective.weight(residual) * residual
            slope = -(gradient[0] * (fit if objective.raw else 1.0)) @ pull
            value = float((points.weights * objective.loss(residual)).sum())
        return value * scale, slope * scale

    found = []
    for method in METHODS:
        for total in ("sum", "mean"):
            scale = 1.0 if total == "sum" else 1.0 / points.n
            end = scipy_minimize(value_and_slope, theta, args=(scale,), jac=True, method=method)
            value = value_and_slope(end.x, 1.0)[0]
            found.append(
                Stop(
                    method=method,
                    total="sum" if total == "sum" else "mean",
                    objective=value,
                    excess=value / least - 1 if least > 0 else float("inf"),
                    success=bool(end.success),
                    message=str(end.message),
                    n_iterations=int(end.nit),
                    params={n: float(v[0]) for n, v in law.decode(end.x[None]).items()},
                )
            )
    return tuple(found)
