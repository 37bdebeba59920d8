"""A map of clusters: near where the graph of predictions joins them, coloured by what is asked."""

import gzip
from typing import Any, Final

import numpy as np
import pandas as pd
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from numpy.typing import NDArray
from scipy import sparse
from starlette.responses import Response

from quantascope.explorer.layout import plane_layout
from quantascope.explorer.marks import short_number
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.query import Query
from quantascope.explorer.view import View

__all__ = ["MAP", "answer_points", "cluster_graph", "map_points"]

_COLOURS: Final = {
    "stability": "stability (Jaccard)",
    "auc": "held-out AUC of the label",
    "learned_at": "learned at [parameters]",
    "loss_last": "mean loss of the largest model [nat]",
    "mean_similarity": "mean similarity",
    "size": "predictions",
}
_LOGS: Final = ("learned_at", "size", "loss_last")
_CIVIDIS: Final = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369",
    "#e1cc55", "#fee838",
)  # fmt: skip
_JOINED: Final = 8
"""Neighbours that pull a cluster on the map."""
_DRAWN: Final = 3
"""Neighbours to which lines are drawn."""
_PER_PAGE: Final = 100
_LABEL: Final = 60
_PACKED: Final = 3
"""Level of compression: loopback is fast."""
_IN_PAGE: Final = 1_000
"""Clusters up to which what the canvas draws stands in the page itself."""


def show(asked: Asked) -> Shown:
    """Lay out the clusters that are not hidden."""
    view, query = asked.view, asked.query
    colours = [name for name in _COLOURS if name in view.clusters]
    colour = query.one_of("color", colours)
    table = view.kept.get("map", lambda: _placed(view))[0]
    n_pages = max(1, -(-len(table) // _PER_PAGE))
    page = query.integer("page", 1, lo=1, hi=n_pages)
    part = table.iloc[(page - 1) * _PER_PAGE : page * _PER_PAGE]
    lo, hi = _ends(table[colour].to_numpy(dtype=np.float64), log=colour in _LOGS)
    data: dict[str, Any] = {
        "color": colour, "colors": {name: _COLOURS[name] for name in colours},
        "lo": lo, "hi": hi, "n_without": int(table[colour].isna().sum()),
        "page": page, "n_pages": n_pages, "n_clusters": len(table),
        "rows": part[["cluster", "rank", "size", "x", "y", colour]].to_dict("records"),
    }  # fmt: skip
    _common(view)  # also where the points are asked for later
    html = {
        "points": map_points(view, colour) if len(table) <= _IN_PAGE else None,
        "scale": _scale(lo, hi),
        "labels": [view.labels_html[name] for name in part["cluster"]],
    }
    return Shown(title="Map", data=data, html=html, table=table)


def map_points(view: View, colour: str) -> Markup:
    """Give what the canvas draws, as JSON that cannot close its element."""
    return view.kept.get(("map", colour), lambda: _points(view, colour))


def answer_points(view: View, query: Query) -> Response:
    """Give what the canvas draws, for maps too large to hold it in the page."""
    colour = query.one_of("color", [name for name in _COLOURS if name in view.clusters])
    packed = view.kept.get(
        ("packed map", colour), lambda: gzip.compress(map_points(view, colour).encode(), _PACKED)
    )
    headers = {"content-encoding": "gzip", "cache-control": "no-cache"}
    return Response(packed, media_type="application/json", headers=headers)


def cluster_graph(view: View) -> sparse.csr_array:
    """Join clusters by edges between their predictions, over the root of both sizes.

    Returns
    -------
    csr_array
        Symmetric; axes ``cluster cluster`` as in `View.clusters`; of each cluster the strongest.
    """
    ids, n = view.clusters["cluster"].tolist(), len(view.clusters)
    joined = view.joined
    if joined is None:
        return sparse.csr_array((n, n))
    sizes = view.clusters["size"].to_numpy()
    counts = joined.among(ids)
    counts = (counts + counts.T).tocoo()
    weight = counts.data / np.sqrt(sizes[counts.row] * sizes[counts.col])
    return _strongest(weight, counts.row, counts.col, n=n)


def _strongest(
    weight: NDArray[np.float64], a: NDArray[np.int64], b: NDArray[np.int64], *, n: int
) -> sparse.csr_array:
    """Keep of each row the largest, then make it symmetric."""
    order = np.lexsort((b, -weight, a))
    weight, a, b = weight[order], a[order], b[order]
    start = np.searchsorted(a, np.arange(n))
    kept = np.arange(len(a)) - start[a] < _JOINED
    one_way = sparse.csr_array((weight[kept], (a[kept], b[kept])), shape=(n, n))
    return sparse.csr_array(one_way.maximum(one_way.T))


def _placed(view: View) -> tuple[pd.DataFrame, sparse.csr_array]:
    graph = cluster_graph(view)
    as_made = not view.regrouped and len(view.clusters) == len(view.groups)
    at = (
        view.derived("places", ("graph", "clusters"), lambda: plane_layout(graph))
        if as_made else plane_layout(graph)
    )  # fmt: skip
    names = ["cluster", "rank", "size", "label", *_COLOURS]
    table = view.clusters[[name for name in dict.fromkeys(names) if name in view.clusters]].copy()
    if "learned_at" in table:  # as the timeline has it
        table["learned_at"] = table["learned_at"].where(view.clusters["changes"].to_numpy())
    table["x"], table["y"] = at[:, 0], at[:, 1]
    return table, graph


def _ends(values: NDArray[np.float64], *, log: bool) -> tuple[float, float]:
    good = values[np.isfinite(values) & ((values > 0) | (not log))]
    return (float(good.min()), float(good.max())) if good.size else (0.0, 1.0)


def _shades(values: NDArray[np.float64], lo: float, hi: float, *, log: bool) -> list[int]:
    """Give places from 0 to 100 on the scale of colours, -1 where there is no value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        at, ends = (np.log(values), np.log([lo, hi])) if log else (values, np.array([lo, hi]))
        share = 100 * (at - ends[0]) / ((ends[1] - ends[0]) or 1.0)
    good = np.isfinite(share)
    return (
        np.where(good, np.rint(np.clip(np.where(good, share, 0), 0, 100)), -1).astype(int).tolist()
    )


def _points(view: View, colour: str) -> Markup:
    """Put what a colour changes beside what it does not."""
    values = view.kept.get("map", lambda: _placed(view))[0][colour].to_numpy(dtype=np.float64)
    log = colour in _LOGS
    lo, hi = _ends(values, log=log)
    own = _dumped({
        "shade": _shades(values, lo, hi, log=log),
        "value": [short_number(value) if np.isfinite(value) else "not known" for value in values],
        "what": _COLOURS[colour],
    })  # fmt: skip
    return _common(view)[:-1] + Markup(",") + own[1:]


def _common(view: View) -> Markup:
    return view.kept.get("map of any colour", lambda: _places(view))


def _places(view: View) -> Markup:
    table, graph = view.kept.get("map", lambda: _placed(view))
    near = [
        graph.indices[a:b][np.argsort(-graph.data[a:b], kind="stable")[:_DRAWN]].tolist()
        for a, b in zip(graph.indptr[:-1], graph.indptr[1:], strict=True)
    ]
    return _dumped({
        "id": table["cluster"].tolist(),
        "label": [view.label_text(name, most=_LABEL) for name in table["cluster"]],
        "told": [int(view.is_told(name)) for name in table["cluster"]],
        "size": table["size"].tolist(),
        "x": np.rint(10_000 * table["x"]).astype(int).tolist(),
        "y": np.rint(10_000 * table["y"]).astype(int).tolist(),
        "near": near,
        "colours": list(_CIVIDIS),
    })  # fmt: skip


def _dumped(values: dict[str, Any]) -> Markup:
    return htmlsafe_json_dumps(values, separators=(",", ":"))


def _scale(lo: float, hi: float) -> Markup:
    """Draw the scale of colours with its ends."""
    boxes = Markup("").join(
        Markup('<rect x="{}" width="16" height="12" fill="{}"/>').format(16 * i, shade)
        for i, shade in enumerate(_CIVIDIS)
    )
    return Markup(
        '{} <svg class="scale" width="160" height="12" aria-hidden="true">{}</svg> {}'
    ).format(short_number(lo), boxes, short_number(hi))


MAP = Page(name="map", path="/map", show=show, needs=("losses", "clusters"))
