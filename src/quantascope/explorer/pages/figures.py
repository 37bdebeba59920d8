"""Which figures a page shows, and the files of each: SVG and PNG, light and dark, and its table."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import pandas as pd
from starlette.requests import Request
from starlette.responses import Response

from quantascope.explorer.files import as_csv, as_parquet
from quantascope.explorer.query import Query
from quantascope.explorer.render import as_json
from quantascope.explorer.view import View

__all__ = ["FIGURES", "FORMS", "answer_figure", "figure_response", "figures_of", "table_file"]


@dataclass(frozen=True, kw_only=True)
class Figured:
    """One kind of figure."""

    title: str
    needs: tuple[str, ...]
    of_cluster: bool = False


FIGURES: Final = {
    "scaling": Figured(title="Mean loss against size", needs=("losses",)),
    "rank-frequency": Figured(title="Cluster sizes by rank, with their envelope", needs=("ranks",)),
    "distribution": Figured(
        title="Distribution of losses over predictions, p(L)", needs=("losses", "curves")
    ),
    "solved": Figured(title="Share of predictions solved", needs=("losses", "curves")),
    "curve": Figured(
        title="Mean loss of the cluster, and when it was learned",
        needs=("losses", "curves", "clusters"),
        of_cluster=True,
    ),
}
FORMS: Final = ("svg", "png", "csv", "parquet", "json")
_TYPES: Final = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
}


def figures_of(view: View, *, cluster: str = "") -> list[dict[str, Any]]:
    """List the figures of a run, or of a cluster, that its artefacts allow: title and addresses."""
    base = f"/r/{quote(view.run.name, safe='')}/figures"
    more = f"?cluster={quote(cluster, safe='')}" if cluster else ""
    return [
        {"name": name, "title": one.title}
        | {form: f"{base}/{name}.{form}{more}" for form in FORMS}
        | {"dark": f"{base}/{name}.svg{more}{'&' if more else '?'}theme=dark"}
        for name, one in FIGURES.items()
        if one.of_cluster == bool(cluster) and view.has(*one.needs)
    ]


def answer_figure(view: View, request: Request, form: str) -> Response:
    """Give one figure, or its table.

    Raises
    ------
    KeyError
        If there is no such figure or cluster, or the run lacks what it needs.
    BadQueryError
        If a value is not allowed.
    """
    # matplotlib is slow to load, and the pages do without it
    from quantascope.explorer.figures import figure_file, figure_table  # noqa: PLC0415

    name, query = request.path_params["name"], Query(dict(request.query_params))
    one = FIGURES.get(name)
    if one is None or not view.has(*one.needs):
        raise KeyError(f"{name[:40]!r}: no such figure; there are {', '.join(FIGURES)}")
    cluster = query.text("cluster") if one.of_cluster else ""
    if one.of_cluster and cluster not in view.groups:
        raise KeyError(f"cluster: {cluster[:40]!r} found; there is no such cluster")
    dark = query.one_of("theme", ("light", "dark")) == "dark"
    file = "-".join(part for part in (name, cluster) if part)
    if form in ("svg", "png"):
        content: bytes | str = figure_file(view, name, form=form, dark=dark, cluster=cluster)
    else:
        content = table_file(figure_table(view, name, cluster=cluster), form, title=one.title)
    return figure_response(request, file, form, content)


def table_file(table: pd.DataFrame, form: str, *, title: str) -> bytes | str:
    """Write a figure's table as "json", "csv" or "parquet"."""
    if form == "json":
        return as_json({"title": title, "rows": table.to_dict("records")})
    return as_csv(table) if form == "csv" else as_parquet(table)


def figure_response(request: Request, file: str, form: str, content: bytes | str) -> Response:
    """Hand out a figure's file, named without its end; nothing where the browser has it."""
    headers = {"cache-control": "no-cache"}
    how = "inline" if form in ("svg", "png") else "attachment"
    headers["content-disposition"] = f'{how}; filename="{file}.{form}"'
    plain = content if isinstance(content, bytes) else content.encode()
    headers["etag"] = f'"{hashlib.sha256(plain).hexdigest()[:16]}"'
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers={"etag": headers["etag"]})
    return Response(plain, media_type=_TYPES[form], headers=headers)
