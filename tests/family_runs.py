"""A run whose corpus stands, and tables of losses made up for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from quantascope.core.rng import stream
from quantascope.pipeline.config import RunConfig, set_values
from quantascope.pipeline.context import CorpusArrays
from quantascope.pipeline.runner import run_stages
from quantascope.store.folder import RunFolder

SIZES = (1000, 4000, 16_000, 64_000, 256_000, 1_024_000)
STEPS = (10, 100)
SEEDS = (0, 1, 2)


def corpus_config(model: Path, text: Path) -> RunConfig:
    settings = ["selection.n=60", "selection.copied_ngram=0", "losses.shard_tokens=1500"]
    config = set_values(RunConfig(), [*settings, "corpus.n_tokens=4000"])
    return replace(
        config,
        models=replace(config.models, model=(str(model),)),
        corpus=replace(config.corpus, source=(str(text),), n_tokens=4000),
    )


def corpus_run(folder: Path, *, model: Path, text: Path) -> RunFolder:
    """Make a run with nothing but a corpus."""
    run = RunFolder(folder)
    run_stages(run, corpus_config(model, text), kinds=["corpus"])
    return run


def predictions(run: RunFolder) -> np.ndarray:
    corpus = CorpusArrays.of(run)
    return np.setdiff1d(np.arange(len(corpus.tokens)), corpus.offsets)


def made_up_losses(run: RunFolder) -> pa.Table:
    """Losses of a family: a row for each prediction, size, step and seed.

    A third stays, a third falls by and by, a third falls at once at the fourth size.
    """
    pred = predictions(run)
    rng = stream(0, "made up losses")
    parts = []
    for i, size in enumerate(SIZES):
        for k, step in enumerate(STEPS):
            for seed in SEEDS:
                fall = np.choose(pred % 3, [0.0, 1.1 * i, 5.9 * (i > 2)]) * (k + 1) / 2
                loss = np.maximum(6.0 - fall + 0.05 * rng.standard_normal(len(pred)), 0.01)
                name = f"{size}-seed{seed}@step{step}"
                n = len(pred)
                columns = {
                    "pred": pred,
                    "model": [name] * n,
                    "loss": loss.astype(np.float32),
                    "n_params": [size] * n,
                    "step": [step] * n,
                    "seed": [seed] * n,
                }
                parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def write(table: pa.Table, path: Path) -> Path:
    pq.write_table(table, path)
    return path
