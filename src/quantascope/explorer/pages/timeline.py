"""When clusters were learned: over sizes or steps, with their class, to be brushed."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.explorer.marks import SHAPES, WORDS, Axis, Chart, short_number
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.query import BadQueryError
from quantascope.explorer.view import View
from quantascope.families.classes import classify
from quantascope.reader.curves import Over
from quantascope.reader.families import Emerged

__all__ = ["TIMELINE", "mark_areas"]

_UP: Final = {
    "size": "predictions in the cluster",
    "drop_nats": "drop of the mean loss [nat]",
    "stability": "stability (Jaccard)",
    "auc": "held-out AUC of the label",
}
_MOST_LINKS: Final = 200
_MOST_NAMES: Final = 20
_NAME: Final = 32
_ROWS: Final = 50
_UNTESTED: Final = "not tested"
_CLASSES: Final = ("gradual", "sharp", "U-shaped", "unstable", "flat", _UNTESTED)
_COLUMNS: Final = ("cluster", "rank", "label", "size", "stability", "auc")


def show(asked: Asked) -> Shown:
    """Gather clusters by when they were learned."""
    view, query = asked.view, asked.query
    scales = [over for over in ("sizes", "steps") if view.emerged_over(over)]
    if not scales:
        raise KeyError("the curves of this run do not say when clusters were learned")
    over: Any = query.one_of("over", scales)
    up = query.one_of("y", tuple(_UP))
    lo, hi = query.number("from"), query.number("to")
    if lo is not None and hi is not None and lo > hi:
        raise BadQueryError(f"from: {lo:g} found, above to ({hi:g}); change the two")
    emerged = view.emerged_over(over)
    assert emerged is not None
    table = view.kept.get(("timeline", over), lambda: learned_table(view, over))
    placed = table[table["learned_at"].notna()]
    chosen = placed[placed["learned_at"].between(-np.inf if lo is None else lo,
                                                 np.inf if hi is None else hi)]  # fmt: skip
    drawn = view.kept.get(("timeline", over, up), lambda: _draw(view, placed, over=over, up=up))
    data: dict[str, Any] = {
        "over": over, "scales": scales, "y": up, "ys": _UP, "from": lo, "to": hi,
        "n_clusters": len(table), "n_learned": len(placed), "n_chosen": len(chosen),
        "n_links": min(len(placed), _MOST_LINKS),
        "n_still": int((~table["changes"]).sum()),
        "levels": emerged.series.x.tolist(), "one_run": bool((emerged.series.n_runs == 1).all()),
        "median": float(placed["learned_at"].median()), "n_wide": n_wide(placed, emerged.series.x),
        "classes": {name: int(n) for name, n in chosen["class"].value_counts().items()},
        "rows": chosen.head(_ROWS).to_dict("records"),
    }  # fmt: skip
    html = {
        "chart": _with_choice(view, placed, drawn, over=over, ends=(lo, hi), up=up),
        "shapes": legend([name for name in _CLASSES if (placed["class"] == name).any()]),
        "labels": [view.labels_html[name] for name in chosen["cluster"].head(_ROWS)],
    }
    return Shown(title="Timeline", data=data, html=html, table=chosen)


def n_wide(placed: pd.DataFrame, levels: NDArray[np.float64]) -> int:
    """Count clusters whose interval reaches from the first level or before to the last or on."""
    lo, hi = placed["learned_lo"], placed["learned_hi"]
    return int(((lo <= levels[0]) & (hi >= levels[-1])).sum())


def learned_table(view: View, over: Over) -> pd.DataFrame:
    """Make a row a cluster, those that were learned first first; NaN where it cannot be said."""
    emerged = view.emerged_over(over)
    assert emerged is not None
    table = view.clusters[list(_COLUMNS)].copy()
    rows = np.array([emerged.places.get(name, -1) for name in table["cluster"]], dtype=np.int64)
    known = rows >= 0
    changes = known & emerged.changed[rows] & (emerged.found.drop[rows] > 0)
    for name in ("at", "lo", "hi", "width"):
        values = getattr(emerged.found, name)[rows]
        table[f"learned_{name}"] = np.where(changes, values, np.nan)
    table["drop_nats"] = np.where(known, emerged.found.drop[rows], np.nan)
    table["changes"] = changes
    if view.by_hand:  # what people made stays in memory
        names = view.kept.get(("class", over), lambda: _classes(emerged))
    else:
        stages = ("curves", "clusters")
        names = view.derived(f"classes-{over}", stages, lambda: _classes(emerged))
    table["class"] = np.where(known, names[rows], _UNTESTED)
    return table.sort_values(["learned_at", "rank"], ignore_index=True)


def _classes(emerged: Emerged) -> NDArray[np.str_]:
    """Class of each curve."""
    try:
        return classify(emerged.series).name
    except DataError:
        return np.full(len(emerged.keys), _UNTESTED)


def mark_areas(size: NDArray[Any]) -> NDArray[np.float64]:
    """Give areas [square pixel] in the proportion of sizes, within what can be seen."""
    top = float(size.max()) if len(size) else 1.0
    return np.clip(700.0 * np.asarray(size, dtype=np.float64) / top, 14.0, 700.0)


def legend(names: Sequence[str]) -> list[dict[str, Any]]:
    """Give each class its shape, as a row of a legend."""
    return [{"name": n, "place": _place(n), "shape": SHAPES[_place(n)]} for n in names]


def _place(name: str) -> int:
    return _CLASSES.index(name) % len(SHAPES)


def _axes(view: View, placed: pd.DataFrame, *, over: Over, up: str) -> tuple[Axis, Axis]:
    emerged = view.emerged_over(over)
    assert emerged is not None
    x = emerged.series.x
    across = Axis.around(WORDS[emerged.series.scale], x[x > 0], log=True)
    return across, Axis.around(_UP[up], placed[up].to_numpy(), log=up == "size")


def _draw(view: View, placed: pd.DataFrame, *, over: Over, up: str) -> Markup:
    """Draw the marks: the largest as links, the others plain."""
    x_axis, y_axis = _axes(view, placed, over=over, up=up)
    chart = Chart(title="", x=x_axis, y=y_axis)
    order = np.argsort(-placed["size"].to_numpy(), kind="stable")
    rows = placed.iloc[order]
    area = mark_areas(rows["size"].to_numpy())
    kinds = np.array([_place(name) for name in rows["class"]], dtype=np.int64)
    x, y = rows["learned_at"].to_numpy(), rows[up].to_numpy(dtype=np.float64)
    for kind in np.unique(kinds[_MOST_LINKS:]).tolist():
        mine = np.flatnonzero(kinds == kind)
        mine = mine[mine >= _MOST_LINKS]
        chart.dots(x[mine], y[mine], place=kind, area=area[mine], title="smaller clusters")
    first = rows.head(_MOST_LINKS).to_dict("records")
    chart.links(
        x[:_MOST_LINKS],
        y[:_MOST_LINKS],
        place=kinds[:_MOST_LINKS].tolist(),
        area=area[:_MOST_LINKS],
        to=[f"/r/{quote(view.run.name)}/quanta/{row['cluster']}" for row in first],
        titles=[_title(row, view.label_text(row["cluster"])) for row in first],
    )
    texts = [
        view.label_text(row["cluster"], most=_NAME) if view.is_told(row["cluster"]) else ""
        for row in first[:_MOST_NAMES]
    ]
    chart.names(x, y, texts=texts, area=area)
    return Markup("").join(chart.parts)


def _title(row: dict[str, Any], label: str) -> str:
    where = (
        f"learned at {short_number(row['learned_at'])} "
        f"({short_number(row['learned_lo'])} to {short_number(row['learned_hi'])})"
    )
    return f"{label}: rank {row['rank']}, {row['size']} predictions, {row['class']}, {where}"


def _with_choice(
    view: View,
    placed: pd.DataFrame,
    drawn: Markup,
    *,
    over: Over,
    ends: tuple[float | None, float | None],
    up: str,
) -> Markup:
    words = f"{len(placed)} clusters by when they were learned"
    x_axis, y_axis = _axes(view, placed, over=over, up=up)
    chart = Chart(title=words, brush=True, x=x_axis, y=y_axis)
    emerged = view.emerged_over(over)
    assert emerged is not None
    chart.levels(emerged.series.x)
    if ends != (None, None):
        chart.span(*ends)
    chart.parts.append(drawn)
    return chart.svg()


TIMELINE = Page(
    name="timeline", path="/timeline", show=show, needs=("losses", "clusters", "curves")
)
