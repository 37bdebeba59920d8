"""Make a run for the explorer out of nothing, by the store's own writers: no model, no text.

    python scripts/explorer_run.py DIR [--preds 1_000_000] [--clusters 10_000]

Every stage that pages read stands in it and agrees with the others, its numbers are drawn. The
benchmark of the explorer runs on a large one, its tests on small ones whose words are hostile.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from quantascope.core.rng import stream
from quantascope.store.arrays import write_array, write_npy
from quantascope.store.folder import RunFolder
from quantascope.store.tables import write_table

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
SEEDS = (0, 1)
_ALPHA = 0.5  # exponent of the sizes of clusters: rank^-(1 + alpha)


@dataclass(frozen=True)
class World:
    """What is drawn: documents of equal length, clusters of falling size, losses that fall."""

    n_preds: int
    n_clusters: int
    words: tuple[bytes, ...]
    source: str = "made/up.txt"
    doc_tokens: int = 251
    n_neighbors: int = 8

    @cached_property
    def offsets(self) -> np.ndarray:
        """Start of each document, and the end."""
        n_docs = -(-self.n_preds // (self.doc_tokens - 1))
        return np.arange(n_docs + 1) * self.doc_tokens

    @cached_property
    def preds(self) -> np.ndarray:
        """Tokens that are predicted: all but the first of each document."""
        tokens = np.arange(self.offsets[-1])
        return tokens[tokens % self.doc_tokens > 0][: self.n_preds]

    @cached_property
    def cluster(self) -> np.ndarray:
        """Rank, from 0, of the cluster of each prediction; none is empty."""
        share = np.arange(1, self.n_clusters + 1.0) ** -(1 + _ALPHA)
        bounds = np.cumsum(share / share.sum()) * (self.n_preds - 3 * self.n_clusters)
        bounds = np.floor(bounds).astype(int) + 3 * np.arange(1, self.n_clusters + 1)
        ranks = np.searchsorted(bounds, np.arange(self.n_preds), side="right")
        ranks = np.minimum(ranks, self.n_clusters - 1)
        return stream(0, "cluster").permutation(ranks)

    @cached_property
    def names(self) -> list[str]:
        """Ids of the clusters."""
        return [f"c{(i * 2_654_435_761) % 2**32:08x}" for i in range(self.n_clusters)]

    @cached_property
    def tokens(self) -> np.ndarray:
        """Token ids; the target goes with the cluster, the rest is drawn with falling shares."""
        n = len(self.words)
        drawn = (n * stream(0, "tokens").random(self.offsets[-1]) ** 3).astype(np.int32)
        with_cluster = stream(0, "target").random(len(self.preds)) < 0.7
        drawn[self.preds[with_cluster]] = self.cluster[with_cluster] % n
        return drawn

    @cached_property
    def losses(self) -> np.ndarray:
        """Axes ``pred model``; each cluster falls at a size of its own, NaN at first tokens."""
        found = np.full((len(self.tokens), len(SIZES) * len(SEEDS)), np.nan, dtype=np.float32)
        rng = stream(0, "losses")
        at = rng.uniform(3.5, 7.5, self.n_clusters)[self.cluster]
        for j, size in enumerate(SIZES):
            fall = 5 / (1 + np.exp(4 * (np.log10(size) - at)))
            for k in range(len(SEEDS)):
                noise = 0.3 * rng.standard_exponential(len(self.preds))
                found[self.preds, j * len(SEEDS) + k] = 0.2 + fall + noise
        return found


def plain_words(n: int) -> tuple[bytes, ...]:
    """Make a vocabulary of different words, a line end among them."""
    rng = stream(0, "words")
    letters = rng.choice(list("etaoinshrdlu"), (n, 6))
    return (b"\n", *(f" {''.join(word)}{i}".encode() for i, word in enumerate(letters[1:])))


def make_run(folder: Path, world: World) -> RunFolder:
    """Write the run."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    run.config_path.write_text('[corpus]\nsource = ["made up"]\n', encoding="utf-8")
    for make in (
        _corpus,
        _losses,
        _selection,
        _curves,
        _sketch,
        _graph,
        _clusters,
        _labels,
        _ranks,
    ):
        make(run, world)
    _fits(run)
    return run


def _stage(
    run: RunFolder,
    kind: str,
    *,
    tables: dict[str, Any],
    arrays: dict[str, np.ndarray] | None = None,
    facts: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> None:
    space = run.open_workspace(kind, config or {"seed": 0})
    for name, values in (arrays or {}).items():
        write = write_npy if name.endswith(".npy") else write_array
        write(space.path, kind, name=name, values=values)
    for name, columns in tables.items():
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        write_table(space.path, kind, name=f"{name}.parquet", table=table)
    space.finish(facts or {})


def _corpus(run: RunFolder, world: World) -> None:
    n_docs, n_words = len(world.offsets) - 1, len(world.words)
    docs = {
        "doc": np.arange(n_docs),
        "source": [world.source] * n_docs,
        "domain": ["made up"] * n_docs,
        "source_offset": world.offsets[:-1] * 6,
        "n_tokens": np.diff(world.offsets),
        "document_hash": np.arange(n_docs, dtype=np.uint64),
    }
    vocab = {
        "id": np.arange(n_words, dtype=np.int32),
        "bytes": pa.array(list(world.words), pa.binary()),
        "special": np.zeros(n_words, bool),
    }
    facts = {
        "n_documents": n_docs, "n_tokens": len(world.tokens), "n_predictions": len(world.preds),
        "max_length": world.doc_tokens, "bos_id": None,
    }  # fmt: skip
    _stage(
        run, "corpus", tables={"docs": docs, "vocab": vocab}, facts=facts,
        arrays={"tokens.npy": world.tokens, "offsets.npy": world.offsets},
        config={"seed": 0, "source": ["made up"]},
    )  # fmt: skip


def _losses(run: RunFolder, world: World) -> None:
    sizes, seeds = np.repeat(SIZES, len(SEEDS)), np.tile(SEEDS, len(SIZES))
    n = len(sizes)
    models = {
        "model": np.arange(n),
        "name": [f"{a}-seed{b}" for a, b in zip(sizes, seeds, strict=True)],
        "n_params": sizes,
        "n_params_total": 2 * sizes,
        "step": np.full(n, 1000),
        "n_tokens": np.full(n, 10**8),
        "n_unique": np.full(n, 10**8),
        "seed": seeds,
        "weights_sha256": [f"{i:064x}" for i in range(n)],
        "context_length": np.full(n, world.doc_tokens),
        "mean_loss_nats": np.nanmean(world.losses, axis=0, dtype=np.float64),
    }
    facts = {"n_models": n, "n_predictions": len(world.preds)}
    _stage(
        run, "losses", tables={"models": models}, arrays={"losses.zarr": world.losses}, facts=facts
    )


def _places(world: World) -> dict[str, np.ndarray]:
    doc = world.preds // world.doc_tokens
    return {"pred": world.preds, "doc": doc, "pos": world.preds - world.offsets[doc]}


def _selection(run: RunFolder, world: World) -> None:
    order = {"loss_nats": world.losses[world.preds, -1], "order": np.arange(len(world.preds))}
    counts = {
        "rule": ["predictions"], "n_before": [len(world.tokens)], "n_after": [len(world.preds)],
    }  # fmt: skip
    facts = {"n_preds": len(world.preds), "n_wanted": len(world.preds), "threshold_nats": 9.0}
    facts |= {"threshold_raised": False, "model": f"{SIZES[-1]}-seed0"}
    tables = {"preds": _places(world) | order, "counts": counts}
    _stage(run, "selection", tables=tables, facts=facts)


def _curves(run: RunFolder, world: World) -> None:
    n, models = len(world.preds), np.arange(world.losses.shape[1])
    flags = {"selected": np.ones(n, bool), "sampled": np.ones(n, bool)}
    zero = np.zeros(len(models))
    tables = {
        "preds": _places(world) | flags,
        "distribution": {"model": models, "lo": zero, "hi": zero + 0.012476649250079016,
                         "count": np.full(len(models), n)},
        "persistence": {"seed": [0], "threshold": [0.3], "model": [0], "first_below": [0],
                        "stayed_below": [0]},
        "positions": {"model": models, "first_pos": zero.astype(int) + 1,
                      "last_pos": zero.astype(int) + world.doc_tokens - 1,
                      "n_preds": np.full(len(models), n), "mean_nats": zero, "stderr_nats": zero},
    }  # fmt: skip
    facts = {"n_curves": n, "n_predictions": n, "n_sampled": n, "n_beyond_positions": 0}
    arrays = {"curves.zarr": world.losses[world.preds]}
    _stage(run, "curves", tables=tables, arrays=arrays, facts=facts)


def _sketch(run: RunFolder, world: World) -> None:
    n = len(world.preds)
    arrays = {"sketch.zarr": np.ones((n, 1), np.float16), "norms.zarr": np.ones(n, np.float32)}
    facts = {"dim": 1, "exact": False, "n_preds": n, "n_components": 1, "model": "made up"}
    facts |= {"fidelity": {"correlation": 1.0, "max_error": 0.0, "rmse": 0.0, "n_preds": 2}}
    _stage(run, "sketch", tables={}, arrays=arrays, facts=facts)


def _graph(run: RunFolder, world: World) -> None:
    """Join predictions of one cluster, and of clusters beside one another."""
    n = len(world.preds)
    by_cluster = np.argsort(world.cluster, kind="stable")
    rng = stream(0, "graph")
    steps = rng.integers(1, max(2, n // world.n_clusters), (world.n_neighbors // 2, n))
    far = (np.arange(n) + steps) % n
    row, column = np.broadcast_to(by_cluster, far.shape).ravel(), by_cluster[far].ravel()
    keys = np.unique(np.concatenate([row * n + column, column * n + row]))
    row, column = keys // n, keys % n
    kept = row != column
    edges = {
        "row": row[kept], "column": column[kept],
        "similarity": np.full(int(kept.sum()), 0.5, np.float32),
    }  # fmt: skip
    _stage(run, "graph", tables={"edges": edges}, facts={"n_edges": int(kept.sum()), "n_preds": n})


def _clusters(run: RunFolder, world: World) -> None:
    k, sizes = world.n_clusters, np.bincount(world.cluster, minlength=world.n_clusters)
    rank = np.empty(k, dtype=int)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(1, k + 1)
    rng = stream(0, "clusters")
    name = pa.DictionaryArray.from_arrays(world.cluster.astype(np.int32), world.names)
    same = pa.DictionaryArray.from_arrays(np.zeros(len(world.preds), np.int32), ["merged"])
    docs = np.unique(world.cluster * len(world.offsets) + world.preds // world.doc_tokens)
    tables = {
        "clusterings": {
            "clustering": ["merged"], "method": ["merged"], "parameter": [1.0], "n_clusters": [k],
            "stability": [0.9], "default": [True],
        },
        "members": {"clustering": same, "pred": world.preds, "cluster": name},
        "clusters": {
            "clustering": ["merged"] * k, "cluster": world.names, "rank": rank, "size": sizes,
            "mean_similarity": rng.uniform(0.3, 0.9, k), "null_similarity": np.full(k, 0.2),
            "coherent": np.ones(k, bool), "stability": rng.uniform(0, 1, k),
            "n_documents": np.bincount(docs // len(world.offsets), minlength=k),
        },
    }  # fmt: skip
    _stage(run, "clusters", tables=tables, facts={"default": "merged", "n_clusters": k})


def _labels(run: RunFolder, world: World) -> None:
    k = world.n_clusters
    target = np.arange(k) % len(world.words)
    labels = {
        "cluster": np.repeat(world.names, 2), "place": np.tile([1, 2], k),
        "feature": np.tile(["next", "last"], k),
        "token_ids": pa.array([[int(t)] for t in np.repeat(target, 2)], pa.list_(pa.int32())),
        "count": np.full(2 * k, 3), "log_odds": np.ones(2 * k), "z": np.ones(2 * k),
        "auc": np.tile([0.9, 0.8], k),
    }  # fmt: skip
    _stage(run, "labels", tables={"labels": labels}, facts={"clustering": "merged", "n_labels": k})


def _ranks(run: RunFolder, world: World) -> None:
    sizes = np.sort(np.bincount(world.cluster, minlength=world.n_clusters))[::-1]
    k = world.n_clusters
    rank = np.arange(1, k + 1)
    none = {"method": [], "read": [], "estimate": [], "lo": [], "hi": [], "level": [],
            "calibrated": [], "reason": [], "points": [], "population": [], "table": [],
            "n_rows": [], "row": []}  # fmt: skip
    tables = {
        "ranks": {"clustering": ["merged"] * k, "n_clusters": np.full(k, k), "rank": rank,
                  "size": sizes, "frequency": sizes / sizes.sum()},
        "envelope": {"rank": rank, "size": sizes, "n_clusters": np.full(k, k)},
        "calibration": none,
    }  # fmt: skip
    facts = {"calibrated": False, "n_clusterings": 1, "n_ranks": k}
    _stage(run, "ranks", tables=tables, facts=facts)


def _fits(run: RunFolder) -> None:
    fits: dict[str, Sequence[Any]] = {
        "name": ["alpha_N", "envelope_slope"], "estimate": [0.07, -1.5], "lo": [0.05, -1.6],
        "hi": [0.08, -1.4], "prefactor": [9.0, 1.0], "range_lo": [1e4, 1.0],
        "range_hi": [1e7, 100.0], "n_points": [4, 100], "method": ["made up"] * 2,
        "identified": [True] * 2, "calibrated": [False] * 2, "reason": [""] * 2,
    }  # fmt: skip
    _stage(run, "fits", tables={"fits": fits}, facts={"alpha_N": 0.07})


def main() -> None:
    """Make the run that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preds", type=int, default=1_000_000)
    parser.add_argument("--clusters", type=int, default=10_000)
    asked = parser.parse_args()
    make_run(asked.folder, World(asked.preds, asked.clusters, plain_words(20_000)))
    print(asked.folder)


if __name__ == "__main__":
    main()
