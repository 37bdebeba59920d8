"""Tables on disk: Parquet with the schema's columns and units, the same bytes for equal content."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from quantascope.core.errors import ArtefactError
from quantascope.store.schema import find_kind

__all__ = ["read_table", "table_batches", "write_table"]


def write_table(folder: Path, kind: str, *, name: str, table: pa.Table) -> None:
    """Write one table of an artefact.

    Parameters
    ----------
    folder
        The stage's working folder.
    kind, name
        Artefact kind and file name, as in the schema.
    table
        Exactly the columns of the schema, in any order.

    Raises
    ------
    ValueError
        If columns are missing or unknown.
    """
    columns = find_kind(kind).tables[name].columns
    if set(table.column_names) != set(columns):
        odd = sorted(set(table.column_names) ^ set(columns))
        raise ValueError(f"{kind}/{name}: columns {odd} missing or unknown; need {list(columns)}")
    fields = [
        table.schema.field(column).with_metadata({"unit": unit}) for column, unit in columns.items()
    ]
    ordered = table.select(list(columns)).cast(pa.schema(fields))
    pq.write_table(ordered, folder / name, compression="zstd")


def read_table(folder: Path, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one table of an artefact.

    Parameters
    ----------
    folder
        The stage's folder.
    name
        File name.
    columns
        Those wanted, in this order; None reads all.

    Raises
    ------
    ArtefactError
        If the file is missing or damaged, or lacks a column.
    """
    path = _found(folder, name)
    try:
        table = pq.read_table(path, columns=columns)
        return table if columns is None else table.select(columns)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise _damaged(path, error) from error


def table_batches(
    folder: Path, name: str, columns: Sequence[str], *, n_rows: int = 1 << 20
) -> Iterator[pa.RecordBatch]:
    """Read some columns of a table by parts, for tables larger than one wants in memory.

    Raises
    ------
    ArtefactError
        If the file is missing or damaged.
    """
    path = _found(folder, name)
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(n_rows, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _found(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise ArtefactError(f"{path}: missing; redo with --overwrite {folder.name}")
    return path


def _damaged(path: Path, error: Exception) -> ArtefactError:
    folder = path.parent.name
    return ArtefactError(f"{path}: damaged ({error}); redo with --overwrite {folder}")
