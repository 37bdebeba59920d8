"""Two runs of the same text beside each other, cluster by cluster."""

import hashlib
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pandas as pd
from markupsafe import Markup

from quantascope.explorer.kept import Kept
from quantascope.explorer.marks import Axis, Chart
from quantascope.explorer.matching import KINDS, Matched, match_groups
from quantascope.explorer.pages.page import Shown
from quantascope.explorer.pages.timeline import mark_areas
from quantascope.explorer.query import Query
from quantascope.explorer.runs import Runs
from quantascope.explorer.view import View
from quantascope.explorer.words import plain_label

__all__ = ["compare"]

_PER_PAGE: Final = 50
_MOST_LINKS: Final = 300
_PAIRS: Final = 4
"""Comparisons kept of a run."""
_COLUMNS: Final = (
    "kind", "a", "rank_a", "size_a", "label_a", "loss_a", "b", "rank_b", "size_b", "label_b",
    "loss_b", "jaccard",
)  # fmt: skip


def compare(runs: Runs, query: Query) -> Shown:
    """Compare the runs ``a`` and ``b``.

    Raises
    ------
    KeyError
        If there is no such run.
    BadQueryError
        If a value is not allowed.
    """
    names = runs.names()
    data: dict[str, Any] = {"names": names, "why": "", "a": query.text("a"), "b": query.text("b")}
    if not (data["a"] and data["b"]):
        return Shown(title="Compare two runs", data=data | {"rows": None})
    for which in ("a", "b"):
        if data[which] not in names:
            raise KeyError(f"{which}: {data[which][:40]!r} found; there is no such run")
    a, b = runs.view(data["a"]), runs.view(data["b"])
    title = f"{data['a']} and {data['b']}"
    data["why"] = _why_not(a, b)
    if data["why"]:
        return Shown(title=title, data=data | {"rows": None})
    pairs = a.kept.get("compared", lambda: Kept(most=_PAIRS))
    found, table, chart = pairs.get(b, lambda: _compared(a, b))
    kind = query.one_of("kind", ("all", *KINDS))
    kept = table if kind == "all" else table[table["kind"] == kind]
    n_pages = max(1, -(-len(kept) // _PER_PAGE))
    page = query.integer("page", 1, lo=1, hi=n_pages)
    part = kept.iloc[(page - 1) * _PER_PAGE : page * _PER_PAGE]
    counts = table["kind"].value_counts()
    data |= {
        "n_a": len(a.clusters), "n_b": len(b.clusters), "n_shared": found.n_shared,
        "n_preds_a": int(a.clusters["size"].sum()), "n_preds_b": int(b.clusters["size"].sum()),
        "kinds": {name: int(counts.get(name, 0)) for name in KINDS},
        "mean_jaccard": float(found.jaccard.mean()) if len(found.jaccard) else None,
        "kind": kind, "page": page, "n_pages": n_pages, "rows": part.to_dict("records"),
    }  # fmt: skip
    html = {"chart": chart, "labels": _labels(a, b, data["rows"])}
    return Shown(title=title, data=data, html=html, table=kept)


def _labels(a: View, b: View, rows: list[dict[str, Any]]) -> list[tuple[Markup, Markup]]:
    """Render the labels of each row's clusters; of several, that of the first."""

    def label(view: View, names: Any) -> Markup:
        return view.labels_html[names.split(",")[0]] if isinstance(names, str) else Markup("")

    return [(label(a, row["a"]), label(b, row["b"])) for row in rows]


def _compared(a: View, b: View) -> tuple[Matched, pd.DataFrame, Markup | None]:
    """Match the clusters of two runs, as people left them."""
    preds = [[view.groups[name].preds for name in view.clusters["cluster"]] for view in (a, b)]
    found = match_groups(*preds)
    table = _table(a, b, found)
    return found, table, _chart(a, table)


def _why_not(a: View, b: View) -> str:
    """Say why two runs cannot be compared; empty where they can."""
    for view in (a, b):
        if not view.has("corpus", "losses", "clusters"):
            return f"{view.run.name} has no clusters yet."
    if _tokens_digest(a) != _tokens_digest(b):
        return (
            "The two runs rest on different tokens, so that no prediction of one is one of the "
            "other. Compare runs made from the same text with the same tokenizer."
        )
    return ""


def _tokens_digest(view: View) -> str:
    def digest() -> str:
        ends = np.asarray(view.run.offsets, dtype=np.int64).tobytes()
        tokens = np.ascontiguousarray(view.run.tokens, dtype=np.int32)
        return hashlib.sha256(tokens.tobytes() + ends).hexdigest()

    return view.of_run.get("tokens digest", digest)


def _table(a: View, b: View, found: Matched) -> pd.DataFrame:
    """Make a row a cluster of a, then one for each of b that none of a leads to."""
    rows_a, rows_b = list(a.rows.values()), list(b.rows.values())
    parts: dict[int, list[int]] = {}
    for j, i in enumerate(found.source.tolist()):
        parts.setdefault(i, []).append(j)
    rows, led_to = [], set()
    for i, row in enumerate(rows_a):
        kind = str(found.kind_a[i])
        to = {"split": parts.get(i, []), "merged": [int(found.into[i])], "not shared": []}.get(
            kind, [int(found.partner[i])]
        )
        to = [j for j in to if j >= 0]
        led_to.update(to)
        rows.append(_row(kind, row, [rows_b[j] for j in to]) | {"jaccard": found.jaccard[i]})
    for j, row in enumerate(rows_b):
        if j not in led_to:
            kind, i = str(found.kind_b[j]), int(found.source[j])
            rows.append(_row(kind, rows_a[i] if kind == "split" else None, [row]))
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    order = table["kind"].map({name: i for i, name in enumerate(KINDS)})
    return table.assign(order=order).sort_values(
        ["order", "rank_a", "rank_b"], kind="stable", ignore_index=True
    ).drop(columns="order")  # fmt: skip


def _row(kind: str, a: dict[str, Any] | None, b: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "jaccard": np.nan}
    if a is not None:
        row |= {"a": a["cluster"], "rank_a": a["rank"], "size_a": a["size"]}
        row |= {"label_a": a["label"], "loss_a": a["loss_last"]}
    if b:
        row |= {"b": ",".join(each["cluster"] for each in b), "rank_b": b[0]["rank"]}
        row |= {"size_b": sum(each["size"] for each in b), "label_b": b[0]["label"]}
        row["loss_b"] = sum(each["size"] * each["loss_last"] for each in b) / row["size_b"]
    return row


def _chart(a: View, table: pd.DataFrame) -> Markup | None:
    """Draw sizes in both runs of what was kept or changed."""
    pairs = table[table["kind"].isin(["kept", "changed"]) & table["b"].notna()]
    if pairs.empty:
        return None
    x, y = (pairs[name].to_numpy(dtype=np.float64) for name in ("size_a", "size_b"))
    chart = Chart(
        title="Sizes of matched clusters in both runs",
        x=Axis.around("predictions, first run", np.concatenate([x, y]), log=True),
        y=Axis.around("predictions, second run", np.concatenate([x, y]), log=True),
    )
    ends = np.array([chart.x.lo, chart.x.hi])
    chart.line(ends, ends, kind="zero", title="equal sizes")
    kinds = (pairs["kind"] == "changed").to_numpy().astype(int)
    area = np.minimum(mark_areas(pairs["jaccard"].to_numpy()), 60.0)
    for place in (0, 1):
        rest = np.flatnonzero(kinds == place)
        rest = rest[rest >= _MOST_LINKS]
        if len(rest):
            chart.dots(x[rest], y[rest], place=place, area=area[rest])
    first = pairs.head(_MOST_LINKS).to_dict("records")
    chart.links(
        x[:_MOST_LINKS], y[:_MOST_LINKS], place=kinds[:_MOST_LINKS].tolist(),
        area=area[:_MOST_LINKS],
        to=[f"/r/{quote(a.run.name)}/quanta/{row['a']}" for row in first],
        titles=[f"{plain_label(row['label_a'])}: {row['a']} and {row['b']}, "
                f"Jaccard {row['jaccard']:.2f}" for row in first],
    )  # fmt: skip
    return chart.svg()
