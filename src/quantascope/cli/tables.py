"""Columns of a user's table: a file enters, checked arrays leave, and every fault is one line.

Files are hostile until read: nothing in them is evaluated, sizes are limited, and what a message
shows of them is escaped and short.
"""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError

__all__ = ["MAX_ROWS", "is_table", "read_columns", "read_numbers", "shown"]

MAX_ROWS: Final = 1_000_000
_MAX_SHOWN: Final = 40  # characters of a cell or name in a message
_MAX_NAMES: Final = 12  # columns listed in a message
_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
_SEPARATOR_NAMES: Final = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")  # byte-order marks

_Cells = dict[str, Sequence[Any]]


def read_columns(
    path: Path,
    columns: Mapping[str, str],
    *,
    text: Collection[str] = (),
    max_rows: int = MAX_ROWS,
) -> dict[str, NDArray[Any]]:
    """Read named columns of a table.

    Parameters
    ----------
    path
        A .csv or .tsv file with a header, a .jsonl file with one object a line, or a .parquet
        file; text is UTF-8. Blank lines are skipped.
    columns
        Name in the result to column of the file; blanks around the names of a .csv or .tsv file
        do not count.
    text
        Names of the result that are text (groups, runs); all others are numbers.
    max_rows
        Longest table accepted [row].

    Returns
    -------
    dict[str, NDArray]
        For each name float64 numbers, all finite, or an object array of non-empty strings.

    Raises
    ------
    DataError
        One line that names the file, the column and the data row (the first below the header is
        1), what was found and what is allowed.
    """
    read = _reader(path)
    _check_file(path)
    if path.suffix.lower() in _SEPARATORS:
        columns = {name: column.strip() for name, column in columns.items()}
    wanted = list(dict.fromkeys(columns.values()))
    try:
        cells = read(path, wanted, max_rows)
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)}: not UTF-8 text; save the table as UTF-8") from error
    if not len(cells[wanted[0]]):
        raise DataError(f"{shown(path)}: no data rows; at least one is needed")
    parse = {name: _texts if name in text else _numbers for name in columns}
    return {name: parse[name](cells[column], path, column) for name, column in columns.items()}


def read_numbers(path: Path, *, max_rows: int = MAX_ROWS) -> NDArray[np.float64]:
    """Read a plain file of one number a line; blank lines are skipped.

    Raises
    ------
    DataError
        As `read_columns`.
    """
    _check_file(path)
    lines: list[str] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                if line.strip():
                    lines.append(line.strip())
                    _check_count(path, len(lines), max_rows)
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)}: not UTF-8 text; give one number a line") from error
    if not lines:
        raise DataError(f"{shown(path)}: no numbers; give one number a line")
    return _numbers(lines, path, None)


def shown(value: object) -> str:
    """Quote hostile text for a message: escaped, at most 40 characters; paths stay whole."""
    if isinstance(value, Path):
        return str(value) if str(value).isprintable() else repr(str(value))
    shown = repr(str(value)[:_MAX_SHOWN])
    return shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + "…"


def is_table(path: Path) -> bool:
    """Say whether a file's name is that of a table, rather than of plain numbers."""
    return path.suffix.lower() in {*_SEPARATORS, ".jsonl", ".parquet"}


def _reader(path: Path) -> Callable[[Path, list[str], int], _Cells]:
    suffix = path.suffix.lower()
    if suffix in _SEPARATORS:
        return _read_separated
    if suffix == ".jsonl":
        return _read_jsonl
    if suffix == ".parquet":
        return _read_parquet
    raise DataError(f"{shown(path)}: a table's name ends in .csv, .tsv, .jsonl or .parquet")


def _check_file(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{shown(path)}: no such file")
    if not path.is_file():
        raise DataError(f"{shown(path)}: not a file; give a table")
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        raise DataError(f"{shown(path)}: the file is empty")
    if path.suffix.lower() != ".parquet" and start.startswith(_UTF_16):
        raise DataError(f"{shown(path)}: UTF-16 text; save it as UTF-8")
    if path.suffix.lower() != ".parquet" and b"\0" in start:
        raise DataError(f"{shown(path)}: binary, not a text table; convert it to .csv or .parquet")


def _check_count(path: Path, n: int, max_rows: int) -> None:
    if n > max_rows:
        raise DataError(f"{shown(path)}: more than {max_rows:,} rows, which is the limit; thin it")


def _check_columns(path: Path, wanted: list[str], present: Sequence[str]) -> None:
    for column in wanted:
        if present.count(column) == 1:
            continue
        fault = f"{present.count(column)} columns named" if column in present else "no column"
        names = ", ".join(shown(name) for name in present[:_MAX_NAMES])
        more = f" and {len(present) - _MAX_NAMES} more" if len(present) > _MAX_NAMES else ""
        raise DataError(f"{shown(path)}: {fault} {shown(column)}; there are {names}{more}")


def _check_separator(path: Path, wanted: list[str], header: list[str]) -> None:
    """Say it where a header of one name is one of several, parted by something else."""
    own = _SEPARATORS[path.suffix.lower()]
    if len(header) != 1 or header[0] in wanted:
        return
    for other, name in _SEPARATOR_NAMES.items():
        if other != own and other in header[0]:
            kind = f"a {path.suffix.lower()} file has {_SEPARATOR_NAMES[own]}s"
            renamed = {separator: suffix for suffix, separator in _SEPARATORS.items()}.get(other)
            remedy = f"name it {renamed}" if renamed else f"save it with {_SEPARATOR_NAMES[own]}s"
            raise DataError(f"{shown(path)}: the header is separated by {name}s; {kind}: {remedy}")


def _read_separated(path: Path, wanted: list[str], max_rows: int) -> _Cells:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=_SEPARATORS[path.suffix.lower()], strict=True)
        n_read = 0
        try:
            header = [name.strip() for name in next(rows, [])]
            _check_separator(path, wanted, header)
            _check_columns(path, wanted, header)
            places = [header.index(column) for column in wanted]
            kept: list[list[str]] = []
            for row in filter(None, rows):
                n_read += 1
                _check_count(path, n_read, max_rows)
                if len(row) != len(header):
                    raise DataError(
                        f"{shown(path)}: row {n_read} has {len(row)} cells, not {len(header)};"
                        " quote cells that hold the separator"
                    )
                kept.append([row[place] for place in places])
        except csv.Error as error:
            raise DataError(
                f"{shown(path)}: row {n_read + 1} cannot be read ({error}); check its quotes"
            ) from error
    return {column: [row[i] for row in kept] for i, column in enumerate(wanted)}


def _read_jsonl(path: Path, wanted: list[str], max_rows: int) -> _Cells:
    cells: dict[str, list[Any]] = {column: [] for column in wanted}
    for n_read, record in enumerate(_json_records(path), 1):
        _check_count(path, n_read, max_rows)
        if n_read == 1:
            _check_columns(path, wanted, list(record))
        for column in wanted:
            if column not in record:
                raise DataError(f"{shown(path)}: row {n_read} has no {shown(column)}; add it")
            cells[column].append(record[column])
    return dict(cells)


def _json_records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for n_read, line in enumerate((line for line in file if line.strip()), 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{shown(path)}: row {n_read} is not JSON; give one object a line"
                ) from error
            if not isinstance(record, dict):
                raise DataError(
                    f"{shown(path)}: row {n_read} is {shown(record)}; give one object a line"
                )
            yield record


def _read_parquet(path: Path, wanted: list[str], max_rows: int) -> _Cells:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, wanted, file.schema_arrow.names)
            _check_count(path, file.metadata.num_rows, max_rows)
            table = file.read(columns=wanted)
    except pa.ArrowException as error:
        raise DataError(f"{shown(path)}: not a sound Parquet file; write it again") from error
    return {column: table[column].to_pylist() for column in wanted}


def _numbers(cells: Sequence[Any], path: Path, column: str | None) -> NDArray[np.float64]:
    import pandas as pd

    is_json = [isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells]
    if all(is_json) or not all(isinstance(cell, str) for cell in cells):
        numbers = [
            _float(cell) if good else np.nan for cell, good in zip(cells, is_json, strict=True)
        ]
        values = np.array(numbers, dtype=np.float64)
    else:
        text = pd.Series(cells, dtype=object)
        values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        found = cells[bad[0]]
        blank = found is None or (isinstance(found, str) and not found.strip())
        where = f" of column {shown(column)}" if column is not None else ""
        raise DataError(
            f"{shown(path)}: row {bad[0] + 1}{where} is {'blank' if blank else shown(found)};"
            " allowed are finite numbers: correct or leave out the row"
        )
    return values


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer beyond the doubles
        return np.inf


def _texts(cells: Sequence[Any], path: Path, column: str) -> NDArray[Any]:
    values = np.empty(len(cells), dtype=object)
    values[:] = ["" if cell is None else str(cell).strip() for cell in cells]
    blank = np.flatnonzero(values == "")
    if len(blank):
        raise DataError(
            f"{shown(path)}: row {blank[0] + 1} of column {shown(column)} is blank; fill it"
        )
    return values
