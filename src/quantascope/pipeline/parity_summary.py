"""What a finished sweep of sparse parity says: final losses, exponents, times of convergence.

Tables of a sweep enter; one row a run and one row an exponent leave, each exponent with its
interval, its range, how it was made, and what theory predicts with endless and with finitely many
subtasks.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantascope.core.units import NATS_PER_BIT
from quantascope.laws import fit
from quantascope.laws.powerlaw import PowerLawFit
from quantascope.pipeline.parity import SweepTables
from quantascope.theory.finite import fitted_exponent
from quantascope.theory.resources import QuantaModel, Resource, exponents
from quantascope.toys.estimators import (
    best_by_validation,
    convergence_bounds,
    count_learned,
    fit_by_seed,
    fit_convergence,
    fit_convergence_published,
    onset,
)
from quantascope.toys.parity import ParityTask
from quantascope.toys.parity_net import n_params
from quantascope.toys.runs import ParityRun

__all__ = ["Exponent", "RunCurves", "curves_of", "measure_exponents", "summarise_runs"]

Floats = NDArray[np.float64]

_LEARNED_NATS: Final = 0.1 * NATS_PER_BIT
_COUNTED_NATS: Final = 0.1
"""Figure A4a compares a loss in nats with 0.1."""
_FEWEST: Final = 3
_NO_FLOOR: Final = 1e-6
_S_RANGE: Final = (0.005, 0.15)
"""Share of the steps over which the paper fits alpha_S: 500 to 14,500 of 100,000."""


@dataclass(frozen=True, kw_only=True)
class Exponent:
    """One exponent of one sweep."""

    name: str
    """``alpha_N``, ``alpha_D``, ``alpha_S``, ``convergence``, ``convergence, published rule`` or
    ``quanta of data``."""
    alpha: float
    """Of the subtasks' frequencies."""
    estimate: float
    lo: float
    hi: float
    x_lo: float
    x_hi: float
    n_points: int
    method: str
    asymptotic: float
    """What the Quantization Model predicts for endlessly many subtasks."""
    finite: float = float("nan")
    """The same for this many subtasks, at these amounts, with the constant fitted to them."""
    constant: float = float("nan")
    """Parameters, samples or steps times frequency that one subtask takes: C, tau or T p_1."""
    constant_lo: float = float("nan")
    constant_hi: float = float("nan")
    identified: bool = True
    reason: str = ""


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
        if not len(self.test):
            return float("nan")
        return float(best_by_validation(self.validation, self.test))


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


def summarise_runs(tables: SweepTables) -> pd.DataFrame:
    """Give one row a run: settings, losses at the last and the best step, subtasks learned at last.

    NaN and 0 for a run that diverged before its first evaluation.
    """
    rows = []
    for curve in curves_of(tables):
        learned = int((curve.subtasks[-1:] < _LEARNED_NATS).sum())
        rows.append({"final_nats": curve.final, "best_nats": curve.best, "n_learned": learned})
    return pd.concat([tables.runs.to_pandas(), pd.DataFrame(rows)], axis=1)


def measure_exponents(tables: SweepTables) -> list[Exponent]:
    """Fit every exponent that the sweep has the runs for.

    ``alpha_N`` needs three widths, ``alpha_D`` and ``quanta of data`` three numbers of samples, all
    else equal but the seed; ``alpha_S`` and ``convergence`` are taken from the widest networks on
    endless samples.

    Notes
    -----
    Ranges follow figures A3 and A4 of arXiv 2303.13506 where they can: all widths; samples from
    the first whose loss is below .95 bit; steps from .5 to 15 % of the training. Losses over
    samples are those of the step that the validation half chooses (the paper takes the least test
    loss); evaluations are evenly spaced in the log of the step (the paper's, in the step).
    """
    curves, runs = curves_of(tables), tables.sweep.runs
    online = [place for place, run in enumerate(runs) if not run.n_samples]
    finite = [place for place, run in enumerate(runs) if run.n_samples]
    found: list[Exponent] = []
    for places in _alike(runs, online, "width"):
        found += _over_params(tables, curves, places)
        found += _over_steps(tables, curves, places)
    for places in _alike(runs, finite, "n_samples"):
        found += _over_data(tables, curves, places)
    return found


def _alike(runs: tuple[ParityRun, ...], places: list[int], but: str) -> list[list[int]]:
    """Group runs that are equal in all settings but one and the seeds."""
    groups: dict[ParityRun, list[int]] = {}
    for place in places:
        run = replace(runs[place], task=replace(runs[place].task, seed=0), seed=0, **{but: 1})
        groups.setdefault(run, []).append(place)
    return list(groups.values())


def _over_params(tables: SweepTables, curves: list[RunCurves], places: list[int]) -> list[Exponent]:
    sizes, losses = _by_seed(tables, places, "width", [curve.final for curve in curves])
    if len(sizes) < _FEWEST:
        return []
    task = tables.sweep.runs[places[0]].task
    counts = np.array([n_params(task, width) for width in sizes], dtype=np.float64)
    found = _exponent("alpha_N", task, fit_by_seed(counts, losses), sign=-1)
    return [_with_finite(found, "N", counts, losses, task)]


def _over_data(tables: SweepTables, curves: list[RunCurves], places: list[int]) -> list[Exponent]:
    samples, losses = _by_seed(tables, places, "n_samples", [curve.best for curve in curves])
    if len(samples) < _FEWEST:
        return []
    counts = [float(count_learned(c.subtasks, threshold_nats=_COUNTED_NATS)) for c in curves]
    _, learned = _by_seed(tables, places, "n_samples", counts)
    start = onset(losses.mean(axis=0))
    task = tables.sweep.runs[places[0]].task
    x, losses = np.array(samples[start:], dtype=np.float64), losses[:, start:]
    found = _exponent("alpha_D", task, fit_by_seed(x, losses), sign=-1)
    counted = _exponent("quanta of data", task, fit_by_seed(x, learned[:, start:]), sign=1)
    return [_with_finite(found, "D", x, losses, task), counted]


def _over_steps(tables: SweepTables, curves: list[RunCurves], places: list[int]) -> list[Exponent]:
    runs = tables.sweep.runs
    widest = max(runs[place].width for place in places)
    chosen = [place for place in places if runs[place].width == widest and len(curves[place].steps)]
    if not chosen:
        return []
    task, shared = runs[chosen[0]].task, curves[chosen[0]].steps
    for place in chosen[1:]:  # networks that stopped early or diverged have fewer
        shared = np.intersect1d(shared, curves[place].steps)
    lo, hi = (share * tables.sweep.schedule.n_steps for share in _S_RANGE)
    x = shared[(shared >= lo) & (shared <= hi)]
    found = []
    if len(x) >= _FEWEST:
        at = [curves[place].test[np.isin(curves[place].steps, x)] for place in chosen]
        steps, losses = x.astype(np.float64), np.stack(at)
        slope = _exponent("alpha_S", task, fit_by_seed(steps, losses), sign=-1)
        found.append(_with_finite(slope, "S", steps, losses, task))
    bounds = [convergence_bounds(curves[place].steps, curves[place].subtasks) for place in chosen]
    earliest, latest = (np.concatenate([each[i] for each in bounds]) for i in (0, 1))
    frequencies = np.tile(task.frequencies, len(chosen))
    censored = fit_convergence(frequencies, earliest, latest)
    published = fit_convergence_published(frequencies, latest)
    found.append(_exponent("convergence", task, censored, sign=1))
    found.append(_exponent("convergence, published rule", task, published, sign=1))
    return found


def _by_seed(
    tables: SweepTables, places: list[int], name: str, values: list[float]
) -> tuple[list[int], Floats]:
    """Arrange values by a setting, axes ``(seed, setting)``; a setting must have every seed."""
    table: dict[int, dict[int, float]] = {}
    for place in places:
        run = tables.sweep.runs[place]
        table.setdefault(getattr(run, name), {})[run.seed] = values[place]
    seeds = sorted({seed for row in table.values() for seed in row})
    whole = sorted(setting for setting, row in table.items() if set(row) == set(seeds))
    return whole, np.array([[table[setting][seed] for setting in whole] for seed in seeds])


def _is_zipf(task: ParityTask) -> bool:
    """Say whether the theory's frequencies are the task's own."""
    return task.distribution == "zipf" and task.offset == 0


def _exponent(name: str, task: ParityTask, line: PowerLawFit, *, sign: int) -> Exponent:
    ends = sorted((sign * line.lo, sign * line.hi))
    theory = exponents(task.alpha)
    asymptotic: dict[str, Any] = {
        "alpha_N": theory.alpha_N,
        "alpha_D": theory.alpha_D,
        "alpha_S": theory.alpha_S,
        "quanta of data": 1 / (1 + task.alpha),
    }
    convergence = name.startswith("convergence")  # equally many samples for every subtask
    known = -1.0 if convergence else asymptotic[name] if _is_zipf(task) else float("nan")
    return Exponent(
        name=name,
        alpha=task.alpha,
        estimate=sign * line.exponent,
        lo=ends[0],
        hi=ends[1],
        x_lo=line.x_lo,
        x_hi=line.x_hi,
        n_points=line.n_points,
        method=line.method,
        asymptotic=float(known),
        identified=line.identified,
        reason=line.reason,
    )


def _with_finite(
    found: Exponent, by: Resource, x: Floats, losses: Floats, task: ParityTask
) -> Exponent:
    """Fit the constant of a finite set of subtasks, and predict the exponent with it."""
    n_tasks = task.n_tasks
    if not (found.identified and _is_zipf(task) and n_tasks > 1 and np.isfinite(losses).all()):
        return found
    law, amount, name = (
        ("quanta-finite-N", "N", "C") if by == "N" else ("quanta-finite-D", "D", "tau")
    )
    # chance is one bit, and all subtasks together remove it; a floor of the law must be positive
    known = {"E": _NO_FLOOR, "Delta": NATS_PER_BIT, "alpha": found.alpha, "n_tasks": float(n_tasks)}
    data = {amount: np.tile(x, len(losses)), "loss": losses.ravel()}
    fitted = fit(law, data, objective="lsq-log", fixed=known)
    constant = fitted.params[name]
    lo, hi = fitted.interval(name)
    model = QuantaModel(
        alpha=found.alpha,
        n_tasks=n_tasks,
        b=NATS_PER_BIT,
        capacity=constant if by == "N" else 1.0,
        threshold=constant if by != "N" else 1.0,
    )
    return replace(
        found,
        finite=fitted_exponent(model, "N" if by == "N" else "D", x),
        constant=constant,
        constant_lo=lo,
        constant_hi=hi,
    )
