"""A run as its pages see it: tables joined once, contexts rendered, what is missing known.

Enter: a run. Nothing is written, and nothing is kept that the run's folder does not hold.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.explorer.contexts import Context, context_of
from quantascope.explorer.derived import keep
from quantascope.explorer.evidence import Evidence
from quantascope.explorer.graph import Joined, count_edges
from quantascope.explorer.kept import Kept
from quantascope.explorer.regrouped import with_groups
from quantascope.explorer.search import TextIndex
from quantascope.explorer.words import chips, plain_label, spelled
from quantascope.families.curves import LossCurves
from quantascope.reader.annotations import FILE, Annotation, Group, read_log, replay
from quantascope.reader.curves import Over, read_curves
from quantascope.reader.families import Emerged, run_emergence
from quantascope.reader.run import Run
from quantascope.reader.tokens import decode_tokens, render_words
from quantascope.store.manifest import Manifest
from quantascope.store.schema import WAY
from quantascope.store.status import stage_status

__all__ = ["Context", "Labels", "View"]

T = TypeVar("T")

_COLUMNS: Final = 256 << 20
"""Bytes of losses that stay in memory: 4 MB a million predictions and model."""
_FEWEST: Final = 4


class View:
    """What the pages show of one run: its clusters as people left them."""

    def __init__(self, run: Run, of_run: Kept | None = None) -> None:
        self.run = run
        self.of_run = Kept() if of_run is None else of_run
        """What follows from the run alone; kept when somebody annotates."""
        self.kept = Kept()
        """What annotations change."""
        self._curves: dict[str, NDArray[np.float64]] = {}

    def has(self, *kinds: str) -> bool:
        """Tell whether these artefacts are there."""
        return all(self.manifest(kind) is not None for kind in kinds)

    def manifest(self, kind: str) -> Manifest | None:
        """Give the manifest of a stage, None where it has not finished; read and checked once."""
        return self.of_run.get(("manifest", kind), lambda: self.run.folder.manifest(kind))

    @property
    def log_path(self) -> Path:
        """Path of the annotations."""
        return self.run.folder.root / FILE

    @cached_property
    def stages(self) -> list[dict[str, Any]]:
        """State of each stage, as ``quantascope status`` says it."""
        found = [stage_status(self.run.folder, kind, {}) for kind in WAY]
        place = f"{self.run.folder.root.parent}/"
        return [
            {"stage": s.kind, "state": s.state, "bytes": s.n_bytes, "why": s.why.replace(place, "")}
            for s in found
        ]

    @property
    def text(self) -> TextIndex:
        """The corpus, to be searched."""
        run = self.run
        return self.of_run.get("text", lambda: TextIndex(run.tokens, run.offsets, run.vocab))

    @cached_property
    def log(self) -> tuple[list[Annotation], int]:
        """Annotations by time, and the number of lines that cannot be read."""
        return read_log(self.log_path)

    @cached_property
    def _replayed(self) -> tuple[dict[str, Group], list[Annotation]]:
        return replay(self.log[0], self.of_run.get("members", self.run.membership.parts))

    @property
    def groups(self) -> dict[str, Group]:
        """Clusters by id, merged and split ones too."""
        return self._replayed[0]

    @cached_property
    def regrouped(self) -> bool:
        """Whether somebody merged or split clusters."""
        return any(group.parents for group in self.groups.values())

    @property
    def lost(self) -> list[Annotation]:
        """Annotations that no cluster is near enough to."""
        return self._replayed[1]

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """A row a cluster that is not hidden, by rank, with all that is known of it."""
        groups = sorted(self.groups.values(), key=lambda g: (-len(g.preds), g.id))
        base = self.run.clusters.drop(columns=["clustering"]).set_index("cluster")
        table = base.reindex([group.id for group in groups])
        table.index.name = "cluster"
        table["size"] = [len(group.preds) for group in groups]
        if self.regrouped:  # else ranks are those of the clustering
            table["rank"] = np.arange(1, len(groups) + 1)
        labels = table["label"].tolist()
        table["label"] = [
            group.name or self._label(group, label)
            for group, label in zip(groups, labels, strict=True)
        ]
        table["named"] = [bool(group.name) for group in groups]
        table["tags"] = [", ".join(group.tags) for group in groups]
        table["n_notes"] = [len(group.notes) for group in groups]
        table["share"] = table["size"] / table["size"].sum()
        losses = self._mean_losses(groups)
        table["loss_first"], table["loss_last"] = losses[:, 0], losses[:, -1]
        table = table.reset_index()
        self._add_learned(table)
        self._add_model_labels(table)
        kept = np.array([not group.hidden for group in groups])
        return table[kept].sort_values("rank", ignore_index=True)

    def _label(self, group: Group, label: Any) -> str:
        if isinstance(label, str):
            return label
        return f"part or union of {', '.join(group.parents)}"

    def _add_learned(self, table: pd.DataFrame) -> None:
        """Add when each was learned, where that can be said."""
        if self.emerged is None:
            return
        when = self.emerged
        rows = np.array([when.places.get(name, -1) for name in table["cluster"]], dtype=np.int64)
        for name in ("at", "lo", "hi", "width"):
            values = getattr(when.found, name)[rows]
            table[f"learned_{name}"] = np.where(rows < 0, np.nan, values)
        table["changes"] = when.changed[rows] & (rows >= 0)

    def _add_model_labels(self, table: pd.DataFrame) -> None:
        """Add what the language model that labelled last says, where one did."""
        if not self.evidence.models:
            return
        model = self.evidence.models[0]
        found = [
            next((one for one in self.evidence.by_models(name) if one["model"] == model), {})
            for name in table["cluster"]
        ]
        table["model_label"] = [one.get("label", "") for one in found]
        table["model_auc"] = [one.get("auc", np.nan) for one in found]

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Rows of `clusters` by id."""
        return {row["cluster"]: row for row in self.clusters.to_dict("records")}

    @cached_property
    def labels_html(self) -> "Labels":
        """Labels by id: a name that a person gave, else the words from counts."""
        return Labels(self)

    def is_told(self, cluster: str) -> bool:
        """Tell whether a cluster has a name, or tokens that tell it from others."""
        labelled = self.of_run.get("labelled", lambda: frozenset(self.run.labels["cluster"]))
        return bool(self.rows[cluster]["named"] or cluster in labelled)

    def label_text(self, cluster: str, *, most: int = 80) -> str:
        """Give a label as plain text, for titles and drawings."""
        row, parts = self.rows[cluster], self.run.label_parts(cluster)
        if row["named"] or (row["label"] and not parts):
            return plain_label(row["label"], most=most)
        return spelled(parts, most=most) or "no telling tokens"

    def decode(self, ids: Any) -> str:
        """Give the text of token ids."""
        return "".join(decode_tokens([self.run.vocab.get(int(i), b"") for i in ids]))

    def successors(self, cluster: str) -> list[str]:
        """Clusters that a merged or split one went into."""
        return [group.id for group in self.groups.values() if cluster in group.parents]

    @property
    def emerged(self) -> Emerged | None:
        """When clusters were learned, over sizes; None where it cannot be said."""
        return self.emerged_over("sizes")

    def emerged_over(self, over: Over) -> Emerged | None:
        """Give when clusters were learned, over sizes or steps; None where it cannot be said.

        Clusters made by hand stand behind those of the clustering.
        """
        if not self.has("curves", "clusters"):
            return None
        stages = ("curves", "clusters")
        own = self.derived(f"learned-{over}", stages, lambda: self._emerged(over))
        if own is None or not self.by_hand:
            return own
        made = self.by_hand
        return self.kept.get(
            ("emerged", over), lambda: with_groups(own, self.selected_curves, made, over=over)
        )

    def derived(self, name: str, stages: tuple[str, ...], make: Callable[[], T]) -> T:
        """Give what takes long to compute from stages of the run, in memory and on disk kept."""
        return self.of_run.get(("derived", name), lambda: keep(self.run.folder, name, stages, make))

    @cached_property
    def by_hand(self) -> list[Group]:
        """Clusters that people merged or split."""
        return [group for group in self.groups.values() if group.parents]

    @property
    def selected_curves(self) -> LossCurves:
        """Curves of the selected predictions."""
        folder = self.run.folder
        return self.of_run.get("selected", lambda: read_curves(folder, which="selected"))

    def _emerged(self, over: Over) -> Emerged | None:
        try:
            return run_emergence(self.run.folder, over=over, complete=False)
        except DataError:
            return None

    @property
    def evidence(self) -> Evidence:
        """What the run holds for and against its clusters."""
        return self.of_run.get("evidence", self._evidence)

    def _evidence(self) -> Evidence:
        return Evidence(self.run, self.finished, self.losses_of)

    @property
    def joined(self) -> Joined | None:
        """Edges of the graph between clusters; None where the run has no graph."""
        if not self.has("graph"):
            return None
        if self.regrouped:
            return self.kept.get("joined", self._joined)
        return self.derived("edges", ("graph", "clusters"), self._joined)

    def _joined(self) -> Joined:
        groups = self.groups
        return count_edges(self.run, {name: groups[name].preds for name in sorted(groups)})

    @cached_property
    def finished(self) -> pd.DataFrame:
        """Models at the last step of each run, smallest first."""
        models = self.run.models
        last = models.groupby(["n_params", models["seed"].fillna(0)], sort=False).tail(1)
        return last.reset_index(drop=True)

    def _mean_losses(self, groups: Sequence[Group]) -> NDArray[np.float64]:
        """Mean loss [nat] of each group under each finished model, axes ``group model``."""
        preds = np.concatenate([group.preds for group in groups])
        codes = np.repeat(np.arange(len(groups)), [len(group.preds) for group in groups])
        n = np.bincount(codes)
        columns = self.finished["model"].to_numpy()
        means = [np.bincount(codes, weights=self.losses_of(int(j))[preds]) / n for j in columns]
        found = np.stack(means, axis=1)
        self._curves = {group.id: found[i] for i, group in enumerate(groups)}
        return found

    def losses_of(self, model: int) -> NDArray[np.float32]:
        """Losses [nat] of all predictions under a model; those last asked for stay in memory."""
        most = max(_COLUMNS // (4 * max(len(self.run.tokens), 1)), _FEWEST)
        kept = self.of_run.get("columns", lambda: Kept(most))
        return kept.get(model, lambda: np.asarray(self.run.losses[:, model]))

    @cached_property
    def places(self) -> NDArray[np.int32]:
        """Place in `rows` of the cluster of each token, -1 for none; axis ``token``."""
        found = np.full(len(self.run.tokens), -1, dtype=np.int32)
        for place, name in enumerate(self.rows):
            found[self.groups[name].preds] = place
        return found

    def curve(self, cluster: str) -> NDArray[np.float64]:
        """Give a cluster's mean loss [nat] under each finished model."""
        _ = self.clusters  # which computes the curves
        return self._curves[cluster]

    def model(self, name: str) -> int:
        """Give the column of a model; an empty name takes the largest finished one."""
        models = self.run.models
        found = self.finished.tail(1) if not name else models[models["name"] == name]
        if found.empty:
            raise KeyError(f"at: this run has no model {name!r}")
        return int(found["model"].iloc[0])

    def model_name(self, model: int) -> str:
        """Give the name of a column."""
        models = self.run.models
        return str(models.loc[models["model"] == model, "name"].iloc[0])

    def contexts(
        self, preds: NDArray[np.int64], *, before: int, after: int = 12, model: int
    ) -> Iterator[Context]:
        """Render predictions in their text, tokens shaded by their loss under a model.

        Parameters
        ----------
        preds
            Predictions.
        before, after
            Tokens shown on each side.
        model
            Column of the model.
        """
        losses = self.losses_of(model)
        for pred in preds.tolist():
            yield context_of(self.run, pred, losses, before=before, after=after)


class Labels(dict[str, Markup]):
    """Rendered labels by cluster, each made when it is first shown."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def __missing__(self, name: str) -> Markup:
        """Render a label."""
        row, parts = self._view.rows[name], self._view.run.label_parts(name)
        if row["named"] or (row["label"] and not parts):
            self[name] = render_words(row["label"])
        else:
            self[name] = chips(parts)
        return self[name]
