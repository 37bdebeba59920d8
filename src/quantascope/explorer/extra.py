"""Addresses beyond a run's pages: two runs beside each other, figures as files."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from quantascope.explorer.answers import as_data
from quantascope.explorer.failures import guarded
from quantascope.explorer.pages.compare import compare
from quantascope.explorer.pages.figures import FORMS, answer_figure
from quantascope.explorer.pages.map import MAP, answer_points
from quantascope.explorer.query import Query
from quantascope.explorer.render import render
from quantascope.explorer.runs import Runs

__all__ = ["extra_routes"]

Make = Callable[[Runs, Request], Response]

_SLOW: Final = ("svg", "png")
_DRAWERS: Final = CapacityLimiter(2)
"""Drawing takes long and one at a time: those who wait for it shall not keep pages waiting."""


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
        name = request.path_params.get("run", "compare")
        asked = partial(guarded, runs, form, name, make=lambda: make(runs, request))
        return await to_thread.run_sync(asked, limiter=_DRAWERS if form in _SLOW else None)

    return Route(path, answer)


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
        if form == "html":
            values: dict[str, Any] = {
                "title": shown.title, "run": None, "data": shown.data, "html": shown.html,
                "has_data": True, "has_table": shown.table is not None,
            }  # fmt: skip
            return HTMLResponse(render("compare.html", values))
        empty = shown.data["why"] or "a and b: name two runs"
        return as_data(shown, form, name="compare", empty=empty)

    return make
