"""Read a run: tables as pandas, arrays lazily, clusters and predictions as objects.

`run[17]` is the cluster of rank 17 (from 1) of the default clustering, `run["c3f9a1b2"]` the one
with that id. Nothing here writes, and nothing loads torch.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantascope.core.errors import ArtefactError
from quantascope.families.curves import LossCurves
from quantascope.reader.curves import read_curves
from quantascope.reader.membership import Membership, read_membership
from quantascope.reader.model_labels import read_model_labels
from quantascope.reader.notebook import run_html
from quantascope.reader.objects import Cluster, Fit, Pred
from quantascope.reader.probes import Probes, read_probes
from quantascope.reader.tokens import decode_tokens
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import Manifest
from quantascope.store.tables import read_table

__all__ = ["FEATURE_WORDS", "Cluster", "Fit", "Pred", "Run", "load"]

FEATURE_WORDS = {
    "next": "predicts",
    "last": "after",
    "last2": "after the 2 tokens",
    "last3": "after the 3 tokens",
}


def load(path: str | Path) -> "Run":
    """Open a run folder for reading.

    Parameters
    ----------
    path
        Folder made by ``quantascope demo`` or ``quantascope run``.

    Returns
    -------
    Run
        Reads an artefact when it is first asked for.

    Raises
    ------
    ArtefactError
        If there is no run.
    """
    folder = RunFolder(Path(path))
    if not folder.config_path.is_file():
        raise ArtefactError(f"{path}: not a run folder (run.toml is missing)")
    return Run(folder)


class Run:
    """A run, read lazily."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """Name of the run: its folder's name."""
        return self.folder.root.resolve().name

    def has(self, *kinds: str) -> bool:
        """Tell whether these stages have finished."""
        return all(self.folder.manifest(kind) is not None for kind in kinds)

    def manifest(self, kind: str) -> Manifest:
        """Manifest of a stage that has finished."""
        return self.folder.require(kind)

    def facts(self, kind: str) -> dict[str, Any]:
        """Give the counts and flags that a stage recorded."""
        return self.manifest(kind).facts

    def table(self, kind: str, name: str) -> pd.DataFrame:
        """Read a table of a stage, for example ``table("corpus", "docs")``."""
        self.folder.require(kind)
        frame: pd.DataFrame = read_table(self.folder.stage(kind), f"{name}.parquet").to_pandas()
        return frame

    def array(self, kind: str, name: str) -> Any:
        """Open an array of a stage, for example ``array("losses", "losses.zarr")``."""
        self.folder.require(kind)
        return open_array(self.folder.stage(kind), kind, name=name)

    @cached_property
    def tokens(self) -> NDArray[np.int32]:
        """Flat token ids, memory-mapped; axis ``token``."""
        return np.asarray(self.array("corpus", "tokens.npy"))  # a plain view: quick to index

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Start of each document and the end; axis ``doc`` + 1."""
        return np.asarray(self.array("corpus", "offsets.npy"))

    @cached_property
    def vocab(self) -> dict[int, bytes]:
        """Bytes of each vocabulary id."""
        table = self.table("corpus", "vocab")
        return dict(zip(table["id"].tolist(), table["bytes"].tolist(), strict=True))

    @cached_property
    def docs(self) -> pd.DataFrame:
        """Documents: source, offset in it, domain, length."""
        return self.table("corpus", "docs")

    @cached_property
    def sources(self) -> tuple[Any, NDArray[np.int64]]:
        """Source of each document, and the offset in it: two columns of `docs`."""
        return self.docs["source"].array, self.docs["source_offset"].to_numpy()

    @cached_property
    def models(self) -> pd.DataFrame:
        """Models with size and mean loss [nat], smallest first."""
        models = self.table("losses", "models")
        return models.sort_values(["n_params", "step", "model"], ignore_index=True)

    @cached_property
    def losses(self) -> Any:
        """Losses [nat]; axes ``pred``, ``model``; NaN where there is no prediction."""
        return self.array("losses", "losses.zarr")

    @cached_property
    def selection(self) -> pd.DataFrame:
        """Selected predictions, in seeded order."""
        return self.table("selection", "preds")

    @cached_property
    def selected(self) -> NDArray[np.int64]:
        """Selected predictions alone, in seeded order: the rows of sketch and graph."""
        self.folder.require("selection")
        table = read_table(self.folder.stage("selection"), "preds.parquet", ["pred"])
        return table["pred"].to_numpy()

    @cached_property
    def clusterings(self) -> pd.DataFrame:
        """All clusterings with their stability."""
        return self.table("clusters", "clusterings")

    @cached_property
    def default_clustering(self) -> str:
        """Name of the default clustering."""
        table = self.clusterings
        return str(table.loc[table["default"], "clustering"].iloc[0])

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """Clusters of the default clustering by rank, with their labels."""
        table = self.table("clusters", "clusters")
        mine = table[table["clustering"] == self.default_clustering].sort_values("rank")
        labels = self.labels
        first = labels[labels["place"] == 1].set_index("cluster")
        mine = mine.assign(
            label=[self.label_text(cluster) for cluster in mine["cluster"]],
            auc=mine["cluster"].map(first["auc"]).astype(float),
        )
        return mine.reset_index(drop=True)

    @cached_property
    def members(self) -> pd.DataFrame:
        """Members of the default clustering: ``pred``, ``cluster``."""
        table = self.table("clusters", "members")
        mine = table[table["clustering"] == self.default_clustering]
        return mine[["pred", "cluster"]].astype({"cluster": str}).reset_index(drop=True)

    @cached_property
    def membership(self) -> Membership:
        """The same as arrays."""
        return read_membership(self.folder)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """Label features of each cluster, best first; empty where the stage is absent."""
        if self.folder.manifest("labels") is None:
            return pd.DataFrame(columns=["cluster", "place", "feature", "token_ids", "auc"])
        return self.table("labels", "labels")

    @cached_property
    def model_labels(self) -> pd.DataFrame:
        """Labels by language models, a row a model and cluster; see `read_model_labels`."""
        return read_model_labels(self.folder)

    @cached_property
    def fits(self) -> pd.DataFrame:
        """Fitted exponents with intervals, ranges and methods; index ``name``."""
        return self.table("fits", "fits").set_index("name")

    def fit(self, name: str) -> Fit:
        """Give a fitted exponent by its name.

        Raises
        ------
        KeyError
            If the run has no fit of this name.
        """
        if name not in self.fits.index:
            raise KeyError(f"fit {name!r}: this run has {', '.join(self.fits.index)}")
        row = self.fits.loc[name]
        return Fit(
            name=name,
            **{key: float(row[key]) for key in ("estimate", "lo", "hi", "range_lo", "range_hi")},
            n_points=int(row["n_points"]),
            method=str(row["method"]),
            identified=bool(row["identified"]),
            calibrated=bool(row["calibrated"]),
            reason=str(row["reason"] or ""),
        )

    @cached_property
    def curves(self) -> LossCurves:
        """Loss curves [nat] of selected and sampled predictions over all checkpoints, checked.

        `quantascope.families` cuts them over sizes or steps, classifies and dates them; which
        are selected and which sampled says ``table("curves", "preds")``.
        """
        return read_curves(self.folder)

    @cached_property
    def probes(self) -> Probes:
        """Items of the run's probes and their scores under every checkpoint.

        `quantascope.reader.probes.run_probes` reads them by skill.
        """
        return read_probes(self.folder)

    def label_parts(self, cluster: str, *, n_features: int = 2) -> list[tuple[str, str]]:
        """Give a cluster's best features: a word for the kind, and the tokens' text."""
        return [
            (
                FEATURE_WORDS.get(feature, feature),
                "".join(decode_tokens([self.vocab.get(int(i), b"") for i in token_ids])),
            )
            for feature, token_ids in self._features.get(cluster, [])[:n_features]
        ]

    @cached_property
    def _features(self) -> dict[str, list[tuple[str, Any]]]:
        """Label features with their token ids by cluster, best first."""
        found: dict[str, list[tuple[str, Any]]] = {}
        rows = self.labels.sort_values("place", kind="stable")
        columns = [rows[name].tolist() for name in ("cluster", "feature", "token_ids")]
        for cluster, feature, token_ids in zip(*columns, strict=True):
            found.setdefault(cluster, []).append((feature, token_ids))
        return found

    def label_text(self, cluster: str) -> str:
        """Say a cluster's label in words: its best features, tokens in quotes."""
        return "; ".join(f"{word} {text!r}" for word, text in self.label_parts(cluster))

    def pred(self, pred: int) -> Pred:
        """Give one prediction by its index.

        Raises
        ------
        IndexError
            If the run has no such token.
        """
        if not 0 <= pred < len(self.tokens):
            raise IndexError(f"pred {pred}: the run has tokens 0 to {len(self.tokens) - 1}")
        return Pred(self, int(pred))

    def __getitem__(self, key: int | str) -> Cluster:
        """Give a cluster of the default clustering by rank (from 1) or id."""
        table = self.clusters
        column = "rank" if isinstance(key, int) else "cluster"
        found = table[table[column] == key]
        if found.empty:
            raise KeyError(f"{column} {key!r}: the default clustering has ranks 1 to {len(table)}")
        return Cluster(self, str(found.iloc[0]["cluster"]), found.iloc[0])

    def __len__(self) -> int:
        """Count the clusters of the default clustering."""
        return len(self.clusters)

    def __iter__(self) -> Iterator[Cluster]:
        """Go through the clusters by rank."""
        return (Cluster(self, str(row["cluster"]), row) for _, row in self.clusters.iterrows())

    def __repr__(self) -> str:
        """Say name and counts."""
        return f"Run({str(self.folder.root)!r})"

    def _repr_html_(self) -> str:
        """Show text, models, exponents and the largest clusters, for notebooks."""
        return run_html(self)
