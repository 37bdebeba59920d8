"""`explore`: look at runs in a browser."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explore)


def explore(
    folder: Annotated[
        Path, typer.Argument(help="Run folder, or a folder of runs.", metavar="[DIR]")
    ] = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8765,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = True,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Look at the small run that comes with the package instead."),
    ] = False,
) -> None:
    """Look at runs in a browser; Ctrl-C ends it.

    With --demo a copy is shown, and what is written into it ends with the command.
    """
    import signal
    import sys

    from quantascope.core.errors import DataError
    from quantascope.explorer.demo import demo_copy

    if demo:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the copy goes
        with demo_copy() as copy:
            _serve(copy, host=host, port=port, open_=open_)
        return
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give a run folder or a folder of runs")
    _serve(folder, host=host, port=port, open_=open_)


def _serve(folder: Path, *, host: str, port: int, open_: bool) -> None:
    """Serve a folder until it is stopped."""
    import secrets
    import sys
    import webbrowser

    import uvicorn

    from quantascope.explorer.app import make_app

    token = None if host in _LOOPBACK else secrets.token_urlsafe(24)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
    if token:
        print(f"{host}: others can reach this address; they need the token in it", file=sys.stderr)
    print(address, flush=True)
    if open_:
        webbrowser.open(address)
    app = make_app(folder, host=host, port=port, token=token)
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False)
