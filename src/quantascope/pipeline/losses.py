"""The stage of losses: one for each prediction and model, one checkpoint after the other.

A checkpoint is loaded when its turn comes, hashed, and freed by the next: a family of hundreds
needs the memory, and if so wanted the disk, of one for each process. What is done is kept shard by
shard. A family that grows keeps what stands: a model whose weights and text are those of before is
loaded and hashed, and its losses are taken over.
"""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.lm.config import LossesConfig
from quantascope.pipeline.context import CorpusArrays, StageContext
from quantascope.pipeline.imported import import_losses
from quantascope.pipeline.loss_columns import TRACKER, check_cards, write_losses
from quantascope.pipeline.standing import TEXT_FACT, StandingLosses, find_standing, text_digest
from quantascope.store.digest import digest_json
from quantascope.store.folder import Shards

__all__ = ["load_cached", "make_losses"]

_FETCHED: Final = np.zeros(0, dtype=np.uint8)


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
    sources, standing = resolve_models(context.config.models), find_standing(context)
    bounds = shard_documents(corpus.offsets, shard_tokens=context.config.losses.shard_tokens)
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
            place=place,
            standing=standing,
            first_token=int(corpus.offsets[lo]),
        )
        for j in reversed(range(len(sources)))  # suites end with their largest
        for place, (lo, hi) in enumerate(bounds)
    ]
    cards = _compute_shards(context, work)
    shards = context.workspace.shards
    columns = (
        np.concatenate([shards.load(s.name) for s in work if s.column == j])
        for j in range(len(sources))
    )
    facts = write_losses(context.workspace.path, columns, cards=cards, n_tokens=len(corpus.tokens))
    return facts | {TEXT_FACT: text_digest(context.run)}


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
    standing: StandingLosses
    first_token: int

    @property
    def name(self) -> str:
        """Name of the shard's file."""
        return f"losses-{self.model}-{self.place:05d}"

    @property
    def model(self) -> str:
        """Name of the model's own files: another model in its column does not find them."""
        return f"{self.column:03d}-{digest_json(asdict(self.source))[:12]}"

    def compute(self, module: Any, *, name: str) -> NDArray[np.float32]:
        """Compute the loss [nat] of each token, NaN where there is no prediction."""
        from quantascope.lm.loading import torch_dtype
        from quantascope.lm.losses import document_losses

        config = self.config
        return document_losses(
            module,
            self.tokens,
            self.offsets,
            max_length=self.max_length + (self.bos_id is not None),
            bos_id=self.bos_id,
            dtype=torch_dtype(config.dtype, device=config.device),
            batch_tokens=config.batch_tokens,
            name=name,
            first_document=self.first_document,
        )


def _compute_shards(context: StageContext, work: list[LossShard]) -> list[dict[str, Any]]:
    """Compute what is not there yet; give the card of each model."""
    shards = context.workspace.shards
    cards = _Cards(shards, {shard.column: shard.model for shard in work})
    downloads = _Downloads(shards, work, keep=context.config.losses.keep_downloads)
    todo = [shard for shard in work if not shards.has(shard.name)]
    total = sum(len(shard.tokens) for shard in work)
    with context.track("losses", total, unit="tokens") as advance:
        advance(total - sum(len(shard.tokens) for shard in todo))

        def keep(shard: LossShard, found: tuple[NDArray[np.float32], dict[str, Any]]) -> None:
            losses, card = found
            cards.add(shard.column, card)
            shards.save(shard.name, losses)
            downloads.drop_done(shard.column)
            advance(len(losses))

        context.run_shards("losses", _losses, todo, on_done=keep)
    return cards.all()


class _Cards:
    """Cards of models as they come: equal weights stop the stage at once."""

    def __init__(self, shards: Shards, models: dict[int, str]) -> None:
        self._shards, self._models = shards, models
        self._found: dict[int, dict[str, Any]] = {}
        for column in sorted(models):
            if shards.has(self._name(column)):
                self._found[column] = json.loads(shards.load(self._name(column)).tobytes())

    def add(self, column: int, card: dict[str, Any]) -> None:
        """Keep the card of a model, once."""
        if column in self._found:
            return
        self._found[column] = card
        check_cards([self._found[column] for column in sorted(self._found)])
        text = json.dumps(card, sort_keys=True).encode()
        self._shards.save(self._name(column), np.frombuffer(text, dtype=np.uint8))

    def all(self) -> list[dict[str, Any]]:
        """Give the cards in the order of the columns."""
        return [self._found[column] for column in sorted(self._found)]

    def _name(self, column: int) -> str:
        return f"card-{self._models[column]}"


class _Downloads:
    """Weights that this stage fetches from the hub: dropped behind it, if they are not to stay."""

    def __init__(self, shards: Shards, work: list[LossShard], *, keep: bool) -> None:
        from quantascope.lm.downloads import is_downloaded

        self._shards, self._work = shards, [] if keep else work
        for column, source in {shard.column: shard.source for shard in self._work}.items():
            if not (shards.has(self._name(column)) or is_downloaded(source)):
                shards.save(self._name(column), _FETCHED)

    def drop_done(self, column: int) -> None:
        """Drop the weights of a model that was fetched here and whose shards are all done."""
        from quantascope.lm.downloads import drop_download

        mine = [shard for shard in self._work if shard.column == column]
        if mine and all(self._shards.has(s.name) for s in mine) and self._fetched(column):
            drop_download(mine[0].source)

    def _fetched(self, column: int) -> bool:
        return self._shards.has(self._name(column))

    @staticmethod
    def _name(column: int) -> str:
        return f"fetched-{column:03d}"


def _losses(shard: LossShard) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Compute the losses of one shard in a worker, and describe the model."""
    module, card = load_cached(shard.source, shard.config.device, shard.config.dtype)
    mine = slice(shard.first_token, shard.first_token + len(shard.tokens))
    if (before := shard.standing.read(card.weights_sha256, mine)) is not None:
        return before, asdict(card)
    return shard.compute(module, name=card.name), asdict(card)


@lru_cache(maxsize=1)
def load_cached(source: Any, device: str, dtype: str) -> tuple[Any, Any]:
    """Load a model, keeping the last one: shards of one model come one after the other."""
    import torch
    from transformers.utils import logging

    from quantascope.lm.loading import load_model

    torch.set_num_threads(1)  # torch's own pool is not under the limits that the runner sets
    logging.disable_progress_bar()  # the run shows its own
    return load_model(source, device=device, dtype=dtype)
