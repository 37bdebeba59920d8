"""What a fit minimises: a loss of residuals, its influence and its curvature.

Residuals are ``log y - log f`` or, for raw least squares, ``y - f``. The sum over cases is
minimised, never the mean: a mean makes absolute stopping rules fire early.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from quantascope.core.numbers import is_number
from quantascope.laws.forms.law import Floats

__all__ = ["Objective", "ObjectiveName"]

ObjectiveName = Literal["huber", "lsq-log", "lsq", "asymmetric"]
_NAMES: Final = get_args(ObjectiveName)


@dataclass(frozen=True)
class Objective:
    """One of the four objectives.

    ``huber``: Huber's loss of log residuals, quadratic up to ``delta`` [log residual] and linear
    beyond (Huber 1964); ``asymmetric``: the same with weight ``2 above`` on points above the
    curve and ``2 (1 - above)`` below it, for runs that can only be worse than the law;
    ``lsq-log`` and ``lsq``: least squares in logs and in the response's own unit.
    """

    name: ObjectiveName = "huber"
    delta: float = 1e-3
    above: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what cannot be minimised."""
        if self.name not in _NAMES:
            raise ValueError(f"objective: {self.name!r}; allowed are {', '.join(_NAMES)}")
        if not (is_number(self.delta) and self.delta > 0):
            raise ValueError(f"delta: {self.delta!r}; allowed are numbers > 0 (log residual)")
        if not (is_number(self.above) and 0 < self.above < 1):
            raise ValueError(
                f"above: {self.above!r}; allowed are numbers between 0 and 1, .5 is symmetric"
            )

    @property
    def raw(self) -> bool:
        """Whether residuals are in the response's own unit."""
        return self.name == "lsq"

    @property
    def robust(self) -> bool:
        """Whether the objective is linear in large residuals."""
        return self.name in {"huber", "asymmetric"}

    def loss(self, residual: Floats) -> Floats:
        """Loss of each residual."""
        if not self.robust:
            return 0.5 * residual * residual
        size = np.abs(residual)
        inside = np.minimum(size, self.delta)  # delta (|r| - delta / 2) beyond, r^2 / 2 within
        return np.asarray(self._tilt(residual) * inside * (size - 0.5 * inside))

    def weight(self, residual: Floats) -> Floats:
        """Influence over residual: the weight of iteratively reweighted least squares."""
        if not self.robust:
            return np.ones_like(residual)
        influence = self.delta / np.maximum(np.abs(residual), self.delta)
        return np.asarray(self._tilt(residual) * influence)

    def curvature(self, residual: Floats) -> Floats:
        """Second derivative of the loss."""
        if not self.robust:
            return np.ones_like(residual)
        return np.asarray(self._tilt(residual) * (np.abs(residual) <= self.delta))

    def _tilt(self, residual: Floats) -> Floats | float:
        if self.name != "asymmetric":
            return 1.0
        return np.where(residual > 0, 2 * self.above, 2 * (1 - self.above))
