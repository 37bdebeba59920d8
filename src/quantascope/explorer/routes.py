"""Addresses of a run: every page as HTML, JSON and table, and what people write about clusters."""

from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router

from quantascope.explorer.annotate import append, make_annotation
from quantascope.explorer.answers import as_data
from quantascope.explorer.extra import extra_routes
from quantascope.explorer.failures import guarded
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.query import BadQueryError, Query
from quantascope.explorer.registry import PAGES
from quantascope.explorer.render import render
from quantascope.explorer.runs import Runs
from quantascope.explorer.toys.routes import toy_routes

__all__ = ["run_router", "visit_once"]

_FORMS: Final = ("json", "csv", "parquet")
_MOST_FIELDS: Final = 20
_FIRST: Final = ("overview", "clusters")
_THEN: Final = ("timeline", "scaling", "map", "search", "genicity")
"""Pages made ahead, in this order, with clusters between them."""
_QUERIES: Final = {"search": {"q": "a"}}
_LARGEST: Final = 20
"""Clusters made ahead: those in which most has to be counted."""
_PATIENCE_S: Final = 2.0


def run_router(runs: Runs) -> Router:
    """Route all that is asked of a run, or of two."""
    routes: list[BaseRoute] = [*extra_routes(runs), *toy_routes(runs)]
    for page in PAGES:
        path = "/r/{run}" + page.path
        for form in _FORMS:
            twin = f"{path}.{form}" if page.path else f"{path}/overview.{form}"
            routes.append(Route(twin, _endpoint(runs, page, form)))
        routes.append(Route(path, _endpoint(runs, page, "html")))
    routes.append(Route("/r/{run}/annotations", _annotating(runs), methods=["POST"]))
    return Router(routes)


def visit_once(runs: Runs, idle: Event) -> None:
    """Make the pages of the run that changed last, so that what they rest on is read and kept.

    Parameters
    ----------
    runs
        The runs.
    idle
        Set while nobody asks for anything; between two pages it is waited for.
    """
    names = runs.names()[:1]
    ranks = [("cluster", {"cluster": f"{rank}"}) for rank in range(1, _LARGEST + 1)]
    first, then = ([(which, dict[str, str]()) for which in group] for group in (_FIRST, _THEN))
    for name in names:
        for which, path in (*first, ranks[0], *then, *ranks[1:]):
            idle.wait(_PATIENCE_S)
            page = next(page for page in PAGES if page.name == which)
            with suppress(Exception):  # what fails, the page says to who asks for it
                view = runs.view(name)
                if view.has(*page.needs):
                    asked = Asked(view=view, query=Query(_QUERIES.get(which, {})), path=path)
                    _respond(page, page.show(asked), "html", asked)


def _endpoint(runs: Runs, page: Page, form: str) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return await run_in_threadpool(_answer, runs, page, form, request)  # noqa: PLW0108

    return answer


def _annotating(runs: Runs) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        body = await request.body()
        name = request.path_params["run"]
        return await run_in_threadpool(
            guarded, runs, "html", name, make=lambda: _annotate(runs, name, body)
        )

    return answer


def _annotate(runs: Runs, name: str, body: bytes) -> Response:
    """Write what a form sent, then lead back to where it was sent from."""
    try:
        fields = dict(parse_qsl(body.decode(errors="replace"), max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise BadQueryError(f"form: more than {_MOST_FIELDS} fields found") from error
    view = runs.view(name)
    known = frozenset(one.id for one in view.log[0])
    one = make_annotation(fields, view.groups, known=known)
    append(view.log_path, one)
    back, home = fields.get("back", ""), f"/r/{quote(name)}/"
    if one.op in ("merge", "split"):  # the page it was sent from is gone
        back = f"{home}quanta/{runs.view(name).successors(one.clusters[0])[0]}"
    if one.op == "hide" or not back.startswith(home):
        back = f"{home}annotations"
    return RedirectResponse(back, 303)


def _answer(runs: Runs, page: Page, form: str, request: Request) -> Response:
    """Answer one request for a page of a run."""
    path = dict(request.path_params)
    name = path.pop("run")
    query = Query(dict(request.query_params))

    def make() -> Response:
        view = runs.view(name)
        missing = [kind for kind in page.needs if not view.has(kind)]
        if missing:
            raise KeyError(f"this run has no {', '.join(missing)} yet")
        asked = Asked(view=view, query=query, path=path)
        return _respond(page, page.show(asked), form, asked)

    return guarded(runs, form, name, make=make)


def _respond(page: Page, shown: Shown, form: str, asked: Asked) -> Response:
    if form != "html":
        return as_data(shown, form, name=page.name, empty=f"the page {page.name} has no table")
    view = asked.view
    values = {
        "title": f"{shown.title} · {view.run.name}",
        "heading": shown.title,
        "run": view.run.name,
        "page": page,
        "menu": [each for each in PAGES if each.menu and view.has(*each.needs)],
        "has_table": shown.table is not None,
        "data": shown.data,
        "html": shown.html,
    }
    return HTMLResponse(render(f"{page.name}.html", values))
