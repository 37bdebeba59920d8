"""Labels of clusters by a language model: written from some members, tested on others.

A run with clusters and somebody who writes and judges labels enter; an item of the collection
``model_labels`` leaves. The split is that of the labels from counts, so that both are tested on
predictions that neither has seen. A killed run goes on from the cluster it was at.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, track
from quantascope.core.rng import hash_order, stream
from quantascope.lm.label_text import MOST_CHARS, MOST_LABEL_CHARS, marked_line
from quantascope.pipeline.context import CorpusArrays
from quantascope.pipeline.discovery import members_of
from quantascope.qdg.auc import area
from quantascope.qdg.config import LabelsConfig
from quantascope.qdg.labels import has_feature, held_out
from quantascope.store.collection import add_item, list_items, require_item
from quantascope.store.folder import RunFolder, Shards
from quantascope.store.manifest import Manifest, stage_key
from quantascope.store.tables import read_table

__all__ = ["Judge", "ModelLabels", "label_by_model"]

KIND: Final = "model_labels"
_LEVEL: Final = 0.95
_TOKENS_BEFORE: Final = 64
_AREAS: Final = ("model", "other", "rule")
_COLUMNS: Final = {"model": "auc", "other": "other_auc", "rule": "rule_auc"}

Track = Callable[..., AbstractContextManager[Advance]]


class Judge(Protocol):
    """Who writes labels, and says how well one fits a text."""

    @property
    def identity(self) -> dict[str, Any]:
        """What labels and scores depend on; JSON-able."""

    def write(self, lines: Sequence[str]) -> str:
        """Say in one line what texts have in common."""

    def score(self, label: str, lines: Sequence[str]) -> NDArray[np.float64]:
        """Say how well a label fits each of some texts; more is better."""


@dataclass(frozen=True, kw_only=True)
class ModelLabels:
    """How much is labelled and tested.

    Raises
    ------
    ValueError
        If a number is too small.
    """

    n_clusters: int = 100
    """Clusters, the largest; 0 for all."""
    n_contexts: int = 10
    """Members that a label is written from."""
    n_scored: int = 24
    """Held-out members it is tested on, and as many other predictions."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        for name, least in (("n_clusters", 0), ("n_contexts", 1), ("n_scored", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)} found; give at least {least}")


def label_by_model(
    run: RunFolder, judge: Judge, config: ModelLabels, *, track: Track = track
) -> tuple[str, Manifest]:
    """Label a run's largest clusters and test the labels, or find that it was done.

    Parameters
    ----------
    run
        Run with clusters.
    judge
        Who writes and judges.
    config
        How much.
    track
        Opens a display of progress.

    Returns
    -------
    tuple[str, Manifest]
        Name of the item, and its manifest.

    Raises
    ------
    ArtefactError
        If there are no clusters, or another process holds the run.
    """
    with run.lock():
        kinds = ["corpus", "clusters"] + ["labels"] * (run.manifest("labels") is not None)
        parents = {kind: run.require(kind).digest for kind in kinds}
        settings = judge.identity | asdict(config) | {
            "most_chars": MOST_CHARS, "most_label_chars": MOST_LABEL_CHARS,
        }  # fmt: skip
        key = stage_key(settings, parents)
        for item in list_items(run, KIND):
            manifest = require_item(run, KIND, item)
            if manifest.key == key:
                return item, manifest
        work = run.root / ".work" / f"{KIND}-{key[:16]}"
        labelling = _Labelling(run, judge, config, shards=Shards(work))
        rows = labelling.rows(track)
        facts = {"clustering": labelling.clustering, "n_labels": len(rows)} | _facts(rows)
        tables = {"labels.parquet": pa.Table.from_pandas(rows, preserve_index=False)}
        item, manifest, _ = add_item(
            run, KIND, tables, config=settings, parents=parents, facts=facts
        )
        shutil.rmtree(work, ignore_errors=True)
        return item, manifest


@dataclass(frozen=True)
class _Task:
    """One cluster: what its label is written from, and tested on."""

    cluster: str
    shown: NDArray[np.int64]
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]

    @property
    def tested(self) -> NDArray[np.int64]:
        return np.concatenate([self.inside, self.outside])

    @property
    def can_be_tested(self) -> bool:
        return len(self.inside) > 1 and len(self.outside) > 1


class _Labelling:
    """The work on one run, and what of it is done."""

    def __init__(self, run: RunFolder, judge: Judge, config: ModelLabels, *, shards: Shards):
        self._run, self._judge, self._config, self._shards = run, judge, config, shards
        self.clustering = str(run.require("clusters").facts["default"])
        self._corpus = CorpusArrays.of(run)
        vocab = read_table(run.stage("corpus"), "vocab.parquet")
        self._vocab = dict(
            zip(vocab.column("id").to_pylist(), vocab.column("bytes").to_pylist(), strict=True)
        )

    def rows(self, track: Track) -> pd.DataFrame:
        """Label, test, and give a row a cluster."""
        tasks = self._tasks
        labels = self._each(tasks, "label", self._written, track=track, unit="clusters")
        words = [values.tobytes().decode() for values in labels]
        turn = stream(self._config.seed, KIND, "other").permutation(len(tasks))
        order = np.empty_like(turn)
        order[turn] = np.roll(turn, -1)  # one cycle: where there are two, nobody gets his own
        asked = [(task, words[i], words[order[i]]) for i, task in enumerate(tasks)]
        scores = self._each(asked, "score", self._scored, track=track, unit="clusters")
        rules = self._rules
        return pd.DataFrame(
            [
                self._row(task, word, found, rules.get(task.cluster))
                for task, word, found in zip(tasks, words, scores, strict=True)
            ]
        )

    def _each(
        self,
        work: Sequence[Any],
        name: str,
        make: Callable[[Any], NDArray[Any]],
        *,
        track: Track,
        unit: str,
    ) -> list[NDArray[Any]]:
        """Make what is not there yet; give all."""
        names = [f"{name}-{i:05d}" for i in range(len(work))]
        with track(f"{name}s by a model", len(work), unit=unit) as advance:
            for each, shard in zip(work, names, strict=True):
                if not self._shards.has(shard):
                    self._shards.save(shard, make(each))
                advance(1)
        return [self._shards.load(shard) for shard in names]

    @cached_property
    def _tasks(self) -> list[_Task]:
        config = self._config
        members = members_of(self._run, self.clustering)
        pred, names = members["pred"].to_numpy(), members["cluster"].astype(str).to_numpy()
        labels = self._run.manifest("labels")
        split = asdict(LabelsConfig()) | (labels.config if labels else {})
        held = held_out(len(pred), share=split["held_out_share"], seed=split["seed"])
        tasks = []
        for cluster in self._largest():
            mine = names == cluster
            tasks.append(
                _Task(
                    cluster=cluster,
                    shown=self._some(pred[mine & ~held], config.n_contexts, "shown"),
                    inside=self._some(pred[mine & held], config.n_scored, "members"),
                    outside=self._some(pred[~mine & held], config.n_scored, cluster),
                )
            )
        found = [task for task in tasks if len(task.shown)]
        if not found:
            raise DataError(f"{self._run.root}: no cluster has a member that is not held out")
        return found

    def _largest(self) -> list[str]:
        table = read_table(self._run.stage("clusters"), "clusters.parquet").to_pandas()
        mine = table[table["clustering"] == self.clustering].sort_values("rank")
        return mine["cluster"].astype(str).tolist()[: self._config.n_clusters or None]

    def _some(self, preds: NDArray[np.int64], n: int, name: str) -> NDArray[np.int64]:
        """Draw predictions, the same whatever else is drawn."""
        seed = int(stream(self._config.seed, KIND, name).integers(1 << 62))
        return preds[np.argsort(hash_order(preds, seed=seed), kind="stable")[:n]]

    def _written(self, task: _Task) -> NDArray[np.uint8]:
        answer = self._judge.write(self._lines(task.shown))
        return np.frombuffer(answer.encode("utf-8", "replace"), dtype=np.uint8)

    def _scored(self, asked: tuple[_Task, str, str]) -> NDArray[np.float64]:
        """Score the cluster's own label and another's; axes ``label pred``."""
        task, *words = asked
        found = np.full((2, len(task.tested)), np.nan)
        if task.can_be_tested:
            lines = self._lines(task.tested)
            for word in filter(None, dict.fromkeys(words)):
                found[np.array(words) == word] = self._judge.score(word, lines)
        return found

    def _lines(self, preds: NDArray[np.int64]) -> list[str]:
        return [self._line(pred) for pred in preds.tolist()]

    def _line(self, pred: int) -> str:
        start = max(int(self._document_start(np.array([pred]))[0]), pred - _TOKENS_BEFORE)
        pieces = [self._vocab.get(int(i), b"") for i in self._corpus.tokens[start : pred + 1]]
        before, target = b"".join(pieces[:-1]), pieces[-1]
        return marked_line(before.decode("utf-8", "replace"), target.decode("utf-8", "replace"))

    def _document_start(self, preds: NDArray[np.int64]) -> NDArray[np.int64]:
        offsets = self._corpus.offsets
        found: NDArray[np.int64] = offsets[np.searchsorted(offsets, preds, side="right") - 1]
        return found

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

    def _row(
        self,
        task: _Task,
        word: str,
        found: NDArray[np.float64],
        rule: tuple[str, NDArray[np.int64]] | None,
    ) -> dict[str, Any]:
        scores = {"model": found[0], "other": found[1]}
        if rule is not None and task.can_be_tested:
            preds = task.tested
            scores["rule"] = has_feature(
                rule[0], rule[1], tokens=self._corpus.tokens, pred=preds,
                pos=preds - self._document_start(preds),
            ).astype(np.float64)  # fmt: skip
        row: dict[str, Any] = {"cluster": task.cluster, "label": word}
        for name in _AREAS:
            row |= _ends(_COLUMNS[name], scores.get(name), len(task.inside))
        counts = {"shown": task.shown, "members": task.inside, "others": task.outside}
        return row | {f"n_{name}": len(preds) for name, preds in counts.items()}


def _ends(name: str, scores: NDArray[np.float64] | None, n_inside: int) -> dict[str, float]:
    """Give an area and its interval as columns; NaN where nothing was scored."""
    known = scores is not None and len(scores) and bool(np.isfinite(scores).all())
    values = scores if known and scores is not None else np.zeros(0)
    auc = area(values[:n_inside], values[n_inside:], level=_LEVEL)
    return {name: auc.estimate, f"{name}_lo": auc.lo, f"{name}_hi": auc.hi}


def _facts(rows: pd.DataFrame) -> dict[str, Any]:
    """Average areas over clusters, each with Student's interval over clusters, within 0 and 1."""
    facts: dict[str, Any] = {"level": _LEVEL}
    for name in _COLUMNS.values():
        known = rows[name].dropna().to_numpy() if len(rows) else np.zeros(0)
        ends: tuple[float | None, float | None] = (None, None)
        if len(known) > 1:
            reach = stats.t.ppf((1 + _LEVEL) / 2, len(known) - 1) * stats.sem(known)
            ends = max(0.0, float(known.mean() - reach)), min(1.0, float(known.mean() + reach))
        mean = float(known.mean()) if len(known) else None
        facts[f"mean_{name}"] = {"mean": mean, "lo": ends[0], "hi": ends[1], "n": len(known)}
    return facts
