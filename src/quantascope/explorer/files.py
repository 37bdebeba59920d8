"""Tables of pages as files: CSV that no spreadsheet runs, Parquet."""

import io
from typing import Any, Final

import pandas as pd

__all__ = ["as_csv", "as_parquet"]

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def as_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV that no spreadsheet takes for formulas."""
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [_inert(value) for value in safe[name]]
    return safe.to_csv(index=False)


def as_parquet(table: pd.DataFrame) -> bytes:
    """Write a table as Parquet."""
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()


def _inert(value: Any) -> Any:
    """Put a quote before texts that a spreadsheet would run."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
