"""What a fit says: parameters, intervals, what is not identified, and predictions.

A `LawFit` goes through JSON and back without loss; numbers are written in full, since rounded
exponents move predictions by more than the residuals.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from quantascope.core.errors import DataError
from quantascope.core.numbers import plain
from quantascope.laws.fitting.data import Points
from quantascope.laws.fitting.draw import draw_fit
from quantascope.laws.fitting.frame import Frame, choose_frame
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.fitting.reading import check_agreement, check_fields
from quantascope.laws.fitting.spread import Profile, covariance_of, profile_interval, residuals_of
from quantascope.laws.forms.law import Floats, Law
from quantascope.laws.forms.table import LAWS, find_law

__all__ = ["LawFit", "Prediction"]

_SCHEMA: Final = "quantascope.law-fit/1"
_MUTE: Final = 1e-6
_MOST_LOG: Final = 700.0  # of a double
_NOT_PLAIN: Final = {"points", "replicates", "own_law"}


class Prediction(NamedTuple):
    """Response of a law at new inputs."""

    value: Floats
    lo: Floats
    """Interval of the curve itself, without the scatter of single points."""
    hi: Floats
    extrapolated: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    """Whether an input lies outside the range that was fitted."""


@dataclass(frozen=True, kw_only=True)
class LawFit:
    """A fitted law. Made by `quantascope.laws.fit`."""

    law: str
    formula: str
    params: dict[str, float]
    """Parameters by their name in the formula, in the units of the data."""
    objective: float
    """The objective at the minimum: a sum over points."""
    objective_name: str
    delta: float
    """Where Huber's loss becomes linear [log residual]."""
    above: float
    """Weight of points above the curve; .5 is symmetric."""
    converged: bool
    """Whether the first-order test holds."""
    identified: bool
    """Whether the data identify every free parameter."""
    not_identified: dict[str, str]
    """Parameter -> why the data do not identify it."""
    se: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    confidence: float
    interval_method: str
    n_points: int
    n_groups: int
    n_starts: int
    n_reached: int
    """Descents of the search that ended in this minimum."""
    scatter: float
    """Root mean square of residuals (logs, or the response's unit), corrected for parameters."""
    ranges: dict[str, tuple[float, float]]
    meaning: dict[str, str]
    """What each input counts, and in which unit."""
    response: str
    fixed: dict[str, float]
    tied: dict[str, str]
    extrapolation: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    replicates: Floats | None = field(default=None, repr=False)
    """Bootstrap parameters, axes ``boot param``, in the order of the formula."""
    points: Points | None = field(default=None, repr=False)
    own_law: Law | None = field(default=None, repr=False)
    """The law itself where it is none of the table; JSON does not hold it."""

    @property
    def row(self) -> Law:
        """The law that was fitted.

        Raises
        ------
        ValueError
            If it is none of the table, and was not given to `from_json`.
        """
        return self.own_law or find_law(self.law)

    def interval(self, name: str) -> tuple[float, float]:
        """Interval of a parameter, in its own unit.

        Raises
        ------
        ValueError
            If the law has no such parameter.
        """
        self.row.index(name)
        return self.intervals[name]

    @overload
    def predict(self, inputs: Mapping[str, ArrayLike]) -> Floats: ...

    @overload
    def predict(
        self, inputs: Mapping[str, ArrayLike], *, interval: Literal[True]
    ) -> Prediction: ...

    def predict(
        self, inputs: Mapping[str, ArrayLike], *, interval: bool = False
    ) -> Floats | Prediction:
        """Response at inputs given by name.

        Parameters
        ----------
        inputs
            One array for each input of the law, in the units of the data.
        interval
            Also give the interval of the curve: percentiles of the bootstrap where there is
            one, else the sandwich covariance in logarithms.

        Returns
        -------
        Floats | Prediction
            Response, axis ``point``; with its interval where asked.
        """
        law = self.row
        value = law(self.params, **{name: inputs[name] for name in law.inputs if name in inputs})
        if not interval:
            return value
        log_inputs = law.log_inputs(inputs)
        lo, hi = self._band(law, log_inputs)
        outside = np.zeros(log_inputs.shape[1], dtype=np.bool_)
        for row, name in zip(np.exp(log_inputs), law.inputs, strict=True):
            least, most = self.ranges[name]
            outside |= (row < least * (1 - 1e-9)) | (row > most * (1 + 1e-9))
        return Prediction(value=value, lo=lo, hi=hi, extrapolated=outside)

    def _band(self, law: Law, log_inputs: Floats) -> tuple[Floats, Floats]:
        tail = 0.5 * (1 - self.confidence)
        if self.replicates is not None:
            theta = law.encode(dict(zip(law.names, self.replicates.T, strict=True)))
            curves = np.exp(law.form(theta, log_inputs)[0])
            lo, hi = np.quantile(curves, [tail, 1 - tail], axis=0)
            return lo, hi
        frame, points, objective = self.setting()
        theta = law.encode(self.params)
        covariance = covariance_of(frame, points, objective, theta=theta[0])
        mute = ~np.isfinite(np.diag(covariance))
        usable = np.where(np.isfinite(covariance), covariance, 0.0)
        log_value, gradient = law.form(theta, log_inputs)
        gradient = np.where(np.isfinite(gradient), gradient, 0.0)[0]
        variance = np.einsum("pn,pq,qn->n", gradient, usable, gradient)
        # where the curve depends on what the data do not inform, it may be anywhere
        variance[(np.abs(gradient[mute]) > _MUTE).any(axis=0)] = np.inf
        free = (points.n_groups or points.n) - (1 if points.n_groups else frame.ties.shape[1])
        half = stats.t.ppf(1 - tail, max(free, 1)) * np.sqrt(np.maximum(variance, 0.0))
        return np.exp(log_value[0] - half), np.exp(np.minimum(log_value[0] + half, _MOST_LOG))

    def profile(self, name: str) -> Profile:
        """Objective minimised over all other parameters, against this one.

        Raises
        ------
        ValueError
            If the law has no such parameter, or it was fixed.
        DataError
            If the fit was read from a file without its points.
        """
        frame, points, objective = self.setting()
        if not np.isnan(frame.held[frame.law.index(name)]):
            raise ValueError(f"profile: {name} was fixed at {self.params[name]:g}")
        theta = np.maximum(frame.law.encode(self.params)[0], frame.lo)
        return profile_interval(
            frame, points, objective, theta=theta, name=name, confidence=self.confidence
        )

    def residuals(self) -> Floats:
        """Residuals of the fitted points, log observed over fitted (raw where fitted raw)."""
        frame, points, objective = self.setting()
        return residuals_of(frame, points, objective, theta=frame.law.encode(self.params)[0])[0]

    def plot(self, *, ax: Any) -> Any:  # noqa: ANN401  (matplotlib is not imported here)
        """Draw points, fit, its band and the extrapolated part (dashed) into matplotlib axes."""
        return draw_fit(self, ax)

    def to_json(self) -> dict[str, Any]:
        """Give plain objects that `json` can write; infinite ends of intervals become null."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_PLAIN}
        found = {"schema": _SCHEMA, **found}
        found["replicates"] = None if self.replicates is None else self.replicates.tolist()
        found["points"] = None if self.points is None else _points_to_json(self.points)
        return dict(plain(found))

    @classmethod
    def from_json(cls, found: Mapping[str, Any], *, law: Law | None = None) -> "LawFit":
        """Read what `to_json` gave.

        Parameters
        ----------
        found
            What `to_json` gave, or `quantascope fit --json` printed.
        law
            The law, where it is none of the table.

        Raises
        ------
        DataError
            If this is not a fit, or one of a newer schema.
        """
        if not isinstance(found, Mapping) or found.get("schema") != _SCHEMA:
            seen = found.get("schema") if isinstance(found, Mapping) else type(found).__name__
            raise DataError(
                f"not a fit: schema {str(seen)[:40]!r}; allowed is {_SCHEMA} "
                "(from `quantascope fit --json`)"
            )
        known = {f.name for f in fields(cls)} - {"own_law"}
        missing = sorted(known - set(found))
        if missing:
            raise DataError(
                f"damaged fit: no {', '.join(missing[:5])}; "
                "make it again with `quantascope fit --json`"
            )
        row = law or _known_law(found["law"])
        check_fields(found, row)
        try:
            return cls._read(found, known, row=row, own_law=law)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"damaged fit: {str(error)[:80]!r}; make it again with `quantascope fit --json`"
            ) from error

    @classmethod
    def _read(
        cls, found: Mapping[str, Any], known: set[str], *, row: Law, own_law: Law | None
    ) -> "LawFit":
        values = {name: found[name] for name in known}
        for table in ("intervals", "se"):
            if set(found[table]) != set(row.names):
                raise ValueError(f"{table} must name {', '.join(row.names)}")
        values["intervals"] = {name: _ends(pair) for name, pair in found["intervals"].items()}
        values["se"] = {
            name: np.inf if error is None else error for name, error in found["se"].items()
        }
        values["ranges"] = {name: tuple(pair) for name, pair in found["ranges"].items()}
        values["warnings"] = tuple(found["warnings"])
        values["replicates"] = (
            None if found["replicates"] is None else np.array(found["replicates"], dtype=np.float64)
        )
        values["points"] = None if found["points"] is None else _points_from_json(found["points"])
        read = cls(**values, own_law=own_law)
        check_agreement(read)
        return read

    def setting(self) -> tuple[Frame, Points, Objective]:
        """Give frame (in the units of the data), points and objective of this fit.

        Raises
        ------
        DataError
            If the fit was read from a file without its points.
        """
        if self.points is None:
            raise DataError(
                f"fit of {self.law}: its points are not kept (over 20,000); fit the table again"
            )
        objective = Objective(self.objective_name, self.delta, self.above)  # type: ignore[arg-type]
        frame = choose_frame(
            self.row, self.points, fixed=self.fixed, tied=self.tied, own_units=True
        )
        return frame, self.points, objective


def _known_law(name: object) -> Law:
    if not isinstance(name, str) or name not in LAWS:
        raise DataError(
            f"law {name!r:.40} of this fit is none of the table; pass a law of your own: "
            "from_json(found, law=...)"
        )
    return LAWS[name]


def _points_to_json(points: Points) -> dict[str, Any] | None:
    if points.n > 20_000:
        return None
    return {
        name: None if value is None else np.asarray(value).tolist()
        for name, value in asdict(points).items()
    }


def _points_from_json(found: Mapping[str, Any]) -> Points:
    groups = found["groups"]
    return Points(
        inputs=np.array(found["inputs"], dtype=np.float64),
        response=np.array(found["response"], dtype=np.float64),
        weights=np.array(found["weights"], dtype=np.float64),
        groups=None if groups is None else np.array(groups, dtype=np.int64),
    )


def _ends(pair: Any) -> tuple[float, float]:  # noqa: ANN401  (JSON)
    return (-np.inf if pair[0] is None else pair[0], np.inf if pair[1] is None else pair[1])
