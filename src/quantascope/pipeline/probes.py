"""The stage of probes: every checkpoint of a family answers the questions of some sets.

Models whose losses stand and probe sets enter; leaves a table of the items and a score for each
item and model. Checkpoints are loaded one after the other; what is done is kept by checkpoint and
shard.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.lm.config import ProbesConfig
from quantascope.lm.probes.items import ProbeSet, digest, open_probes
from quantascope.pipeline.context import StageContext
from quantascope.pipeline.losses import load_cached
from quantascope.store.arrays import create_array
from quantascope.store.tables import read_table, write_table

__all__ = ["make_probes", "probe_digest"]


def probe_digest(sets: tuple[str, ...]) -> str:
    """Hash what some sets hold now; the config keeps it, so that an edited set is noticed.

    Raises
    ------
    ValueError
        If a set is neither bundled nor a file, or is named twice.
    DataError
        If a file cannot be read as a set.
    """
    return digest(_opened(sets))


def make_probes(context: StageContext) -> dict[str, Any]:
    """Score all models of the run on all items."""
    from quantascope.lm.loading import shared_tokenizer
    from quantascope.lm.models import resolve_models
    from quantascope.lm.outline import outline_model
    from quantascope.lm.probes.scoring import SCORES, encode_items

    config = context.config.probes
    sets = _opened(config.sets)
    if digest(sets) != config.sha256:
        raise DataError(
            "probes: a set was edited since it was asked for; ask again with `quantascope probe`"
        )
    models = _models(context)
    sources = resolve_models(context.config.models)
    shared = shared_tokenizer(sources)
    items = [item for each in sets for item in each.items]
    encoded = encode_items(
        items,
        shared.tokenizer,
        max_length=min(outline_model(source).context_length for source in sources),
        bos_id=shared.bos_id,
    )
    work = [
        ProbeShard(
            source=source,
            config=config,
            weights_sha256=models[j]["weights_sha256"],
            encoded=encoded[start : start + config.shard_items],
            column=j,
            place=place,
        )
        for j, source in enumerate(sources)
        for place, start in enumerate(range(0, len(encoded), config.shard_items))
    ]
    _compute(context, work)
    folder, shards = context.workspace.path, context.workspace.shards
    arrays = [
        create_array(folder, "probes", name=f"{name}.zarr", shape=(len(items), len(sources)))
        for name in SCORES
    ]
    for j in range(len(sources)):
        scores = np.concatenate([shards.load(s.name) for s in work if s.column == j])
        for array, column in zip(arrays, scores.T, strict=True):
            array[:, j] = column
    write_table(folder, "probes", name="items.parquet", table=_items(sets, encoded))
    return {
        "n_items": len(items),
        "n_skills": len({item.skill for item in items}),
        "n_models": len(sources),
        "n_cut": sum(each.n_cut > 0 for each in encoded),
        "n_off_boundary": sum(not each.at_boundary for each in encoded),
    }


@dataclass(frozen=True)
class ProbeShard:
    """Some items under one model."""

    source: Any
    config: ProbesConfig
    weights_sha256: str
    encoded: list[Any]
    column: int
    place: int

    @property
    def name(self) -> str:
        """Name of the shard's file."""
        return f"probes-{self.column:03d}-{self.place:05d}"


def _opened(names: tuple[str, ...]) -> list[ProbeSet]:
    if not names:
        raise ValueError("probes.sets: none; name bundled sets or files (`quantascope probe`)")
    if len(set(names)) < len(names):
        raise ValueError(f"probes.sets: {sorted(names)} names a set twice; name each once")
    return [open_probes(name) for name in names]


def _models(context: StageContext) -> list[dict[str, Any]]:
    """Give the cards of the models whose losses stand."""
    if context.config.losses.source != "models":
        raise DataError(
            f"{context.run.root}: its losses come from {context.config.losses.source}, so there "
            "are no models to ask; probes need a run over --suite or --model"
        )
    return read_table(context.run.stage("losses"), "models.parquet").to_pylist()


def _compute(context: StageContext, work: list[ProbeShard]) -> None:
    shards = context.workspace.shards
    todo = [shard for shard in work if not shards.has(shard.name)]
    total = sum(len(shard.encoded) for shard in work)
    with context.track("probes", total, unit="items") as advance:
        advance(total - sum(len(shard.encoded) for shard in todo))

        def keep(shard: ProbeShard, scores: NDArray[np.float32]) -> None:
            shards.save(shard.name, scores)
            advance(len(scores))

        context.run_shards("probes", _scores, todo, on_done=keep)


def _scores(shard: ProbeShard) -> NDArray[np.float32]:
    """Score one shard in a worker."""
    from quantascope.lm.loading import torch_dtype
    from quantascope.lm.probes.scoring import score_items

    config = shard.config
    module, card = load_cached(shard.source, config.device, config.dtype)
    if card.weights_sha256 != shard.weights_sha256:
        raise DataError(
            f"model {card.name}: its weights are not those that the run's losses are of; redo with "
            "--overwrite losses"
        )
    return score_items(
        module,
        shard.encoded,
        dtype=torch_dtype(config.dtype, device=config.device),
        batch_tokens=config.batch_tokens,
        name=card.name,
    )


def _items(sets: list[ProbeSet], encoded: list[Any]) -> pa.Table:
    items = [(each.name, item) for each in sets for item in each.items]
    rows = [
        {
            "item": i,
            "set": name,
            "line": item.line,
            "skill": item.skill,
            "context": item.context,
            "answer": item.answers[0],
            "n_answers": len(item.answers),
            "n_wrong": len(item.wrong),
            "n_tokens": len(code.options[0]),
            "n_cut": code.n_cut,
            "at_boundary": code.at_boundary,
        }
        for i, ((name, item), code) in enumerate(zip(items, encoded, strict=True))
    ]
    return pa.Table.from_pylist(rows)
