"""Forecasts from a run: what was seen, what is foretold, how it came out.

Enter: a run whose losses stand (clusters, or a random sample of predictions, or probes). Leave:
tables ready to be put down, and scores; nothing is written. A forecast keeps which predictions its
groups have, so that it can be scored when the run has been clustered anew.
"""

import importlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import ArtefactError, DataError
from quantascope.families.curves import Checkpoints, LossCurves, Series, make_curves
from quantascope.families.forecast.baselines import BASELINES
from quantascope.families.forecast.forecast import DEFAULT, METHODS, Forecast, forecasts
from quantascope.families.forecast.mixture import Mixture, Unit
from quantascope.families.forecast.scores import Score, score
from quantascope.families.forecast.seen import Floats, Seen, see
from quantascope.families.ledger import parse_ledger
from quantascope.reader.curves import read_curves
from quantascope.reader.families import run_series
from quantascope.reader.run import Run
from quantascope.store.arrays import open_array
from quantascope.store.collection import item_path, list_items, require_item
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import Manifest
from quantascope.store.tables import read_table

__all__ = [
    "By",
    "Foretold",
    "Grouped",
    "Outcome",
    "backtest",
    "foretell",
    "group_run",
    "list_forecasts",
    "read_ledger",
    "score_forecast",
]

By = Literal["cluster", "token", "probe"]
_KIND: Final = "forecasts"
_FEWEST: Final = 5
"""Predictions of a group of one token: the mean of fewer says little."""
_ALIKE: Final = 0.02
"""Relative difference up to which a size or step that came is the one that was foretold."""
_TABLES: Final = ("groups", "members", "forecast", "means")
_MEANS: Final = ("method", "target", "mean_nats", "p5_nats", "p50_nats", "p95_nats")


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouped:
    """Curves of a run's groups over all its levels."""

    by: By
    keys: NDArray[np.str_]
    """Ids of clusters, tokens, names of skills; axis ``group``."""
    whole: Seen
    members: pd.DataFrame
    """Predictions of each group: group, pred, token; empty for probes."""
    n_params: float | None
    """The size whose steps these are; None over sizes."""
    parents: dict[str, str]
    """Digests of the stages that the groups and curves came from."""
    caution: str
    """What a reader must know of how these predictions were chosen."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Foretold:
    """Forecasts by all methods, ready to be put down."""

    grouped: Grouped
    shown: Seen
    found: dict[str, Forecast]
    method: str
    hindsight: tuple[bool, ...]
    """Of each target, whether the run knows it already."""
    config: dict[str, Any]

    @property
    def main(self) -> Forecast:
        """The forecast of the method that was asked for."""
        return self.found[self.method]

    @property
    def facts(self) -> dict[str, Any]:
        """Counts and remarks for the manifest."""
        main = self.main
        return {
            "n_groups": len(self.shown),
            "levels": self.shown.x.tolist(),
            "runs": self.shown.series.n_runs.tolist(),
            "hindsight": list(self.hindsight),
            "unit_offset": main.unit.offset,
            "weights": main.weights,
            "notes": list(main.notes),
            "caution": self.grouped.caution,
        }

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """Tables by file name, as the schema has them."""
        groups = {
            "group": np.arange(len(self.shown)),
            "key": self.grouped.keys,
            "n_preds": self.shown.n_preds,
            "frequency": self.shown.frequency,
        }
        parts = [_with_method(name, each.to_table()) for name, each in self.found.items()]
        means = [_mean_rows(name, each) for name, each in self.found.items()]
        return {
            "groups.parquet": pa.table(groups),
            "members.parquet": pa.Table.from_pandas(self.grouped.members, preserve_index=False),
            "forecast.parquet": pa.concat_tables(parts),
            "means.parquet": pa.concat_tables(means),
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one method's forecast of one target came out."""

    forecast: str
    method: str
    is_main: bool
    target: float
    came: float
    """The size or step that came."""
    n_runs: int
    hindsight: bool
    score: Score

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, for JSON."""
        facts = {key: getattr(self, key) for key in _OUTCOME}
        return facts | self.score.as_dict()


_OUTCOME: Final = ("forecast", "method", "is_main", "target", "came", "n_runs", "hindsight")


def group_run(
    run: RunFolder,
    *,
    by: By = "cluster",
    over: Literal["sizes", "steps"] = "sizes",
    at: float | None = None,
    complete: bool = True,
) -> Grouped:
    """Average a run's curves over groups.

    Parameters
    ----------
    run
        The run.
    by
        "cluster": the default clustering; "token": predictions of the random sample by the token
        that was to be predicted; "probe": skills of the run's probes.
    over, at, complete
        See `quantascope.reader.families.run_series`.

    Raises
    ------
    ArtefactError, DataError
        If what is needed does not stand, or makes no family.
    """
    if by == "probe":
        return _group_probes(run, over=over, at=at, complete=complete)
    if by not in ("cluster", "token"):
        raise ValueError(f"by: {by!r} found; allowed are cluster, token and probe")
    curves = read_curves(run, which="selected" if by == "cluster" else "sampled")
    tokens = np.asarray(open_array(run.stage("corpus"), "corpus", name="tokens.npy"))[curves.pred]
    keys, group = _clusters(run, curves.pred) if by == "cluster" else _tokens(run, tokens)
    kept = group >= 0
    if not kept.any():
        raise DataError(f"{run.root}: no group of {_FEWEST} predictions or more; take more text")
    series = run_series(curves, over, at=at, complete=complete).averaged(group)
    n = np.bincount(group[kept])
    kinds = ("curves", "clusters") if by == "cluster" else ("curves",)
    columns = {"group": group[kept], "pred": curves.pred[kept], "token": tokens[kept]}
    return Grouped(
        by=by,
        keys=keys,
        whole=see(series, frequency=n / n.sum(), n_preds=n),
        members=pd.DataFrame({k: v.astype(np.int64) for k, v in columns.items()}),
        n_params=None if over == "sizes" else _size_of(curves, at),
        parents={kind: run.require(kind).digest for kind in kinds},
        caution=_caution(run) if by == "cluster" else "",
    )


def foretell(
    grouped: Grouped,
    targets: list[float],
    *,
    method: str = DEFAULT,
    upto: float | None = None,
    threshold: float | None = None,
    seed: int = 0,
) -> Foretold:
    """Forecast a run's groups by one method and all baselines.

    Parameters
    ----------
    grouped
        Curves of groups.
    targets
        Sizes or steps.
    method
        One of `METHODS`.
    upto
        Show only levels up to this one; None shows all.
    threshold, seed
        See `quantascope.families.forecast.forecast.forecast`.

    Raises
    ------
    DataError
        If fewer than two levels are shown.
    """
    whole = grouped.whole
    shown = whole
    if upto is not None:
        n = int((whole.x <= upto).sum())
        if n < 2:
            raise DataError(
                f"{n} level(s) up to {upto:g}; two or more are needed, there are "
                + ", ".join(f"{x:g}" for x in whole.x)
            )
        shown = whole.upto(n)
    methods = (method, *(name for name in BASELINES if name != method))
    found = forecasts(shown, targets, methods=methods, threshold=threshold, seed=seed)
    if method not in found:
        found |= forecasts(shown, targets, methods=(method,), threshold=threshold, seed=seed)
    wanted = found[method].targets
    return Foretold(
        grouped=grouped,
        shown=shown,
        found=found,
        method=method,
        hindsight=tuple((wanted <= whole.x[-1] * (1 + _ALIKE)).tolist()),
        config={
            "at": wanted.tolist(),
            "scale": whole.scale,
            "by": grouped.by,
            "n_params": grouped.n_params,
            "method": method,
            "upto": upto,
            "threshold": threshold,
            "seed": seed,
        },
    )


def backtest(
    grouped: Grouped, *, held_out: int = 2, threshold: float | None = None, seed: int = 0
) -> list[Outcome]:
    """Hide the last level, then the last two, forecast them by every method, and score.

    Parameters
    ----------
    grouped
        Curves of groups.
    held_out
        Most levels hidden; two at least stay.
    threshold, seed
        See `quantascope.families.forecast.forecast.forecast`.
    """
    whole, outcomes = grouped.whole, []
    n_levels = len(whole.x)
    if n_levels < 3:
        raise DataError(f"{n_levels} levels; a backtest hides one and needs two more")
    for hidden in range(1, min(held_out, n_levels - 2) + 1):
        n = n_levels - hidden
        found = forecasts(
            whole.upto(n), whole.x[n:], methods=METHODS, threshold=threshold, seed=seed
        )
        for name, each in found.items():
            for i in range(hidden):
                came = score(
                    each.groups[i],
                    whole.losses[:, n + i],
                    threshold=each.threshold,
                    mean=each.mean[i],
                    share=whole.share,
                )
                at = float(whole.x[n + i])
                outcomes.append(
                    Outcome(
                        forecast=f"{n} levels shown",
                        method=name,
                        is_main=name == DEFAULT,
                        target=at,
                        came=at,
                        n_runs=int(whole.series.n_runs[n + i]),
                        hindsight=True,
                        score=came,
                    )
                )
    return outcomes


def list_forecasts(run: RunFolder) -> list[str]:
    """List the ids of a run's forecasts, by when the ledger says that they were made."""
    times = {e["content"]["forecast"]: e["entry"] for e in reversed(read_ledger(run))}
    return sorted(list_items(run, _KIND), key=lambda item: (times.get(item, np.inf), item))


def read_ledger(run: RunFolder) -> list[dict[str, Any]]:
    """Read the ledger, and check that nothing in it was changed."""
    path = run.root / _KIND / "ledger.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return parse_ledger(text, name=str(path))


def score_forecast(run: RunFolder, item: str) -> tuple[Manifest, list[Outcome]]:
    """Compare a forecast with what has come since.

    Parameters
    ----------
    run
        The run.
    item
        Id of the forecast.

    Returns
    -------
    tuple[Manifest, list[Outcome]]
        The forecast's manifest, and an outcome a method and target that came; none has: empty.

    Raises
    ------
    ArtefactError, DataError
        If the forecast was changed, the ledger knows another of its name, or the run's text did.
    """
    manifest = require_item(run, _KIND, item)
    digests = {
        e["content"]["digest"]
        for e in read_ledger(run)
        if e["content"]["what"] == "forecast" and e["content"]["forecast"] == item
    }
    if digests != {manifest.digest}:
        raise ArtefactError(f"{item_path(run, _KIND, item)}: the ledger does not know it")
    tables = {name: read_table(item_path(run, _KIND, item), f"{name}.parquet") for name in _TABLES}
    came = _what_came(run, manifest, tables)
    if came is None:
        return manifest, []
    return manifest, _outcomes(item, manifest, tables, came)


def _outcomes(
    item: str, manifest: Manifest, tables: dict[str, pa.Table], came: Series
) -> list[Outcome]:
    unit = Unit(offset=manifest.facts["unit_offset"])
    groups, means = tables["forecast"].to_pandas(), tables["means"].to_pandas()
    frequency = tables["groups"]["frequency"].to_numpy()
    out = []
    for place, target in enumerate(manifest.config["at"]):
        level = int(np.argmin(np.abs(np.log(came.x / target))))
        if abs(came.x[level] / target - 1) > _ALIKE:
            continue
        columns = came.losses[:, came.level == level].astype(np.float64)
        for name in dict.fromkeys(groups["method"]):
            mine = groups[(groups["method"] == name) & (groups["target"] == target)]
            mean = means[(means["method"] == name) & (means["target"] == target)]
            found = score(
                _mixture(mine.sort_values("group"), unit),
                columns.mean(axis=1),
                threshold=mine.sort_values("group")["threshold_nats"].to_numpy(),
                mean=_mixture(mean, Unit()),
                share=frequency / frequency.sum(),
            )
            out.append(
                Outcome(
                    forecast=item,
                    method=name,
                    is_main=name == manifest.config["method"],
                    target=float(target),
                    came=float(came.x[level]),
                    n_runs=columns.shape[1],
                    hindsight=bool(manifest.facts["hindsight"][place]),
                    score=found,
                )
            )
    return out


def _what_came(run: RunFolder, manifest: Manifest, tables: dict[str, pa.Table]) -> Series | None:
    """Give the curves of a forecast's groups as the run has them now; None where a level fails."""
    config = manifest.config
    over: Literal["sizes", "steps"] = "sizes" if config["scale"] == "n_params" else "steps"
    if config["by"] == "probe":
        now = _group_probes(run, over=over, at=config["n_params"], complete=False)
        place = {key: i for i, key in enumerate(now.keys.tolist())}
        wanted = tables["groups"]["key"].to_pylist()
        gone = [key for key in wanted if key not in place]
        if gone:
            raise DataError(f"{run.root}: skill {gone[0]!r} is no longer among the probes")
        return now.whole.series.rows(np.array([place[key] for key in wanted]))
    members = tables["members"].to_pandas()
    pred = members["pred"].to_numpy()
    tokens = np.asarray(open_array(run.stage("corpus"), "corpus", name="tokens.npy"))
    if pred.max() >= len(tokens) or (tokens[pred] != members["token"].to_numpy()).any():
        raise DataError(
            f"{run.root}: its text is no longer that of the forecast; the predictions are others"
        )
    run.require("losses")
    losses = open_array(run.stage("losses"), "losses", name="losses.zarr")
    models = read_table(run.stage("losses"), "models.parquet").sort_by("model")
    columns = [np.asarray(losses[:, j])[pred] for j in range(models.num_rows)]
    curves = make_curves(
        pred, np.stack(columns, axis=1), checkpoints=Checkpoints.from_table(models)
    )
    series = run_series(curves, over, at=config["n_params"], complete=False)
    return series.averaged(members["group"].to_numpy())


def _clusters(
    run: RunFolder, pred: NDArray[np.int64]
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Give the ids of clusters that have a curve, by rank, and the place of each prediction's."""
    shown = Run(run)
    of_pred = dict(shown.members[["pred", "cluster"]].itertuples(index=False))
    mine = np.array([of_pred.get(p, "") for p in pred.tolist()], dtype=np.str_)
    keys = [key for key in shown.clusters["cluster"].astype(str) if key in set(mine.tolist())]
    place = {key: i for i, key in enumerate(keys)}
    group = np.array([place.get(key, -1) for key in mine.tolist()], dtype=np.int64)
    return np.array(keys, dtype=np.str_), group


def _tokens(run: RunFolder, tokens: NDArray[Any]) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Group by the token to be predicted, the commonest first; rare ones fall to none."""
    ids, inverse, n = np.unique(tokens, return_inverse=True, return_counts=True)
    order = np.argsort(-n, kind="stable")
    order = order[n[order] >= _FEWEST]
    place = np.full(len(ids), -1)
    place[order] = np.arange(len(order))
    vocab = Run(run).vocab
    names = [vocab.get(int(i), b"").decode("utf-8", "replace") for i in ids[order]]
    keys = [f"{i} {json.dumps(name)}" for i, name in zip(ids[order].tolist(), names, strict=True)]
    return np.array(keys, dtype=np.str_), place[inverse].astype(np.int64)


def _group_probes(
    run: RunFolder, *, over: Literal["sizes", "steps"], at: float | None, complete: bool
) -> Grouped:
    try:  # until probes are part of every release
        probes: Any = importlib.import_module("quantascope.reader.probes")
    except ModuleNotFoundError as error:
        raise ValueError("by: probe found; this release has no probes") from error
    found = probes.probe_series(run, over, at=at, complete=complete)
    if over == "sizes":
        size = None
    else:
        size = at if at is not None else _size_of(probes.read_probes(run), None)
    return Grouped(
        by="probe",
        keys=found.keys,
        whole=see(found.series, n_preds=found.n_items),
        members=pd.DataFrame({k: np.zeros(0, np.int64) for k in ("group", "pred", "token")}),
        n_params=size,
        parents={"losses": run.require("losses").digest},
        caution="",
    )


def _size_of(curves: LossCurves, at: float | None) -> float:
    """Give the size whose steps are taken, as `run_series` chooses it."""
    if at is not None:
        return float(at)
    sizes, n = np.unique(curves.checkpoints.n_params, return_counts=True)
    return float(sizes[n == n.max()][-1])


def _caution(run: RunFolder) -> str:
    """Say what selection by low loss does to forecasts of clusters."""
    models = read_table(run.stage("losses"), "models.parquet").to_pandas()
    largest = models.sort_values(["n_params", "step"]).iloc[-1]["name"]
    return (
        f"clusters hold predictions chosen for a low loss under a model of the run ({largest}, if "
        "not set otherwise): a backtest on that model knows its answer in part; --by token does not"
    )


def _with_method(name: str, table: pa.Table) -> pa.Table:
    return table.add_column(0, "method", pa.array([name] * table.num_rows, pa.string()))


def _mean_rows(name: str, found: Forecast) -> pa.Table:
    rows = []
    for target, mean in zip(found.targets.tolist(), found.mean, strict=True):
        ends = (mean.mean(), *(mean.quantile(q) for q in (0.05, 0.5, 0.95)))
        values = [name, target, *(float(end[0]) for end in ends)]
        row = dict(zip(_MEANS, values, strict=True))
        rows.append(
            row
            | {
                "weight": mean.weight[0].tolist(),
                "location": mean.location[0].tolist(),
                "scale": mean.scale[0].tolist(),
            }
        )
    return pa.Table.from_pylist(rows)


def _mixture(rows: pd.DataFrame, unit: Unit) -> Mixture:
    """Put lists of components back into arrays."""
    n = max(len(row) for row in rows["weight"])

    def padded(name: str, fill: float) -> Floats:
        out = np.full((len(rows), n), fill)
        for i, row in enumerate(rows[name]):
            out[i, : len(row)] = row
        return out

    return Mixture(
        weight=padded("weight", 0.0),
        location=padded("location", 0.0),
        scale=padded("scale", 1.0),
        unit=unit,
    )
