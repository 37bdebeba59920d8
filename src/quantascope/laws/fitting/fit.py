"""The one fitter: a table of runs in, a law with intervals out, no starting point asked.

fit = quantascope.laws.fit("chinchilla", {"N": n, "D": d, "loss": loss}, meaning={...})
fit.params["alpha"], fit.interval("alpha"), fit.predict({"N": 7e10, "D": 1.4e12}, interval=True)
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from quantascope.core.progress import Advance, ignore_progress
from quantascope.laws.fitting.data import Points, read_points
from quantascope.laws.fitting.frame import Frame, choose_frame
from quantascope.laws.fitting.misfit import misfits
from quantascope.laws.fitting.objective import Objective, ObjectiveName
from quantascope.laws.fitting.result import LawFit
from quantascope.laws.fitting.search import Found, search
from quantascope.laws.fitting.uncertainty import Bootstrap, Setting, Spread, measure_spread
from quantascope.laws.forms.law import Law
from quantascope.laws.forms.table import LAWS, find_law

__all__ = ["NOT_STATED", "Bootstrap", "fit"]

NOT_STATED: Final = "not stated"
"""Meaning of an input that the user does not know; accepted, recorded and warned of."""
_EXAMPLES: Final = {
    "N": "non-embedding parameters",
    "D": "tokens",
    "C": "FLOP, 6 N D",
    "S": "steps",
}
_FEW_GROUPS: Final = 10


def fit(
    law: str | Law,
    data: Mapping[str, ArrayLike],
    *,
    response: str | None = None,
    objective: ObjectiveName = "huber",
    delta: float = 1e-3,
    above: float = 0.5,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    group: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    meaning: Mapping[str, str] | None = None,
    bootstrap: Bootstrap | None = None,
    confidence: float = 0.95,
    advance: Advance = ignore_progress,
) -> LawFit:
    """Fit a law to a table of runs.

    Parameters
    ----------
    law
        A name of the table ``LAWS``, or a law of your own.
    data
        Columns by name: the inputs of the law and the response.
    response
        Name of the response's column; the law's own (``loss``) where not given.
    objective
        ``huber`` (log residuals, linear beyond ``delta``), ``lsq-log``, ``lsq`` (the response's
        own unit), ``asymmetric``.
    delta
        Where Huber's loss becomes linear, > 0 [log residual]. 1e-3 is near median regression.
    above
        For ``asymmetric``: weight of points above the curve, in (0, 1).
    fixed, tied
        Parameters held at a value, and parameters that equal another one.
    group
        Run of each point: points of one run are not independent. Intervals then count groups.
    weights
        Weight of each point.
    meaning
        What each input counts. A law that mixes them (see ``Law.units_needed``) requires
        it, for example ``{"N": "total parameters", "D": "tokens"}``: exponents with and without
        embeddings differ by more than their intervals.
    bootstrap
        Resampled intervals; without it, profile likelihood (sandwich where there are groups).
    confidence
        Of all intervals, in (0, 1).
    advance
        Told of finished replicates.

    Returns
    -------
    LawFit
        Parameters in the units of the data. Not converged, and not identified, are results.

    Raises
    ------
    ValueError
        If a column is missing or holds what the law does not admit, or an option is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.geomspace(1e6, 1e9, 12)
    >>> found = fit("floor", {"x": x, "loss": 1.7 + 400 * x**-0.34})
    >>> round(found.params["E"], 6), round(found.params["alpha"], 6), found.converged
    (1.7, 0.34, True)
    """
    row, goal = find_law(law), Objective(objective, delta, above)
    _check_options(confidence, bootstrap)
    name = response or row.response
    units = _meaning(row, meaning)
    points = read_points(row, data, response=name, group=group, weights=weights, raw=goal.raw)
    fixed, tied = dict(fixed or {}), dict(tied or {})
    frame = choose_frame(row, points, fixed=fixed, tied=tied)
    _require_enough(points, frame)
    found = search(frame, points, goal)
    setting = Setting(
        frame=frame,
        own=choose_frame(row, points, fixed=fixed, tied=tied, own_units=True),
        points=points,
        objective=goal,
        theta=found.theta,
        confidence=confidence,
    )
    spread = measure_spread(setting, bootstrap, advance=advance)
    warnings = (
        *misfits(row, points, setting.residual()),
        *_warn(points, found=found, goal=goal, scatter=setting.scatter(), units=units),
        *spread.warnings,
    )
    return LawFit(
        **_point_fit(setting, found),
        **_intervals(setting, spread),
        meaning=units,
        response=name,
        fixed=fixed,
        tied=tied,
        warnings=warnings,
        points=points,
        own_law=None if row is LAWS.get(row.name) else row,
    )


def _point_fit(setting: Setting, found: Found) -> dict[str, Any]:
    law, points, goal = setting.frame.law, setting.points, setting.objective
    inputs = zip(law.inputs, points.inputs, strict=True)
    return {
        "law": law.name,
        "formula": law.formula,
        "params": setting.named(found.theta[None])[0],
        "objective": setting.value(),
        "objective_name": goal.name,
        "delta": goal.delta,
        "above": goal.above,
        "converged": found.converged,
        "n_starts": found.n_starts,
        "n_reached": found.n_reached,
        "n_points": points.n,
        "n_groups": points.n_groups,
        "scatter": setting.scatter(),
        "ranges": {name: (float(row.min()), float(row.max())) for name, row in inputs},
    }


def _intervals(setting: Setting, spread: Spread) -> dict[str, Any]:
    return {
        "identified": not spread.not_identified,
        "not_identified": spread.not_identified,
        "se": spread.se,
        "intervals": spread.intervals,
        "confidence": setting.confidence,
        "interval_method": spread.method,
        "replicates": spread.replicates,
    }


def _check_options(confidence: object, bootstrap: object) -> None:
    if not (isinstance(confidence, int | float) and 0 < confidence < 1):
        raise ValueError(f"confidence: {confidence!r}; allowed are numbers between 0 and 1")
    if bootstrap is not None and not isinstance(bootstrap, Bootstrap):
        raise ValueError(f"bootstrap: {bootstrap!r}; allowed is Bootstrap(n=...), or None")


def _meaning(law: Law, meaning: Mapping[str, str] | None) -> dict[str, str]:
    given = dict(meaning or {})
    unknown = [name for name in given if name not in law.inputs]
    if unknown:
        raise ValueError(
            f"meaning: {', '.join(unknown)} is no input of law {law.name} ({', '.join(law.inputs)})"
        )
    missing = [name for name in law.units_needed if not given.get(name)]
    if missing:
        example = _EXAMPLES.get(missing[0], "its unit")
        raise ValueError(
            f"meaning: law {law.name} mixes {', '.join(law.units_needed)}; say what "
            f'{", ".join(missing)} counts, for example meaning={{"{missing[0]}": "{example}"}}'
        )
    return {name: given.get(name, "") for name in law.inputs}


def _require_enough(points: Points, frame: Frame) -> None:
    free = frame.ties.shape[1]
    if points.n <= free:
        raise ValueError(
            f"data: {points.n} points for the {free} free parameters of law {frame.law.name}; "
            f"at least {free + 1} are needed, more for intervals; or hold some with fixed"
        )


def _warn(
    points: Points, *, found: Found, goal: Objective, scatter: float, units: Mapping[str, str]
) -> list[str]:
    """List the pitfalls of fitting scaling laws that can be seen from the data."""
    said = []
    unstated = [name for name, meaning in units.items() if meaning == NOT_STATED]
    if unstated:
        said.append(
            f"what {', '.join(unstated)} counts is not stated: exponents depend on it (parameters "
            "with or without embeddings, for one)"
        )
    if not found.converged:
        said.append("not converged: the first-order test does not hold, the objective is flat")
    if found.n_reached == 1 and found.n_starts > 4:
        said.append(f"only one of {found.n_starts} descents reached this minimum")
    if goal.robust and scatter and goal.delta > 3 * scatter:
        said.append(
            f"delta {goal.delta:g} exceeds the residuals ({scatter:.2g}): this is least squares"
        )
    if points.groups is None and _looks_like_runs(points):
        said.append(
            "points of equal first input look like checkpoints of one run, which are not "
            "independent: name the run with group"
        )
    if points.groups is not None and points.n_groups < _FEW_GROUPS:
        said.append(
            f"only {points.n_groups} groups: intervals that count groups are too narrow below "
            f"about {_FEW_GROUPS}"
        )
    return said


def _looks_like_runs(points: Points) -> bool:
    """Tell whether some models occur at many values of a second resource."""
    if len(points.inputs) < 2:
        return False
    counts = np.unique(points.inputs[0], return_counts=True)[1]
    return bool(np.median(counts) >= 10)
