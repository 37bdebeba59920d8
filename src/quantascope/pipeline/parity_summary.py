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
from quantascope.pipeline.parity_families import Family, curves_of, families_of
from quantascope.theory.finite import fitted_exponent
from quantascope.theory.resources import QuantaModel, Resource, exponents, predict_loss
from quantascope.toys.estimators import (
    convergence_bounds,
    fit_by_seed,
    fit_convergence,
    fit_convergence_published,
    onset,
)
from quantascope.toys.parity import ParityTask

__all__ = ["Exponent", "measure_exponents", "measure_family", "predict_finite", "summarise_runs"]

Floats = NDArray[np.float64]

_LEARNED_NATS: Final = 0.1 * NATS_PER_BIT
_FEWEST: Final = 3
_NO_FLOOR: Final = 1e-6
_S_RANGE: Final = (0.005, 0.15)
"""Share of the steps over which the paper fits alpha_S: 500 to 14,500 of 100,000."""
_FINITE_LAWS: Final = (("quanta-finite-D", "D", "tau"), ("quanta-finite-N", "N", "C"))


@dataclass(frozen=True, kw_only=True)
class Exponent:
    """One exponent of one sweep."""

    name: str
    """``alpha_N``, ``alpha_D``, ``alpha_S``, ``convergence``, ``convergence, published rule`` or
    ``quanta of data``."""
    alpha: float
    """Of the subtasks' frequencies."""
    estimate: float
    prefactor: float
    """Of the fitted line, ``prefactor x^-estimate`` for losses [nat] and ``x^estimate`` else."""
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
    n_steps = tables.sweep.schedule.n_steps
    return [
        exponent
        for family in families_of(tables)
        for exponent in measure_family(family, n_steps=n_steps)
    ]


def measure_family(family: Family, *, n_steps: int) -> list[Exponent]:
    """Fit the exponents of one family.

    Parameters
    ----------
    family
        As `quantascope.pipeline.parity_families.families_of` gives it.
    n_steps
        Steps of the whole training; `measure_exponents` says what depends on it.

    Returns
    -------
    list[Exponent]
        That of the loss first.
    """
    used = _fitted_range(family, n_steps)
    x, losses, task = family.amounts[used], family.losses[:, used], family.task
    found = []
    if family.by != "S" or len(x) >= _FEWEST:
        slope = _exponent(f"alpha_{family.by}", task, fit_by_seed(x, losses), sign=-1)
        found.append(_with_finite(slope, x, losses, task))
    if family.by == "D":
        line = fit_by_seed(x, family.learned[:, used])
        found.append(_exponent("quanta of data", task, line, sign=1))
    if family.by == "S":
        found += _convergence(family)
    return found


def predict_finite(found: Exponent, task: ParityTask, amounts: Floats) -> Floats:
    """Give the losses that a finite set of subtasks predicts with the fitted constant.

    Parameters
    ----------
    found
        ``alpha_N``, ``alpha_D`` or ``alpha_S``.
    task
        What it was measured on.
    amounts
        Parameters, samples or steps, > 0.

    Returns
    -------
    NDArray[np.float64]
        Losses [nat]; NaN where no constant was fitted.
    """
    amounts = np.asarray(amounts, dtype=np.float64)
    if not np.isfinite(found.constant):
        return np.full(amounts.shape, np.nan)
    return np.asarray(predict_loss(*_finite_model(found, task.n_tasks), amounts))


def _fitted_range(family: Family, n_steps: int) -> slice:
    """Give the amounts that the paper's protocol fits."""
    if family.by == "D":
        return slice(onset(family.losses.mean(axis=0)), None)
    if family.by == "S":
        lo, hi = (share * n_steps for share in _S_RANGE)
        return slice(*np.searchsorted(family.amounts, [lo, np.nextafter(hi, np.inf)]).tolist())
    return slice(None)


def _convergence(family: Family) -> list[Exponent]:
    bounds = [convergence_bounds(curve.steps, curve.subtasks) for curve in family.curves]
    earliest, latest = (np.concatenate([each[i] for each in bounds]) for i in (0, 1))
    frequencies = np.tile(family.task.frequencies, len(bounds))
    censored = fit_convergence(frequencies, earliest, latest)
    published = fit_convergence_published(frequencies, latest)
    return [
        _exponent("convergence", family.task, censored, sign=1),
        _exponent("convergence, published rule", family.task, published, sign=1),
    ]


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
        prefactor=line.prefactor,
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


def _with_finite(found: Exponent, x: Floats, losses: Floats, task: ParityTask) -> Exponent:
    """Fit the constant of a finite set of subtasks, and predict the exponent with it."""
    n_tasks = task.n_tasks
    if not (found.identified and _is_zipf(task) and n_tasks > 1 and np.isfinite(losses).all()):
        return found
    law, amount, name = _FINITE_LAWS[found.name == "alpha_N"]
    # chance is one bit, and all subtasks together remove it; a floor of the law must be positive
    known = {"E": _NO_FLOOR, "Delta": NATS_PER_BIT, "alpha": found.alpha, "n_tasks": float(n_tasks)}
    data = {amount: np.tile(x, len(losses)), "loss": losses.ravel()}
    fitted = fit(law, data, objective="lsq-log", fixed=known)
    lo, hi = fitted.interval(name)
    found = replace(found, constant=fitted.params[name], constant_lo=lo, constant_hi=hi)
    return replace(found, finite=fitted_exponent(*_finite_model(found, n_tasks), x))


def _finite_model(found: Exponent, n_tasks: int) -> tuple[QuantaModel, Resource]:
    """Give the theory with the fitted constant; steps count as samples do."""
    by_params = found.name == "alpha_N"
    model = QuantaModel(
        alpha=found.alpha,
        n_tasks=n_tasks,
        b=NATS_PER_BIT,
        capacity=found.constant if by_params else 1.0,
        threshold=1.0 if by_params else found.constant,
    )
    return model, "N" if by_params else "D"
