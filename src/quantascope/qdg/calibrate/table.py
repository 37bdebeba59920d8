"""The table of planted worlds that is shipped: one row a world, its truth and what was read."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError

__all__ = ["Table", "columns", "format_table", "read_table", "shipped_table", "table_hash"]

Table = Mapping[str, NDArray[np.float64]]
"""Columns by name, axis ``world``."""


def shipped_table(name: str = "slope_calibration") -> tuple[Table, str]:
    """Read a shipped table and check it.

    Parameters
    ----------
    name
        Name of its file, without the ending; see `Kind`.

    Returns
    -------
    table : Table
        One row a world.
    digest : str
        Its sha256, in hexadecimal.

    Raises
    ------
    DataError
        If the table is not the one whose hash is shipped beside it.
    """
    data = files("quantascope").joinpath("data")
    text = data.joinpath(f"{name}.csv").read_text(encoding="utf-8")
    expected = data.joinpath(f"{name}.sha256").read_text(encoding="utf-8").split()[0]
    if table_hash(text) != expected:
        raise DataError(
            f"{name}.csv: its sha256 is not {expected[:12]}...; install the package again, or "
            "fill the table with quantascope reproduce slope-table"
        )
    return read_table(text), expected


def read_table(text: str) -> Table:
    """Read a table from comma-separated text; an empty field is NaN."""
    rows = csv.DictReader(io.StringIO(text))
    return columns({name: float(value or "nan") for name, value in row.items()} for row in rows)


def format_table(table: Table) -> str:
    """Write a table as comma-separated text: six digits, so that machines agree on the bytes."""
    lines = [",".join(table)]
    lines += [
        ",".join(f"{value:.6g}" for value in row) for row in zip(*table.values(), strict=True)
    ]
    return "\n".join(lines) + "\n"


def table_hash(text: str) -> str:
    """Give the sha256 of a table's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def columns(rows: Iterable[Mapping[str, float]]) -> Table:
    """Turn rows into columns."""
    rows = list(rows)
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
