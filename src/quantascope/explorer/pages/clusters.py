"""The list of clusters: sorted, filtered, paged, every state an address."""

from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.query import Query
from quantascope.explorer.spark import sparkline
from quantascope.explorer.view import View

__all__ = ["CLUSTERS", "filtered"]

_SORTS: Final = (
    "rank", "stability", "mean_similarity", "auc", "loss_first", "loss_last", "learned_at",
    "learned_width", "n_documents", "label", "model_auc",
)  # fmt: skip
_PER_PAGE: Final = 50


def filtered(table: pd.DataFrame, query: Query) -> pd.DataFrame:
    """Filter and sort clusters as an address says: ``min``, ``q``, ``from``, ``to``, ``sort``.

    Raises
    ------
    BadQueryError
        If a value is not allowed.
    """
    kept = table["size"] >= query.integer("min", 1, lo=1, hi=10**9)
    if words := query.text("q", most=100).lower():
        texts = table["label"].str.lower() + "\n" + table["tags"].str.lower()
        if "model_label" in table:
            texts += "\n" + table["model_label"].str.lower()
        kept &= texts.str.contains(words, regex=False)
    for name, above in (("from", True), ("to", False)):
        bound = query.number(name)
        if bound is not None and "learned_at" in table:
            kept &= table["learned_at"].ge(bound) if above else table["learned_at"].le(bound)
    sorts = [name for name in _SORTS if name in table]
    column, down = query.one_of("sort", sorts), query.flag("desc")
    return table[kept].sort_values([column, "rank"], ascending=[not down, True])


def show(asked: Asked) -> Shown:
    """Give one page of the list."""
    view, query = asked.view, asked.query
    table = filtered(view.clusters, query)
    n_pages = max(1, -(-len(table) // _PER_PAGE))
    page = query.integer("page", 1, lo=1, hi=n_pages)
    part = table.iloc[(page - 1) * _PER_PAGE : page * _PER_PAGE]
    rows: list[dict[str, Any]] = part.to_dict("records")
    return Shown(
        title="Clusters",
        data={
            "n_clusters": len(table),
            "n_all": len(view.clusters),
            "page": page,
            "n_pages": n_pages,
            "sort": query.one_of("sort", [name for name in _SORTS if name in table]),
            "sorts": [name for name in _SORTS if name in table],
            "desc": query.flag("desc"),
            "q": query.text("q", most=100),
            "min": query.integer("min", 1, lo=1, hi=10**9),
            "from": query.number("from"),
            "to": query.number("to"),
            "model": next(iter(view.evidence.models), None),
            "has_learned": "learned_at" in view.clusters,
            "rows": rows,
        },
        html={
            "sparks": [_spark(view, row) for row in rows],
            "labels": [view.labels_html[row["cluster"]] for row in rows],
        },
        table=table,
    )


def _spark(view: View, row: dict[str, Any]) -> Markup:
    curve = view.curve(row["cluster"])
    words = f"mean loss from {curve[0]:.2f} to {curve[-1]:.2f} nat over {len(curve)} models"
    return sparkline(np.asarray(curve), title=words)


CLUSTERS = Page(name="clusters", path="/quanta", show=show, needs=("losses", "clusters"))
