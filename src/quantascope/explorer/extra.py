"""Addresses beyond a run's pages: two runs beside each other, figures as files."""

from collections.abc import Callable
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from quantascope.core.errors import QuantascopeError
from quantascope.explorer.pages.compare import compare
from quantascope.explorer.pages.figures import FORMS, answer_figure
from quantascope.explorer.pages.map import MAP, answer_points
from quantascope.explorer.query import BadQueryError, Query
from quantascope.explorer.render import as_csv, as_json, as_parquet, render
from quantascope.explorer.runs import Runs

__all__ = ["extra_routes"]

_TYPES: Final = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
Make = Callable[[Runs, Request], Response]


def extra_routes(runs: Runs) -> list[Route]:
    """Give ``/c``, ``/r/{run}/figures/NAME.svg`` with their twins, and the points of large maps."""
    found = [_route("/c", runs, "html", _compared("html"))]
    found += [_route(f"/c.{f}", runs, f, _compared(f)) for f in ("json", "csv", "parquet")]
    found.append(_route("/r/{run}/map/points.json", runs, "json", _points))
    return found + [
        _route("/r/{run}/figures/{name}." + form, runs, form, _drawn(form)) for form in FORMS
    ]


def _route(path: str, runs: Runs, form: str, make: Make) -> Route:
    async def answer(request: Request) -> Response:
        return await run_in_threadpool(_guarded, runs, request, form, make)

    return Route(path, answer)


def _guarded(runs: Runs, request: Request, form: str, make: Make) -> Response:
    """Answer; what goes wrong becomes a page, or a line of JSON, that says it."""
    try:
        return make(runs, request)
    except KeyError as error:
        return _failed(form, 404, str(error.args[0]) if error.args else "no such thing")
    except BadQueryError as error:
        return _failed(form, 400, str(error))
    except QuantascopeError as error:
        return _failed(form, 500, str(error).replace(f"{runs.root}/", ""))
    except OSError:
        return _failed(form, 500, "a file of the run cannot be read")


def _failed(form: str, code: int, why: str) -> Response:
    if form != "html":
        return Response(as_json({"error": why}), code, media_type=_TYPES["json"])
    values = {"title": f"Error {code}", "code": code, "why": why, "run": None}
    return HTMLResponse(render("error.html", values), code)


def _points(runs: Runs, request: Request) -> Response:
    view = runs.view(request.path_params["run"])
    if not view.has(*MAP.needs):
        raise KeyError("this run has no clusters yet")
    return answer_points(view, Query(dict(request.query_params)))


def _drawn(form: str) -> Make:
    def make(runs: Runs, request: Request) -> Response:
        return answer_figure(runs.view(request.path_params["run"]), request, form)

    return make


def _compared(form: str) -> Make:
    def make(runs: Runs, request: Request) -> Response:
        shown = compare(runs, Query(dict(request.query_params)))
        if form == "json":
            return Response(as_json(shown.data), media_type=_TYPES[form])
        if form == "html":
            values: dict[str, Any] = {
                "title": shown.title, "run": None, "data": shown.data, "html": shown.html,
                "has_data": True, "has_table": shown.table is not None,
            }  # fmt: skip
            return HTMLResponse(render("compare.html", values))
        if shown.table is None:
            raise KeyError(shown.data["why"] or "a and b: name two runs")
        content = as_csv(shown.table) if form == "csv" else as_parquet(shown.table)
        headers = {"content-disposition": f'attachment; filename="compare.{form}"'}
        return Response(content, media_type=_TYPES[form], headers=headers)

    return make
