"""The stacked trainer: many small networks at once, evaluated on a logarithmic grid of steps.

A problem and its settings enter; a history leaves. Members that have stopped improving are taken
out of the stack while the others go on. The state is a handful of arrays, so that a stopped
training continues to the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.progress import Advance, ignore_progress
from quantascope.toys.adam import Moments, adam_step, start_moments
from quantascope.toys.problem import Measured, Params, Problem

__all__ = ["History", "Schedule", "Stopping", "TrainingState", "eval_steps", "start", "train"]

_MEAN_LOSS: Final = "mean_loss_validation"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long to train, and when to measure."""

    n_steps: int
    n_evals: int = 100
    """Evaluations between `first_eval` and the last step, evenly spaced in logs."""
    first_eval: int = 100
    every: int = 0
    """Evaluate every so many steps instead, as the paper does; 0 for the logarithmic grid."""


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """When a member has finished: its validation loss has not been at its best for a while."""

    patience: int = 10
    """Evaluations in a row without a new best."""
    least_steps: int = 4000
    """No member stops earlier."""

    def __post_init__(self) -> None:
        """Refuse what never ends or makes no sense."""
        for name, least in (("patience", 1), ("least_steps", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)} found; at least {least} is needed")


@dataclass(eq=False)
class History:
    """What the evaluations found; members that had finished are NaN."""

    steps: list[int] = field(default_factory=list)
    rows: list[dict[str, NDArray[np.float32]]] = field(default_factory=list)
    """Measurements by name at each step, first axis ``member``."""

    def table(self, name: str) -> NDArray[np.float32]:
        """Give one measurement over steps, axes ``(step, member, ...)``."""
        return np.stack([row[name] for row in self.rows])


@dataclass(eq=False)
class TrainingState:
    """All that a training needs to go on: nothing else changes from step to step."""

    step: int
    params: Params
    moments: Moments
    members: NDArray[np.intp]
    """Original places of the members still in the stack."""
    finished: NDArray[np.int64]
    """Step at which each original member stopped early; -1 for those still training."""
    history: History


OnEval = Callable[[int, Problem, Params], None]
"""Told step, problem and parameters after each evaluation: the place of any further measure."""


def eval_steps(schedule: Schedule) -> NDArray[np.int64]:
    """Give the steps at which to evaluate, rising, the last one always among them.

    Raises
    ------
    ValueError
        If a count is below 1.
    """
    for name, least in (("n_steps", 1), ("n_evals", 1), ("first_eval", 1), ("every", 0)):
        if getattr(schedule, name) < least:
            raise ValueError(f"{name}: {getattr(schedule, name)} found; at least {least} is needed")
    if schedule.every:
        grid = list(range(schedule.every, schedule.n_steps + 1, schedule.every))
    else:
        first = min(schedule.first_eval, schedule.n_steps)
        grid = np.geomspace(first, schedule.n_steps, schedule.n_evals).round().tolist()
    return np.unique(np.array([*grid, schedule.n_steps], dtype=np.int64))


def start(problem: Problem) -> TrainingState:
    """Begin a training at step 0."""
    params = problem.start()
    return TrainingState(
        step=0,
        params=params,
        moments=start_moments(params),
        members=np.arange(problem.n_members),
        finished=np.full(problem.n_members, -1, dtype=np.int64),
        history=History(),
    )


def train(
    problem: Problem,
    state: TrainingState,
    *,
    schedule: Schedule,
    rates: NDArray[np.float64],
    decays: NDArray[np.float64],
    stopping: Stopping | None = None,
    on_eval: OnEval | None = None,
    on_step: Callable[[TrainingState], bool] | None = None,
    advance: Advance = ignore_progress,
) -> TrainingState:
    """Train until the last step, or until every member has finished.

    Parameters
    ----------
    problem
        The whole stack, also when the state has lost some members already.
    state
        From `start`, or as it was saved; it is changed in place and returned.
    schedule
        Steps and evaluations.
    rates, decays
        Learning rate and weight decay of each member of the whole stack, axis ``member``.
    stopping
        When members finish; None trains all to the end.
    on_eval
        Called after each evaluation.
    on_step
        Called after each step; True stops the training here, to be continued from the state.
    advance
        Told member-steps just done.

    Returns
    -------
    TrainingState
        The state after the last step.

    Raises
    ------
    ValueError
        If rates or decays are not one for each member, or not usable.
    """
    _check(problem, rates, decays)
    n_members, evals = problem.n_members, set(eval_steps(schedule).tolist())
    alive = np.isin(np.arange(n_members), state.members)
    part = problem if alive.all() else problem.keep(alive)[0]
    spread = _Spread.of(part, rates[state.members], decays[state.members])
    while state.step < schedule.n_steps and (state.finished[state.members] < 0).any():
        gradients = part.gradients(state.params, state.step)
        state.step += 1
        adam_step(
            state.params,
            gradients,
            state.moments,
            step=state.step,
            rates=spread.rates,
            decays=spread.decays,
        )
        if state.step in evals:
            _record(state, part.evaluate(state.params), n_members)
            if on_eval is not None:
                on_eval(state.step, part, state.params)
            if stopping is not None and _finish(state, stopping):
                part = _compact(part, state)
                spread = _Spread.of(part, rates[state.members], decays[state.members])
        advance(len(state.members))
        if on_step is not None and on_step(state):
            break
    return state


@dataclass(frozen=True, eq=False)
class _Spread:
    """Rates and decays, broadcast against the parameters."""

    rates: Params
    decays: Params | None

    @classmethod
    def of(
        cls, problem: Problem, rates: NDArray[np.float64], decays: NDArray[np.float64]
    ) -> "_Spread":
        return cls(problem.spread(rates), problem.spread(decays) if decays.any() else None)


def _check(problem: Problem, rates: NDArray[Any], decays: NDArray[Any]) -> None:
    if rates.shape != (problem.n_members,) or decays.shape != rates.shape:
        raise ValueError(
            f"rates, decays: shapes {rates.shape}, {decays.shape} found for "
            f"{problem.n_members} members; one number for each is needed"
        )
    if not (np.isfinite(rates).all() and (rates > 0).all() and (decays >= 0).all()):
        raise ValueError("rates, decays: learning rates must be above 0, weight decays from 0")


def _record(state: TrainingState, measured: Measured, n_members: int) -> None:
    row = {}
    for name, values in measured.items():
        full = np.full((n_members, *values.shape[1:]), np.nan, dtype=np.float32)
        full[state.members] = values
        full[(state.finished >= 0)] = np.nan  # carried along by the layout, but finished
        row[name] = full
    state.history.steps.append(state.step)
    state.history.rows.append(row)


def _finish(state: TrainingState, stopping: Stopping) -> bool:
    """Mark members that have finished; tell whether any did just now."""
    if state.step < stopping.least_steps or len(state.history.steps) <= stopping.patience:
        return False
    losses = state.history.table(_MEAN_LOSS)
    before, after = losses[: -stopping.patience], losses[-stopping.patience :]
    best = np.nanmin(before, axis=0, initial=np.inf)
    now = (state.finished < 0) & (np.nanmin(after, axis=0, initial=np.inf) > best)
    state.finished[now] = state.step
    return bool(now.any())


def _compact(part: Problem, state: TrainingState) -> Problem:
    """Take finished members out of stack and state, as far as the layout allows."""
    going = state.finished[state.members] < 0
    if not going.any():
        return part
    smaller, places = part.keep(going)
    state.params = part.select(state.params, places)
    state.moments = Moments(
        part.select(state.moments.first, places), part.select(state.moments.second, places)
    )
    state.members = state.members[places]
    return smaller
