"""`export`: give a run away, as pages that open without a server, or as tables."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from quantascope.cli.family_options import AsJson
from quantascope.cli.run import Dir

__all__ = ["register"]

_NAMES = {
    "folder": "DIR",
    "out": "--out",
    "form": "--format",
    "n_clusters": "--clusters",
    "n_contexts": "--contexts",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    folder: Dir,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to make; a file for --format single.")
    ],
    form: Annotated[
        Literal["folder", "single", "csv", "parquet"],
        typer.Option(
            "--format",
            help="folder: a file a page; single: one HTML file; csv, parquet: the pages' tables.",
        ),
    ] = "folder",
    n_clusters: Annotated[
        int,
        typer.Option("--clusters", min=0, help="Clusters shown one by one, the largest; 0: all."),
    ] = 500,
    n_contexts: Annotated[
        int, typer.Option("--contexts", min=1, max=100, help="Contexts shown of each.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Write a run's pages or tables as files to give away; they ask for nothing when opened.

    DIR is a run. What an earlier export wrote is replaced; anything else is left alone.
    """
    from quantascope.cli.output import said_as
    from quantascope.core.progress import track
    from quantascope.explorer.export.run import export_run

    with said_as(_NAMES), ExitStack() as shown:
        found = export_run(
            folder, out, form=form, n_clusters=n_clusters, n_contexts=n_contexts,
            begin=lambda n: shown.enter_context(track("export", n, unit="pages")),
        )  # fmt: skip
    if as_json:
        print(json.dumps(found.as_dict()))
        return
    what = "tables" if form in ("csv", "parquet") else "pages"
    print(
        f"{found.n_written:,} {what}, {found.n_clusters:,} of {found.n_all_clusters:,} clusters "
        f"one by one, {found.n_bytes / 1e6:.2f} MB"
    )
    print(out)
