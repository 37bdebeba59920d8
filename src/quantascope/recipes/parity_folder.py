"""What a finished sweep of sparse parity says, as tables in its own folder, for pages that read.

    summary/runs.parquet         a row a network: settings, losses, subtasks learned
    summary/exponents.parquet    a row an exponent, with interval and predictions
    summary/learned.parquet      a row a network and subtask: between which steps it was learned
    summary/scaling-NAME.parquet the tables of the figure that `parity show --plot` draws

All follows from the sweep's tables, and is written whole or not at all.
"""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from quantascope.pipeline.parity import SweepTables
from quantascope.pipeline.parity_families import curves_of
from quantascope.pipeline.parity_summary import measure_exponents, summarise_runs
from quantascope.recipes.parity_tables import EXPONENTS, read_published, scaling_tables
from quantascope.recipes.result import Table
from quantascope.toys.estimators import convergence_bounds

__all__ = ["SUMMARY", "write_summary"]

SUMMARY: Final = "summary"


def write_summary(tables: SweepTables, folder: Path) -> Path:
    """Write what a sweep says into its folder; what stood there is replaced.

    Parameters
    ----------
    tables
        The sweep.
    folder
        Its folder.

    Returns
    -------
    Path
        Of the summary.
    """
    new, place = folder / f".{SUMMARY}.new", folder / SUMMARY
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    exponents = measure_exponents(tables)
    found = {
        "runs": summarise_runs(tables),
        "exponents": pd.DataFrame([asdict(each) for each in exponents]),
        "learned": _learned(tables),
    }
    found |= {f"scaling-{name}": pd.DataFrame(table) for name, table in _drawn(tables).items()}
    for name, table in found.items():
        table.to_parquet(new / f"{name}.parquet", index=False, compression="zstd")
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)
    return place


def _learned(tables: SweepTables) -> pd.DataFrame:
    """Bound the step at which each network learned each subtask; infinite where it did not."""
    parts = []
    for place, (run, curve) in enumerate(zip(tables.sweep.runs, curves_of(tables), strict=True)):
        n = run.task.n_tasks
        after, by = np.zeros(n), np.full(n, np.inf)
        if len(curve.steps):
            after, by = convergence_bounds(curve.steps, curve.subtasks)
        columns = {
            "run": place,
            "subtask": np.arange(1, n + 1),
            "frequency": run.task.frequencies,
            "learned_after": after,
            "learned_by": by,
            "final_nats": curve.final_subtasks,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _drawn(tables: SweepTables) -> dict[str, Table]:
    """Give the tables of the figure over resources, or of that over alphas; none for neither."""
    runs = tables.sweep.runs
    if len({run.task.alpha for run in runs}) > 1:
        known = {each.name for each in measure_exponents(tables)}
        published = read_published("parity_exponents.csv")
        return {"published-exponents": published} if known & set(EXPONENTS) else {}
    scaling = scaling_tables([tables]) if len(runs) > 1 else {}
    return scaling if scaling and len(scaling["exponents"]["name"]) else {}
