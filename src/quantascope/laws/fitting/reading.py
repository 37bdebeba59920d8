"""Checks of a fit that was read from a file: files are edited, cut short and mixed up."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from quantascope.core.errors import DataError
from quantascope.core.numbers import is_number
from quantascope.laws.fitting.minimise import evaluate
from quantascope.laws.forms.law import Law, Param

if TYPE_CHECKING:
    from quantascope.laws.fitting.result import LawFit

__all__ = ["check_agreement", "check_fields"]

_AGAIN: Final = "make it again with `quantascope fit --json`"
_SAME: Final = 1e-6
_ROUNDING: Final = 1e-20


def check_fields(found: Mapping[str, Any], law: Law) -> None:
    """Refuse numbers that no fit of this law can have.

    Raises
    ------
    DataError
        If the confidence, a parameter or the replicates are outside what is possible.
    """
    confidence = found["confidence"]
    if not (is_number(confidence) and 0 < confidence < 1):
        raise DataError(f"damaged fit: confidence {confidence!r:.40}; allowed is 0 to 1; {_AGAIN}")
    params = found["params"]
    if not isinstance(params, Mapping) or set(params) != set(law.names):
        raise DataError(f"damaged fit: params must be {', '.join(law.names)}; {_AGAIN}")
    for param in law.params:
        _check_param(param, params[param.name])
    _check_replicates(found["replicates"], law)


def check_agreement(fit: "LawFit") -> None:
    """Refuse a fit whose objective is not that of its parameters on its points.

    Raises
    ------
    DataError
        If they differ by more than one part in a million.
    """
    if fit.points is None:
        return
    frame, points, objective = fit.setting()
    theta = frame.law.encode(fit.params)
    value = float(evaluate(frame.problem(points, objective), theta)[0])
    if not abs(value - fit.objective) <= _SAME * abs(value) + _ROUNDING:
        raise DataError(
            f"damaged fit: its parameters give an objective of {value:.6g} on its points, it says "
            f"{fit.objective:.6g}; {_AGAIN}"
        )


def _check_param(param: Param, value: object) -> None:
    good = is_number(value) and (
        (value > 0 or (value == 0 and param.role == "floor"))  # type: ignore[operator]
        if param.positive
        else param.lo <= value <= param.hi  # type: ignore[operator]
    )
    if not good:
        allowed = "numbers > 0" if param.positive else f"{param.lo:g} to {param.hi:g}"
        raise DataError(
            f"damaged fit: {param.name} is {value!r:.40}; allowed are {allowed}; {_AGAIN}"
        )


def _check_replicates(rows: object, law: Law) -> None:
    if rows is None:
        return
    try:
        found = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.ndim != 2 or found.shape[1] != len(law.params) or not np.isfinite(found).all():
        raise DataError(
            f"damaged fit: replicates must be rows of {len(law.params)} finite numbers; {_AGAIN}"
        )
