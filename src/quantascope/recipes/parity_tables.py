"""Tables of parity sweeps beside the published numbers, for the figures of recipes and commands.

Sweeps enter; columns leave: for each resource that was varied the mean losses with their fitted
line and the prediction of a finite set of subtasks, the losses of the subtasks, and what was
published for the same setting (arXiv:2303.13506, figures 2 and A4, read off the vector figures).
"""

import csv
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.units import nats_to_bits
from quantascope.pipeline.parity import SweepTables
from quantascope.pipeline.parity_families import Family, families_of
from quantascope.pipeline.parity_summary import Exponent, measure_family, predict_finite
from quantascope.recipes.result import Table
from quantascope.toys.parity import ParityTask

__all__ = ["EXPONENTS", "exponent_tables", "read_published", "scaling_tables"]

EXPONENTS: Final[tuple[str, ...]] = ("alpha_N", "alpha_S", "alpha_D")
_RESOURCES: Final = {"N": "parameters", "S": "steps", "D": "samples"}
_COLUMNS: Final = ("alpha", "estimate", "lo", "hi", "asymptotic", "finite", "constant")
_LOSSES: Final = {"N": ("parity_losses.csv", "n_params"), "D": ("parity_samples.csv", "n_samples")}
_PAPER: Final = (500, 100, 3, 0.0, "zipf")


def read_published(file: str) -> dict[str, NDArray[np.float64]]:
    """Read a table of published numbers from the package's data, the column ``source`` left out."""
    text = files("quantascope").joinpath("data", file).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return {n: np.array([float(row[n]) for row in rows]) for n in rows[0] if n != "source"}


def scaling_tables(sweeps: Sequence[SweepTables]) -> dict[str, Table]:
    """Lay out losses over parameters, steps and samples, as figure 2 shows them.

    Parameters
    ----------
    sweeps
        Finished ones; of several families over one resource the one with most points is taken,
        then the first.

    Returns
    -------
    dict[str, Table]
        ``parameters``, ``steps``, ``samples`` (``amount``, ``loss_bits``, ``n_learned``,
        ``fitted_bits``, ``finite_bits``), each with ``_subtasks`` (``amount``, ``subtask``,
        ``loss_bits``, mean over seeds), ``exponents``, and ``published`` (``resource``, ``amount``,
        ``loss_bits``), empty where the subtasks are not the paper's.
    """
    tables: dict[str, Table] = {}
    exponents: list[tuple[Exponent, ParityTask]] = []
    published: list[tuple[str, float, float]] = []
    for family, n_steps in _largest(sweeps):
        name, found = _RESOURCES[family.by], measure_family(family, n_steps=n_steps)
        exponents += [(each, family.task) for each in found]
        tables[name] = _means(family, found)
        tables[f"{name}_subtasks"] = _subtasks(family)
        published += [(name, *point) for point in _published_losses(family)]
    columns = {name: [getattr(each, name) for each, _ in exponents] for name in ("name", *_COLUMNS)}
    columns["published"] = [_published_exponent(each, task) for each, task in exponents]
    tables["exponents"] = {name: np.array(values) for name, values in columns.items()}
    tables["published"] = {
        name: np.array([row[i] for row in published])
        for i, name in enumerate(("resource", "amount", "loss_bits"))
    }
    return tables


def exponent_tables(found: Sequence[Exponent]) -> dict[str, Table]:
    """Lay out exponents over alpha, as figure A4 shows them.

    Parameters
    ----------
    found
        Exponents of sweeps over several alphas.

    Returns
    -------
    dict[str, Table]
        By name of the exponent: ``alpha``, ``estimate``, ``lo``, ``hi``, ``asymptotic``,
        ``finite``, ``constant``.
    """
    tables: dict[str, Table] = {}
    for name in dict.fromkeys(each.name for each in found):
        rows = [each for each in found if each.name == name]
        tables[name] = {
            column: np.array([getattr(each, column) for each in rows]) for column in _COLUMNS
        }
    return tables


def _largest(sweeps: Sequence[SweepTables]) -> list[tuple[Family, int]]:
    """Choose one family a resource, with the steps of its training."""
    chosen: dict[str, tuple[Family, int]] = {}
    for sweep in sweeps:
        for family in families_of(sweep):
            if family.by not in chosen or family.losses.size > chosen[family.by][0].losses.size:
                chosen[family.by] = (family, sweep.sweep.schedule.n_steps)
    return [chosen[by] for by in _RESOURCES if by in chosen]


def _means(family: Family, found: list[Exponent]) -> Table:
    """Give a row for each seed and amount; NaN where nothing was fitted, or not there."""
    amounts = np.tile(family.amounts, len(family.losses))
    fitted = finite = np.full(amounts.shape, np.nan)
    if found and found[0].name == f"alpha_{family.by}" and found[0].identified:
        slope = found[0]
        inside = (amounts >= slope.x_lo) & (amounts <= slope.x_hi)
        fitted = np.where(inside, slope.prefactor * amounts**-slope.estimate, np.nan)
        finite = predict_finite(slope, family.task, amounts)
    return {
        "amount": amounts,
        "loss_bits": nats_to_bits(family.losses.ravel()),
        "n_learned": family.learned.ravel(),
        "fitted_bits": nats_to_bits(fitted),
        "finite_bits": nats_to_bits(finite),
    }


def _subtasks(family: Family) -> Table:
    n_amounts, n_tasks = family.subtasks.shape[1:]
    return {
        "amount": np.repeat(family.amounts, n_tasks),
        "subtask": np.tile(np.arange(1, n_tasks + 1), n_amounts),
        "loss_bits": nats_to_bits(family.subtasks.mean(axis=0).ravel()),
    }


def _is_paper(task: ParityTask) -> bool:
    return (task.n_tasks, task.n, task.k, task.offset, task.distribution) == _PAPER


def _published_losses(family: Family) -> list[tuple[float, float]]:
    """Give the published points of the same setting: amounts and losses [bit]."""
    if family.by not in _LOSSES or not _is_paper(family.task):
        return []
    file, amount = _LOSSES[family.by]
    table = read_published(file)
    rows = np.isclose(table["alpha"], family.task.alpha)
    return list(zip(table[amount][rows].tolist(), table["loss_bits"][rows].tolist(), strict=True))


def _published_exponent(found: Exponent, task: ParityTask) -> float:
    table = read_published("parity_exponents.csv")
    rows = np.isclose(table["alpha"], task.alpha)
    if found.name not in EXPONENTS or not _is_paper(task) or not rows.any():
        return float("nan")
    return float(table[found.name][rows][0])
