"""The stage of curves: losses of some predictions under all models, and statistics of all.

Losses of all predictions are streamed block by block: what is held is a block, the counts and the
sample. The curves themselves are then gathered model by model.
"""

import math
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.rng import derive_seed, hash_order
from quantascope.families.distribution import LossDistribution
from quantascope.families.positions import LossByPosition
from quantascope.pipeline.context import CorpusArrays, StageContext
from quantascope.store.arrays import create_array, open_array
from quantascope.store.tables import read_table, write_table

__all__ = ["make_curves"]

_BLOCK: Final = 1 << 16  # rows of a chunk on disk: each is read once


def make_curves(context: StageContext) -> dict[str, Any]:
    """Gather the curves of selected and sampled predictions, and count the losses of all."""
    corpus, config = CorpusArrays.of(context.run), context.config.curves
    losses = open_array(context.run.stage("losses"), "losses", name="losses.zarr")
    models = read_table(context.run.stage("losses"), "models.parquet").to_pylist()
    chains = _size_chains(models)
    whole, positions = LossDistribution(len(models)), LossByPosition(len(models))
    by_seed = {seed: LossDistribution(len(chain), n_bins=1) for seed, chain in chains.items()}
    sample = _Sample(config.n_sample, seed=derive_seed(config.seed, "curves"))
    with context.track("curves", len(corpus.tokens), unit="predictions") as advance:
        for start in range(0, len(corpus.tokens), _BLOCK):
            block = np.asarray(losses[start : start + _BLOCK])
            pred = start + np.flatnonzero(~np.isnan(block).all(axis=1))
            block = block[pred - start]
            whole.add(block)
            positions.add(block, _place(corpus, pred)[1])
            for seed, chain in chains.items():
                by_seed[seed].add(block[:, chain])
            sample.add(pred)
            advance(min(_BLOCK, len(corpus.tokens) - start))
    pred = _write_curves(context, corpus, losses, sampled=sample.pred)
    folder = context.workspace.path
    tables = {
        "distribution.parquet": whole.to_table(),
        "persistence.parquet": _persistence(chains, by_seed),
        "positions.parquet": positions.to_table(),
    }
    for name, table in tables.items():
        write_table(folder, "curves", name=name, table=table)
    return {
        "n_curves": len(pred),
        "n_sampled": len(sample.pred),
        "n_predictions": whole.n_preds,
        "n_beyond_positions": positions.n_left_out,
    }


class _Sample:
    """A random sample of predictions that come in blocks: those first in a seeded order."""

    def __init__(self, n: int, *, seed: int) -> None:
        self._n, self._seed = n, seed
        self.pred: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def add(self, pred: NDArray[np.int64]) -> None:
        """Take a block into account."""
        both = np.concatenate([self.pred, pred])
        if len(both) > self._n:
            both = both[np.argpartition(hash_order(both, seed=self._seed), self._n)[: self._n]]
        self.pred = both


def _size_chains(models: list[dict[str, Any]]) -> dict[int, list[int]]:
    """Give by seed the models of its sizes, ascending, each at its last step; two or more."""
    last: dict[tuple[int, int], dict[str, Any]] = {}
    for row in sorted(models, key=_step):
        last[row["seed"] or 0, row["n_params"]] = row
    seeds = sorted({seed for seed, _ in last})
    chains = {s: [row["model"] for key, row in sorted(last.items()) if key[0] == s] for s in seeds}
    return {seed: chain for seed, chain in chains.items() if len(chain) > 1}


def _step(row: dict[str, Any]) -> float:
    """Order checkpoints: a model without a step is the finished one."""
    return math.inf if row["step"] is None else float(row["step"])


def _place(
    corpus: CorpusArrays, pred: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give document and position of predictions."""
    doc = np.searchsorted(corpus.offsets, pred, side="right") - 1
    return doc, pred - corpus.offsets[doc]


def _write_curves(
    context: StageContext, corpus: CorpusArrays, losses: Any, *, sampled: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Write the losses of selected and sampled predictions; give these, ascending."""
    folder = context.workspace.path
    chosen = read_table(context.run.stage("selection"), "preds.parquet").column("pred").to_numpy()
    pred = np.union1d(chosen, sampled)
    doc, pos = _place(corpus, pred)
    columns = {"pred": pred, "doc": doc, "pos": pos}
    columns |= {"selected": np.isin(pred, chosen), "sampled": np.isin(pred, sampled)}
    write_table(folder, "curves", name="preds.parquet", table=pa.table(columns))
    shape = (len(pred), losses.shape[1])
    array = create_array(folder, "curves", name="curves.zarr", shape=shape)
    for model in range(shape[1]):
        array[:, model] = np.asarray(losses[:, model])[pred]
    return pred


def _persistence(chains: dict[int, list[int]], by_seed: dict[int, LossDistribution]) -> pa.Table:
    rows: dict[str, list[Any]] = {
        name: [] for name in ("seed", "threshold", "model", "first_below", "stayed_below")
    }
    for seed, chain in chains.items():
        for found in by_seed[seed].persistence():
            rows["seed"] += [seed] * len(chain)
            rows["threshold"] += [found.threshold] * len(chain)
            rows["model"] += chain
            rows["first_below"] += found.first_below.tolist()
            rows["stayed_below"] += found.stayed_below.tolist()
    kinds = {"threshold": pa.float64()}
    return pa.table({k: pa.array(v, type=kinds.get(k, pa.int64())) for k, v in rows.items()})
