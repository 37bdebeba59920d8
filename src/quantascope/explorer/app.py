"""The explorer as a web application: one address for each thing, as page, JSON and table.

/                          runs
/r/{run}...                pages of a run (`registry.PAGES`)
the same with .json, .csv, .parquet: what the page shows, as plain data
/static/...                style and script
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from quantascope.explorer.annotate import append, make_annotation
from quantascope.explorer.answers import TYPES, as_data, failed, guarded
from quantascope.explorer.extra import extra_routes
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.pages.runs import list_runs
from quantascope.explorer.query import BadQueryError, Query
from quantascope.explorer.registry import PAGES
from quantascope.explorer.render import STATIC, as_json, render
from quantascope.explorer.runs import Runs
from quantascope.explorer.safety import Guard, allowed_hosts
from quantascope.explorer.toys.listing import list_toys
from quantascope.explorer.toys.routes import toy_routes

__all__ = ["make_app"]

_FORMS: Final = ("json", "csv", "parquet")
_MOST_FIELDS: Final = 20


def make_app(
    root: Path, *, host: str = "127.0.0.1", port: int = 8765, token: str | None = None
) -> ASGIApp:
    """Make the application.

    Parameters
    ----------
    root
        A run folder, or a folder of run folders.
    host, port
        Where it will listen; requests to other names are refused.
    token
        Wanted from every browser where it listens beyond this machine; None asks for none.
    """
    runs = Runs(root)
    routes: list[BaseRoute] = [
        Route("/", partial(_answer_runs, runs)),
        Route("/runs.json", partial(_answer_runs, runs)),
        *extra_routes(runs),
        *toy_routes(runs),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    for page in PAGES:
        path = "/r/{run}" + page.path
        for form in _FORMS:
            twin = f"{path}.{form}" if page.path else f"{path}/overview.{form}"
            routes.append(Route(twin, _endpoint(runs, page, form)))
        routes.append(Route(path, _endpoint(runs, page, "html")))
    routes.append(Route("/r/{run}/annotations", _annotating(runs), methods=["POST"]))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, compresslevel=3)],  # loopback is fast, 9 is not
        exception_handlers={HTTPException: _refused},
        lifespan=partial(_lifespan, runs),
    )
    return Guard(app, hosts=allowed_hosts(host, port), token=token, writable=True)


@asynccontextmanager
async def _lifespan(runs: Runs, _app: Starlette) -> AsyncIterator[None]:
    """Read the run that changed last while its owner still looks at the list."""
    Thread(target=runs.warm, daemon=True).start()
    yield


async def _refused(request: Request, error: Exception) -> Response:
    """Say what the routes refuse: no such address, no such method."""
    code = getattr(error, "status_code", 500)
    form = request.url.path.rpartition(".")[2]
    return failed("json" if form == "json" else "html", code, getattr(error, "detail", ""))


async def _answer_runs(runs: Runs, request: Request) -> Response:
    found = await run_in_threadpool(list_runs, runs)
    toys = await run_in_threadpool(list_toys, runs.root)
    if request.url.path.endswith(".json"):
        return Response(as_json({"runs": found, "toys": toys}), media_type=TYPES["json"])
    values = {"title": "Runs", "runs": found, "toys": toys, "root": runs.root.name, "run": None}
    return HTMLResponse(render("runs.html", values))


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
