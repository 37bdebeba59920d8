"""The explorer as a web application: one address for each thing, as page, JSON and table.

/                          runs
/r/{run}...                pages of a run (`registry.PAGES`)
the same with .json, .csv, .parquet: what the page shows, as plain data
/static/...                style and script

The list of runs is there at once; what reads a run is loaded behind it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event, Lock, Timer
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from quantascope.explorer.failures import failed
from quantascope.explorer.pages.runs import list_runs
from quantascope.explorer.render import STATIC, as_json, render
from quantascope.explorer.runs import Runs
from quantascope.explorer.safety import Guard, allowed_hosts
from quantascope.explorer.toys.listing import list_toys

__all__ = ["make_app"]

_LISTS: Final = ("/", "/runs.json")
_HEAD_START_S: Final = 0.3
"""Time given to the list of runs before all that reads them is imported."""


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
    pages = _Pages(runs)
    routes: list[BaseRoute] = [
        Route("/", partial(_answer_runs, runs)),
        Route("/runs.json", partial(_answer_runs, runs)),
        Mount("/static", StaticFiles(directory=STATIC)),
        pages,
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, compresslevel=3)],  # loopback is fast, 9 is not
        exception_handlers={HTTPException: _refused},
        lifespan=partial(_lifespan, pages),
    )
    return Guard(app, hosts=allowed_hosts(host, port), token=token, writable=True)


class _Pages(BaseRoute):
    """The pages of runs, loaded when the first of them is asked for or somebody has time."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._lock = Lock()
        self._router: ASGIApp | None = None
        self._asked = 0
        self._idle = Event()
        self._idle.set()

    def load(self) -> ASGIApp:
        """Give the router of the pages."""
        with self._lock:
            if self._router is None:
                # tables, arrays and statistics take longer to import than all else to start
                from quantascope.explorer.routes import run_router  # noqa: PLC0415

                self._router = run_router(self._runs)
            return self._router

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take every address but those of the list of runs."""
        ours = scope["type"] == "http" and scope["path"] not in _LISTS
        return Match.FULL if ours else Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self._asked += 1
        self._idle.clear()
        try:
            router = self._router
            if router is None:
                router = await run_in_threadpool(self.load)
            await router(scope, receive, send)
        finally:
            self._asked -= 1
            if not self._asked:
                self._idle.set()

    def visit(self) -> None:
        """Make pages that are likely to be asked for, while nobody asks."""
        self.load()
        from quantascope.explorer.routes import visit_once  # noqa: PLC0415 -- see `load`

        visit_once(self._runs, self._idle)


@asynccontextmanager
async def _lifespan(pages: _Pages, _app: Starlette) -> AsyncIterator[None]:
    """Read the run that changed last while its owner still looks at the list."""
    timer = Timer(_HEAD_START_S, pages.visit)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


async def _refused(request: Request, error: Exception) -> Response:
    """Say what the routes refuse: no such address, no such method."""
    code = getattr(error, "status_code", 500)
    form = request.url.path.rpartition(".")[2]
    return failed("json" if form == "json" else "html", code, getattr(error, "detail", ""))


async def _answer_runs(runs: Runs, request: Request) -> Response:
    found = await run_in_threadpool(list_runs, runs)
    toys = await run_in_threadpool(list_toys, runs.root)
    if request.url.path.endswith(".json"):
        return Response(as_json({"runs": found, "toys": toys}), media_type="application/json")
    values = {"title": "Runs", "runs": found, "toys": toys, "root": runs.root.name, "run": None}
    return HTMLResponse(render("runs.html", values))
