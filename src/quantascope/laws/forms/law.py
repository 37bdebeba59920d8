"""What a law is to the fitter: a formula, its parameters, and a function of logarithms.

A law gives the logarithm of its response and the gradient of that logarithm in internal
coordinates: the logarithm of a parameter that must be positive, the parameter itself otherwise.
Many parameter vectors go through one call, so that starts, bootstrap replicates and profiles are
all one array computation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bools", "Floats", "Ints", "Law", "LogForm", "Param", "Rescale", "Role", "Starts"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LogForm = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""``(theta [boot, param], log_inputs [input, point]) -> (log response [boot, point],
its gradient [boot, param, point])``."""

Starts = Callable[[Floats, Floats], Floats]
"""``(log_inputs [input, point], response [point]) -> theta [start, param]``, inputs and response
divided by their geometric means."""

Rescale = Callable[[Floats, Floats, float], Floats]
"""``(theta [boot, param], log units of the inputs [input], log unit of the response)`` -> theta
of the same law for inputs and response multiplied by those units."""

Role = Literal["floor", "prefactor", "exponent", "position", "width", "level"]


@dataclass(frozen=True, kw_only=True)
class Param:
    """One parameter: its name in the formula, its scale and its admissible range."""

    name: str
    meaning: str
    role: Role
    lo: float
    """Lower bound, for inputs and response divided by their geometric means."""
    hi: float
    positive: bool
    """Positive parameters are fitted as their logarithm."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds in internal coordinates."""
        return (
            (float(np.log(self.lo)), float(np.log(self.hi)))
            if self.positive
            else (self.lo, self.hi)
        )


@dataclass(frozen=True, kw_only=True)
class Law:
    """A form that can be fitted; a row of the table ``LAWS``."""

    name: str
    formula: str
    inputs: tuple[str, ...]
    params: tuple[Param, ...]
    form: LogForm
    starts: Starts
    rescale: Rescale
    source: str
    response: str = "loss"
    units_needed: tuple[str, ...] = ()
    """Inputs whose meaning must be stated, because the law mixes them (parameters with or
    without embeddings, compute counted or 6 N D, tokens or examples)."""
    order: tuple[float, ...] = (1.0,)
    """Exponents of the inputs in the resource by which an extrapolation is ordered: (1, 1) is
    N D, proportional to compute."""
    unscaled: tuple[str, ...] = ()
    """Inputs whose unit is part of the formula (a count of experts)."""
    one_unit: tuple[str, ...] = ()
    """Inputs that share a unit (tokens, of which so many unique)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the formula."""
        return tuple(param.name for param in self.params)

    def index(self, name: str) -> int:
        """Position of a parameter.

        Raises
        ------
        ValueError
            If the law has no such parameter.
        """
        if name not in self.names:
            raise ValueError(f"parameter {name!r}: law {self.name} has {', '.join(self.names)}")
        return self.names.index(name)

    def encode(self, params: Mapping[str, ArrayLike]) -> Floats:
        """Bring named parameters to internal coordinates, axes ``boot param``.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a positive parameter is negative.
        """
        unknown = sorted(set(params) ^ set(self.names))
        if unknown:
            raise ValueError(
                f"params: {', '.join(unknown)} missing or unknown; law {self.name} has "
                f"{', '.join(self.names)}"
            )
        columns = np.broadcast_arrays(
            *[np.asarray(params[n], dtype=np.float64) for n in self.names]
        )
        theta = np.stack([np.atleast_1d(column) for column in columns], axis=-1)
        for index, param in enumerate(self.params):
            if param.positive:
                if (theta[..., index] < 0).any():
                    raise ValueError(f"{param.name}: negative; allowed in law {self.name} is > 0")
                with np.errstate(divide="ignore"):  # a floor of zero is -inf and stays exact
                    theta[..., index] = np.log(theta[..., index])
        return theta

    def decode(self, theta: Floats) -> dict[str, Floats]:
        """Name the parameters of internal coordinates, each with axis ``boot``."""
        return {
            param.name: np.exp(theta[..., index]) if param.positive else theta[..., index].copy()
            for index, param in enumerate(self.params)
        }

    def log_inputs(self, inputs: Mapping[str, ArrayLike]) -> Floats:
        """Stack the logarithms of the inputs, axes ``input point``.

        Raises
        ------
        ValueError
            If an input is missing, or not positive and finite.
        """
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            raise ValueError(
                f"inputs: {', '.join(missing)} missing; law {self.name} needs "
                f"{', '.join(self.inputs)}"
            )
        columns = np.broadcast_arrays(
            *[np.asarray(inputs[n], dtype=np.float64) for n in self.inputs]
        )
        stacked = np.stack([column.ravel() for column in columns])
        bad = ~(np.isfinite(stacked) & (stacked > 0))
        if bad.any():
            which, where = np.argwhere(bad)[0]
            raise ValueError(
                f"{self.inputs[which]}: {stacked[which, where]:g} at row {where + 1}; "
                "allowed are finite numbers > 0"
            )
        return np.asarray(np.log(stacked))

    def __call__(self, params: Mapping[str, ArrayLike], **inputs: ArrayLike) -> Floats:
        """Evaluate the law at inputs given by name.

        Returns
        -------
        Floats
            Response, axis ``point``; axes ``boot point`` where a parameter is an array.
        """
        theta = self.encode(params)
        response = np.exp(self.form(theta, self.log_inputs(inputs))[0])
        return response if any(np.ndim(value) for value in params.values()) else response[0]
