"""Tables on disk: Parquet with the schema's columns and units, the same bytes for equal content."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from quantascope.core.errors import ArtefactError
from quantascope.store.schema import find_kind

__all__ = ["read_table", "write_table"]


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


def read_table(folder: Path, name: str) -> pa.Table:
    """Read one table of an artefact.

    Raises
    ------
    ArtefactError
        If the file is missing or damaged.
    """
    path = folder / name
    if not path.is_file():
        raise ArtefactError(f"{path}: missing; redo with --overwrite {folder.name}")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ArtefactError(
            f"{path}: damaged ({error}); redo with --overwrite {folder.name}"
        ) from error
