"""What speaks for a cluster beyond its contexts: tokens that tell it, members' losses, chance.

Each gives plain values, or nothing where the run does not have what it needs. Tables are read once.
"""

import math
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantascope.core.rng import hash_order
from quantascope.reader.run import FEATURE_WORDS, Run
from quantascope.reader.tokens import decode_tokens

__all__ = ["Evidence", "verdict"]

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

    def by_models(self, cluster: str) -> list[dict[str, Any]]:
        """List the labels that language models gave a cluster, with their areas; the last first."""
        return self._by_models.get(cluster, [])

    @cached_property
    def models(self) -> list[str]:
        """Names of the language models that gave labels, the last first."""
        return list(dict.fromkeys(self._run.model_labels["model"]))

    @cached_property
    def _by_models(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self._run.model_labels.to_dict("records"):
            found.setdefault(str(row.pop("cluster")), []).append(
                {str(k): v for k, v in row.items()}
            )
        return found

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
