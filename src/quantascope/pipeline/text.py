"""The stages from text to selected predictions: corpus, losses, selection."""

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.lm.config import LossesConfig
from quantascope.lm.selection import select_predictions
from quantascope.pipeline.context import CorpusArrays, StageContext
from quantascope.pipeline.imported import import_losses
from quantascope.pipeline.loss_columns import TRACKER, write_losses
from quantascope.store.arrays import open_array, write_npy
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table, write_table
from quantascope.store.truth import TRUTH_FILE, write_truth

__all__ = ["load_cached", "make_corpus", "make_losses", "make_selection", "model_column"]

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


def make_losses(context: StageContext) -> dict[str, Any]:
    """Compute one loss for each prediction and model, shard by shard; or import them."""
    from quantascope.lm.losses import shard_documents
    from quantascope.lm.models import resolve_models

    corpus, source = CorpusArrays.of(context.run), context.config.losses.source
    if source == TRACKER:
        raise DataError(
            f"{context.run.root}: its losses were logged while training and cannot be computed "
            "again; log them on a new run, or set losses.source=models"
        )
    if source != "models":
        return import_losses(context, corpus)
    sources = resolve_models(context.config.models)
    cards = _cards(context, sources)
    bounds = shard_documents(corpus.offsets, shard_tokens=context.config.losses.shard_tokens)
    largest_first = sorted(range(len(sources)), key=lambda j: -cards[j]["n_params"])
    work = [
        LossShard(
            source=sources[j],
            config=context.config.losses,
            tokens=corpus.tokens[corpus.offsets[lo] : corpus.offsets[hi]],
            offsets=corpus.offsets[lo : hi + 1] - corpus.offsets[lo],
            max_length=corpus.max_length,
            bos_id=corpus.bos_id,
            first_document=lo,
            column=j,
            place=s,
        )
        for j in largest_first
        for s, (lo, hi) in enumerate(bounds)
    ]
    _compute_shards(context, work)
    shards = context.workspace.shards
    columns = (
        np.concatenate([shards.load(s.name) for s in by_place if s.column == j])
        for by_place in [sorted(work, key=lambda s: s.place)]
        for j in range(len(cards))
    )
    return write_losses(context.workspace.path, columns, cards=cards, n_tokens=len(corpus.tokens))


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


@dataclass(frozen=True)
class LossShard:
    """Some documents under one model."""

    source: Any
    config: LossesConfig
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    max_length: int
    bos_id: int | None
    first_document: int
    column: int
    place: int

    @property
    def name(self) -> str:
        """Name of the shard's file."""
        return f"losses-{self.column:03d}-{self.place:05d}"


def _cards(context: StageContext, sources: list[Any]) -> list[dict[str, Any]]:
    """Describe every model before any loss is computed, so that equal weights stop early."""
    from quantascope.lm.models import ModelCard, check_distinct

    shards = context.workspace.shards
    names = {source.name: f"card-{j:03d}" for j, source in enumerate(sources)}
    todo = [source for source in sources if not shards.has(names[source.name])]
    with context.track("models", len(sources), unit="models") as advance:
        advance(len(sources) - len(todo))

        def keep(source: Any, card: dict[str, Any]) -> None:
            text = json.dumps(card, sort_keys=True).encode()
            shards.save(names[source.name], np.frombuffer(text, dtype=np.uint8))
            advance(1)

        context.run_shards("losses", _describe, todo, on_done=keep)
    cards = [json.loads(shards.load(names[source.name]).tobytes()) for source in sources]
    check_distinct([ModelCard(**card) for card in cards])
    return cards


def _compute_shards(context: StageContext, work: list[LossShard]) -> None:
    shards = context.workspace.shards
    todo = [shard for shard in work if not shards.has(shard.name)]
    total = sum(len(shard.tokens) for shard in work)
    with context.track("losses", total, unit="tokens") as advance:
        advance(total - sum(len(shard.tokens) for shard in todo))

        def keep(shard: LossShard, losses: NDArray[np.float32]) -> None:
            shards.save(shard.name, losses)
            advance(len(losses))

        context.run_shards("losses", _losses, todo, on_done=keep)


def _describe(source: Any) -> dict[str, Any]:
    """Load a model in a worker and describe it."""
    return asdict(load_cached(source, "cpu", "float32")[1])


def _losses(shard: LossShard) -> NDArray[np.float32]:
    """Compute the losses of one shard in a worker."""
    from quantascope.lm.loading import torch_dtype
    from quantascope.lm.losses import document_losses

    config = shard.config
    module, card = load_cached(shard.source, config.device, config.dtype)
    return document_losses(
        module,
        shard.tokens,
        shard.offsets,
        max_length=shard.max_length + (shard.bos_id is not None),
        bos_id=shard.bos_id,
        dtype=torch_dtype(config.dtype, device=config.device),
        batch_tokens=config.batch_tokens,
        name=card.name,
        first_document=shard.first_document,
    )


@lru_cache(maxsize=1)
def load_cached(source: Any, device: str, dtype: str) -> tuple[Any, Any]:
    """Load a model, keeping the last one: shards of one model come one after the other."""
    import torch
    from transformers.utils import logging

    from quantascope.lm.loading import load_model

    torch.set_num_threads(1)  # torch's own pool is not under the limits that the runner sets
    logging.disable_progress_bar()  # the run shows its own
    return load_model(source, device=device, dtype=dtype)
