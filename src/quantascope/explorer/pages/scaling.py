"""Mean loss against size, steps and data: fit, residuals, exponents, what carries the drop."""

from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from quantascope.explorer.marks import WORDS, Axis, Chart
from quantascope.explorer.outcomes import forecast_ids
from quantascope.explorer.pages.page import Asked, Page, Shown
from quantascope.explorer.query import BadQueryError, Query
from quantascope.explorer.scaling import (
    SCALES,
    Line,
    cluster_series,
    forecast_of_cluster,
    forecasts_of,
    mean_line,
    mean_series,
    size_shown,
    split,
)
from quantascope.explorer.view import View
from quantascope.explorer.words import plain_label
from quantascope.families.breakdown import Breakdown
from quantascope.families.series import Series
from quantascope.reader.curves import Over

__all__ = ["SCALING"]

_MOST_CLUSTERS: Final = 5
_PARTS: Final = 20


def show(asked: Asked) -> Shown:
    """Gather the mean loss over one scale, and all that is fitted to it."""
    view, query = asked.view, asked.query
    scales = [over for over in SCALES if mean_series(view, over) is not None]
    if not scales:
        raise KeyError("the models of this run differ neither in size nor in steps nor in data")
    over: Any = query.one_of("over", scales)
    series = mean_series(view, over)
    assert series is not None
    line = view.of_run.get(("line", over), lambda: mean_line(series))
    clusters = _clusters(view, query, over)
    forecasts = forecasts_of(view, series.scale)
    for each in clusters:
        each["forecast"] = [
            row
            for one in forecasts if one["by"] == "cluster"
            for row in forecast_of_cluster(view, one["forecast"], each["cluster"])
        ]  # fmt: skip
    table = _table(series, line, clusters)
    data: dict[str, Any] = {
        "over": over, "scales": scales, "scale": WORDS[series.scale],
        "n_params": size_shown(view, over), "has_clusters": view.has("clusters", "curves"),
        "measured": asdict(line.measured), "rows": table.to_dict("records"),
        "clusters": clusters, "cluster": ",".join(each["cluster"] for each in clusters),
        "forecasts": forecasts, "no_forecasts": forecast_ids(view)[1],
    } | view.kept.get(("decomposed", over), lambda: _decomposed(view, over))  # fmt: skip
    html = {
        "chart": _chart(series, line, clusters),
        "residuals": _residuals(series, line),
        "labels": [view.labels_html[each["cluster"]] for each in clusters],
        "parts": [view.labels_html[row["part"]] if row["shown"] else ""
                  for row in data.get("parts", ())],
    }  # fmt: skip
    return Shown(title=f"Scaling over {over}", data=data, html=html, table=table)


def _clusters(view: View, query: Query, over: Over) -> list[dict[str, Any]]:
    """Read the clusters that shall be laid over."""
    names = [name for name in query.text("cluster").replace(" ", "").split(",") if name]
    if len(names) > _MOST_CLUSTERS:
        raise BadQueryError(f"cluster: {len(names)} found; give at most {_MOST_CLUSTERS}")
    if names and not view.has("clusters", "curves"):
        raise BadQueryError("cluster: this run has no curves of clusters")
    for name in names:
        if name not in view.rows:
            raise BadQueryError(f"cluster: {name[:40]!r} found; there is no such cluster")
    return [
        {"cluster": name, "rank": int(view.rows[name]["rank"]), "label": view.rows[name]["label"],
         "loss_nats": cluster_series(view, name, over).level_means()[0].tolist(), "forecast": []}
        for name in dict.fromkeys(names)
    ]  # fmt: skip


def _table(series: Series, line: Line, clusters: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a row a level."""
    means = series.level_means()[0]
    n = np.maximum(series.n_runs, 1)
    off = np.bincount(series.level, weights=np.nan_to_num(line.residuals)) / n
    known = np.isfinite(line.fitted[0])
    columns: dict[str, Any] = {
        series.scale: series.x,
        "n_runs": series.n_runs,
        "mean_loss_nats": means,
        "ln_loss_over_line": off if known else np.nan,
    }
    columns |= {each["cluster"]: each["loss_nats"] for each in clusters}
    return pd.DataFrame(columns)


def _decomposed(view: View, over: Over) -> dict[str, Any]:
    """Give predicted exponents, and what each cluster carries of the drop."""
    found = split(view, over)
    if not isinstance(found, Breakdown):
        return {"not_split": found}
    whole = found.as_dict()
    series = found.found.parts.series
    first, last = (
        f"loss_at_{x:.10g}" for x in (series.x[found.found.first], series.x[found.found.last])
    )
    parts = [
        {"part": row["part"], "label": view.rows.get(row["part"], {}).get("label", ""),
         "shown": row["part"] in view.rows, "share": row["share"], "loss_first": row[first],
         "loss_last": row[last], "drop_nats": row["drop"], "share_of_drop": row["share_of_drop"],
         "error": float(np.hypot(np.nan_to_num(row["seed_error"]), row["pred_error"]))}
        for row in sorted(whole["parts"], key=lambda row: -row["drop"])
    ]  # fmt: skip
    return {
        "not_split": "", "from": whole["from"], "to": whole["to"], "drop_nats": whole["drop_nats"],
        "covered": whole["covered"], "predicted": whole["predicted"],
        "verdicts": whole["verdicts"], "notes": whole["notes"], "n_parts": len(parts),
        "parts": parts[: _PARTS + 1],
    }  # fmt: skip


def _chart(series: Series, line: Line, clusters: list[dict[str, Any]]) -> Markup:
    means = series.level_means()[0]
    good = series.x > 0
    rows = [np.asarray(each["loss_nats"]) for each in clusters]
    ahead = [row for each in clusters for row in each["forecast"]]
    xs = np.concatenate([series.x[good], [row["target"] for row in ahead]])
    ends = [row[name] for row in ahead for name in ("p5_nats", "p95_nats")]
    values = np.concatenate([means[good], line.lo, line.hi, *rows, ends])
    log = not clusters
    chart = Chart(
        title=f"Mean loss against {WORDS[series.scale]}",
        x=Axis.around(WORDS[series.scale], xs, log=True),
        y=Axis.around("mean loss [nat]", values, log=log, zero=not log),
    )
    if np.isfinite(line.fitted).all():
        chart.band(line.x, line.lo, line.hi)
        chart.line(line.x, line.fitted, kind="fit", title="power law through the means of levels")
    chart.line(series.x[good], means[good], title="mean over runs")
    here = series.x[series.level] > 0
    losses = np.asarray(series.losses[0], dtype=np.float64)
    chart.dots(series.x[series.level][here], losses[here], place=0, area=30.0, title="one model")
    for place, (each, row) in enumerate(zip(clusters, rows, strict=True), start=1):
        title = f"{each['cluster']}: {plain_label(each['label'])}"
        chart.line(series.x[good], row[good], kind=f"line o{place}", title=title)
        chart.dots(series.x[good], row[good], place=place, area=45.0, title=title)
        if each["forecast"]:
            at, lo, middle, hi = np.array(
                [
                    [r["target"], r["p5_nats"], r["p50_nats"], r["p95_nats"]]
                    for r in each["forecast"]
                ]
            ).T
            chart.errors(at, lo, hi)
            chart.dots(
                at, middle, place=place, area=90.0, title=f"forecast, 90 % interval; {title}"
            )
    return chart.svg()


def _residuals(series: Series, line: Line) -> Markup | None:
    if not np.isfinite(line.fitted).all():
        return None
    x, off = series.x[series.level], line.residuals
    here = np.isfinite(off)
    chart = Chart(
        title="Residuals of the power law",
        x=Axis.around(WORDS[series.scale], x[x > 0], log=True),
        y=Axis.around("ln(loss / line)", np.append(off[here], [0.0])),
        height=240,
    )
    chart.line(np.array([chart.x.lo, chart.x.hi]), np.zeros(2), kind="zero", title="the line")
    chart.dots(x[here], off[here], place=0, area=30.0, title="one model")
    return chart.svg()


SCALING = Page(name="scaling", path="/scaling", show=show, needs=("losses",))
