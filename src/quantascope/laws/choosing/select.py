"""Which law: a leaderboard by extrapolation, with cross-validation and AIC beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.rng import stream
from quantascope.laws.choosing.extrapolate import extrapolate
from quantascope.laws.fitting.data import Points, read_points
from quantascope.laws.fitting.frame import Frame, choose_frame
from quantascope.laws.fitting.objective import Objective, ObjectiveName
from quantascope.laws.fitting.resample import refit
from quantascope.laws.fitting.search import search
from quantascope.laws.fitting.spread import residuals_of
from quantascope.laws.forms.law import Floats, Law
from quantascope.laws.forms.table import LAWS, find_law

__all__ = ["Leaderboard", "LeaderboardRow", "candidates", "compare_laws"]

_N_FOLDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class LeaderboardRow:
    """One law's scores; lower is better in each."""

    law: str
    n_free: int
    extrapolation_rmsle: float
    """NaN where too few points are left after holding some out."""
    cv_rmsle: float
    """Ten-fold cross-validation, by group where there are groups: interpolation only."""
    aic: float
    """Akaike's criterion less the best one's."""
    objective: float
    converged: bool
    params: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Laws from best to worst extrapolation."""

    rows: tuple[LeaderboardRow, ...]
    left_out: dict[str, str]
    """Law -> why it was not tried."""
    n_points: int

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return asdict(self)


def candidates(inputs: Sequence[str], *, response: str = "loss") -> list[Law]:
    """Laws that fit a table with these inputs: the same names, or one input of any name.

    Laws whose response is not a loss (batch sizes, steps) take part only where theirs is named.
    """
    names = set(inputs)
    found = []
    for law in LAWS.values():
        single = len(names) == 1 and law.inputs == ("x",)
        alike = (
            law.response == response
            or law.response in {"loss", "score"}
            and response not in {"B", "S", "C"}
        )
        if (set(law.inputs) == names or single) and alike and law.name != "bnsl-0":  # that is floor
            found.append(law)
    return found


def compare_laws(
    laws: Sequence[str | Law],
    data: Mapping[str, ArrayLike],
    *,
    response: str = "loss",
    objective: ObjectiveName = "huber",
    delta: float = 1e-3,
    above: float = 0.5,
    group: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> Leaderboard:
    """Fit several laws to one table and rank them by extrapolation.

    Parameters
    ----------
    laws
        Names of the table ``LAWS``, or laws.
    data
        Columns by name; a law of one input ``x`` takes the only input there is.
    response, objective, delta, above, group, weights
        As in `quantascope.laws.fit`.
    seed
        Of the folds.
    advance
        Told of finished laws.

    Returns
    -------
    Leaderboard
        Ordered by extrapolation, then by cross-validation.
    """
    goal = Objective(objective, delta, above)
    rows, left_out, n_points = [], {}, 0
    for entry in laws:
        law = find_law(entry)
        points = read_points(
            law,
            _named(law, data, response),
            response=response,
            group=group,
            weights=weights,
            raw=goal.raw,
        )
        frame = choose_frame(law, points, fixed={}, tied={})
        n_points = points.n
        if points.n <= frame.ties.shape[1] + 1:
            left_out[law.name] = f"{points.n} points for {frame.ties.shape[1]} parameters"
        else:
            rows.append(_row(law, points, goal, frame=frame, seed=seed))
        advance(1)
    least = min((row.aic for row in rows), default=0.0)
    rows = [LeaderboardRow(**{**vars(row), "aic": row.aic - least}) for row in rows]
    rows.sort(key=lambda row: (np.nan_to_num(row.extrapolation_rmsle, nan=np.inf), row.cv_rmsle))
    return Leaderboard(rows=tuple(rows), left_out=left_out, n_points=n_points)


def _named(law: Law, data: Mapping[str, ArrayLike], response: str) -> dict[str, ArrayLike]:
    inputs = [name for name in data if name != response]
    if law.inputs == ("x",) and "x" not in data and len(inputs) == 1:
        return {"x": data[inputs[0]], response: data[response]}
    return dict(data)


def _row(law: Law, points: Points, goal: Objective, *, frame: Frame, seed: int) -> LeaderboardRow:
    found = search(frame, points, goal)
    beyond = extrapolate(law, points, goal)
    residual, _ = residuals_of(frame, points, goal, theta=found.theta)
    linear = float(np.mean(goal.robust & (np.abs(residual) > goal.delta)))
    values = law.decode(frame.outward(found.theta[None]))
    return LeaderboardRow(
        law=law.name,
        n_free=frame.ties.shape[1],
        extrapolation_rmsle=beyond.rmsle if beyond else float("nan"),
        cv_rmsle=_cross_validate(frame, points, goal, theta=found.theta, seed=seed),
        aic=_aic(found.value, points, linear=linear, n_free=frame.ties.shape[1]),
        objective=found.value * (np.exp(2 * frame.log_unit) if goal.raw else 1.0),
        converged=found.converged,
        params={name: float(value[0]) for name, value in values.items()},
    )


def _aic(value: float, points: Points, *, linear: float, n_free: int) -> float:
    """Akaike's criterion up to a constant.

    The maximum over the scale of a density ``exp(-|r/s|^k) / s`` is ``n log(sum |r|^k) (2/k) / 2``;
    k is 2 where the loss is quadratic and 1 where it is linear in most residuals.
    """
    n = points.n
    power = 1 if linear > 0.5 else 2
    return float((2 / power) * n * np.log(max(value, 1e-300)) + 2 * (n_free + 1))


def _cross_validate(
    frame: Frame, points: Points, goal: Objective, *, theta: Floats, seed: int
) -> float:
    groups = np.arange(points.n) if points.groups is None else points.groups
    labels = np.unique(groups)
    n_folds = min(_N_FOLDS, len(labels))
    fold = stream(seed, "folds").permutation(len(labels))[np.searchsorted(labels, groups)] % n_folds
    kept = (fold[None, :] != np.arange(n_folds)[:, None]).astype(np.float64)
    ends = refit(frame, points, goal, theta=theta, cases=kept).theta
    problem = frame.problem(points, goal)
    log_fit = frame.law.form(ends, problem.log_inputs)[0][fold, np.arange(points.n)]
    known = problem.response[0] > 0
    error = log_fit[known] - np.log(problem.response[0][known])
    return float(np.sqrt(np.mean(error**2)))
