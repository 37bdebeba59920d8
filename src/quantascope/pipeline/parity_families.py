"""Families within a finished sweep of sparse parity: losses over parameters, steps or samples.

Tables of a sweep enter. Cut into curves of its runs, they are grouped so that within a family all
is equal but one resource and the seed: what a line is fitted to, and what a figure shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.families.series import Scale, Series
from quantascope.pipeline.parity import SweepTables
from quantascope.theory.resources import Resource
from quantascope.toys.estimators import best_evaluation, count_learned
from quantascope.toys.parity import ParityTask
from quantascope.toys.runs import ParityRun

__all__ = ["Family", "RunCurves", "curves_of", "families_of", "subtask_series"]

Floats = NDArray[np.float64]

_COUNTED_NATS: Final = 0.1
"""Figure A4a of arXiv 2303.13506 compares a loss in nats with 0.1."""
_FEWEST: Final = 3
_OVER_RUNS: Final[dict[Resource, tuple[str, str]]] = {
    "N": ("n_params", "final"),
    "D": ("n_samples", "best"),
}
"""What varies, and which loss counts."""
_SCALES: Final[dict[Resource, Scale]] = {"N": "n_params", "S": "step", "D": "n_unique"}


@dataclass(frozen=True, kw_only=True, eq=False)
class RunCurves:
    """The curves of one run."""

    steps: NDArray[np.int64]
    validation: Floats
    test: Floats
    """Mean losses on both halves of the test set [nat], axis ``step``."""
    subtasks: Floats
    """Losses [nat], axes ``(step, task)``."""

    @property
    def final(self) -> float:
        """Test loss at the last step [nat]; NaN without any."""
        return float(self.test[-1]) if len(self.test) else float("nan")

    @property
    def best(self) -> float:
        """Test loss at the step of the least validation loss [nat]; NaN without any."""
        return float(self.test[self._best]) if len(self.test) else float("nan")

    @property
    def final_subtasks(self) -> Floats:
        """Losses of the subtasks at the last step [nat]; NaN without any."""
        return self.subtasks[-1] if len(self.test) else self._none

    @property
    def best_subtasks(self) -> Floats:
        """Losses of the subtasks where the validation loss is least [nat]; NaN without any."""
        return self.subtasks[self._best] if len(self.test) else self._none

    @property
    def _best(self) -> int:
        return best_evaluation(self.validation)

    @property
    def _none(self) -> Floats:
        return np.full(self.subtasks.shape[1], np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """Runs, or one run's steps, that are equal in all but one resource and the seed."""

    by: Resource
    """``N``, ``S`` or ``D``."""
    task: ParityTask
    """Of one of the seeds."""
    amounts: Floats
    """Parameters, steps or samples, rising, axis ``amount``."""
    losses: Floats
    """Mean test losses [nat], axes ``(seed, amount)``: last ones over N, chosen ones over D."""
    subtasks: Floats
    """Losses of the subtasks at the same time [nat], axes ``(seed, amount, task)``."""
    learned: Floats
    """Subtasks that were ever below 0.1 nat, same axes as `losses`."""
    curves: tuple[RunCurves, ...]
    """Of the runs over steps; empty for the other resources."""


def curves_of(tables: SweepTables) -> list[RunCurves]:
    """Cut the tables of a sweep into curves of its runs; those of a diverged one may be empty."""
    curves, subtasks = tables.curves.to_pandas(), tables.subtasks.to_pandas()
    of_run, of_subtask = dict(iter(curves.groupby("run"))), dict(iter(subtasks.groupby("run")))
    found = []
    for place, run in enumerate(tables.sweep.runs):
        rows = of_run.get(place, curves.iloc[:0])
        wide = np.full((len(rows), run.task.n_tasks), np.nan)
        if place in of_subtask:
            table = of_subtask[place].pivot(index="step", columns="subtask", values="loss_nats")
            wide = table.reindex(rows["step"]).to_numpy(dtype=np.float64)
        found.append(
            RunCurves(
                steps=rows["step"].to_numpy(dtype=np.int64),
                validation=rows["loss_validation_nats"].to_numpy(dtype=np.float64),
                test=rows["loss_test_nats"].to_numpy(dtype=np.float64),
                subtasks=wide,
            )
        )
    return found


def families_of(tables: SweepTables) -> list[Family]:
    """Group the runs of a sweep.

    Returns
    -------
    list[Family]
        Over parameters where there are three widths on endless samples; over steps for the widest
        of them; over samples where there are three numbers. In the order of the runs.
    """
    curves, runs = curves_of(tables), tables.sweep.runs
    online = [place for place, run in enumerate(runs) if not run.n_samples]
    finite = [place for place, run in enumerate(runs) if run.n_samples]
    found: list[Family] = []
    for places in _alike(runs, online, "width"):
        found += _over_runs(runs, curves, places, by="N")
        found += _over_steps(runs, curves, places)
    for places in _alike(runs, finite, "n_samples"):
        found += _over_runs(runs, curves, places, by="D")
    return found


def _alike(runs: tuple[ParityRun, ...], places: list[int], but: str) -> list[list[int]]:
    """Group runs that are equal in all settings but one and the seeds."""
    groups: dict[ParityRun, list[int]] = {}
    for place in places:
        run = replace(runs[place], task=replace(runs[place].task, seed=0), seed=0, **{but: 1})
        groups.setdefault(run, []).append(place)
    return list(groups.values())


def _over_runs(
    runs: tuple[ParityRun, ...], curves: list[RunCurves], places: list[int], *, by: Resource
) -> list[Family]:
    amount, loss = _OVER_RUNS[by]
    grid = _grid(runs, places, amount)
    if len(grid) < _FEWEST:
        return []
    return [
        Family(
            by=by,
            task=runs[places[0]].task,
            amounts=np.array(list(grid), dtype=np.float64),
            losses=_table(grid, lambda place: getattr(curves[place], loss)),
            subtasks=_table(grid, lambda place: getattr(curves[place], f"{loss}_subtasks")),
            learned=_table(grid, lambda place: _count(curves[place])),
            curves=(),
        )
    ]


def _over_steps(
    runs: tuple[ParityRun, ...], curves: list[RunCurves], places: list[int]
) -> list[Family]:
    widest = max(runs[place].width for place in places)
    chosen = [place for place in places if runs[place].width == widest and len(curves[place].steps)]
    if not chosen:
        return []
    shared = curves[chosen[0]].steps
    for place in chosen[1:]:  # networks that stopped early or diverged have fewer
        shared = np.intersect1d(shared, curves[place].steps)
    at = [(curves[place], np.isin(curves[place].steps, shared)) for place in chosen]
    subtasks = np.stack([curve.subtasks[rows] for curve, rows in at])
    return [
        Family(
            by="S",
            task=runs[chosen[0]].task,
            amounts=shared.astype(np.float64),
            losses=np.stack([curve.test[rows] for curve, rows in at]),
            subtasks=subtasks,
            learned=(subtasks < _COUNTED_NATS).sum(axis=2).astype(np.float64),
            curves=tuple(curve for curve, _ in at),
        )
    ]


def _grid(runs: tuple[ParityRun, ...], places: list[int], amount: str) -> dict[int, dict[int, int]]:
    """Arrange places by amount, rising, and seed; an amount must have every seed."""
    grid: dict[int, dict[int, int]] = {}
    for place in places:
        grid.setdefault(getattr(runs[place], amount), {})[runs[place].seed] = place
    seeds = {seed for row in grid.values() for seed in row}
    return {key: grid[key] for key in sorted(grid) if set(grid[key]) == seeds}


def _table(
    grid: dict[int, dict[int, int]], value: Callable[[int], float | NDArray[np.floating]]
) -> Floats:
    """Give a value of each run, axes ``(seed, amount, ...)``."""
    seeds = sorted(next(iter(grid.values())))
    rows = [[value(row[seed]) for row in grid.values()] for seed in seeds]
    return np.asarray(rows, dtype=np.float64)


def _count(curve: RunCurves) -> float:
    return float(count_learned(curve.subtasks, threshold_nats=_COUNTED_NATS))


def subtask_series(family: Family) -> Series:
    """Give the curves of the subtasks, for the tools on families of models.

    Parameters
    ----------
    family
        Of a sweep.

    Returns
    -------
    Series
        One row a subtask, whose frequency of use is ``family.task.frequencies``; a run a seed, over
        parameters and samples a run a network. Amounts at which a network has no loss are left out.

    Raises
    ------
    DataError
        If fewer than two amounts are left.
    """
    known = np.isfinite(family.subtasks).all(axis=(0, 2))
    if known.sum() < 2:
        raise DataError(f"family over {family.by}: {known.sum()} amounts with losses; 2 are needed")
    losses = family.subtasks[:, known]
    n_seeds, n_amounts, n_tasks = losses.shape
    run = np.arange(n_seeds * n_amounts)
    return Series(
        scale=_SCALES[family.by],
        x=family.amounts[known],
        losses=losses.reshape(-1, n_tasks).T,
        level=run % n_amounts,
        run=run // n_amounts if family.by == "S" else run,
    )
