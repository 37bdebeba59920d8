"""What speaks for a cluster beyond its contexts: tokens that tell it, members' losses, chance.

Each gives plain values, or nothing where the run does not have what it needs. Tables are read once.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantascope.core.rng import hash_order
from quantascope.reader.run import FEATURE_WORDS, Run
from quantascope.reader.tokens import decode_tokens

__all__ = ["Evidence", "first_by", "verdict"]

_DRAWN: Final = 24
"""Members whose own curve is shown."""
_BAND: Final = (0.1, 0.5, 0.9)
_SCORES: Final = ("count", "log_odds", "z", "auc")

Floats = NDArray[np.float64]


class Evidence:
    """What a run holds for and against its clusters.

    Parameters
    ----------
    run
        A run with clusters.
    models
        Its models at the last step of each training run.
    losses_of
        Gives the losses [nat] of all tokens under a model.
    """

    def __init__(
        self, run: Run, models: pd.DataFrame, losses_of: Callable[[int], NDArray[np.float32]]
    ) -> None:
        self._run, self._models, self._losses_of = run, models, losses_of

    def features(self, cluster: str) -> list[dict[str, Any]]:
        """List the n-grams that tell a cluster's predictions from others, best first."""
        rows = self._labels.iloc[self._label_rows.get(cluster, [])]
        vocab = self._run.vocab
        columns = [rows[name].tolist() for name in ("feature", "token_ids", *_SCORES)]
        return [
            {"feature": FEATURE_WORDS.get(feature, feature),
             "text": "".join(decode_tokens([vocab.get(int(i), b"") for i in ids])),
             **dict(zip(_SCORES, scores, strict=True))}
            for feature, ids, *scores in zip(*columns, strict=True)
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
        mine = self._by_size(preds, place)
        mean = self._models["mean_loss_nats"].to_numpy(dtype=np.float64)
        chosen = np.sort(first_by(hash_order(preds, seed=0), _DRAWN))
        lo, middle, hi = np.quantile(mine, _BAND, axis=1)
        return {
            "n_params": sizes.tolist(),
            "p10": lo.tolist(), "p50": middle.tolist(), "p90": hi.tolist(),
            "mean": mine.mean(axis=1).tolist(),
            "of_all": (np.bincount(place, weights=mean) / np.bincount(place)).tolist(),
            "members": [{"pred": p, "loss_nats": y} for p, y in
                        zip(preds[chosen].tolist(), mine[:, chosen].T.tolist(), strict=True)],
        }  # fmt: skip

    def _by_size(self, preds: NDArray[np.int64], place: NDArray[np.integer]) -> Floats:
        """Give the losses of predictions, averaged over models of one size; axes ``size pred``."""
        found = np.zeros((int(place.max()) + 1, len(preds)))
        for column, row in zip(self._models["model"].tolist(), place.tolist(), strict=True):
            found[row] += self._losses_of(column)[preds]
        return found / np.bincount(place)[:, None]

    @cached_property
    def _labels(self) -> pd.DataFrame:
        return self._run.labels.sort_values(["cluster", "place"], ignore_index=True)

    @cached_property
    def _label_rows(self) -> dict[str, Any]:
        return dict(self._labels.groupby("cluster", sort=False).indices)


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


def first_by(key: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Give the places of the n lowest keys, ascending, without sorting all of them."""
    if len(key) <= n:
        return np.argsort(key, kind="stable")
    near = np.flatnonzero(key <= np.partition(key, n - 1)[n - 1])
    if len(near) < n:  # keys are missing
        return np.argsort(key, kind="stable")[:n]
    return near[np.argsort(key[near], kind="stable")][:n]
