"""One cluster with its evidence: contexts, tokens, curves, when it was learned, its neighbours."""

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.view import View
from quantascope.reader.run import Cluster
from quantascope.reader.tokens import decode_tokens

__all__ = ["CLUSTER"]

_MOST_CONTEXTS: Final = 100
_MOST_BEFORE: Final = 256
_BARS: Final = 10
_NEIGHBOURS: Final = 8
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
    cluster = view.run[asked.path["cluster"]]
    n = query.integer("n", 20, lo=1, hi=_MOST_CONTEXTS)
    before = query.integer("ctx", 48, lo=0, hi=_MOST_BEFORE)
    order = query.one_of("order", ("shuffled", "loss", "document"))
    model = view.model(query.text("at"))
    shown = list(
        view.contexts(_ordered(view, cluster, order, model)[:n], before=before, model=model)
    )
    row = view.clusters.iloc[cluster.rank - 1]
    models = view.finished
    data: dict[str, Any] = {
        "cluster": cluster.id,
        **{name: row[name] for name in _CARD if name in row},
        "next": _tokens(view, cluster, offset=0),
        "last": _tokens(view, cluster, offset=-1),
        "curve": [
            {"model": name, "n_params": int(size), "loss_nats": float(loss)}
            for name, size, loss in zip(
                models["name"], models["n_params"], view.curve(cluster), strict=True
            )
        ],
        "neighbours": _neighbours(view, cluster),
        "contexts": [context.as_dict() for context in shown],
        "ctx": before, "n": n, "order": order, "at": query.text("at"),
        "align": query.flag("align"),
        "previous": _beside(view, cluster, -1), "following": _beside(view, cluster, 1),
    }  # fmt: skip
    return Shown(
        title=f"{cluster.id}, rank {cluster.rank}",
        data=data,
        html={"label": cluster.label_html(), "contexts": [context.html for context in shown]},
        table=view.run.members[view.run.members["cluster"] == cluster.id],
    )


def _ordered(view: View, cluster: Cluster, order: str, model: int) -> NDArray[np.int64]:
    preds = cluster.preds
    if order == "document":
        return np.sort(preds)
    if order == "loss":
        losses = np.asarray(view.run.losses[:, model])[preds]
        return preds[np.argsort(-losses, kind="stable")]
    return preds


def _tokens(view: View, cluster: Cluster, *, offset: int) -> list[dict[str, Any]]:
    """Count the commonest tokens at a place before or at the predicted one."""
    ids = view.run.tokens[cluster.preds + offset]
    counted = Counter(ids.tolist()).most_common(_BARS)
    texts = ["".join(decode_tokens([view.run.vocab.get(i, b"")])) for i, _ in counted]
    return [
        {"token": text, "count": n, "share": n / cluster.size}
        for text, (_, n) in zip(texts, counted, strict=True)
    ]


def _neighbours(view: View, cluster: Cluster) -> list[dict[str, Any]]:
    """Give the clusters that most edges of the graph lead to."""
    found = view.neighbours.get(cluster.id, Counter()).most_common(_NEIGHBOURS)
    return [
        {"cluster": other, "rank": view.run[other].rank, "label": view.run[other].label, "edges": n}
        for other, n in found
    ]


def _beside(view: View, cluster: Cluster, step: int) -> str | None:
    rank = cluster.rank + step
    return view.run[rank].id if 1 <= rank <= len(view.run) else None


CLUSTER = Page(name="cluster", path="/quanta/{cluster}", show=show, needs=("losses", "clusters"))
