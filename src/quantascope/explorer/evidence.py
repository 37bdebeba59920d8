"""What speaks for a cluster beyond its contexts: tokens that tell it, members' losses, chance.

Each gives plain values, or nothing where the run does not have what it needs. Tables are read once.
"""

import math
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantascope.core.errors import QuantascopeError
from quantascope.core.rng import hash_order
from quantascope.families.breakdown import Breakdown
from quantascope.reader.decompose import run_decomposition
from quantascope.reader.outcomes import list_forecasts
from quantascope.reader.run import FEATURE_WORDS, Run
from quantascope.reader.tokens import decode_tokens
from quantascope.store.collection import item_path, require_item
from quantascope.store.tables import read_table

__all__ = ["Evidence", "verdict"]

_KIND: Final = "forecasts"
_DRAWN: Final = 24
"""Members whose own curve is shown."""
_BAND: Final = (0.1, 0.5, 0.9)

Floats = NDArray[np.float64]


class Evidence:
    """What a run holds for and against its clusters.

    Parameters
    ----------
    run
        A run with clusters.
    models
        Its models at the last step of each training run.
    """

    def __init__(self, run: Run, models: pd.DataFrame) -> None:
        self._run, self._models = run, models

    def features(self, cluster: str) -> list[dict[str, Any]]:
        """List the n-grams that tell a cluster's predictions from others, best first."""
        rows = self._labels.iloc[self._label_rows.get(cluster, [])]
        vocab = self._run.vocab
        return [
            {"feature": FEATURE_WORDS.get(row.feature, row.feature),
             "text": "".join(decode_tokens([vocab.get(int(i), b"") for i in row.token_ids])),
             "count": row.count, "log_odds": row.log_odds, "z": row.z, "auc": row.auc}
            for row in rows.itertuples(index=False)
        ]  # fmt: skip

    def over_sizes(self, preds: NDArray[np.int64]) -> dict[str, Any] | None:
        """Give the losses [nat] of clustered predictions over sizes, averaged over seeds.

        Parameters
        ----------
        preds
            Members of a cluster, ascending.

        Returns
        -------
        dict[str, Any] | None
            ``n_params``; ``p10``, ``p50``, ``p90`` and ``mean`` over members; ``of_all``, the mean
            of all predictions; ``members``, curves of some. None with fewer than two sizes.
        """
        sizes, place = np.unique(self._models["n_params"].to_numpy(), return_inverse=True)
        if len(sizes) < 2:
            return None
        known, losses = self._clustered
        mine = _by_size(losses[np.searchsorted(known, preds)].astype(np.float64), place)
        mean = self._models["mean_loss_nats"].to_numpy(dtype=np.float64)
        chosen = np.sort(np.argsort(hash_order(preds, seed=0), kind="stable")[:_DRAWN])
        lo, middle, hi = np.quantile(mine, _BAND, axis=0)
        return {
            "n_params": sizes.tolist(),
            "p10": lo.tolist(), "p50": middle.tolist(), "p90": hi.tolist(),
            "mean": mine.mean(axis=0).tolist(), "of_all": _by_size(mean[None], place)[0].tolist(),
            "members": [{"pred": p, "loss_nats": y} for p, y in
                        zip(preds[chosen].tolist(), mine[chosen].tolist(), strict=True)],
        }  # fmt: skip

    def share_of_drop(self, cluster: str) -> dict[str, Any] | None:
        """Give a cluster's share of the drop of the mean loss, smallest to largest size."""
        if self._split is None or cluster not in self._places:
            return None
        found, place = self._split.found, self._places[cluster]
        x = found.parts.series.x
        return {
            "from": float(x[found.first]), "to": float(x[found.last]),
            "share_of_predictions": float(found.parts.share[place]),
            "share_of_drop": float(found.share_of_drop[place]),
            "error": float(np.fmax(found.seed_error[place], found.pred_error[place])),
            "drop_nats": float(found.drop[place]),
        }  # fmt: skip

    def foretold(self, cluster: str) -> list[dict[str, Any]]:
        """List what forecasts by cluster say of one, a row a target, by their own method."""
        return self._forecasts.get(cluster, [])

    @cached_property
    def _labels(self) -> pd.DataFrame:
        return self._run.labels.sort_values(["cluster", "place"], ignore_index=True)

    @cached_property
    def _label_rows(self) -> dict[str, Any]:
        return dict(self._labels.groupby("cluster", sort=False).indices)

    @cached_property
    def _clustered(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give all clustered predictions, ascending, and their losses under each model."""
        preds = np.sort(self._run.members["pred"].to_numpy())
        losses = np.empty((len(preds), len(self._models)), dtype=np.float32)
        for i, j in enumerate(self._models["model"]):
            losses[:, i] = np.asarray(self._run.losses[:, int(j)])[preds]
        return preds, losses

    @cached_property
    def _split(self) -> Breakdown | None:
        if not self._run.has("curves", "clusters", "fits"):
            return None
        try:
            return run_decomposition(self._run.folder, complete=False)
        except (QuantascopeError, ValueError):  # the curves make no family
            return None

    @cached_property
    def _places(self) -> dict[str, int]:
        names = [] if self._split is None else self._split.names.tolist()
        return {name: place for place, name in enumerate(names)}

    @cached_property
    def _forecasts(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        folder = self._run.folder
        for item in list_forecasts(folder):
            config = require_item(folder, _KIND, item).config
            if config["by"] == "cluster":
                for row in _rows_of(item_path(folder, _KIND, item), config["method"]):
                    facts = {"forecast": item, "scale": config["scale"]}
                    found[row.pop("key")].append(facts | row)
        return found


def verdict(row: dict[str, Any]) -> str:
    """Say in words whether the members are more alike than chance makes groups of this size."""
    mine, chance = row["mean_similarity"], row["null_similarity"]
    if not (math.isfinite(mine) and math.isfinite(chance)):
        return "Not compared with chance: too small, or regrouped by hand."
    if row["coherent"]:
        return (
            f"Its gradients are more alike ({mine:.3g}) than those of 99 in 100 random groups of "
            f"its size ({chance:.3g})."
        )
    return (
        f"Its gradients are no more alike ({mine:.3g}) than those of random groups of its size may "
        f"be (1 in 100 reaches {chance:.3g}): take it for chance until more speaks for it."
    )


def _by_size(losses: Floats, place: NDArray[np.integer]) -> Floats:
    """Average columns of the same size; axes ``row size``."""
    n = np.bincount(place)
    summed = np.zeros((len(losses), len(n)))
    np.add.at(summed.T, place, losses.T)
    return summed / n


def _rows_of(folder: Path, method: str) -> list[dict[str, Any]]:
    """Read what a forecast's own method says of its groups."""
    keys = read_table(folder, "groups.parquet").to_pandas().set_index("group")["key"]
    table = read_table(folder, "forecast.parquet").to_pandas()
    table = table[table["method"] == method]
    table = table.assign(key=table["group"].map(keys))
    columns = ["key", "target", "mean_nats", "p5_nats", "p95_nats", "p_learned"]
    rows: list[dict[str, Any]] = table[columns].to_dict("records")
    return rows
