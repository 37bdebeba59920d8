"""Answers that all addresses share: data as JSON or a table, and pages for what goes wrong."""

import logging
from collections.abc import Callable
from typing import Final

from starlette.responses import HTMLResponse, Response

from quantascope.core.errors import QuantascopeError
from quantascope.explorer.pages.page import Shown
from quantascope.explorer.query import BadQueryError
from quantascope.explorer.render import as_csv, as_json, as_parquet, render
from quantascope.explorer.runs import Runs

__all__ = ["TYPES", "as_data", "failed", "guarded"]

_LOG: Final = logging.getLogger(__name__)
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


def guarded(runs: Runs, form: str, name: str, *, make: Callable[[], Response]) -> Response:
    """Make an answer; what goes wrong becomes a page that says it, without path or trace."""
    try:
        return make()
    except KeyError as error:
        return failed(form, 404, f"{name}: {error.args[0]}" if error.args else name)
    except BadQueryError as error:
        return failed(form, 400, str(error))
    except QuantascopeError as error:
        return failed(form, 500, runs.without_paths(str(error)))
    except OSError as error:
        return failed(form, 500, f"{name}: {error.strerror or 'file not read or written'}")
    except Exception:  # damaged artefacts fail in ways that nobody has thought of
        _LOG.exception("%s: page not made", name)
        why = "this page could not be made; `quantascope validate` tells whether the run is damaged"
        return failed(form, 500, f"{name}: {why}")


def failed(form: str, code: int, why: str) -> Response:
    """Say what went wrong, as a page or as JSON."""
    if form != "html":
        return Response(as_json({"error": why}), code, media_type=TYPES["json"])
    values = {"title": f"Error {code}", "code": code, "why": why, "run": None}
    return HTMLResponse(render("error.html", values), code)
