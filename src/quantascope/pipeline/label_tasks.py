"""What labels of clusters are written from and tested on, as predictions and as lines of text.

The split is that of the labels from counts: what a label is tested on, neither kind has seen.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.rng import hash_order, stream
from quantascope.lm.label_text import marked_line
from quantascope.pipeline.context import CorpusArrays
from quantascope.pipeline.discovery import members_of
from quantascope.qdg.config import LabelsConfig
from quantascope.qdg.labels import has_feature, held_out
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["LabelTask", "RunTexts", "label_tasks"]

_TOKENS_BEFORE: Final = 64

Preds = NDArray[np.int64]


@dataclass(frozen=True)
class LabelTask:
    """One cluster: members that its label is written from, and what it is tested on."""

    cluster: str
    shown: Preds
    inside: Preds
    """Held-out members."""
    outside: Preds
    """Held-out predictions of other clusters."""

    @property
    def tested(self) -> Preds:
        """Members, then others."""
        return np.concatenate([self.inside, self.outside])

    @property
    def can_be_tested(self) -> bool:
        """Tell whether there are two of each at least."""
        return len(self.inside) > 1 and len(self.outside) > 1


def label_tasks(
    run: RunFolder, *, n_clusters: int, n_shown: int, n_tested: int, seed: int
) -> list[LabelTask]:
    """Choose predictions of the largest clusters.

    Parameters
    ----------
    run
        Run with clusters.
    n_clusters
        How many, the largest; 0 for all.
    n_shown, n_tested
        Members shown; held-out members, and as many others.
    seed
        Seed of the choice; that of one cluster does not depend on which others are labelled.

    Raises
    ------
    DataError
        If all members of all clusters are held out.
    """
    clustering = str(run.require("clusters").facts["default"])
    members = members_of(run, clustering)
    pred, names = members["pred"].to_numpy(), members["cluster"].astype(str).to_numpy()
    labels = run.manifest("labels")
    split = asdict(LabelsConfig()) | (labels.config if labels else {})
    held = held_out(len(pred), share=split["held_out_share"], seed=split["seed"])

    def some(preds: Preds, n: int, name: str) -> Preds:
        own = int(stream(seed, "label tasks", name).integers(1 << 62))
        return preds[np.argsort(hash_order(preds, seed=own), kind="stable")[:n]]

    tasks = [
        LabelTask(
            cluster=cluster,
            shown=some(pred[mine & ~held], n_shown, "shown"),
            inside=some(pred[mine & held], n_tested, "members"),
            outside=some(pred[~mine & held], n_tested, cluster),
        )
        for cluster in _largest(run, clustering)[: n_clusters or None]
        for mine in (names == cluster,)
    ]
    found = [task for task in tasks if len(task.shown)]
    if not found:
        raise DataError(f"{run.root}: no cluster has a member that is not held out")
    return found


def _largest(run: RunFolder, clustering: str) -> list[str]:
    table = read_table(run.stage("clusters"), "clusters.parquet").to_pandas()
    mine = table[table["clustering"] == clustering].sort_values("rank")
    names: list[str] = mine["cluster"].astype(str).tolist()
    return names


class RunTexts:
    """Predictions of a run as lines of text, and which have a cluster's best feature."""

    def __init__(self, run: RunFolder) -> None:
        self._run, self._corpus = run, CorpusArrays.of(run)

    def lines(self, preds: Preds) -> list[str]:
        """Write each prediction in its text as one line, as a model is shown it."""
        return [self._line(pred) for pred in preds.tolist()]

    def by_rule(self, cluster: str, preds: Preds) -> NDArray[np.float64] | None:
        """Say which predictions have the cluster's best feature from counts; None without one."""
        rule = self._rules.get(cluster)
        if rule is None:
            return None
        pos, tokens = preds - self._document_start(preds), self._corpus.tokens
        return has_feature(rule[0], rule[1], tokens=tokens, pred=preds, pos=pos).astype(np.float64)

    def _line(self, pred: int) -> str:
        start = max(int(self._document_start(np.array([pred]))[0]), pred - _TOKENS_BEFORE)
        pieces = [self._vocab.get(int(i), b"") for i in self._corpus.tokens[start : pred + 1]]
        before, target = b"".join(pieces[:-1]), pieces[-1]
        return marked_line(before.decode("utf-8", "replace"), target.decode("utf-8", "replace"))

    def _document_start(self, preds: Preds) -> Preds:
        offsets = self._corpus.offsets
        found: Preds = offsets[np.searchsorted(offsets, preds, side="right") - 1]
        return found

    @cached_property
    def _vocab(self) -> dict[int, bytes]:
        table = read_table(self._run.stage("corpus"), "vocab.parquet")
        columns = (table.column(name).to_pylist() for name in ("id", "bytes"))
        return dict(zip(*columns, strict=True))

    @cached_property
    def _rules(self) -> dict[str, tuple[str, NDArray[np.int64]]]:
        """First feature of each cluster by counts: its kind, its tokens."""
        if self._run.manifest("labels") is None:
            return {}
        rows = read_table(self._run.stage("labels"), "labels.parquet").to_pylist()
        return {
            row["cluster"]: (row["feature"], np.array(row["token_ids"]))
            for row in rows
            if row["place"] == 1
        }
