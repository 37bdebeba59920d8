"""Answers that all pages share: data as JSON or a table."""

from typing import Final

from starlette.responses import Response

from quantascope.explorer.files import as_csv, as_parquet
from quantascope.explorer.pages.page import Shown
from quantascope.explorer.render import as_json

__all__ = ["TYPES", "as_data"]

TYPES: Final = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


def as_data(shown: Shown, form: str, *, name: str, empty: str) -> Response:
    """Hand out what a page shows as JSON, or its table as CSV or Parquet.

    Raises
    ------
    KeyError
        With the text `empty`, where there is no table.
    """
    if form == "json":
        return Response(as_json(shown.data), media_type=TYPES[form])
    if shown.table is None:
        raise KeyError(empty)
    content = as_csv(shown.table) if form == "csv" else as_parquet(shown.table)
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"'}
    return Response(content, media_type=TYPES[form], headers=headers)
