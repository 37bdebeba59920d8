"""``truth.parquet``: which skill rules each prediction of a run, where that is known.

It stands beside the stages, for no stage needs it: a corpus of planted text writes it, and so does
`quantascope.discover` where it is told the truth; grading reads it. A prediction has one row for
each skill that rules it; the weights of its rows sum to 1. Levels: skill, sub-skill (a case of the
rule), entry (what of the rule's table was used).
"""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from quantascope.core.errors import ArtefactError
from quantascope.store.schema import TRUTH

__all__ = ["TRUTH_FILE", "check_truth", "read_truth", "write_truth"]

TRUTH_FILE: Final = "truth.parquet"

_TYPES: Final = {"pred": pa.int64(), "weight": pa.float64(), "held_out": pa.bool_()}
_SCHEMA: Final = pa.schema(
    [
        pa.field(name, _TYPES.get(name, pa.string()), metadata={"unit": unit})
        for name, unit in TRUTH.columns.items()
    ]
)
_WEIGHT_ERROR: Final = 1e-9


def write_truth(root: Path, table: pa.Table) -> str:
    """Write the truth of a run, whole or not at all.

    Parameters
    ----------
    root
        The run's folder.
    table
        The columns of ``store.schema.TRUTH``, in any order.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    ValueError
        If a column is missing, or the weights of a prediction do not sum to 1.
    """
    if missing := sorted(set(_SCHEMA.names) ^ set(table.column_names)):
        raise ValueError(f"truth: columns {missing} missing or unknown; need {_SCHEMA.names}")
    table = table.select(_SCHEMA.names).cast(_SCHEMA)
    if problems := check_truth(table, n_tokens=None):
        raise ValueError(f"truth: {problems[0]}")
    partial = root / (TRUTH_FILE + ".partial")
    pq.write_table(table, partial, compression="zstd")
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    partial.replace(root / TRUTH_FILE)
    return digest


def read_truth(root: Path) -> pa.Table:
    """Read the truth of a run.

    Raises
    ------
    ArtefactError
        If there is none, or the file is damaged.
    """
    path = root / TRUTH_FILE
    if not path.is_file():
        raise ArtefactError(
            f"{path}: missing; it is written for planted text, or by discover(..., truth=...)"
        )
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ArtefactError(f"{path}: damaged ({error}); redo with --overwrite corpus") from error
    if table.column_names != _SCHEMA.names:
        raise ArtefactError(f"{path}: columns {table.column_names}, expected {_SCHEMA.names}")
    return table


def check_truth(table: pa.Table, *, n_tokens: int | None) -> list[str]:
    """List what is wrong with a truth: predictions outside the corpus, weights, empty names."""
    pred, weight = (table.column(name).to_numpy() for name in ("pred", "weight"))
    problems = []
    if len(pred) and (pred.min() < 0 or (n_tokens is not None and pred.max() >= n_tokens)):
        problems.append(f"pred must lie within 0 to {'the end' if n_tokens is None else n_tokens}")
    if not np.all(weight > 0):
        problems.append("weights must be above 0")
    unique, place = np.unique(pred, return_inverse=True)
    sums = np.bincount(place, weights=weight, minlength=len(unique))
    if not np.allclose(sums, 1.0, rtol=0, atol=_WEIGHT_ERROR):
        odd = int(unique[np.argmax(np.abs(sums - 1))])
        problems.append(f"the weights of each pred must sum to 1; those of {odd} do not")
    if "" in table.column("skill").unique().to_pylist():
        problems.append("a skill has no name")
    return problems
