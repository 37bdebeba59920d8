"""Single predictions: which fall at once and which by and by, against chance and by the paper."""

from typing import Any, Final
from urllib.parse import quote

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.rng import hash_order
from quantascope.explorer.marks import SHAPES, WORDS, Axis, Chart
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.scaling import SCALES
from quantascope.explorer.view import Context, View
from quantascope.families.classes import CLASSES
from quantascope.families.detect import SHAPES as RARE
from quantascope.families.emergence import find_emergence
from quantascope.reader.curves import Over
from quantascope.reader.genicity import GenicityReport, run_genicity

__all__ = ["GENICITY"]

_RULES: Final = ("monogenic", "polygenic")
_TESTED: Final = 20_000
"""Predictions looked at: a page should not let one wait."""
_DRAWN: Final = 300
_ROWS: Final = 30
_UNTESTED: Final = "not tested"
_ORDER: Final = ("gradual", "sharp", "U-shaped", "unstable", "flat", _UNTESTED)
_AREA: Final = 38.0


def show(asked: Asked) -> Shown:
    """Gather classes, the paper's picks, and a sample of single predictions."""
    view, query = asked.view, asked.query
    scales = [over for over in SCALES[:2] if report(view, over) is not None]
    if not scales:
        raise KeyError("the curves of this run are too few to tell single predictions apart")
    over: Any = query.one_of("over", scales)
    found = report(view, over)
    assert found is not None
    picks = view.of_run.get(("picks", over), lambda: _picks(found))
    pick = query.one_of("pick", ("all", *(name for name in picks if name != "all")))
    table, chart, contexts = view.of_run.get(
        ("sample", over, pick), lambda: _examples(view, found, picks[pick])
    )
    words = {context.pred: f"{context.text[-40:]}[{context.target}]" for context in contexts}
    data = view.of_run.get(("genicity", over), found.as_dict) | {
        "over": over, "scales": scales, "pick": pick,
        "picks": {name: int(rows.sum()) for name, rows in picks.items()},
        "rows": [row | {"context": words.get(row["pred"], "")}
                 for row in table.head(_ROWS).to_dict("records")],
        "n_beyond": n_beyond(found), "shaded_by": view.model_name(view.model("")),
        "n_drawn": len(table), "n_curves": int(view.run.facts("curves")["n_sampled"]),
    }  # fmt: skip
    html = {
        "chart": chart,
        "shapes": [
            {"name": name, "place": i % len(SHAPES), "shape": SHAPES[i % len(SHAPES)]}
            for i, name in enumerate(_ORDER) if (table["class"] == name).any()
        ],
        "contexts": [context.html for context in contexts],
    }  # fmt: skip
    return Shown(title="Single predictions", data=data, html=html, table=table)


def n_beyond(found: GenicityReport) -> int | None:
    """Count predictions whose loss changes beyond chance; None where nothing could be tested."""
    if found.classes is None:
        return None
    return len(found.pred) - found.classes.counts.get("flat", 0)


def report(view: View, over: Over) -> GenicityReport | None:
    """Sort the run's predictions, once; None where its curves do not allow it."""
    return view.derived(f"genicity-{over}", ("curves",), lambda: _report(view, over))


def _report(view: View, over: Over) -> GenicityReport | None:
    try:
        return run_genicity(view.run.folder, over=over, complete=False, most=_TESTED)
    except (DataError, ValueError):
        return None


def _picks(found: GenicityReport) -> dict[str, NDArray[np.bool_]]:
    """Tell which predictions each class, rule (in any seed) and rare shape takes."""
    n = len(found.pred)
    picks = {"all": np.ones(n, dtype=bool)}
    for rule in _RULES:
        if found.by_seed:
            picks[rule] = np.any([getattr(one, rule) for one in found.by_seed.values()], axis=0)
    if found.classes is not None:
        picks |= {name: found.classes.name == name for name in CLASSES}
    if found.shapes is not None:
        claimed = found.shapes.claimed
        picks |= {shape: claimed[:, i] for i, shape in enumerate(RARE)}
    return picks


def _examples(
    view: View, found: GenicityReport, kept: NDArray[np.bool_]
) -> tuple[pd.DataFrame, Markup | None, list[Context]]:
    """Draw predictions, place them, and render the first of them in their text."""
    table = _sample(found, kept)
    first = table["pred"].to_numpy()[:_ROWS]
    contexts = list(view.contexts(first, before=24, after=4, model=view.model("")))
    return table, _chart(view, found, table), contexts


def _sample(found: GenicityReport, kept: NDArray[np.bool_]) -> pd.DataFrame:
    """Draw predictions, evenly from the classes they are of, and measure their drop."""
    names = np.full(len(found.pred), _UNTESTED) if found.classes is None else found.classes.name
    order = np.argsort(hash_order(found.pred, seed=0), kind="stable")
    order = order[kept[order]]
    labels = names[order]
    turn = np.zeros(len(order), dtype=np.int64)  # the how-manieth of its class
    for name in np.unique(labels):
        turn[labels == name] = np.arange((labels == name).sum())
    rows = order[np.argsort(turn, kind="stable")[:_DRAWN]]
    series = found.series.rows(rows)
    means = series.level_means()
    columns: dict[str, Any] = {
        "pred": found.pred[rows], "class": names[rows],
        "drop_nats": means[:, 0] - means[:, -1],
        "loss_first": means[:, 0], "loss_last": means[:, -1],
    }  # fmt: skip
    columns["width"] = np.full(len(rows), np.nan)
    if len(rows) and found.classes is not None:
        columns["width"] = find_emergence(series).width
    for one in list(found.by_seed.values())[:1]:
        columns["slope"], columns["r_squared"] = one.slope[rows], one.r_squared[rows]
        columns["monogenic"], columns["polygenic"] = one.monogenic[rows], one.polygenic[rows]
    return pd.DataFrame(columns)


def _chart(view: View, found: GenicityReport, table: pd.DataFrame) -> Markup | None:
    placed = table[table["width"].notna()]
    if placed.empty:
        return None
    scale = WORDS[found.series.scale].split(" [")[0]
    width = placed["width"].to_numpy()
    chart = Chart(
        title="Sharpness of single predictions against their drop",
        x=Axis.around("drop of the loss [nat]", placed["drop_nats"].to_numpy()),
        y=Axis.around(f"width of the drop [ln of {scale}]", width, zero=True),
    )
    kinds = [_ORDER.index(name) for name in placed["class"]]
    chart.links(
        placed["drop_nats"].to_numpy(),
        width,
        place=kinds,
        area=np.full(len(placed), _AREA),
        to=[f"/r/{quote(view.run.name)}/tokens/{pred}" for pred in placed["pred"]],
        titles=[
            f"prediction {row['pred']}: {row['class']}, {row['loss_first']:.2f} to "
            f"{row['loss_last']:.2f} nat, width {row['width']:.2f}"
            for row in placed.to_dict("records")
        ],
    )
    return chart.svg()


GENICITY = Page(name="genicity", path="/genicity", show=show, needs=("losses", "curves"))
