"""The sketch stage: gradients of the selected predictions, shard by shard, in selection order."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.pipeline.context import CorpusArrays, StageContext
from quantascope.pipeline.given_vectors import sketch_from_file
from quantascope.pipeline.losses import load_cached
from quantascope.qdg.config import SketchConfig
from quantascope.store.arrays import create_array, write_array
from quantascope.store.tables import read_table

__all__ = ["make_sketch"]

Sequence = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Token ids of one document, and the positions of its targets."""

_MAPS: Final = "whitening"
_AGREEMENT: Final = "agreement"
_AGREEMENT_PREDS: Final = 256
_LEAST_CORRELATION: Final = 0.9
_CHUNK_ROWS: Final = 4096  # 32 MB of half-precision sketches in hand while shards are put in order


@dataclass(frozen=True)
class SketchShard:
    """Some documents with their targets under one model."""

    source: Any
    config: SketchConfig
    sequences: tuple[Sequence, ...]
    n_preds: int
    place: int
    maps: Path | None = None
    """File of the whitening of all blocks; None where gradients are compared as they are."""

    def name(self, part: str) -> str:
        """Name of the shard's file for ``sketch`` or ``norms``."""
        return f"{part}-{self.place:05d}"


def make_sketch(context: StageContext) -> dict[str, Any]:
    """Take the gradient of every selected prediction and press it into a sketch."""
    from quantascope.lm.models import resolve_models

    selection = context.run.require("selection")
    config = context.config.sketch
    if config.vectors:
        return sketch_from_file(context)
    name = config.model or str(selection.facts["model"])
    sources = {source.name: source for source in resolve_models(context.config.models)}
    if name not in sources:
        raise ValueError(
            f"sketch.model: {name!r} is not a model of this run; it has {list(sources)}"
        )
    preds = read_table(context.run.stage("selection"), "preds.parquet")
    pred, doc = preds.column("pred").to_numpy(), preds.column("doc").to_numpy()
    by_doc = np.lexsort((pred, doc))
    corpus = CorpusArrays.of(context.run)
    work = _shards(corpus, sources[name], config, pred=pred[by_doc], doc=doc[by_doc])
    if config.whiten:
        maps = _whitening(context, work)
        work = [replace(shard, maps=maps) for shard in work]
    agreement = _agreement(context, work)
    _compute(context, work)
    n_zero = _assemble(context, work, by_doc=by_doc)
    return {
        "model": name,
        "n_preds": len(pred),
        "n_zero": n_zero,
        "n_moment_preds": min(config.moment_preds, len(pred)) if config.whiten else 0,
        "dim": config.dim,
        "engine_agreement": agreement,
        **_measures(work),
    }


def _shards(
    corpus: CorpusArrays,
    source: Any,
    config: SketchConfig,
    *,
    pred: NDArray[np.int64],
    doc: NDArray[np.int64],
) -> list[SketchShard]:
    """Cut rising predictions into shards of whole documents."""
    starts = np.flatnonzero(np.r_[True, doc[1:] != doc[:-1]])
    bounds = np.r_[starts, len(pred)]
    work: list[SketchShard] = []
    sequences: list[Sequence] = []
    n_preds = 0
    for lo, hi in zip(bounds[:-1], bounds[1:], strict=True):
        sequences.append(_sequence(corpus, doc=int(doc[lo]), pred=pred[lo:hi]))
        n_preds += int(hi - lo)
        if n_preds >= config.shard_preds or hi == len(pred):
            work.append(SketchShard(source, config, tuple(sequences), n_preds, len(work)))
            sequences, n_preds = [], 0
    return work


def _sequence(corpus: CorpusArrays, *, doc: int, pred: NDArray[np.int64]) -> Sequence:
    """Give a document's input ids and its targets' positions in them."""
    start, stop = int(corpus.offsets[doc]), int(corpus.offsets[doc + 1])
    input_ids = np.asarray(corpus.tokens[start:stop], dtype=np.int64)
    if corpus.bos_id is None:
        return input_ids, pred - start
    return np.r_[np.int64(corpus.bos_id), input_ids], pred - start + 1


def _whitening(context: StageContext, work: list[SketchShard]) -> Path:
    """Measure the maps on drawn predictions, once; a resumed run reads them back."""
    from quantascope.qdg.sketch import measure_whitening

    shards, config = context.workspace.shards, work[0].config
    if not shards.has(_MAPS):
        module, _ = load_cached(work[0].source, config.device, config.dtype)
        sample = _drawn(work, config.moment_preds, seed=config.seed)
        shards.save(_MAPS, measure_whitening(module, sample, config=config).pack())
    return shards.folder / f"{_MAPS}.npy"


def _agreement(context: StageContext, work: list[SketchShard]) -> dict[str, Any] | None:
    """Measure an engine that approximates, once; refuse it where it is wrong, unless accepted."""
    from quantascope.qdg.engines import APPROXIMATE
    from quantascope.qdg.fidelity import measure_agreement

    shards, config = context.workspace.shards, work[0].config
    if config.engine not in APPROXIMATE:
        return None
    if not shards.has(_AGREEMENT):
        module, _ = load_cached(work[0].source, config.device, config.dtype)
        sample = _drawn(work, _AGREEMENT_PREDS, seed=config.seed)
        found = measure_agreement(
            module, sample, config=config, whitening=_maps_of(work[0], module)
        )
        text = json.dumps(asdict(found)).encode()
        shards.save(_AGREEMENT, np.frombuffer(text, dtype=np.uint8))
    agreement: dict[str, Any] = json.loads(shards.load(_AGREEMENT).tobytes())
    if agreement["correlation"] < _LEAST_CORRELATION and not config.accept_approximation:
        raise DataError(
            f"sketch.engine: {config.engine} agrees with the exact engine at r "
            f"{agreement['correlation']:.2f} only ({agreement['neighbour_overlap']:.0%} of the "
            f"nearest neighbours, {agreement['n_preds']} predictions of this run; r "
            f"{_LEAST_CORRELATION} is needed); set sketch.engine=batched, or "
            "sketch.accept_approximation=true"
        )
    return agreement


def _maps_of(shard: SketchShard, module: Any) -> Any:
    from quantascope.qdg.sketch import chosen_blocks
    from quantascope.qdg.whitening import Whitening

    if shard.maps is None:
        return None
    packed = np.load(shard.maps, allow_pickle=False)
    return Whitening.unpack(packed, chosen_blocks(module, shard.config).shapes)


def _compute(context: StageContext, work: list[SketchShard]) -> None:
    shards = context.workspace.shards
    todo = [shard for shard in work if not shards.has(shard.name("norms"))]
    total = sum(shard.n_preds for shard in work)
    with context.track("sketch", total, unit="predictions") as advance:
        advance(total - sum(shard.n_preds for shard in todo))

        def keep(shard: SketchShard, result: tuple[NDArray[Any], NDArray[Any]]) -> None:
            shards.save(shard.name("sketch"), result[0])
            shards.save(shard.name("norms"), result[1])  # last: its presence means both are there
            advance(shard.n_preds)

        context.run_shards("sketch", _sketch, todo, on_done=keep)


def _assemble(context: StageContext, work: list[SketchShard], *, by_doc: NDArray[np.int64]) -> int:
    """Put rows, computed in document order, into the selection's; count those without gradient."""
    folder, shards = context.workspace.path, context.workspace.shards
    n = len(by_doc)
    first = np.cumsum([0] + [shard.n_preds for shard in work])
    row_of = np.empty(n, dtype=np.int64)
    row_of[by_doc] = np.arange(n)
    norms = np.concatenate([shards.load(shard.name("norms")) for shard in work])
    write_array(folder, "sketch", name="norms.zarr", values=norms[row_of])
    dim = shards.load(work[0].name("sketch")).shape[1]
    array = create_array(
        folder, "sketch", name="sketch.zarr", shape=(n, dim), chunk_rows=_CHUNK_ROWS
    )
    ordered = np.lib.format.open_memmap(
        shards.folder / "ordered.tmp", mode="w+", dtype=np.float16, shape=(n, dim)
    )
    for shard, lo, hi in zip(work, first[:-1], first[1:], strict=True):
        ordered[by_doc[lo:hi]] = shards.load(shard.name("sketch"))
    for lo in range(0, n, _CHUNK_ROWS):
        array[lo : lo + _CHUNK_ROWS] = ordered[lo : lo + _CHUNK_ROWS]
    return int((norms == 0).sum())


def _sketch(shard: SketchShard) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Sketch one shard in a worker."""
    from quantascope.qdg.sketch import sketch_predictions

    config = shard.config
    module, _ = load_cached(shard.source, config.device, config.dtype)
    sketch, norms = sketch_predictions(
        module, shard.sequences, config=config, whitening=_maps_of(shard, module)
    )
    return sketch, norms


def _measures(work: list[SketchShard]) -> dict[str, Any]:
    """Count the gradient's components, and measure the sketch's error on a few predictions."""
    from quantascope.qdg.fidelity import measure_fidelity, n_affordable
    from quantascope.qdg.sketch import chosen_blocks, is_exact

    source, config = work[0].source, work[0].config
    module, _ = load_cached(source, config.device, config.dtype)
    choice = chosen_blocks(module, config)
    sample = _sample(work, n_affordable(choice.n_params))
    enough = sum(len(positions) for _, positions in sample) > 1
    maps = _maps_of(work[0], module)
    found = measure_fidelity(module, sample, config=config, whitening=maps) if enough else None
    fidelity = asdict(found) if found else None
    exact = is_exact(
        choice.shapes, dim=config.dim, input_dim=config.input_dim, output_dim=config.output_dim
    )
    return {"n_components": choice.n_params, "exact": exact, "fidelity": fidelity}


def _drawn(work: list[SketchShard], n: int, *, seed: int) -> list[Sequence]:
    """Draw `n` of all predictions, each with the same chance wherever in its document it stands."""
    sequences = [sequence for shard in work for sequence in shard.sequences]
    bounds = np.cumsum([0] + [len(positions) for _, positions in sequences])
    kept = np.zeros(bounds[-1], dtype=np.bool_)
    kept[stream(seed, "sketch", "moments").permutation(len(kept))[:n]] = True
    chosen = [kept[lo:hi] for lo, hi in zip(bounds[:-1], bounds[1:], strict=True)]
    return [
        (ids, positions[mask])
        for (ids, positions), mask in zip(sequences, chosen, strict=True)
        if mask.any()
    ]


def _sample(work: list[SketchShard], n: int) -> list[Sequence]:
    """Take two predictions each of sequences spread over the run, `n` in all at most."""
    sequences = [sequence for shard in work for sequence in shard.sequences]
    step = max(1, 2 * len(sequences) // max(n, 1))
    return [(ids, positions[:2]) for ids, positions in sequences[::step][: n // 2]]
