"""All groupings of one run: Leiden's, the merged and the spectral ones, a shard each."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.pipeline.context import StageContext
from quantascope.qdg.config import ClustersConfig
from quantascope.qdg.leiden import Grouping, leiden_groupings
from quantascope.qdg.merging import merged_grouping
from quantascope.qdg.spectral import spectral_groupings
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["MAX_MERGED", "SPECTRAL", "group_predictions", "has_merged", "has_spectral"]

SPECTRAL: Final = "spectral"
MAX_MERGED: Final = 50_000  # about 5,000 fine groups: 10 s and 1 GB a rerun
_MERGED: Final = "merged"
_MAX_SPECTRAL: Final = 20_000  # 5 GB of float32 matrices


@dataclass(frozen=True)
class _Shard:
    """One resolution of Leiden, the merged grouping, or the whole spectral family."""

    run: RunFolder
    config: ClustersConfig
    method: str
    resolution: float = 0.0

    @property
    def name(self) -> str:
        """Name of the shard's files."""
        return f"leiden-{self.resolution:g}" if self.method == "leiden" else self.method


def _cluster_shards(context: StageContext) -> list[_Shard]:
    config = context.config.clusters
    resolutions = sorted(set(config.resolutions))
    leiden = [_Shard(context.run, config, "leiden", r) for r in resolutions]
    merged = [_Shard(context.run, config, _MERGED)] * has_merged(context)
    spectral = [_Shard(context.run, config, SPECTRAL)] * has_spectral(context)
    return [*spectral, *merged, *leiden]


def has_spectral(context: StageContext) -> bool:
    """Say whether the family is run: it needs a dense matrix of all pairs."""
    n_preds = int(context.run.require("graph").facts["n_preds"])
    return context.config.clusters.spectral and n_preds <= _MAX_SPECTRAL


def has_merged(context: StageContext) -> bool:
    """Say whether groups are merged: it needs the overlaps of all pairs of fine groups."""
    n_preds = int(context.run.require("graph").facts["n_preds"])
    return context.config.clusters.merge and n_preds <= MAX_MERGED


def group_predictions(context: StageContext) -> list[Grouping]:
    """Compute the shards that are missing, the longest first, and read all back."""
    work = _cluster_shards(context)
    shards = context.workspace.shards
    todo = [shard for shard in work if not shards.has(shard.name)]
    with context.track("clusters", len(work), unit="parts") as advance:
        advance(len(work) - len(todo))

        def keep(shard: _Shard, groupings: list[Grouping]) -> None:
            shards.save(shard.name, _pack_groupings(groupings))
            advance(1)

        context.run_shards("clusters", _cluster, todo, on_done=keep)
    by_method = sorted(work, key=lambda shard: shard.method)  # leiden, merged, spectral
    return [g for shard in by_method for g in _unpack_groupings(shards.load(shard.name))]


def _cluster(shard: _Shard) -> list[Grouping]:
    """Compute one shard in a worker."""
    config = shard.config
    if shard.method == SPECTRAL:
        sketch = open_array(shard.run.stage("sketch"), "sketch", name="sketch.zarr")
        return spectral_groupings(
            np.asarray(sketch[:]),
            n_clusters=config.n_clusters,
            n_init=config.n_init,
            stability_counts=config.stability_counts,
            sign_free=bool(shard.run.require("graph").config["sign_free"]),
            seed=config.seed,
        )
    if shard.method == _MERGED:
        sketch = open_array(shard.run.stage("sketch"), "sketch", name="sketch.zarr")
        exact = bool(shard.run.require("sketch").facts.get("exact", False))
        graph, vectors = _read_graph(shard.run), np.asarray(sketch[:])
        return [merged_grouping(graph, vectors, config=config, exact=exact)]
    return leiden_groupings(
        _read_graph(shard.run),
        resolutions=(shard.resolution,),
        n_seeds=config.leiden_seeds,
        n_resamples=config.resamples,
        resample_share=config.resample_share,
        seed=config.seed,
    )


def _read_graph(run: RunFolder) -> sparse.csr_array:
    """Read the neighbour graph of a run as a symmetric sparse matrix."""
    edges = read_table(run.stage("graph"), "edges.parquet")
    n = int(run.require("graph").facts["n_preds"])
    row, column, similarity = (edges.column(c).to_numpy() for c in ("row", "column", "similarity"))
    return sparse.csr_array((similarity, (row, column)), shape=(n, n))


def _pack_groupings(groupings: list[Grouping]) -> NDArray[np.void]:
    """Lay groupings and their reruns into one structured array, for a shard."""
    n = len(groupings[0].labels)
    rows = [(g, g.labels, False) for g in groupings]
    rows += [(g, rerun, True) for g in groupings for rerun in g.reruns]
    packed = np.empty(
        len(rows),
        dtype=[
            ("name", "U32"),
            ("method", "U16"),
            ("parameter", "f8"),
            ("stability", "f8"),
            ("rerun", "?"),
            ("labels", "i8", (n,)),
        ],
    )
    for i, (g, labels, is_rerun) in enumerate(rows):
        packed[i] = (g.name, g.method, g.parameter, g.stability, is_rerun, labels)
    return packed


def _unpack_groupings(packed: NDArray[np.void]) -> list[Grouping]:
    """Read back what `_pack_groupings` laid down."""
    return [
        Grouping(
            name=str(row["name"]),
            method=str(row["method"]),
            parameter=float(row["parameter"]),
            labels=row["labels"],
            stability=float(row["stability"]),
            reruns=tuple(packed[(packed["name"] == row["name"]) & packed["rerun"]]["labels"]),
        )
        for row in packed[~packed["rerun"]]
    ]
