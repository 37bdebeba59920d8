"""The stages from text to selected predictions, but for the losses: corpus, selection."""

import math
from collections import Counter
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pyarrow as pa

from quantascope.lm.selection import select_predictions
from quantascope.pipeline.context import CorpusArrays, StageContext
from quantascope.store.arrays import open_array, write_npy
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table, write_table
from quantascope.store.truth import TRUTH_FILE, write_truth

__all__ = ["make_corpus", "make_selection", "model_column"]

_MAX_LENGTH: Final = 1024  # the paper's cut, arXiv:2303.13506 section 5


def make_corpus(context: StageContext) -> dict[str, Any]:
    """Read the sources, encode them, write tokens, offsets, documents and vocabulary."""
    from quantascope.lm.corpus import build_corpus
    from quantascope.lm.loading import shared_tokenizer
    from quantascope.lm.models import resolve_models
    from quantascope.lm.seen import SeenCounter, training_fingerprint
    from quantascope.lm.sources import open_sources

    config = context.config.corpus
    sources = resolve_models(context.config.models)
    shared = shared_tokenizer(sources)
    max_length = _max_length(sources, config.max_length, n_reserved=int(shared.bos_id is not None))
    rejects: Counter[str] = Counter()
    watch = SeenCounter(training_fingerprint(sources))
    with context.track("corpus", config.n_tokens or 0, unit="tokens") as advance:
        corpus = build_corpus(
            watch.passing(open_sources(config, rejects=rejects)),
            shared.tokenizer,
            config=config,
            max_length=max_length,
            rejects=rejects,
            advance=advance,
        )
    folder = context.workspace.path
    write_npy(folder, "corpus", name="tokens.npy", values=corpus.tokens)
    write_npy(folder, "corpus", name="offsets.npy", values=corpus.offsets)
    write_table(folder, "corpus", name="docs.parquet", table=corpus.docs)
    write_table(folder, "corpus", name="vocab.parquet", table=corpus.vocab)
    return _keep_truth(context, corpus) | {
        "n_tokens": len(corpus.tokens),
        "n_documents": len(corpus.offsets) - 1,
        "n_predictions": len(corpus.tokens) - len(corpus.offsets) + 1,
        "max_length": max_length,
        "bos_id": shared.bos_id,
        "tokenizer_sha256": shared.sha256,
        "rejects": dict(sorted(rejects.items())),
        "seen": watch.report(corpus.docs.column("document_hash").to_pylist()),
    }


def _keep_truth(context: StageContext, corpus: Any) -> dict[str, Any]:
    """Write which skill rules each prediction where text is planted; drop what another run knew."""
    from quantascope.lm.planted.truth import planted_truth

    truth = planted_truth(
        corpus.tokens,
        corpus.offsets,
        docs=corpus.docs,
        vocab=corpus.vocab,
        seed=context.config.corpus.seed,
    )
    if truth is None:
        (context.run.root / TRUTH_FILE).unlink(missing_ok=True)
        return {}
    return {"truth_sha256": write_truth(context.run.root, truth)}


def _max_length(sources: list[Any], wanted: int | None, *, n_reserved: int) -> int:
    """Cut at what the config wants, else at the paper's 1,024 tokens; never past a context."""
    from quantascope.lm.outline import outline_model

    shortest = min(outline_model(source).context_length for source in sources) - n_reserved
    return min(shortest, wanted or _MAX_LENGTH)


def make_selection(context: StageContext) -> dict[str, Any]:
    """Choose the predictions whose gradients are taken."""
    corpus, config = CorpusArrays.of(context.run), context.config.selection
    column, name = model_column(context.run, config.model)
    losses = open_array(context.run.stage("losses"), "losses", name="losses.zarr")[:, column]
    chosen = select_predictions(np.asarray(losses), corpus.tokens, corpus.offsets, config=config)
    preds = pa.table(
        {
            "pred": chosen.pred,
            "doc": chosen.doc,
            "pos": chosen.pos,
            "loss_nats": chosen.loss_nats,
            "order": chosen.order,
        }
    )
    counts = pa.Table.from_pylist([asdict(count) for count in chosen.counts])
    write_table(context.workspace.path, "selection", name="preds.parquet", table=preds)
    write_table(context.workspace.path, "selection", name="counts.parquet", table=counts)
    return {
        "model": name,
        "n_preds": len(chosen.pred),
        "n_wanted": config.n,
        "threshold_nats": chosen.threshold_nats,
        "threshold_raised": chosen.raised,
    }


def model_column(run: RunFolder, name: str) -> tuple[int, str]:
    """Find a model of the run by name; an empty name means the largest, at its last step.

    Raises
    ------
    ValueError
        If the run has no model of that name.
    """
    rows = read_table(run.stage("losses"), "models.parquet").to_pylist()
    if not name:
        best = max(rows, key=lambda row: (row["n_params"], _step(row), -row["model"]))
        return int(best["model"]), str(best["name"])
    for row in rows:
        if row["name"] == name:
            return int(row["model"]), name
    names = ", ".join(row["name"] for row in rows)
    raise ValueError(f"selection.model: {name!r} is not a model of this run; it has {names}")


def _step(row: dict[str, Any]) -> float:
    """Order checkpoints: a model without a step is the finished one."""
    return math.inf if row["step"] is None else float(row["step"])
