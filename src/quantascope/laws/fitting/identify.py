"""What the data do not say: floors at zero, breaks outside the data, flat profiles, bounds."""

from collections.abc import Mapping

import numpy as np

from quantascope.laws.fitting.data import Points
from quantascope.laws.fitting.frame import Frame
from quantascope.laws.forms.law import Floats, Param

__all__ = ["reasons_not_identified"]


def reasons_not_identified(
    frame: Frame,
    points: Points,
    *,
    theta: Floats,
    covariance: Floats,
    open_ends: Mapping[str, tuple[bool, bool]],
) -> dict[str, str]:
    """Find the parameters that the data do not identify.

    Parameters
    ----------
    frame
        Frame of the fit.
    points
        Its data.
    theta
        Its minimum in that frame, axis ``param``.
    covariance
        Sandwich covariance in that frame.
    open_ends
        For each profiled parameter, whether the interval's lower and upper end are missing.

    Returns
    -------
    dict[str, str]
        Parameter -> reason; empty where all are identified.
    """
    found: dict[str, str] = {}
    for index, param in enumerate(frame.law.params):
        if not np.isnan(frame.held[index]):
            continue
        reason = (
            _at_bound(frame, param, at=theta[index], index=index)
            or _outside(frame, points, param, at=theta[index])
            or _open(param, *open_ends.get(param.name, (False, False)))
        )
        if not reason and not np.isfinite(covariance[index, index]):
            reason = "the data do not change with it (flat profile)"
        if reason:
            found[param.name] = reason
    return found


def _at_bound(frame: Frame, param: Param, *, at: float, index: int) -> str:
    theta = np.full(len(frame.lo), at)
    if frame.at_low(theta)[index]:
        return "at zero" if param.role == "floor" else "at its lower bound"
    return "at its upper bound" if frame.at_high(theta)[index] else ""


def _outside(frame: Frame, points: Points, param: Param, *, at: float) -> str:
    """Name a break beyond the data: its place is not seen, only guessed."""
    if param.role != "position" or frame.law.name.split("-")[0] not in {"bnsl", "logistic"}:
        return ""
    logs = np.log(points.inputs[0]) - frame.log_units[0]
    if logs.min() < at < logs.max():
        return ""
    lo, hi = np.exp(logs.min() + frame.log_units[0]), np.exp(logs.max() + frame.log_units[0])
    return f"{np.exp(at + frame.log_units[0]):.4g} lies outside the data ({lo:.4g} to {hi:.4g})"


def _open(param: Param, below: bool, above: bool) -> str:
    if below and above:
        return "its profile is flat: no end of the interval is found"
    if below:
        return "its interval reaches zero" if param.positive else "its interval has no lower end"
    return "its interval has no upper end" if above else ""
