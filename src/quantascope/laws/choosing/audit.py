"""The audit of published parameters: whether they are at the minimum, and if not, why.

A law, its data and a parameter vector enter; findings leave. Besiroglu et al. (2024,
arXiv:2404.10102) did this by hand for Chinchilla's law: the published vector lies above the
minimum, because an optimiser stopped early and because the exponents were rounded.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from quantascope.laws.choosing.premature import Stop, above, descend
from quantascope.laws.fitting.data import Points, read_points
from quantascope.laws.fitting.frame import Frame, choose_frame
from quantascope.laws.fitting.minimise import evaluate, minimise
from quantascope.laws.fitting.objective import Objective, ObjectiveName
from quantascope.laws.fitting.search import search
from quantascope.laws.fitting.spread import residuals_of
from quantascope.laws.forms.law import Floats, Law
from quantascope.laws.forms.table import find_law

__all__ = ["Audit", "Rounding", "audit_params"]

_AT_MINIMUM: Final = 1e-4
"""Objectives that agree to this share are one minimum: five digits, as parameters are quoted."""
_EXACT: Final = 1e-14
"""Residuals of this size are rounding: the data lie on the law."""
_FIRST_ORDER: Final = 1e-6
_SHORT: Final = 0.01
"""Where even the best vector that rounds alike is this share above the minimum, rounding is not
all: an early stop is."""


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What half a unit of a parameter's last digit does to the predictions."""

    name: str
    half_unit: float
    """Half a unit of the last digit given."""
    shift: float
    """Largest change of a log prediction that it makes, over the data."""
    matters: bool
    """Whether that exceeds the residual scale."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A parameter vector against the minimum."""

    law: str
    source: str
    params: dict[str, float]
    objective: float
    """Of the vector, a sum over points."""
    best_objective: float
    best_params: dict[str, float]
    excess: float
    """Objective over the best, less 1."""
    first_order: float
    """Decrease that one reweighted Gauss-Newton step promises, over the objective; 0 where the
    vector is stationary."""
    at_minimum: bool
    residual_scale: float
    """Median absolute residual of the best fit [log]."""
    bias: float
    """Mean log observed over predicted: above 0 where the vector promises too low a response."""
    rounding: tuple[Rounding, ...]
    rounded_objective: float
    """Lowest objective of all vectors that round to this one."""
    stops: tuple[Stop, ...]
    """Where default optimisers started from this vector end."""
    causes: tuple[str, ...]
    """Known causes that fit; empty at the minimum."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each thing a reader must know."""
        if self.at_minimum:
            return ()
        head = (
            f"{self.source or 'these parameters'}: objective {self.objective:.7g}, "
            f"{above(self.excess)} the minimum {self.best_objective:.7g}"
        )
        return (head, *self.causes, *(stop.warning for stop in self.stops if stop.premature))

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        stops = [stop.to_json() for stop in self.stops]
        return {**asdict(self), "stops": stops, "warnings": list(self.warnings)}


def audit_params(
    law: str | Law,
    data: Mapping[str, ArrayLike],
    params: Mapping[str, float | str],
    *,
    response: str | None = None,
    objective: ObjectiveName = "huber",
    delta: float = 1e-3,
    source: str = "",
) -> Audit:
    """Hold a parameter vector against the global minimum on the data it is said to come from.

    Parameters
    ----------
    law
        A name of the table ``LAWS``, or a law of your own.
    data
        Columns by name.
    params
        The vector, in the units of the data. A value given as text keeps its trailing zeros
        (``"0.30"`` is known to .005, ``0.3`` to .05).
    response
        Name of the response's column; the law's own where not given.
    objective, delta
        As in `fit`.
    source
        Where the vector was published.

    Returns
    -------
    Audit
        Objective against the minimum, first-order test, what the rounding of each parameter
        does, the premature stops of default optimisers, and the causes that fit.

    Raises
    ------
    ValueError
        If a column or parameter is missing, or a value is not a finite number.

    Examples
    --------
    >>> x = np.geomspace(1e6, 1e9, 12)
    >>> data = {"x": x, "loss": 1.7 + 400 * x**-0.34}
    >>> found = audit_params("floor", data, {"E": 1.7, "A": 400, "alpha": 0.3})
    >>> found.at_minimum, found.bias < 0
    (False, True)
    """
    row, goal = find_law(law), Objective(objective, delta)
    points = read_points(row, data, response=response or row.response, raw=goal.raw)
    if points.n <= len(row.params):
        raise ValueError(
            f"data: {points.n} points for the {len(row.params)} parameters of law {row.name}; "
            f"at least {len(row.params) + 1} are needed"
        )
    exact = {name: _decimal(name, value) for name, value in params.items()}
    numbers = {name: float(value) for name, value in exact.items()}
    theta = row.encode(numbers)[0]
    frame = choose_frame(row, points, fixed={}, tied={})
    found = search(frame, points, goal)
    own = choose_frame(row, points, fixed={}, tied={}, own_units=True)
    value = float(evaluate(own.problem(points, goal), theta[None])[0])
    if not np.isfinite(value):
        raise ValueError(
            f"params: law {row.name} gives no finite positive {row.response} on these data with "
            "them; are units and names those of the source?"
        )
    unit = float(np.exp(2 * frame.log_unit)) if goal.raw else 1.0
    best = frame.outward(found.theta[None])
    positive = points.take(np.flatnonzero(points.response > 0))  # logarithms need them
    scale = float(np.median(np.abs(_log_residuals(row, positive, best))))
    clipped = np.clip(frame.inward(theta[None])[0], frame.lo, frame.hi)
    audit = Audit(
        law=row.name,
        source=source,
        params=numbers,
        objective=value,
        best_objective=found.value * unit,
        best_params={name: float(column[0]) for name, column in row.decode(best).items()},
        excess=value / (found.value * unit) - 1 if found.value > 0 else float("inf"),
        first_order=_first_order(frame, points, goal, theta=clipped),
        at_minimum=value <= (found.value * (1 + _AT_MINIMUM) + points.n * _EXACT**2) * unit,
        residual_scale=scale,
        bias=float(_log_residuals(row, positive, theta[None]).mean()),
        rounding=_roundings(row, positive, exact, scale=scale),
        rounded_objective=min(value, _lowest_in_box(own, points, goal, theta=theta, exact=exact)),
        stops=descend(row, points, goal, theta=theta, least=found.value * unit)
        if np.isfinite(theta).all()
        else (),
        causes=(),
    )
    return replace(audit, causes=_causes(audit))


def _log_residuals(law: Law, points: Points, theta: Floats) -> Floats:
    return np.asarray(np.log(points.response) - law.form(theta, np.log(points.inputs))[0][0])


def _decimal(name: str, value: float | str) -> Decimal:
    try:
        number = Decimal(str(value))
    except (ArithmeticError, TypeError, ValueError):
        raise ValueError(f"{name}: {str(value)[:40]!r}; allowed are numbers") from None
    if not (number.is_finite() and np.isfinite(float(number))):
        raise ValueError(f"{name}: {value}; allowed are finite numbers")
    return number


def _half_unit(number: Decimal) -> float:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # finite by _decimal
    return 0.5 * 10.0**exponent


def _roundings(
    law: Law, points: Points, exact: Mapping[str, Decimal], *, scale: float
) -> tuple[Rounding, ...]:
    """Move each parameter by half a unit of its last digit, the others held."""
    numbers = {name: float(value) for name, value in exact.items()}
    log_inputs = np.log(points.inputs)
    found = []
    for param in law.params:
        half = _half_unit(exact[param.name])
        base = numbers[param.name]
        moved = [base + half, max(base - half, 0.0) if param.positive else base - half, base]
        with np.errstate(all="ignore"):  # half a unit may reach a parameter of 0
            theta = law.encode({**numbers, param.name: np.array(moved)})
            up, down, here = law.form(theta, log_inputs)[0]
        shift = float(np.nanmax(np.abs([up - here, down - here])))
        found.append(Rounding(name=param.name, half_unit=half, shift=shift, matters=shift > scale))
    return tuple(found)


def _lowest_in_box(
    own: Frame, points: Points, objective: Objective, *, theta: Floats, exact: Mapping[str, Decimal]
) -> float:
    """Lowest objective of the vectors that round to the one given."""
    lo, hi = own.lo.copy(), own.hi.copy()
    for index, param in enumerate(own.law.params):
        half, base = _half_unit(exact[param.name]), float(exact[param.name])
        ends = np.array([base - half, base + half])
        if param.positive:
            ends = np.log(np.maximum(ends, 1e-300))
        lo[index], hi[index] = np.maximum(lo[index], ends[0]), np.minimum(hi[index], ends[1])
    if not (lo <= hi).all():
        return float("inf")
    narrow = replace(own, lo=lo, hi=hi)
    corners = np.stack([theta, (lo + hi) / 2, lo, hi])
    found = minimise(narrow.problem(points, objective), np.clip(corners, lo, hi))
    return float(np.nanmin(found.value))


def _first_order(frame: Frame, points: Points, objective: Objective, *, theta: Floats) -> float:
    residual, gradient = residuals_of(frame, points, objective, theta=theta)
    gradient = np.where(np.isfinite(gradient), gradient, 0.0)
    weight = points.weights * objective.weight(residual)
    slope = gradient @ (weight * residual)
    matrix = (gradient * weight) @ gradient.T
    value = float((points.weights * objective.loss(residual)).sum())
    step = np.linalg.lstsq(matrix, slope, rcond=1e-12)[0]
    return float(slope @ step) / value if value > 0 else 0.0


def _causes(audit: Audit) -> tuple[str, ...]:
    """Name the known causes that fit a vector off the minimum."""
    if audit.at_minimum:
        return ()
    said = []
    coarse = [one for one in audit.rounding if one.matters]
    left = (audit.rounded_objective - audit.best_objective) / max(
        audit.objective - audit.best_objective, 1e-300
    )
    if coarse:
        worst = ", ".join(f"{one.name} by {one.shift:.2g}" for one in coarse)
        said.append(
            f"rounding: half a unit of the last digit moves log predictions ({worst}) by more than "
            f"the residuals ({audit.residual_scale:.2g}); vectors that round alike reach "
            f"{audit.rounded_objective:.7g}, which leaves {left:.0%} of the excess"
        )
    short = audit.rounded_objective > audit.best_objective * (1 + _SHORT)
    if short and any(stop.premature for stop in audit.stops):
        ended = [f"{stop.method} on the {stop.total}" for stop in audit.stops if stop.premature]
        said.append(
            f"premature stop: started here, {', '.join(ended)} report success short of the minimum"
        )
    if audit.first_order < _FIRST_ORDER:
        said.append("local minimum: the first-order test holds here")
    return tuple(said) or ("no known cause fits: another data set, objective or delta?",)
