"""Search the text; matches by cluster against chance, then the matches in their text."""

from typing import Any, Final

import numpy as np
import pandas as pd

from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.search import Hits
from quantascope.explorer.view import View

__all__ = ["SEARCH"]

_PER_PAGE: Final = 20
_MOST_CLUSTERS: Final = 20


def show(asked: Asked) -> Shown:
    """Search as ``q`` and ``mode`` say.

    A cluster's enrichment is the share of its predictions that lie in a match over that share for
    all selected predictions.
    """
    view, query = asked.view, asked.query
    words, mode = query.text("q", most=500), query.one_of("mode", ("text", "regex", "token"))
    data: dict[str, Any] = {"q": words, "mode": mode, "n": None, "clusters": [], "contexts": []}
    data |= {"page": 1, "n_pages": 1, "complete": True}
    if not words:
        return Shown(title="Search", data=data, html={"contexts": [], "labels": []})
    find = {"text": view.text.literal, "regex": view.text.regex, "token": view.text.ids}[mode]
    hits = find(words)
    n_pages = max(1, -(-len(hits) // _PER_PAGE))
    page = query.integer("page", 1, lo=1, hi=n_pages)
    part = hits.last[(page - 1) * _PER_PAGE : page * _PER_PAGE]
    shown = list(view.contexts(part, before=32, model=view.model("")))
    data["shaded_by"] = view.model_name(view.model(""))
    data |= {"n": len(hits), "complete": hits.complete, "page": page, "n_pages": n_pages}
    data["clusters"] = _clusters(view, hits) if view.has("clusters") else []
    data["contexts"] = [context.as_dict() for context in shown]
    return Shown(
        title=f"Search: {words[:60]}",
        data=data,
        html={
            "contexts": [context.html for context in shown],
            "labels": [view.labels_html[row["cluster"]] for row in data["clusters"]],
        },
        table=pd.DataFrame({"first_pred": hits.first, "last_pred": hits.last}),
    )


def _clusters(view: View, hits: Hits) -> list[dict[str, Any]]:
    """Count matched predictions by cluster, most matched first."""
    n_tokens = len(view.places)
    edges = np.bincount(hits.first, minlength=n_tokens + 1)
    edges -= np.bincount(hits.last + 1, minlength=n_tokens + 1)
    found = view.places[np.cumsum(edges[:-1]) > 0]
    n = np.bincount(found[found >= 0], minlength=len(view.rows))
    ids, sizes = view.clusters["cluster"], view.clusters["size"]
    chance = n.sum() / sizes.sum()
    order = np.argsort(-n, kind="stable")[:_MOST_CLUSTERS]
    return [
        {
            "cluster": ids.iat[i], "label": view.rows[ids.iat[i]]["label"], "n": int(n[i]),
            "share": n[i] / sizes.iat[i], "enrichment": n[i] / sizes.iat[i] / chance,
        }
        for i in order[n[order] > 0].tolist()
    ]  # fmt: skip


SEARCH = Page(name="search", path="/search", show=show, needs=("losses",))
