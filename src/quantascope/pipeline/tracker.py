"""Losses logged from inside a training loop: each call adds a checkpoint to a run's losses.

A run whose corpus stands and a model in training enter; leaves the losses artefact with one column
more, the same bytes as the losses stage gives for the saved weights (float32, as many threads).
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, TrainerCallback

from quantascope.core.errors import ArtefactError, DataError
from quantascope.lm.architecture import count_params, weights_sha256
from quantascope.lm.loading import context_length, torch_dtype
from quantascope.lm.losses import document_losses, shard_documents
from quantascope.pipeline.config import RunConfig, load_config, stage_config
from quantascope.pipeline.context import CorpusArrays
from quantascope.pipeline.loss_columns import (
    TRACKER,
    Card,
    append_losses,
    check_cards,
    write_losses,
)
from quantascope.pipeline.runner import write_config
from quantascope.store.check import file_damage
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["Tracker"]

_WRAPPED: Final = ("_orig_mod", "module")  # by torch.compile, by data parallelism


class Tracker:
    """Logs losses of models in training on the corpus of a run.

    Parameters
    ----------
    run
        Run folder whose corpus stands (``quantascope corpus DIR``) and whose losses do not, or were
        logged too. Its settings of the losses stage hold, but for the device: the model's own.

    Raises
    ------
    ArtefactError
        If there is no corpus, or losses that come from elsewhere.

    Examples
    --------
    In a training loop::

        tracker = Tracker("runs/mine")
        for step, batch in enumerate(batches, 1):
            train(model, batch)
            if step in (10, 100, 1000):
                tracker.log(model, step=step, seed=0)
    """

    def __init__(self, run: str | Path) -> None:
        self.run = RunFolder(Path(run))
        if not self.run.config_path.is_file():
            raise ArtefactError(
                f"{run}: not a run folder (run.toml is missing); begin it with `quantascope corpus`"
            )
        self.run.require("corpus")
        self._config()

    def log(
        self,
        model: torch.nn.Module,
        *,
        step: int,
        seed: int,
        n_tokens: int | None = None,
        name: str | None = None,
    ) -> str:
        """Compute the model's losses on the run's corpus and add them as a checkpoint.

        Parameters
        ----------
        model
            Causal language model of transformers, compiled or not; left in the mode it was in.
        step
            Training step, from 0.
        seed
            Seed of the training run.
        n_tokens
            Training tokens seen, where known.
        name
            Name of the checkpoint; None makes one of size, seed and step.

        Returns
        -------
        str
            Name of the checkpoint. One that stands with the same weights is left as it is, so a
            training that resumes may log it again.

        Raises
        ------
        ValueError
            If `model` is no causal language model of transformers, or `step` is below 0.
        DataError
            If the model does not fit the corpus, is another's equal in weights, or its name stands
            with other weights.
        """
        module = _unwrapped(model)
        if step < 0:
            raise ValueError(f"step: {step} found; allowed are whole numbers from 0")
        n_params, n_params_total = count_params(module)
        name = name or f"{n_params}-seed{seed}@step{step}"
        card = {
            "name": name,
            "n_params": n_params,
            "n_params_total": n_params_total,
            "step": int(step),
            "n_tokens": n_tokens,
            "seed": int(seed),
            "weights_sha256": weights_sha256(module),
            "context_length": context_length(module.config),
        }
        with self.run.lock():
            self.run.recover()
            config = self._config()
            corpus = CorpusArrays.of(self.run)
            if self._has(card):
                return name
            self._check_files()
            _check_fit(module, corpus, name)
            with _evaluating(module):
                column = _column(module, corpus, config=config, name=name)
            self._write(config, card, column)
        return name

    def callback(self, *, steps: Collection[int] | None = None) -> TrainerCallback:
        """Make a callback for the Trainer of transformers.

        Parameters
        ----------
        steps
            Steps to log at; None logs at powers of two. The last step is logged always.
        """
        return _Callback(self, steps)

    def _config(self) -> RunConfig:
        """Give the run's config, with losses from here."""
        config = load_config(self.run.config_path)
        losses = self.run.manifest("losses")
        if losses is not None and config.losses.source != TRACKER:
            raise ArtefactError(
                f"{self.run.root}: its losses come from {config.losses.source}; log into a run of "
                "its own, begun with `quantascope corpus`"
            )
        if losses is not None and losses.parents != self.run.parent_digests("losses"):
            raise ArtefactError(
                f"{self.run.root}: the corpus was redone since losses were logged; log into a new "
                "run"
            )
        return replace(config, losses=replace(config.losses, source=TRACKER))

    def _has(self, card: Card) -> bool:
        """Tell whether a checkpoint stands already; refuse one that clashes with another."""
        if self.run.manifest("losses") is None:
            return False
        cards = read_table(self.run.stage("losses"), "models.parquet").to_pylist()
        same = ("name", "weights_sha256")
        if any(all(other[key] == card[key] for key in same) for other in cards):
            return True
        check_cards([*cards, card])
        return False

    def _check_files(self) -> None:
        """Refuse to build on files that were altered: the new manifest would call them sound."""
        stages = ["corpus"] if self.run.manifest("losses") is None else ["corpus", "losses"]
        if damage := [line for kind in stages for line in file_damage(self.run, kind)]:
            raise ArtefactError(damage[0])

    def _write(self, config: RunConfig, card: Card, column: NDArray[np.float32]) -> None:
        write_config(self.run, config)
        before = self.run.stage("losses")
        work = self.run.open_workspace("losses", stage_config(config, "losses"))
        if before.is_dir():
            facts = append_losses(before, work.path, column, card=card)
        else:
            facts = write_losses(work.path, [column], cards=[card], n_tokens=len(column))
        work.finish(facts)


class _Callback(TrainerCallback):
    """Logs at chosen steps and at the end."""

    def __init__(self, tracker: Tracker, steps: Collection[int] | None) -> None:
        self._tracker = tracker
        self._steps = None if steps is None else frozenset(steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        wanted = step & (step - 1) == 0 if self._steps is None else step in self._steps
        if wanted:
            self._log(args, state, kwargs["model"])
        del control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._log(args, state, kwargs["model"])
        del control

    def _log(self, args: Any, state: Any, model: torch.nn.Module) -> None:
        if state.is_world_process_zero:
            n_tokens = state.num_input_tokens_seen or None
            self._tracker.log(model, step=state.global_step, seed=args.seed, n_tokens=n_tokens)


def _unwrapped(model: torch.nn.Module) -> PreTrainedModel:
    module: Any = model
    while not isinstance(module, PreTrainedModel):
        inner = next((getattr(module, w) for w in _WRAPPED if hasattr(module, w)), None)
        if inner is None:
            raise ValueError(
                f"model: {type(model).__name__} found; give a causal language model of transformers"
            )
        module = inner
    if module.get_output_embeddings() is None:
        raise ValueError(f"model: {type(module).__name__} found; it predicts no tokens")
    return module


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Hold every part of a module in evaluation mode, then put each back as it was."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _check_fit(module: PreTrainedModel, corpus: CorpusArrays, name: str) -> None:
    embedding: Any = module.get_input_embeddings()
    n_words = int(embedding.weight.shape[0])
    highest = int(corpus.tokens.max())
    if highest >= n_words:
        raise DataError(
            f"model {name}: has {n_words} words, the corpus has token ids up to {highest}; they "
            "have different tokenizers"
        )
    longest = corpus.max_length + (corpus.bos_id is not None)
    if context_length(module.config) < longest:
        raise DataError(
            f"model {name}: reads {context_length(module.config)} tokens, documents of the corpus "
            f"have up to {longest}; redo the corpus with a lower max_length"
        )


def _column(
    module: PreTrainedModel, corpus: CorpusArrays, *, config: RunConfig, name: str
) -> NDArray[np.float32]:
    """Compute losses in the shards and batches of the losses stage: rounding depends on them."""
    losses = config.losses
    parts = [
        document_losses(
            module,
            corpus.tokens[corpus.offsets[lo] : corpus.offsets[hi]],
            corpus.offsets[lo : hi + 1] - corpus.offsets[lo],
            max_length=corpus.max_length + (corpus.bos_id is not None),
            bos_id=corpus.bos_id,
            dtype=torch_dtype(losses.dtype, device=torch.device(module.device).type),
            batch_tokens=losses.batch_tokens,
            name=name,
            first_document=lo,
        )
        for lo, hi in shard_documents(corpus.offsets, shard_tokens=losses.shard_tokens)
    ]
    return np.concatenate(parts)
