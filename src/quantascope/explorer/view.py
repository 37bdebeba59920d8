"""A run as its pages see it: tables joined once, contexts rendered, what is missing known.

Enter: a run. Nothing is written, and nothing is kept that the run's folder does not hold.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.reader.families import Emerged, run_emergence
from quantascope.reader.run import Cluster, Run
from quantascope.reader.tokens import render_tokens
from quantascope.store.check import stage_status
from quantascope.store.schema import KINDS

__all__ = ["Context", "View"]

_LEVELS: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
"""Losses [nat] at which the shading of a token changes."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """One prediction in its text."""

    pred: int
    doc: int
    pos: int
    source: str
    text: str
    target: str
    loss_nats: float
    html: Markup

    def as_dict(self) -> dict[str, Any]:
        """Give all but the rendered form, as plain values."""
        return {name: value for name, value in vars(self).items() if name != "html"}


class View:
    """What the pages show of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def has(self, *kinds: str) -> bool:
        """Tell whether these artefacts are there."""
        return all(self.run.folder.manifest(kind) is not None for kind in kinds)

    @cached_property
    def stages(self) -> list[dict[str, Any]]:
        """State of each stage, as ``quantascope status`` says it."""
        found = [stage_status(self.run.folder, kind, {}) for kind in KINDS]
        return [
            {"stage": s.kind, "state": s.state, "bytes": s.n_bytes, "why": s.why} for s in found
        ]

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """A row a cluster of the default clustering, by rank, with all that is known of it."""
        table = self.run.clusters.drop(columns=["clustering"]).copy()
        table["share"] = table["size"] / table["size"].sum()
        losses = self._member_losses
        table["loss_first"], table["loss_last"] = losses[:, 0], losses[:, -1]
        when = self.emerged
        if when is None:
            return table
        place = {key: i for i, key in enumerate(when.keys)}
        rows = np.array([place[cluster] for cluster in table["cluster"]])
        for name in ("at", "lo", "hi", "width"):
            table[f"learned_{name}"] = getattr(when.found, name)[rows]
        table["changes"] = when.changed[rows]
        return table

    @cached_property
    def emerged(self) -> Emerged | None:
        """When clusters were learned, over sizes; None where it cannot be said."""
        if not self.has("curves", "clusters"):
            return None
        try:
            return run_emergence(self.run.folder, complete=False)
        except DataError:
            return None

    @cached_property
    def neighbours(self) -> dict[str, Counter[str]]:
        """Count, for each cluster, the edges of the graph that lead to each other one."""
        if not self.has("graph"):
            return {}
        edges = self.run.table("graph", "edges")
        preds = self.run.table("selection", "preds")["pred"].to_numpy()
        ids = self.run.clusters["cluster"].tolist()
        members = self.run.members
        code = dict(
            zip(members["pred"], pd.Categorical(members["cluster"], ids).codes, strict=True)
        )
        place = np.array([code.get(pred, -1) for pred in preds.tolist()])
        a, b = place[edges["row"].to_numpy()], place[edges["column"].to_numpy()]
        kept = (a != b) & (a >= 0) & (b >= 0)
        pairs, n = np.unique(a[kept] * len(ids) + b[kept], return_counts=True)
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for pair, count in zip(pairs.tolist(), n.tolist(), strict=True):
            found[ids[pair // len(ids)]][ids[pair % len(ids)]] = count
        return found

    @cached_property
    def finished(self) -> pd.DataFrame:
        """Models at the last step of each run, smallest first."""
        models = self.run.models
        last = models.groupby(["n_params", models["seed"].fillna(0)], sort=False).tail(1)
        return last.reset_index(drop=True)

    @cached_property
    def _member_losses(self) -> NDArray[np.float64]:
        """Mean loss [nat] of each cluster under each finished model, axes ``cluster model``."""
        members = self.run.members
        codes = pd.Categorical(members["cluster"], categories=self.run.clusters["cluster"]).codes
        preds, columns = members["pred"].to_numpy(), self.finished["model"].to_numpy()
        n = np.bincount(codes)
        means = [
            np.bincount(codes, weights=np.asarray(self.run.losses[:, int(j)])[preds]) / n
            for j in columns
        ]
        return np.stack(means, axis=1)

    def curve(self, cluster: Cluster) -> NDArray[np.float64]:
        """Give a cluster's mean loss [nat] under each finished model."""
        return np.asarray(self._member_losses[cluster.rank - 1])

    def model(self, name: str) -> int:
        """Give the column of a model; an empty name takes the largest finished one."""
        models = self.run.models
        found = self.finished.tail(1) if not name else models[models["name"] == name]
        if found.empty:
            raise KeyError(f"at: this run has no model {name!r}")
        return int(found["model"].iloc[0])

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
        run = self.run
        for pred in preds.tolist():
            one = run.pred(pred)
            doc = one.doc
            start = max(int(run.offsets[doc]), pred - before)
            stop = min(int(run.offsets[doc + 1]), pred + 1 + after)
            losses = np.asarray(run.losses[start:stop, model])
            pieces = [run.vocab.get(int(i), b"") for i in run.tokens[start:stop]]
            level = np.where(np.isnan(losses), 0, np.searchsorted(_LEVELS, losses))
            yield Context(
                pred=pred,
                doc=doc,
                pos=one.pos,
                source=one.source,
                text=one.text,
                target=one.target,
                loss_nats=float(losses[pred - start]),
                html=render_tokens(pieces, pred - start, level=level.tolist()),
            )
