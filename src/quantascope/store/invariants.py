"""What must hold inside each artefact and between it and its parents; used by `validate`.

Each check reads arrays and tables of a run and yields ``(file, what is wrong)``; nothing wrong,
nothing yielded.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["INVARIANTS", "Finding"]

Finding = tuple[str, str]

_ROWS_AT_ONCE: Final = 1 << 20
_CLUSTER_ID: Final = re.compile(r"c[0-9a-f]{8}")
# unit vectors of 4,096 numbers rounded to half precision: relative error 2^-11 for each number
_UNIT_TOLERANCE: Final = 2e-3


def _corpus(run: RunFolder) -> Iterator[Finding]:
    folder = run.stage("corpus")
    tokens = open_array(folder, "corpus", name="tokens.npy")
    offsets = open_array(folder, "corpus", name="offsets.npy")
    docs, vocab = read_table(folder, "docs.parquet"), read_table(folder, "vocab.parquet")
    if offsets[0] != 0 or offsets[-1] != len(tokens) or np.any(np.diff(offsets) < 2):
        yield "offsets.npy", "must rise from 0 to the number of tokens, by 2 or more a document"
    if not np.array_equal(np.diff(offsets), _column(docs, "n_tokens")):
        yield "docs.parquet", "n_tokens differs from offsets.npy"
    highest = int(_column(vocab, "id").max())
    if any(block.min() < 0 or block.max() > highest for block in _blocks(tokens)):
        yield "tokens.npy", f"token ids must lie within 0 to {highest}"


def _losses(run: RunFolder) -> Iterator[Finding]:
    losses = open_array(run.stage("losses"), "losses", name="losses.zarr")
    models = read_table(run.stage("losses"), "models.parquet")
    offsets = np.asarray(open_array(run.stage("corpus"), "corpus", name="offsets.npy"))
    if losses.shape != (int(offsets[-1]), models.num_rows):
        yield "losses.zarr", f"shape {losses.shape}, expected {(int(offsets[-1]), models.num_rows)}"
        return
    for j, mean in enumerate(_column(models, "mean_loss_nats")):
        values = np.asarray(losses[:, j])
        if not np.isnan(values[offsets[:-1]]).all():
            yield "losses.zarr", f"model {j}: the first token of a document has a loss"
        seen = values[~np.isnan(values)]
        if not (np.isfinite(seen).all() and (seen >= 0).all()):
            yield "losses.zarr", f"model {j}: losses must be finite and at least 0"
        elif not np.isclose(seen.mean(dtype=np.float64), mean, rtol=1e-9):
            yield "models.parquet", f"model {j}: mean_loss_nats differs from losses.zarr"


def _selection(run: RunFolder) -> Iterator[Finding]:
    preds = read_table(run.stage("selection"), "preds.parquet")
    pred, doc, pos = (_column(preds, name) for name in ("pred", "doc", "pos"))
    offsets = np.asarray(open_array(run.stage("corpus"), "corpus", name="offsets.npy"))
    if len(np.unique(pred)) != len(pred):
        yield "preds.parquet", "pred must be unique"
    if np.any(pos < 1) or np.any(offsets[doc] + pos != pred) or np.any(pred >= offsets[doc + 1]):
        yield "preds.parquet", "pred, doc and pos disagree with corpus/offsets.npy"
    if np.any(np.diff(_column(preds, "order").astype(np.uint64).astype(np.float64)) < 0):
        yield "preds.parquet", "rows must stand in the seeded order"


def _sketch(run: RunFolder) -> Iterator[Finding]:
    sketch = open_array(run.stage("sketch"), "sketch", name="sketch.zarr")
    norms = np.asarray(open_array(run.stage("sketch"), "sketch", name="norms.zarr")[:])
    n = read_table(run.stage("selection"), "preds.parquet").num_rows
    if sketch.shape[0] != n or len(norms) != n:
        yield "sketch.zarr", f"{sketch.shape[0]} rows and {len(norms)} norms, selection has {n}"
    lengths = np.concatenate(
        [np.linalg.norm(block.astype(np.float32), axis=1) for block in _blocks(sketch, rows=8192)]
    )
    if not np.allclose(lengths[norms[: len(lengths)] > 0], 1.0, atol=_UNIT_TOLERANCE):
        yield "sketch.zarr", "rows must have length 1"
    if not (np.isfinite(norms).all() and (norms >= 0).all()):
        yield "norms.zarr", "norms must be finite and at least 0"


def _graph(run: RunFolder) -> Iterator[Finding]:
    edges = read_table(run.stage("graph"), "edges.parquet")
    row, column, similarity = (_column(edges, c) for c in ("row", "column", "similarity"))
    n = read_table(run.stage("selection"), "preds.parquet").num_rows
    if len(row) and (min(row.min(), column.min()) < 0 or max(row.max(), column.max()) >= n):
        yield "edges.parquet", f"row and column must lie within 0 to {n - 1}"
    if np.any(row == column):
        yield "edges.parquet", "a prediction is its own neighbour"
    if np.any((similarity < 0) | (similarity > 1)):
        yield "edges.parquet", "similarity must lie within 0 to 1"
    there, back = np.sort(row * n + column), np.sort(column * n + row)
    if not np.array_equal(there, back):
        yield "edges.parquet", "the graph must be symmetric"


def _clusters(run: RunFolder) -> Iterator[Finding]:
    folder = run.stage("clusters")
    clusterings = read_table(folder, "clusterings.parquet").to_pandas()
    members = read_table(folder, "members.parquet").to_pandas()
    members = members.astype({"clustering": str, "cluster": str})
    clusters = read_table(folder, "clusters.parquet").to_pandas()
    if int(clusterings["default"].sum()) != 1:
        yield "clusterings.parquet", "exactly one clustering must be the default"
    known = _column(read_table(run.stage("selection"), "preds.parquet"), "pred")
    if not members["pred"].isin(known).all():
        yield "members.parquet", "a pred is not in the selection"
    if members.duplicated(["clustering", "pred"]).any():
        yield "members.parquet", "a pred stands twice in one clustering"
    if not all(_CLUSTER_ID.fullmatch(cluster) for cluster in clusters["cluster"]):
        yield "clusters.parquet", "a cluster id is not c and eight hex digits"
    sizes = members.groupby(["clustering", "cluster"]).size().sort_index()
    if not sizes.equals(clusters.set_index(["clustering", "cluster"])["size"].sort_index()):
        yield "clusters.parquet", "sizes differ from members.parquet"


def _ranks(run: RunFolder) -> Iterator[Finding]:
    ranks = read_table(run.stage("ranks"), "ranks.parquet").to_pandas()
    for name, group in ranks.groupby("clustering"):
        size = group.sort_values("rank")["size"].to_numpy()
        if np.any(np.diff(size) > 0):
            yield "ranks.parquet", f"{name}: sizes must not rise with rank"
        if not np.isclose(group["frequency"].sum(), 1.0):
            yield "ranks.parquet", f"{name}: frequencies must sum to 1"


def _fits(run: RunFolder) -> Iterator[Finding]:
    fits = read_table(run.stage("fits"), "fits.parquet").to_pandas()
    found = fits[fits["identified"]]
    if not ((found["lo"] <= found["estimate"]) & (found["estimate"] <= found["hi"])).all():
        yield "fits.parquet", "an estimate lies outside its interval"


def _labels(run: RunFolder) -> Iterator[Finding]:
    labels = read_table(run.stage("labels"), "labels.parquet").to_pandas()
    clusters = read_table(run.stage("clusters"), "clusters.parquet").to_pandas()
    if not labels["cluster"].isin(clusters["cluster"]).all():
        yield "labels.parquet", "a label names a cluster that clusters.parquet does not have"
    if not labels["auc"].dropna().between(0, 1).all():
        yield "labels.parquet", "auc must lie within 0 to 1"


def _curves(run: RunFolder) -> Iterator[Finding]:
    folder = run.stage("curves")
    curves = open_array(folder, "curves", name="curves.zarr")
    losses = open_array(run.stage("losses"), "losses", name="losses.zarr")
    preds = read_table(folder, "preds.parquet")
    pred, selected = _column(preds, "pred"), _column(preds, "selected")
    if curves.shape != (len(pred), losses.shape[1]):
        yield "curves.zarr", f"shape {curves.shape}, expected {(len(pred), losses.shape[1])}"
        return
    if np.any(np.diff(pred) <= 0):
        yield "preds.parquet", "pred must ascend"
    chosen = _column(read_table(run.stage("selection"), "preds.parquet"), "pred")
    if not np.array_equal(pred[selected], np.sort(chosen)):
        yield "preds.parquet", "those selected differ from the selection"
    for j in range(losses.shape[1]):
        if not np.array_equal(curves[:, j], losses[:, j][pred], equal_nan=True):
            yield "curves.zarr", f"model {j}: losses differ from losses.zarr"
    counts = read_table(folder, "distribution.parquet").to_pandas().groupby("model")["count"].sum()
    n_preds = run.require("curves").facts["n_predictions"]
    if not (counts == n_preds).all():
        yield "distribution.parquet", f"counts of a model must sum to {n_preds}"


def _probes(run: RunFolder) -> Iterator[Finding]:
    folder = run.stage("probes")
    n_items = read_table(folder, "items.parquet").num_rows
    n_models = read_table(run.stage("losses"), "models.parquet").num_rows
    bounds = {"loss": np.inf, "token_loss": np.inf, "exact": 1.0, "choice": 1.0, "brier": 2.0}
    for name, most in bounds.items():
        values = open_array(folder, "probes", name=f"{name}.zarr")
        if values.shape != (n_items, n_models):
            yield f"{name}.zarr", f"shape {values.shape}, expected {(n_items, n_models)}"
            continue
        seen = np.asarray(values[:, :])
        seen = seen[~np.isnan(seen)]
        if not (np.isfinite(seen).all() and (seen >= 0).all() and (seen <= most).all()):
            yield f"{name}.zarr", f"values must be finite, from 0 to {most:g}"


INVARIANTS: Final[dict[str, Callable[[RunFolder], Iterator[Finding]]]] = {
    "corpus": _corpus,
    "losses": _losses,
    "selection": _selection,
    "sketch": _sketch,
    "graph": _graph,
    "clusters": _clusters,
    "ranks": _ranks,
    "fits": _fits,
    "labels": _labels,
    "curves": _curves,
    "probes": _probes,
}


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table.column(name).to_numpy()
    return values


def _blocks(array: Any, rows: int = _ROWS_AT_ONCE) -> Iterator[NDArray[Any]]:
    for start in range(0, array.shape[0], rows):
        yield np.asarray(array[start : start + rows])
