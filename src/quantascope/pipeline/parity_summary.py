"""What a finished sweep of sparse parity says: final losses, exponents, times of convergence.

Tables of a sweep enter; one row a run and one row an exponent leave, each exponent with its
interval, its range, how it was made, and what theory predicts with endless and with finitely many
subtasks.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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

__all__ = ["Exponent", "RunCurves", "curves_of", "measure_exponents", "summarise_runs"]

Floats = NDArray[np.float64]

_BIT: Final = float(np.log(2))
_LEARNED_NATS: Final = 0.1 * _BIT
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
        """Test loss at the last step [nat]."""
        return float(self.test[-1])

    @property
    def best(self) -> float:
        """Test loss at the step of the least validation loss [nat]."""
        return float(best_by_validation(self.validation, self.test))


def curves_of(tables: SweepTables) -> list[RunCurves]:
    """Cut the tables of a sweep into the curves of its runs."""
    curves, subtasks = tables.curves.to_pandas(), tables.subtasks.to_pandas()
    by_run = dict(iter(subtasks.groupby("run")))
    found = []
    for run, rows in curves.groupby("run"):
        wide = by_run[run].pivot(index="step", columns="subtask", values="loss_nats")
        found.append(
            RunCurves(
                steps=rows["step"].to_numpy(),
                validation=rows["loss_validation_nats"].to_numpy(dtype=np.float64),
                test=rows["loss_test_nats"].to_numpy(dtype=np.float64),
                subtasks=wide.to_numpy(dtype=np.float64),
            )
        )
    return found


def summarise_runs(tables: SweepTables) -> pd.DataFrame:
    """Give one row a run: settings, losses and learned subtasks at the end and at the best step."""
    rows = []
    for curve in curves_of(tables):
        learned = int((curve.subtasks[-1] < _LEARNED_NATS).sum())
        rows.append({"final_nats": curve.final, "best_nats": curve.best, "n_learned": learned})
    return pd.concat([tables.runs.to_pandas(), pd.DataFrame(rows)], axis=1)


def measure_exponents(tables: SweepTables) -> list[Exponent]:
    """Fit every exponent that the sweep has the runs for, for each alpha.

    ``alpha_N`` needs three widths, ``alpha_D`` and ``quanta of data`` three numbers of samples;
    ``alpha_S`` and ``convergence`` are taken from the widest networks on endless samples.

    References
    ----------
    arXiv:2303.13506, figures 2, A3 and A4; protocols in the notebooks of
    github.com/ejmichaud/quantization-model.
    """
    curves = curves_of(tables)
    found: list[Exponent] = []
    places: dict[Any, list[int]] = {}
    for place, run in enumerate(tables.sweep.runs):
        task = {**asdict(run.task), "seed": 0}
        places.setdefault(tuple(task.values()), []).append(place)
    for group in places.values():
        online = [place for place in group if not tables.sweep.runs[place].n_samples]
        finite = [place for place in group if tables.sweep.runs[place].n_samples]
        found += _over_params(tables, curves, online)
        found += _over_steps(tables, curves, online)
        found += _over_data(tables, curves, finite)
    return found


def _over_params(tables: SweepTables, curves: list[RunCurves], places: list[int]) -> list[Exponent]:
    sizes, losses = _by_seed(tables, places, "width", [curve.final for curve in curves])
    if len(sizes) < _FEWEST:
        return []
    task = tables.sweep.runs[places[0]].task
    n_params = np.array([(task.n_tasks + task.n + 3) * width + 2 for width in sizes], dtype=float)
    found = _exponent("alpha_N", task.alpha, fit_by_seed(n_params, losses), sign=-1)
    return [_with_finite(found, "N", n_params, losses, task.n_tasks)]


def _over_data(tables: SweepTables, curves: list[RunCurves], places: list[int]) -> list[Exponent]:
    samples, losses = _by_seed(tables, places, "n_samples", [curve.best for curve in curves])
    if len(samples) < _FEWEST:
        return []
    counts = [float(count_learned(c.subtasks, threshold_nats=_COUNTED_NATS)) for c in curves]
    _, learned = _by_seed(tables, places, "n_samples", counts)
    start = onset(losses.mean(axis=0))
    task = tables.sweep.runs[places[0]].task
    x, losses = np.array(samples[start:], dtype=np.float64), losses[:, start:]
    found = _exponent("alpha_D", task.alpha, fit_by_seed(x, losses), sign=-1)
    counted = _exponent("quanta of data", task.alpha, fit_by_seed(x, learned[:, start:]), sign=1)
    if found.identified:
        found = _with_finite(found, "D", x, losses, task.n_tasks)
    return [found, counted]


def _over_steps(tables: SweepTables, curves: list[RunCurves], places: list[int]) -> list[Exponent]:
    if not places:
        return []
    widest = max(tables.sweep.runs[place].width for place in places)
    chosen = [place for place in places if tables.sweep.runs[place].width == widest]
    task, steps = tables.sweep.runs[chosen[0]].task, curves[chosen[0]].steps
    lo, hi = (share * tables.sweep.schedule.n_steps for share in _S_RANGE)
    rows = (steps >= lo) & (steps <= hi)
    losses = np.stack([curves[place].test[rows] for place in chosen])
    found = []
    if rows.sum() >= _FEWEST:
        x = steps[rows].astype(np.float64)
        slope = _exponent("alpha_S", task.alpha, fit_by_seed(x, losses), sign=-1)
        found.append(_with_finite(slope, "S", x, losses, task.n_tasks))
    bounds = [convergence_bounds(curves[place].steps, curves[place].subtasks) for place in chosen]
    earliest, latest = (np.concatenate([each[i] for each in bounds]) for i in (0, 1))
    frequencies = np.tile(task.frequencies, len(chosen))
    found.append(
        _exponent("convergence", task.alpha, fit_convergence(frequencies, earliest, latest), sign=1)
    )
    published = fit_convergence_published(frequencies, latest)
    found.append(_exponent("convergence, published rule", task.alpha, published, sign=1))
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


def _exponent(name: str, alpha: float, line: PowerLawFit, *, sign: int) -> Exponent:
    ends = sorted((sign * line.lo, sign * line.hi))
    theory = exponents(alpha)
    asymptotic: dict[str, Any] = {
        "alpha_N": theory.alpha_N,
        "alpha_D": theory.alpha_D,
        "alpha_S": theory.alpha_S,
        "quanta of data": 1 / (1 + alpha),
    }
    return Exponent(
        name=name,
        alpha=alpha,
        estimate=sign * line.exponent,
        lo=ends[0],
        hi=ends[1],
        x_lo=line.x_lo,
        x_hi=line.x_hi,
        n_points=line.n_points,
        method=line.method,
        asymptotic=float(asymptotic.get(name, -1.0)),
        identified=line.identified,
        reason=line.reason,
    )


def _with_finite(
    found: Exponent, by: Resource, x: Floats, losses: Floats, n_tasks: int
) -> Exponent:
    """Fit the constant of a finite set of subtasks, and predict the exponent with it."""
    law, amount, name = (
        ("quanta-finite-N", "N", "C") if by == "N" else ("quanta-finite-D", "D", "tau")
    )
    # chance is one bit, and all subtasks together remove it; a floor of the law must be positive
    known = {"E": _NO_FLOOR, "Delta": _BIT, "alpha": found.alpha, "n_tasks": float(n_tasks)}
    data = {amount: np.tile(x, len(losses)), "loss": losses.ravel()}
    fitted = fit(law, data, objective="lsq-log", fixed=known)
    constant = fitted.params[name]
    lo, hi = fitted.interval(name)
    model = QuantaModel(
        alpha=found.alpha,
        n_tasks=n_tasks,
        b=_BIT,
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
