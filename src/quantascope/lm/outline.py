"""What can be known of a model without its weights: size and context length, from its config."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from quantascope.core.errors import DataError
from quantascope.lm.architecture import count_params
from quantascope.lm.loading import LOAD_ERRORS, context_length, one_line, pretrained_arguments
from quantascope.lm.models import ModelSource
from quantascope.lm.suite_folder import read_suite

__all__ = ["Outline", "outline_model"]


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A model's size and context."""

    n_params: int
    """Parameters without input embedding and unembedding."""
    n_params_total: int
    context_length: int
    """Longest input the model was made for [token]."""


def outline_model(source: ModelSource) -> Outline:
    """Read a model's size and context length; no weights are read.

    Raises
    ------
    DataError
        If there is no readable config.
    """
    if source.kind == "suite":
        folder = read_suite(Path(source.location))
        card = next(card for card in folder.cards if card.file == source.revision)
        return Outline(
            n_params=card.n_params,
            n_params_total=card.n_params_total,
            context_length=folder.suite.context_length,
        )
    try:
        config = AutoConfig.from_pretrained(**pretrained_arguments(source))
        with torch.device("meta"):
            module = AutoModelForCausalLM.from_config(config)
    except LOAD_ERRORS as error:
        raise DataError(f"model {source.name}: no readable config ({one_line(error)})") from error
    n_params, n_params_total = count_params(module)
    return Outline(
        n_params=n_params, n_params_total=n_params_total, context_length=context_length(config)
    )
