"""Weights of a suite's members in float16 safetensors files, each with its card in the header."""

import dataclasses
import json
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import GPTNeoXForCausalLM

from quantascope.core.errors import DataError
from quantascope.lm.architecture import build_model, count_params, weights_sha256
from quantascope.lm.suite_folder import SUITE_FILE, CheckpointCard, publish
from quantascope.lm.suites import Member, Suite
from quantascope.lm.training import TrainingState

__all__ = ["load_checkpoint", "read_cards", "save_tensors", "write_checkpoint"]

_MODELS: Final = "models"


def write_checkpoint(folder: Path, state: TrainingState) -> None:
    """Write the weights of a model in training as float16, with their card in the header."""
    suite, member = state.suite, state.member
    stored = build_model(suite, member)
    stored.load_state_dict(state.model.state_dict())
    stored.half()
    n_params, n_params_total = count_params(stored)
    budget, n_tokens = member.budget, state.step * suite.batch_tokens
    file = f"{_MODELS}/{member.name}-step{state.step}.safetensors"
    card = CheckpointCard(
        file=file,
        size=member.size.name,
        seed=member.seed,
        step=state.step,
        n_params=n_params,
        n_params_total=n_params_total,
        n_tokens=n_tokens,
        budget=budget.name if budget else "",
        n_unique=min(n_tokens, budget.n_unique) if budget else None,
        weights_sha256=weights_sha256(stored),
        validation_loss_nats=state.log[-1].validation_loss_nats or float("nan"),
    )
    # One key only: the order of several would change from run to run.
    metadata = {"card": json.dumps(dataclasses.asdict(card))}
    weights = {name: weight.detach() for name, weight in stored.named_parameters()}
    save_tensors(folder / file, weights, metadata=metadata)


def read_cards(folder: Path) -> list[CheckpointCard]:
    """Collect the cards from the headers of a folder's weights files, by size, seed and step."""
    cards = []
    for path in (folder / _MODELS).glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            cards.append(CheckpointCard(**json.loads(file.metadata()["card"])))
    return sorted(cards, key=lambda card: (card.n_params, card.n_unique or 0, card.seed, card.step))


def load_checkpoint(path: Path, *, suite: Suite, card: CheckpointCard) -> GPTNeoXForCausalLM:
    """Load one model of a suite, in float16 as stored.

    Raises
    ------
    DataError
        If the file is missing, damaged, or not the one that the card describes.
    """
    size = next(size for size in suite.sizes if size.name == card.size)
    model = build_model(suite, Member(size=size, seed=card.seed)).half()
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: weights cannot be read ({error})") from error
    for name, weight in model.named_parameters():
        if name not in weights or weights[name].shape != weight.shape:
            raise DataError(f"{path}: tensor {name} is missing or has another shape")
        weight.data.copy_(weights[name])
    if weights_sha256(model) != card.weights_sha256:
        raise DataError(f"{path}: weights differ from the hash in {SUITE_FILE}; restore the file")
    return model


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], *, metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
    publish(partial, path)
