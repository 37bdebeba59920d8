"""The stages from sketches to labels: graph, clusters, ranks, fits, labels."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import ArtefactError
from quantascope.laws.powerlaw import PowerLawFit, fit_power_law
from quantascope.pipeline.context import CorpusArrays, StageContext
from quantascope.pipeline.grouping import (
    MAX_MERGED,
    SPECTRAL,
    group_predictions,
    has_merged,
    has_spectral,
)
from quantascope.qdg.calibrate import CalibratedSlope, calibrate_slopes
from quantascope.qdg.clusters import PreviousMembers, assemble_clusters
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.labels import label_clusters
from quantascope.qdg.ranks import envelope, envelope_slope, rank_sizes
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table, write_table

__all__ = [
    "labels_of_members",
    "make_clusters",
    "make_fits",
    "make_graph",
    "make_labels",
    "make_ranks",
    "members_of",
]

_MATCHED_WORLDS: Final = 150
_LEVEL: Final = 0.9


def make_graph(context: StageContext) -> dict[str, Any]:
    """Find the neighbours of every prediction."""
    config = context.config.graph
    sketch = np.asarray(open_array(context.run.stage("sketch"), "sketch", name="sketch.zarr")[:])
    with context.track("graph", len(sketch), unit="predictions") as advance:
        graph = knn_graph(
            sketch,
            n_neighbors=config.n_neighbors,
            sign_free=config.sign_free,
            block=config.block,
            advance=advance,
        ).tocoo()
    edges = pa.table(
        {
            "row": graph.coords[0].astype(np.int64),
            "column": graph.coords[1].astype(np.int64),
            "similarity": graph.data.astype(np.float32),
        }
    )
    write_table(context.workspace.path, "graph", name="edges.parquet", table=edges)
    return {"n_preds": len(sketch), "n_edges": edges.num_rows // 2}


def make_clusters(context: StageContext) -> dict[str, Any]:
    """Cluster by every method and setting, name the clusters, and mark the default clustering."""
    config = context.config.clusters
    groupings = group_predictions(context)
    preds = read_table(context.run.stage("selection"), "preds.parquet")
    sketch = open_array(context.run.stage("sketch"), "sketch", name="sketch.zarr")
    tables = assemble_clusters(
        groupings,
        sketch=np.asarray(sketch[:]),
        pred=preds.column("pred").to_numpy(),
        doc=preds.column("doc").to_numpy(),
        sign_free=bool(context.run.require("graph").config["sign_free"]),
        n_shuffles=config.null_shuffles,
        seed=config.seed,
        previous=_previous_members(context.run),
    )
    folder = context.workspace.path
    write_table(folder, "clusters", name="clusterings.parquet", table=tables.clusterings)
    write_table(folder, "clusters", name="members.parquet", table=tables.members)
    write_table(folder, "clusters", name="clusters.parquet", table=tables.clusters)
    default = next(row for row in tables.clusterings.to_pylist() if row["default"])
    return {
        "default": default["clustering"],
        "n_clusters": default["n_clusters"],
        "stability": None if np.isnan(default["stability"]) else default["stability"],
        "tokens": _token_facts(context.run),
        "spectral_left_out": config.spectral and not has_spectral(context),
        "merged_left_out": (
            f"more than {MAX_MERGED:,} predictions; Leiden's most stable grouping is the default"
            if config.merge and not has_merged(context)
            else None
        ),
    }


def make_ranks(context: StageContext) -> dict[str, Any]:
    """Count cluster sizes by rank, for every clustering and for their envelope."""
    labels = {name: labels_of_members(context.run, name) for name in _clustering_names(context.run)}
    rows = []
    for name, found in labels.items():
        sizes = rank_sizes(found)
        rows.append(
            pa.table(
                {
                    "clustering": [name] * len(sizes),
                    "n_clusters": np.full(len(sizes), len(sizes)),
                    "rank": np.arange(1, len(sizes) + 1),
                    "size": sizes,
                    "frequency": sizes / sizes.sum(),
                }
            )
        )
    size, n_clusters = envelope(
        {count: rank_sizes(found) for count, found in _envelope_family(labels).items()}
    )
    table = pa.table({"rank": np.arange(1, len(size) + 1), "size": size, "n_clusters": n_clusters})
    folder = context.workspace.path
    write_table(folder, "ranks", name="ranks.parquet", table=pa.concat_tables(rows))
    write_table(folder, "ranks", name="envelope.parquet", table=table)
    slopes = _calibrated(context)
    calibration = pa.Table.from_pylist([asdict(slope) for slope in slopes])
    write_table(folder, "ranks", name="calibration.parquet", table=calibration)
    return {
        "n_clusterings": len(labels),
        "n_ranks": len(size),
        "calibrated": any(slope.calibrated for slope in slopes),
    }


def _calibrated(context: StageContext) -> list[CalibratedSlope]:
    """Read the run's slope without its bias, where the table serves or worlds are planted."""
    config = context.config.ranks
    sketch = open_array(context.run.stage("sketch"), "sketch", name="sketch.zarr")
    return calibrate_slopes(
        np.asarray(sketch[:]),
        sign_free=bool(context.run.require("graph").config.get("sign_free", False)),
        level=_LEVEL,
        simulate=_MATCHED_WORLDS * config.calibrate,
        seed=config.seed,
    )


def make_fits(context: StageContext) -> dict[str, Any]:
    """Fit the exponent of mean loss in size, and the slope of the rank-frequency envelope."""
    config = context.config.ranks
    labels = {name: labels_of_members(context.run, name) for name in _clustering_names(context.run)}
    slope = envelope_slope(
        _envelope_family(labels),
        rank_lo=config.rank_lo,
        rank_hi=config.rank_hi,
        n_boot=config.n_boot,
        seed=config.seed,
    )
    rows = [_fit_row("envelope_slope", slope, sign=1.0, calibrated=False)]
    calibration = read_table(context.run.stage("ranks"), "calibration.parquet").to_pylist()
    rows += [_calibrated_row(slope) for slope in calibration]
    models = read_table(context.run.stage("losses"), "models.parquet").to_pandas()
    models = models[models["step"].isna() | (models["step"] == models["step"].max())]
    sizes = models.groupby("n_params")["mean_loss_nats"].mean()  # seeds of a size are one point
    if len(sizes) > 1:
        scaling = fit_power_law(sizes.index.to_numpy(), sizes.to_numpy())
        rows.insert(0, _fit_row("alpha_N", scaling, sign=-1.0, calibrated=False))
    table = pa.Table.from_pylist(rows)
    write_table(context.workspace.path, "fits", name="fits.parquet", table=table)
    return {row["name"]: row["estimate"] if row["identified"] else None for row in rows}


def make_labels(context: StageContext) -> dict[str, Any]:
    """Say from counts what the members of each cluster of the default clustering share."""
    config = context.config.labels
    corpus = CorpusArrays.of(context.run)
    default = str(context.run.require("clusters").facts["default"])
    members = members_of(context.run, default)
    ids, labels = np.unique(members["cluster"].to_numpy().astype(str), return_inverse=True)
    pred = members["pred"].to_numpy()
    start = corpus.offsets[np.searchsorted(corpus.offsets, pred, side="right") - 1]
    table = label_clusters(
        labels,
        tokens=corpus.tokens,
        pred=pred,
        pos=pred - start,
        ids=ids,
        held_out_share=config.held_out_share,
        n_candidates=config.n_candidates,
        seed=config.seed,
    )
    write_table(context.workspace.path, "labels", name="labels.parquet", table=table)
    return {"clustering": default, "n_labels": table.num_rows}


def labels_of_members(run: RunFolder, clustering: str) -> NDArray[np.int64]:
    """Give each member's cluster of one clustering as a number from 0."""
    members = members_of(run, clustering)
    labels: NDArray[np.int64] = np.unique(
        members["cluster"].to_numpy().astype(str), return_inverse=True
    )[1]
    return labels


def members_of(run: RunFolder, clustering: str) -> Any:
    """Read the members of one clustering, in the order of the artefact."""
    members = read_table(run.stage("clusters"), "members.parquet").to_pandas()
    return members[members["clustering"] == clustering]


def _clustering_names(run: RunFolder) -> list[str]:
    names: list[str] = (
        read_table(run.stage("clusters"), "clusterings.parquet").column("clustering").to_pylist()
    )
    return names


def _envelope_family(labels: dict[str, NDArray[np.int64]]) -> dict[int, NDArray[np.int64]]:
    """Take the spectral family, as the paper does; all clusterings where a run has none."""
    spectral = {name: found for name, found in labels.items() if name.startswith(SPECTRAL)}
    return {int(found.max()) + 1: found for found in (spectral or labels).values()}


def _previous_members(run: RunFolder) -> Mapping[str, PreviousMembers] | None:
    """Members of the clustering that this one replaces, so that clusters keep their ids."""
    try:
        before = run.manifest("clusters")
        if before is None or not _grew_from(run, before.facts.get("tokens", {})):
            return None
        members = read_table(run.stage("clusters"), "members.parquet").to_pandas()
    except ArtefactError:  # a damaged predecessor has no ids to hand on, and is being replaced
        return None
    return {
        str(name): (group["pred"].to_numpy(), group["cluster"].to_numpy().astype(str))
        for name, group in members.groupby("clustering", observed=True)
    }


def _token_facts(run: RunFolder) -> dict[str, Any]:
    """Say which tokens the preds of this clustering index."""
    tokens = CorpusArrays.of(run).tokens
    return {"n": len(tokens), "sha256": _hash_tokens(tokens, len(tokens))}


def _grew_from(run: RunFolder, before: dict[str, Any]) -> bool:
    """Say whether the corpus begins with the tokens of an earlier state: preds mean the same."""
    tokens, n = CorpusArrays.of(run).tokens, int(before.get("n", -1))
    return 0 <= n <= len(tokens) and _hash_tokens(tokens, n) == before.get("sha256")


def _hash_tokens(tokens: NDArray[np.int32], n: int) -> str:
    return hashlib.sha256(np.ascontiguousarray(tokens[:n]).data).hexdigest()


def _calibrated_row(slope: dict[str, Any]) -> dict[str, Any]:
    """Lay a calibrated slope into a row of fits, signed like the envelope's."""
    nan = float("nan")
    return {
        "name": f"calibrated_{slope['method']}",
        "estimate": -slope["estimate"],
        "lo": -slope["hi"],
        "hi": -slope["lo"],
        "prefactor": nan,
        "range_lo": nan,
        "range_hi": nan,
        "n_points": slope["points"],
        "method": (
            f"{slope['level']:.0%} belt of {slope['n_rows']} planted worlds, table "
            f"{slope['table'][:8]}, nearest row {slope['row']}"
            if slope["calibrated"]
            else "not calibrated"
        ),
        "identified": slope["calibrated"],
        "calibrated": slope["calibrated"],
        "reason": slope["reason"],
    }


def _fit_row(name: str, fit: PowerLawFit, *, sign: float, calibrated: bool) -> dict[str, Any]:
    """Lay a fit into a row; `sign` -1 states the exponent of a falling law as positive."""
    ends = sorted((sign * fit.lo, sign * fit.hi))
    return {
        "name": name,
        "estimate": sign * fit.exponent,
        "lo": ends[0],
        "hi": ends[1],
        "prefactor": fit.prefactor,
        "range_lo": fit.x_lo,
        "range_hi": fit.x_hi,
        "n_points": fit.n_points,
        "method": fit.method,
        "identified": fit.identified,
        "calibrated": calibrated,
        "reason": fit.reason,
    }
