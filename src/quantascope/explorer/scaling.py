"""Mean losses over sizes, steps or amounts of text: the series, the line through it, its parts."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from quantascope.core.errors import DataError, QuantascopeError
from quantascope.explorer.kept import Kept
from quantascope.explorer.outcomes import came_to, forecast_ids, scores_of
from quantascope.explorer.view import View
from quantascope.families.breakdown import Breakdown
from quantascope.families.curves import Checkpoints, LossCurves
from quantascope.families.exponents import Measured, measure_exponent
from quantascope.families.series import Series
from quantascope.laws.powerlaw import fit_power_law
from quantascope.reader.curves import Over, read_curves, run_series
from quantascope.reader.decompose import run_decomposition
from quantascope.store.collection import item_path, require_item
from quantascope.store.tables import read_table

__all__ = [
    "SCALES",
    "Line",
    "cluster_curve",
    "cluster_series",
    "forecast_of_cluster",
    "forecasts_of",
    "foretold",
    "mean_line",
    "mean_series",
    "share_of_drop",
    "size_shown",
    "split",
]

Floats = NDArray[np.float64]

SCALES: Final[tuple[Over, ...]] = ("sizes", "steps", "data")
_MOST_KEPT: Final = 500
_COLLECTION: Final = "forecasts"


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A power law through mean losses, with the 95 % band of the line."""

    measured: Measured
    x: Floats
    fitted: Floats
    """[nat], axis ``x``; NaN where there is no fit."""
    lo: Floats
    hi: Floats
    residuals: Floats
    """ln(loss / line) of each column of the series."""


def mean_series(view: View, over: Over) -> Series | None:
    """Give the mean loss of all predictions over a scale; None where the run has no such levels."""
    return view.of_run.get(("mean loss", over), lambda: _mean_series(view, over))


def _mean_series(view: View, over: Over) -> Series | None:
    mean = view.run.table("losses", "models").sort_values("model")["mean_loss_nats"].to_numpy()
    try:
        return _series(view, np.asarray(mean, dtype=np.float64), over)
    except (DataError, ValueError):
        return None


def size_shown(view: View, over: Over) -> float | None:
    """Give the one size whose steps or amounts of text are shown; None over sizes."""
    if over == "sizes":
        return None
    sizes, n = np.unique(view.run.models["n_params"].to_numpy(), return_counts=True)
    return float(sizes[n == n.max()][-1])  # as `run_series` chooses it


def _series(view: View, mean: Floats, over: Over) -> Series:
    folder = view.run.folder.stage("losses")
    checkpoints = Checkpoints.from_table(read_table(folder, "models.parquet").sort_by("model"))
    one = LossCurves(pred=np.array([-1]), losses=mean[None], checkpoints=checkpoints)
    return run_series(one, over, complete=False)


def mean_line(series: Series, *, n_points: int = 60) -> Line:
    """Fit a power law to a mean loss.

    Parameters
    ----------
    series
        One row.
    n_points
        Points of the line.

    Returns
    -------
    Line
        The band is Student's about the line at the mean of ln(x); away from it the slope's
        interval is added in squares.
    """
    mean, measured = series.level_means()[0], measure_exponent(series)
    good = series.x > 0
    x = np.geomspace(series.x[good].min(), series.x.max(), n_points)
    line = fit_power_law(series.x, mean, min_points=3)
    if not (line.identified and np.isfinite(line.prefactor)):
        nothing = np.full(n_points, np.nan)
        off = np.full(len(series.level), np.nan)
        return Line(measured=measured, x=x, fitted=nothing, lo=nothing, hi=nothing, residuals=off)
    at, n = np.log(series.x[good]), int(good.sum())
    left = np.log(mean[good]) - np.log(line.prefactor) - line.exponent * at
    quantile = stats.t.ppf(0.975, n - 2)
    middle = quantile * np.sqrt((left**2).sum() / (n - 2) / n)
    slope = (measured.hi - measured.lo) / 2
    half = np.hypot(middle, slope * (np.log(x) - at.mean()))
    fitted = line.prefactor * x**line.exponent
    with np.errstate(divide="ignore"):
        expected = np.log(line.prefactor) + line.exponent * np.log(series.x[series.level])
        residuals = np.log(np.asarray(series.losses[0], dtype=np.float64)) - expected
    return Line(
        measured=measured,
        x=x,
        fitted=fitted,
        lo=fitted * np.exp(-half),
        hi=fitted * np.exp(half),
        residuals=np.where(np.isfinite(residuals), residuals, np.nan),
    )


def cluster_series(view: View, cluster: str, over: Over) -> Series:
    """Give the mean loss [nat] of a cluster as it stands now, at the levels of `mean_series`."""
    kept = view.kept.get("series", lambda: Kept(most=_MOST_KEPT))
    return kept.get((cluster, over), lambda: _cluster_series(view, cluster, over))


def cluster_curve(view: View, cluster: str) -> tuple[Series, tuple[float, float, float] | None]:
    """Give a cluster's mean loss over sizes, or steps, and when it was learned, with interval.

    Raises
    ------
    DataError
        If the models differ in neither.
    """
    over = next((o for o in SCALES[:2] if mean_series(view, o) is not None), None)
    if over is None:
        raise DataError("the models of this run differ neither in size nor in steps")
    series, when = cluster_series(view, cluster, over), view.emerged_over(over)
    at = None if when is None else when.places.get(cluster)
    if when is None or at is None or not when.changed[at]:
        return series, None
    found = when.found
    return series, (float(found.at[at]), float(found.lo[at]), float(found.hi[at]))


def _cluster_series(view: View, cluster: str, over: Over) -> Series:
    names, sizes, means = view.derived(
        "mean-curves", ("curves", "clusters"), lambda: _mean_curves(view)
    )
    preds = view.groups[cluster].preds
    code = view.run.membership.code_of(preds)
    n = np.bincount(code[code >= 0], minlength=len(names))
    if (code >= 0).all() and ((n == 0) | (n == sizes)).all():  # a union of whole clusters
        return _series(view, n @ means / len(preds), over)
    curves = read_curves(view.run.folder, which="selected")
    rows = np.searchsorted(curves.pred, preds)
    return _series(view, curves.losses[rows].mean(axis=0, dtype=np.float64), over)


def _mean_curves(view: View) -> tuple[list[str], NDArray[np.int64], Floats]:
    """Average the curves of each cluster; names, sizes, and means with axes ``cluster model``."""
    curves = read_curves(view.run.folder, which="selected")
    names = view.run.membership.names
    code = view.run.membership.code_of(curves.pred)
    held = code >= 0
    sizes = np.bincount(code[held], minlength=len(names))
    sums = [
        np.bincount(code[held], weights=column[held], minlength=len(names))
        for column in curves.losses.T
    ]
    return names, sizes, np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None]


def split(view: View, over: Over) -> Breakdown | str:
    """Split the drop of the mean loss over the run's own clusters, or say why not."""
    if not view.has("curves", "clusters", "fits"):
        return ""
    stages = ("curves", "clusters", "fits")
    return view.derived(f"split-{over}", stages, lambda: _split(view, over))


def _split(view: View, over: Over) -> Breakdown | str:
    try:
        found = run_decomposition(view.run.folder, over=over, complete=False)
    except (QuantascopeError, ValueError) as error:
        return str(error)
    parts = replace(found.found.parts, source=None, part=None)  # the losses of all predictions
    return replace(found, found=replace(found.found, parts=parts))


def share_of_drop(view: View, cluster: str) -> dict[str, Any] | None:
    """Give a cluster's share of the drop of the mean loss, smallest to largest size; or nothing."""
    parts = split(view, "sizes")
    if isinstance(parts, str) or cluster not in parts.names.tolist():
        return None
    found, place = parts.found, parts.names.tolist().index(cluster)
    x = found.parts.series.x
    return {
        "from": float(x[found.first]), "to": float(x[found.last]),
        "share_of_predictions": float(found.parts.share[place]),
        "share_of_drop": float(found.share_of_drop[place]),
        "error": float(np.fmax(found.seed_error[place], found.pred_error[place])),
        "drop_nats": float(found.drop[place]),
    }  # fmt: skip


def foretold(view: View, cluster: str) -> list[dict[str, Any]]:
    """List what forecasts by cluster say of one, a row a target, by their own method."""
    found = []
    for item in forecast_ids(view)[0]:
        config = require_item(view.run.folder, _COLLECTION, item).config
        if config["by"] == "cluster":
            facts = {"forecast": item, "scale": config["scale"]}
            found += [facts | row for row in forecast_of_cluster(view, item, cluster)]
    return found


def forecasts_of(view: View, scale: str) -> list[dict[str, Any]]:
    """List forecasts over a scale: of the mean of all groups, and of each cluster.

    The list is as the folder has it now: a forecast may be added while the explorer runs.
    """
    folder = view.run.folder
    found = []
    for item in forecast_ids(view)[0]:
        manifest = require_item(folder, _COLLECTION, item)
        if manifest.config["scale"] != scale:
            continue
        means = view.of_run.get(("forecast", item, "means"), partial(_main, view, item, "means"))
        by = manifest.config["by"]
        found.append({
            "forecast": item, "by": by, "method": manifest.config["method"],
            "n_groups": manifest.facts["n_groups"], "caution": manifest.facts["caution"],
            "hindsight": list(manifest.facts["hindsight"]), "targets": means,
            **scores_of(view, item),
        })  # fmt: skip
    return found


def forecast_of_cluster(view: View, item: str, cluster: str) -> list[dict[str, Any]]:
    """Give one cluster's rows of a forecast by clusters, with what came where it has."""
    rows = view.of_run.get(("forecast", item, "groups"), lambda: _main(view, item, "forecast"))
    came = came_to(view, item)
    return [
        row | {"came_nats": came.get((cluster, row["target"]))}
        for row in rows if row["key"] == cluster
    ]  # fmt: skip


def _main(view: View, item: str, name: str) -> list[dict[str, Any]]:
    """Read what a forecast's own method says."""
    folder = item_path(view.run.folder, _COLLECTION, item)
    method = require_item(view.run.folder, _COLLECTION, item).config["method"]
    table = read_table(folder, f"{name}.parquet").to_pandas()
    table = table[table["method"] == method]
    columns = ["target", "mean_nats", "p5_nats", "p50_nats", "p95_nats"]
    if name == "forecast":
        keys = read_table(folder, "groups.parquet").to_pandas().set_index("group")["key"]
        table = table.assign(key=table["group"].map(keys))
        columns += ["key", "p_learned"]
    rows: list[dict[str, Any]] = table[columns].to_dict("records")
    return rows
