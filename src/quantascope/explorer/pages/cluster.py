"""One cluster with its evidence: contexts, tokens, curves, when it was learned, its neighbours."""

import math
from contextlib import suppress
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.rng import hash_order
from quantascope.explorer.curves import draw_curve, draw_members
from quantascope.explorer.evidence import first_by, verdict
from quantascope.explorer.kept import Kept
from quantascope.explorer.pages.figures import figures_of
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.scaling import cluster_curve, foretold, share_of_drop
from quantascope.explorer.view import View
from quantascope.reader.annotations import Group

__all__ = ["CLUSTER"]

_MOST_CONTEXTS: Final = 100
_MOST_BEFORE: Final = 256
_BARS: Final = 10
_NEIGHBOURS: Final = 8
_MOST_KEPT: Final = 1_000
"""Clusters of which the counts over all members are kept."""
_CARD: Final = (
    "rank", "size", "share", "label", "auc", "stability", "mean_similarity", "null_similarity",
    "coherent", "n_documents", "loss_first", "loss_last", "learned_at", "learned_lo", "learned_hi",
    "learned_width", "changes",
)  # fmt: skip


def show(asked: Asked) -> Shown:
    """Gather what is known of one cluster.

    Raises
    ------
    KeyError
        If the run has no such cluster or model.
    """
    view, query = asked.view, asked.query
    row, group = _found(view, asked.path["cluster"])
    n = query.integer("n", 20, lo=1, hi=_MOST_CONTEXTS)
    before = query.integer("ctx", 48, lo=0, hi=_MOST_BEFORE)
    order = query.one_of("order", ("shuffled", "loss", "document"))
    model = view.model(query.text("at"))
    preds = _first(view, group.preds, n, order=order, model=model)
    shown = list(view.contexts(preds, before=before, model=model))
    found = view.kept.get("members", lambda: Kept(most=_MOST_KEPT)).get(
        group.id, lambda: _counted(view, group.preds, row)
    )
    data: dict[str, Any] = {
        "cluster": group.id,
        **{name: row[name] for name in _CARD if name in row},
        "tags": list(group.tags), "parents": list(group.parents), "overlap": group.overlap,
        "notes": [{"author": n.author, "time": n.time, "text": n.text} for n in group.notes],
        "next": found["next"], "last": found["last"],
        "features": view.evidence.features(group.id),
        "model_labels": view.evidence.by_models(group.id),
        "curve": _curve(view, group.id), "members": found["members"],
        "beside_chance": verdict(row), "drop": share_of_drop(view, group.id),
        "forecasts": foretold(view, group.id),
        "neighbours": _neighbours(view, group.id),
        "contexts": [context.as_dict() for context in shown],
        "n_clusters": len(view.clusters), "shaded_by": view.model_name(model),
        "ctx": before, "n": n, "order": order, "at": query.text("at"),
        "align": query.flag("align"),
        "previous": _beside(view, group.id, -1), "following": _beside(view, group.id, 1),
    }  # fmt: skip
    return Shown(
        title=f"{group.id}, rank {int(row['rank'])}",
        data=data,
        html={
            "label": view.labels_html[group.id],
            "members": found["drawn"],
            "neighbours": [view.labels_html[each["cluster"]] for each in data["neighbours"]],
            "came": any(each["came_nats"] is not None for each in data["forecasts"]),
            "figures": (
                _figures(view, group.id)
                if found["members"] is None
                else figures_of(view, cluster=group.id)
            ),
            "contexts": [context.html for context in shown],
        },
        table=pd.DataFrame({"pred": group.preds}),
    )


def _learned(row: dict[str, Any]) -> tuple[float, float, float] | None:
    """Give where a cluster was learned, with its interval; None where that cannot be said."""
    if not row.get("changes") or math.isnan(row["learned_at"]):
        return None
    return row["learned_at"], row["learned_lo"], row["learned_hi"]


def _counted(view: View, preds: NDArray[np.int64], row: dict[str, Any]) -> dict[str, Any]:
    """Gather what takes all members to tell."""
    members = view.evidence.over_sizes(preds)
    return {
        "next": _tokens(view, preds), "last": _tokens(view, preds - 1), "members": members,
        "drawn": None if members is None else draw_members(members, learned=_learned(row)),
    }  # fmt: skip


def _found(view: View, name: str) -> tuple[dict[str, Any], Group]:
    """Find a cluster by its id, or by its rank."""
    if name.isascii() and name.isdigit() and 0 < int(name[:9]) <= len(view.clusters):
        name = str(view.clusters["cluster"].iloc[int(name[:9]) - 1])
    if name not in view.rows:
        after = view.successors(name)
        gone = f"it went into {', '.join(after)}" if after else "there is no such cluster"
        hidden = "it is hidden" if name in view.groups else gone
        raise KeyError(f"{name[:40]}: {hidden}")
    return view.rows[name], view.groups[name]


def _first(
    view: View, preds: NDArray[np.int64], n: int, *, order: str, model: int
) -> NDArray[np.int64]:
    """Give the first n predictions in an order, without sorting them all."""
    if order == "document":
        return preds[:n]
    if order == "loss":
        key: NDArray[Any] = -view.losses_of(model)[preds]
    else:  # the order of ``Cluster.contexts``
        key = hash_order(preds, seed=0)
    return preds[first_by(key, n)]


def _figures(view: View, cluster: str) -> list[dict[str, Any]]:
    """List the figures; what the page shows of the curve is drawn in it, for it comes faster."""
    found = figures_of(view, cluster=cluster)
    with suppress(DataError):
        curve = view.kept.get("curves", lambda: Kept(most=_MOST_KEPT)).get(
            cluster, lambda: draw_curve(*cluster_curve(view, cluster))
        )
        return [one | {"drawn": curve} if one["name"] == "curve" else one for one in found]
    return found


def _tokens(view: View, at: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Count the commonest tokens at places."""
    n = np.bincount(view.run.tokens[at])
    top = np.argsort(-n, kind="stable")[:_BARS]
    return [
        {"token": view.decode([i]), "count": count, "share": count / len(at)}
        for i, count in zip(top.tolist(), n[top].tolist(), strict=True)
        if count
    ]


def _curve(view: View, cluster: str) -> list[dict[str, Any]]:
    models = view.finished
    return [
        {"model": name, "n_params": int(size), "loss_nats": float(loss)}
        for name, size, loss in zip(
            models["name"], models["n_params"], view.curve(cluster), strict=True
        )
    ]


def _neighbours(view: View, cluster: str) -> list[dict[str, Any]]:
    """Give the clusters that most edges of the graph lead to."""
    joined = view.joined
    near = [] if joined is None else joined.near(cluster)
    found = [(view.rows[other], n) for other, n in near if other in view.rows]
    return [
        {"cluster": row["cluster"], "rank": row["rank"], "label": row["label"], "edges": n}
        for row, n in found[:_NEIGHBOURS]
    ]


def _beside(view: View, cluster: str, step: int) -> str | None:
    ids, place = view.clusters["cluster"], int(view.places[view.groups[cluster].preds[0]]) + step
    return ids.iat[place] if 0 <= place < len(ids) else None


CLUSTER = Page(name="cluster", path="/quanta/{cluster}", show=show, needs=("losses", "clusters"))
