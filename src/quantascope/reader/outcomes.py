"""How forecasts of a run came out: backtests, scores of what has come since, the ledger.

Enter: a run and its forecasts. Leave: outcomes; nothing is written.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from quantascope.core.errors import ArtefactError, DataError
from quantascope.families.forecast.forecast import DEFAULT, METHODS, forecasts
from quantascope.families.forecast.mixture import Mixture, Unit
from quantascope.families.forecast.scores import Score, score
from quantascope.families.forecast.seen import Floats
from quantascope.families.ledger import parse_ledger
from quantascope.families.series import Series
from quantascope.reader.forecast_groups import ALIKE, Grouped, series_now
from quantascope.store.collection import item_path, list_items, require_item
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import Manifest
from quantascope.store.tables import read_table

__all__ = ["Outcome", "backtest", "list_forecasts", "read_ledger", "score_forecast"]

_KIND: Final = "forecasts"
_TABLES: Final = ("groups", "members", "forecast", "means")


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
    came = series_now(run, manifest.config, tables)
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
        if abs(came.x[level] / target - 1) > ALIKE:
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
