"""What has come of forecasts since they were made: their scores, and what single groups came to.

A forecast that was changed, or whose text is another by now, has no score but a reason.
"""

from typing import Any, Final

import numpy as np

from quantascope.core.errors import QuantascopeError
from quantascope.explorer.view import View
from quantascope.reader.forecast_groups import ALIKE, series_now
from quantascope.reader.outcomes import list_forecasts, score_forecast
from quantascope.store.collection import item_path, require_item
from quantascope.store.tables import read_table

__all__ = ["came_to", "forecast_ids", "scores_of"]

_COLLECTION: Final = "forecasts"


def forecast_ids(view: View) -> tuple[list[str], str]:
    """List a run's forecasts; or none, and why they cannot be trusted."""
    try:
        return list_forecasts(view.run.folder), ""
    except (QuantascopeError, ValueError) as error:
        return [], str(error).replace(f"{view.run.folder.root.parent}/", "")


def scores_of(view: View, item: str) -> dict[str, Any]:
    """Score a forecast by its own method.

    Returns
    -------
    dict[str, Any]
        ``scores``: plain values for each target that has come (see
        `quantascope.reader.outcomes.Outcome.as_dict`); ``not_scored``: why there is none.
    """
    return view.of_run.get(("score", item), lambda: _scores_of(view, item))


def _scores_of(view: View, item: str) -> dict[str, Any]:
    try:
        _, outcomes = score_forecast(view.run.folder, item)
    except (QuantascopeError, ValueError) as error:
        place = f"{view.run.folder.root.parent}/"
        return {"scores": [], "not_scored": str(error).replace(place, "")}
    mine = [one.as_dict() for one in outcomes if one.is_main]
    return {"scores": mine, "not_scored": ""}


def came_to(view: View, item: str) -> dict[tuple[str, float], float]:
    """Give the mean loss [nat] that each group of a forecast came to, by group and target."""
    if not scores_of(view, item)["scores"]:
        return {}
    return view.of_run.get(("came", item), lambda: _came_to(view, item))


def _came_to(view: View, item: str) -> dict[tuple[str, float], float]:
    folder = view.run.folder
    config = require_item(folder, _COLLECTION, item).config
    place = item_path(folder, _COLLECTION, item)
    tables = {name: read_table(place, f"{name}.parquet") for name in ("groups", "members")}
    came = series_now(folder, config, tables)
    keys = tables["groups"]["key"].to_pylist()
    found: dict[tuple[str, float], float] = {}
    for target in config["at"]:
        level = int(np.argmin(np.abs(np.log(came.x / target))))
        if abs(came.x[level] / target - 1) > ALIKE:
            continue
        means = came.losses[:, came.level == level].astype(np.float64).mean(axis=1)
        found |= {(key, target): loss for key, loss in zip(keys, means.tolist(), strict=True)}
    return found
