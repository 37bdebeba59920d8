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
        return Shown(title="Search", data=data, html={"contexts": []})
    find = {"text": view.text.literal, "regex": view.text.regex, "token": view.text.ids}[mode]
    hits = find(words)
    n_pages = max(1, -(-len(hits) // _PER_PAGE))
    page = query.integer("page", 1, lo=1, hi=n_pages)
    part = hits.last[(page - 1) * _PER_PAGE : page * _PER_PAGE]
    shown = list(view.contexts(part, before=32, model=view.model("")))
    data |= {"n": len(hits), "complete": hits.complete, "page": page, "n_pages": n_pages}
    data["clusters"] = _clusters(view, hits) if view.has("clusters") else []
    data["contexts"] = [context.as_dict() for context in shown]
    return Shown(
        title=f"Search: {words[:60]}",
        data=data,
        html={"contexts": [context.html for context in shown]},
        table=pd.DataFrame({"first_pred": hits.first, "last_pred": hits.last}),
    )


def _clusters(view: View, hits: Hits) -> list[dict[str, Any]]:
    """Count matched predictions by cluster, most matched first."""
    ids = list(view.rows)
    groups = [view.groups[name].preds for name in ids]
    preds = np.concatenate(groups)
    code = np.repeat(np.arange(len(ids)), [len(group) for group in groups])
    place = np.searchsorted(hits.first, preds, side="right") - 1
    inside = (place >= 0) & (preds <= hits.last[place]) if len(hits) else np.zeros_like(preds, bool)
    n = np.bincount(code[inside], minlength=len(ids))
    chance = inside.mean()
    order = np.argsort(-n, kind="stable")[:_MOST_CLUSTERS]
    return [
        {
            "cluster": ids[i], "label": view.rows[ids[i]]["label"], "n": int(n[i]),
            "share": n[i] / len(groups[i]), "enrichment": n[i] / len(groups[i]) / chance,
        }
        for i in order[n[order] > 0].tolist()
    ]  # fmt: skip


SEARCH = Page(name="search", path="/search", show=show, needs=("losses",), menu="Search", key="s")
