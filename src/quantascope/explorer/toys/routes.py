"""Addresses of toys: ``/t/NAME``, its twins, its figures and animations."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from quantascope.explorer.answers import as_data
from quantascope.explorer.failures import guarded
from quantascope.explorer.kept import Kept
from quantascope.explorer.pages.figures import FORMS, figure_response, table_file
from quantascope.explorer.query import Query
from quantascope.explorer.render import render
from quantascope.explorer.runs import Runs, check_links
from quantascope.explorer.toys.kind import Toy, ToyKind
from quantascope.explorer.toys.listing import find_toys
from quantascope.explorer.toys.pictures import read_picture

__all__ = ["toy_routes"]

_TWINS: Final = ("json", "csv", "parquet")
_MOST_KEPT: Final = 60

Make = Callable[["_Toys", Request], Response]


class _Toys:
    """The toys at a place: the folder itself, or those inside it; each read once a state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.figures = Kept(most=_MOST_KEPT)
        self._open: dict[str, tuple[tuple[int, ...], Any]] = {}
        self._lock = Lock()

    def open(self, name: str, query: Query) -> tuple[ToyKind, Toy, tuple[int, ...]]:
        """Read a toy; names are looked up, never joined to a path.

        Raises
        ------
        KeyError
            If there is none of this name.
        ArtefactError
            If it cannot be read, or a link leads out of it.
        """
        known = find_toys(self.root).get(name)
        if known is None:
            raise KeyError("there is no such toy")
        mark, path = known
        kind = mark.page()
        stamp = _stamp(path, (mark.marker, *kind.watched))
        with self._lock:
            if name not in self._open or self._open[name][0] != stamp:
                check_links(path, within=self.root)
                self._open[name] = stamp, kind.read(path)
            content = self._open[name][1]
        return kind, Toy(name=name, path=path, content=content, query=query), stamp


def toy_routes(runs: Runs) -> list[Route]:
    """Give the addresses of all toys at the place of the runs."""
    toys = _Toys(runs.root)
    found = [_route("/t/{toy}", runs, toys, "html", _shown("html"))]
    for form in _TWINS:
        found.append(_route("/t/{toy}/overview." + form, runs, toys, form, _shown(form)))
    for form in FORMS:
        path = "/t/{toy}/figures/{name}." + form
        found.append(_route(path, runs, toys, form, _figure(form)))
    return [*found, _route("/t/{toy}/pictures/{name}", runs, toys, "html", _picture)]


def _route(path: str, runs: Runs, toys: _Toys, form: str, make: Make) -> Route:
    async def answer(request: Request) -> Response:
        name = request.path_params["toy"]
        return await run_in_threadpool(guarded, runs, form, name, make=lambda: make(toys, request))

    return Route(path, answer)


def _asked(toys: _Toys, request: Request) -> tuple[ToyKind, Toy, tuple[int, ...]]:
    return toys.open(request.path_params["toy"], Query(dict(request.query_params)))


def _shown(form: str) -> Make:
    def make(toys: _Toys, request: Request) -> Response:
        kind, toy, _ = _asked(toys, request)
        shown = kind.show(toy)
        if form != "html":
            empty = "this toy has no table yet"
            return as_data(shown, form, name="toy", empty=empty)
        values: dict[str, Any] = {
            "title": shown.title, "run": None, "toy": toy.name, "data": shown.data,
            "html": shown.html, "has_data": True, "has_table": shown.table is not None,
        }  # fmt: skip
        return HTMLResponse(render(kind.template, values))

    return make


def _figure(form: str) -> Make:
    def make(toys: _Toys, request: Request) -> Response:
        from quantascope.explorer.figures import draw_file  # noqa: PLC0415  loads matplotlib

        kind, toy, stamp = _asked(toys, request)
        name = request.path_params["name"]
        dark = toy.query.one_of("theme", ("light", "dark")) == "dark"
        found = kind.figure(toy, name)
        if form in ("svg", "png"):
            key = toy.name, stamp, name, form, dark, toy.query.text("run")
            content: bytes | str = toys.figures.get(
                key, lambda: draw_file(found.draw, form=form, dark=dark)
            )
        else:
            content = table_file(found.table(), form, title=name)
        return figure_response(request, name, form, content)

    return make


def _picture(toys: _Toys, request: Request) -> Response:
    _, toy, _ = _asked(toys, request)
    content = read_picture(toy.path, request.path_params["name"])
    return Response(content, media_type="image/gif", headers={"cache-control": "no-cache"})


def _stamp(path: Path, names: tuple[str, ...]) -> tuple[int, ...]:
    places = [path / name for name in names]
    return tuple(place.stat().st_mtime_ns if place.exists() else 0 for place in places)
