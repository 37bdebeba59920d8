"""Labels of clusters by a language model: written from some members, tested on others.

A run with clusters and somebody who writes and judges labels enter; an item of the collection
``model_labels`` leaves. The split is that of the labels from counts, so that both are tested on
predictions that neither has seen. A killed run goes on from the cluster it was at.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from quantascope.core.progress import Advance, track
from quantascope.core.rng import stream
from quantascope.lm.label_text import MOST_CHARS, MOST_LABEL_CHARS
from quantascope.pipeline.label_tasks import LabelTask, RunTexts, label_tasks
from quantascope.qdg.auc import area
from quantascope.store.collection import add_item, list_items, require_item
from quantascope.store.folder import RunFolder, Shards
from quantascope.store.manifest import Manifest, stage_key

__all__ = ["Judge", "ModelLabels", "label_by_model"]

KIND: Final = "model_labels"
_LEVEL: Final = 0.95
_AREAS: Final = ("auc", "other_auc", "rule_auc")
"""Of the model's label, of another cluster's, of the best feature from counts."""

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
        rows = _Labelling(run, judge, config, shards=Shards(work)).rows(track)
        clustering = str(run.require("clusters").facts["default"])
        facts = {"clustering": clustering, "n_labels": len(rows)} | _facts(rows)
        tables = {"labels.parquet": pa.Table.from_pandas(rows, preserve_index=False)}
        item, manifest, _ = add_item(
            run, KIND, tables, config=settings, parents=parents, facts=facts
        )
        shutil.rmtree(work, ignore_errors=True)
        return item, manifest


class _Labelling:
    """The work on one run, and what of it is done."""

    def __init__(self, run: RunFolder, judge: Judge, config: ModelLabels, *, shards: Shards):
        self._judge, self._config, self._shards = judge, config, shards
        self._texts = RunTexts(run)
        self._tasks = label_tasks(
            run,
            n_clusters=config.n_clusters,
            n_shown=config.n_contexts,
            n_tested=config.n_scored,
            seed=config.seed,
        )

    def rows(self, track: Track) -> pd.DataFrame:
        """Label, test, and give a row a cluster."""
        tasks = self._tasks
        labels = self._each(tasks, "label", self._written, track=track)
        words = [values.tobytes().decode() for values in labels]
        turn = stream(self._config.seed, KIND, "other").permutation(len(tasks))
        order = np.empty_like(turn)
        order[turn] = np.roll(turn, -1)  # one cycle: where there are two, nobody gets his own
        others = [words[j] if j != i else "" for i, j in enumerate(order.tolist())]
        asked = [*zip(tasks, words, others, strict=True)]
        scores = self._each(asked, "score", self._scored, track=track)
        found = [self._row(*row) for row in zip(tasks, words, scores, strict=True)]
        return pd.DataFrame(found)

    def _each(
        self,
        work: Sequence[Any],
        name: str,
        make: Callable[[Any], NDArray[Any]],
        *,
        track: Track,
    ) -> list[NDArray[Any]]:
        """Make what is not there yet; give all."""
        names = [f"{name}-{i:05d}" for i in range(len(work))]
        with track(f"{name}s by a model", len(work), unit="clusters") as advance:
            for each, shard in zip(work, names, strict=True):
                if not self._shards.has(shard):
                    self._shards.save(shard, make(each))
                advance(1)
        return [self._shards.load(shard) for shard in names]

    def _written(self, task: LabelTask) -> NDArray[np.uint8]:
        answer = self._judge.write(self._texts.lines(task.shown))
        return np.frombuffer(answer.encode("utf-8", "replace"), dtype=np.uint8)

    def _scored(self, asked: tuple[LabelTask, str, str]) -> NDArray[np.float64]:
        """Score the cluster's own label and another's; axes ``label pred``."""
        task, *words = asked
        found = np.full((2, len(task.tested)), np.nan)
        if task.can_be_tested:
            lines = self._texts.lines(task.tested)
            for word in filter(None, dict.fromkeys(words)):
                found[np.array(words) == word] = self._judge.score(word, lines)
        return found

    def _row(self, task: LabelTask, word: str, found: NDArray[np.float64]) -> dict[str, Any]:
        rule = self._texts.by_rule(task.cluster, task.tested) if task.can_be_tested else None
        row: dict[str, Any] = {"cluster": task.cluster, "label": word}
        for name, scores in zip(_AREAS, (*found, rule), strict=True):
            row |= _ends(name, scores, len(task.inside))
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
    for name in _AREAS:
        known = rows[name].dropna().to_numpy() if len(rows) else np.zeros(0)
        ends: tuple[float | None, float | None] = (None, None)
        if len(known) > 1:
            reach = stats.t.ppf((1 + _LEVEL) / 2, len(known) - 1) * stats.sem(known)
            ends = max(0.0, float(known.mean() - reach)), min(1.0, float(known.mean() + reach))
        mean = float(known.mean()) if len(known) else None
        facts[f"mean_{name}"] = {"mean": mean, "lo": ends[0], "hi": ends[1], "n": len(known)}
    return facts
