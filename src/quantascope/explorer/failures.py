"""Answers for what goes wrong: a page, or JSON, that says it without path or trace."""

import logging
from collections.abc import Callable
from typing import Final

from starlette.responses import HTMLResponse, Response

from quantascope.core.errors import QuantascopeError
from quantascope.explorer.query import BadQueryError
from quantascope.explorer.render import as_json, render
from quantascope.explorer.runs import Runs

__all__ = ["failed", "guarded"]

_LOG: Final = logging.getLogger(__name__)


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
        return Response(as_json({"error": why}), code, media_type="application/json")
    values = {"title": f"Error {code}", "code": code, "why": why, "run": None}
    return HTMLResponse(render("error.html", values), code)
