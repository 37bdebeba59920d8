"""Units and freedom of a fit: which units the fitter works in, what may move, within what.

Inputs and response are divided by their geometric means, so that prefactors and exponents are
not collinear and bounds need no knowledge of the data. A parameter that the caller holds or ties
must then be expressible in those units by itself; where it is not (Chinchilla's A, whose unit
depends on alpha), the fit works in the caller's units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from quantascope.laws.fitting.data import Points
from quantascope.laws.fitting.minimise import Problem
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.forms.law import Bools, Floats, Law

__all__ = ["Frame", "choose_frame"]

_NEAR = 1e-6
_NOTHING = 1e-9
"""A floor below this share of the smallest response is zero."""
_FAR = 230.0
"""Bound of log parameters in the caller's units: 1e100."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Units of inputs and response (in logs), bounds, ties and held values."""

    law: Law
    log_units: Floats
    log_unit: float
    lo: Floats
    hi: Floats
    ties: Floats
    held: Floats
    """Value of each held parameter in internal coordinates of this frame, NaN where free."""
    zero: Floats
    """At or below this a floor counts as zero; -inf for all other parameters."""

    def log_inputs(self, points: Points) -> Floats:
        """Logarithms of the inputs in the units of this frame, axes ``input point``."""
        return np.asarray(np.log(points.inputs) - self.log_units[:, None])

    def problem(self, points: Points, objective: Objective) -> Problem:
        """Put points into the units of this frame."""
        return Problem(
            form=self.law.form,
            log_inputs=self.log_inputs(points),
            response=(points.response / np.exp(self.log_unit))[None],
            cases=points.weights[None],
            objective=objective,
            lo=self.lo,
            hi=self.hi,
            ties=self.ties,
        )

    def at_low(self, theta: Floats) -> Bools:
        """Tell which parameters are at their lower bound, or a floor at zero."""
        return np.asarray(theta <= np.maximum(self.lo + _NEAR, self.zero))

    def at_high(self, theta: Floats) -> Bools:
        """Tell which parameters are at their upper bound."""
        return np.asarray(theta >= self.hi - _NEAR)

    def settle(self, theta: Floats) -> Floats:
        """Impose held and tied values on starts, axes ``boot param``."""
        settled = np.where(np.isnan(self.held), theta, self.held)
        for column in self.ties.T:
            members = np.flatnonzero(column)
            settled[:, members] = settled[:, members].mean(axis=1, keepdims=True)
        return np.asarray(settled)

    def outward(self, theta: Floats) -> Floats:
        """From the units of this frame to the caller's."""
        return self.law.rescale(theta, self.log_units, self.log_unit)

    def inward(self, theta: Floats) -> Floats:
        """From the caller's units to those of this frame."""
        return self.law.rescale(theta, -self.log_units, -self.log_unit)


def choose_frame(
    law: Law,
    points: Points,
    *,
    fixed: Mapping[str, float],
    tied: Mapping[str, str],
    own_units: bool = False,
) -> Frame:
    """Choose units, and translate what is held and tied.

    Parameters
    ----------
    law, points
        What is fitted.
    fixed
        Values, in the caller's units, of parameters that are held.
    tied
        Parameter -> parameter that it equals.
    own_units
        Keep the caller's units (profiles of parameters need them).

    Raises
    ------
    ValueError
        If a name is unknown, a held value is outside the admissible range, or a parameter is
        both held and tied.
    """
    held = _held(law, fixed)
    ties = _ties(law, held, tied)
    log_units, log_unit = _units(law, points)
    involved = [law.index(name) for name in {*fixed, *tied, *tied.values()}]
    lo, hi = np.array([param.bounds for param in law.params]).T.copy()
    if own_units or not _translatable(law, involved, tied):
        lo, hi = _wide_bounds(law, lo, hi, log_unit=log_unit)
        log_units, log_unit = np.zeros(len(law.inputs)), 0.0
    frame = Frame(
        law=law,
        log_units=log_units,
        log_unit=log_unit,
        lo=lo,
        hi=hi,
        ties=ties,
        held=held - _shift(law, log_units, log_unit),
        zero=_zero(law, points, log_unit=log_unit),
    )
    return _checked(frame)


def _zero(law: Law, points: Points, *, log_unit: float) -> Floats:
    smallest = np.log(_NOTHING * points.response[points.response > 0].min()) - log_unit
    return np.array([smallest if param.role == "floor" else -np.inf for param in law.params])


def _held(law: Law, fixed: Mapping[str, float]) -> Floats:
    held = np.full(len(law.params), np.nan)
    for name, value in fixed.items():
        param = law.params[law.index(name)]
        if isinstance(value, str | bytes) or not np.isreal(value):
            raise ValueError(f"fixed: {name}={value!r}; allowed are numbers")
        least = -np.inf if not param.positive else 0.0
        if not (np.isfinite(value) and (value > least or (value == 0 and param.role == "floor"))):
            allowed = "numbers > 0" if param.positive else "finite numbers"
            raise ValueError(f"fixed: {name}={value}; allowed are {allowed}")
        with np.errstate(divide="ignore"):  # a floor of zero is -inf
            held[law.index(name)] = np.log(value) if param.positive else value
    return held


def _ties(law: Law, held: Floats, tied: Mapping[str, str]) -> Floats:
    n_params = len(law.params)
    leader = np.arange(n_params)
    for name, other in tied.items():
        first, second = law.index(name), law.index(other)
        if not (np.isnan(held[first]) and np.isnan(held[second])):
            raise ValueError(f"tied: {name}={other}, one of them is fixed; fix both, or neither")
        if law.params[first].positive != law.params[second].positive:
            raise ValueError(f"tied: {name}={other} are of different kinds")
        leader[leader == leader[first]] = leader[second]
    free = [index for index in range(n_params) if np.isnan(held[index])]
    leaders = sorted({int(leader[index]) for index in free})
    if not leaders:
        raise ValueError("fixed: all parameters are held; leave at least one free")
    matrix = np.zeros((n_params, len(leaders)))
    for index in free:
        matrix[index, leaders.index(int(leader[index]))] = 1.0
    return matrix


def _units(law: Law, points: Points) -> tuple[Floats, float]:
    logs = np.log(points.inputs).mean(axis=1)
    for name in law.unscaled:
        logs[law.inputs.index(name)] = 0.0
    if law.one_unit:
        shared = [law.inputs.index(name) for name in law.one_unit]
        logs[shared] = logs[shared[0]]
    positive = points.response[points.response > 0]
    if len(positive) < points.n:  # zeros are allowed with raw residuals
        return logs, float(np.log(points.response.mean()))
    return logs, float(np.log(positive).mean())


def _shift(law: Law, log_units: Floats, log_unit: float, middle: float = 1.0) -> Floats:
    """Give what a change of units adds to each parameter, at a reference parameter vector."""
    theta = np.full((1, len(law.params)), middle)
    return np.asarray((law.rescale(theta, log_units, log_unit) - theta)[0])


def _translatable(law: Law, involved: list[int], tied: Mapping[str, str]) -> bool:
    """Whether the unit of each parameter involved depends on no other parameter."""
    units, unit = np.ones(len(law.inputs)), 1.0
    one, other = _shift(law, units, unit, 0.7), _shift(law, units, unit, 1.9)
    alike = all(one[law.index(a)] == one[law.index(b)] for a, b in tied.items())
    return alike and bool(np.allclose(one[involved], other[involved]))


def _wide_bounds(law: Law, lo: Floats, hi: Floats, *, log_unit: float) -> tuple[Floats, Floats]:
    """Bounds that hold in the caller's units, whatever these are."""
    lo, hi = lo.copy(), hi.copy()
    for index, param in enumerate(law.params):
        if param.role == "floor":
            lo[index], hi[index] = lo[index] + log_unit, hi[index] + log_unit
        elif param.positive and param.role in {"prefactor", "position"}:
            lo[index], hi[index] = -_FAR, _FAR
    return lo, hi


def _checked(frame: Frame) -> Frame:
    lo, hi = frame.lo.copy(), frame.hi.copy()
    for column in frame.ties.T:  # what is tied shares the narrower bounds
        members = np.flatnonzero(column)
        lo[members], hi[members] = lo[members].max(), hi[members].min()
    frame = replace(frame, lo=lo, hi=hi)
    at_zero = np.isneginf(frame.held)  # the lower bound of a floor stands for zero
    frame = replace(frame, held=np.where(at_zero, frame.lo, frame.held))
    outside = (frame.held < frame.lo) | (frame.held > frame.hi)
    if outside.any():
        param = frame.law.params[int(np.flatnonzero(outside)[0])]
        raise ValueError(f"fixed: {param.name} is outside what law {frame.law.name} admits")
    return frame
