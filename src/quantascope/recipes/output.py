"""Write a recipe's result: tables, figure, and result.json last, each by atomic rename."""

import csv
import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

import quantascope
from quantascope.core.numbers import plain
from quantascope.plots.figures import figure
from quantascope.recipes.result import RecipeResult, Table

__all__ = ["RESULT", "describe", "write_result"]

RESULT: Final = "result.json"
_FIGURE: Final = "figure.svg"


def write_result(result: RecipeResult, folder: Path) -> Path:
    """Write ``TABLE.csv`` for each table, ``figure.svg`` and ``result.json``.

    Parameters
    ----------
    result
        What a recipe returned.
    folder
        Made if needed; files of the same names are replaced, whole or not at all.

    Returns
    -------
    Path
        The folder.

    Notes
    -----
    An old ``result.json`` goes first and the new one comes last: where there is one, all is there.
    Equal results give equal bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    for name, table in result.tables.items():
        _replace(folder / f"{name}.csv", _csv(table))
    _replace(folder / _FIGURE, _svg(result))
    text = json.dumps(describe(result), indent=2, allow_nan=False)
    _replace(folder / RESULT, f"{text}\n".encode())
    return folder


def describe(result: RecipeResult) -> dict[str, Any]:
    """Give a result without its tables as plain values, as ``result.json`` holds it.

    A number that is not finite becomes null.
    """
    checks = [{**asdict(check), "holds": check.holds} for check in result.checks]
    fields = {
        "recipe": result.name,
        "holds": result.holds,
        "seed": result.seed,
        "config": asdict(result.config),
        "checks": checks,
        "tables": [f"{name}.csv" for name in result.tables],
        "figure": _FIGURE,
        "version": quantascope.__version__,
    }
    return dict(plain(fields))


def _csv(table: Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(np.asarray(column).tolist() for column in table.values()), strict=True))
    return text.getvalue().encode()


def _svg(result: RecipeResult) -> bytes:
    drawn_bytes = io.BytesIO()
    with figure() as (drawn, axes):
        result.draw(axes)
        drawn.savefig(drawn_bytes, format="svg", metadata={"Date": None})
    return drawn_bytes.getvalue()


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
