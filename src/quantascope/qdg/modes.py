"""The state of a model while gradients are taken, put back afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

__all__ = ["attention", "gradients_of"]


@contextmanager
def gradients_of(module: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Record gradients of these parameters and no others, without dropout.

    Parameters
    ----------
    module
        Model; its training flag and the flags of all its parameters come back on exit.
    parameters
        Parameters to differentiate; may be empty.
    """
    training = module.training
    flags = [(value, value.requires_grad) for value in module.parameters()]
    module.eval().requires_grad_(False)
    for value in parameters:
        value.requires_grad_(True)
    try:
        with torch.enable_grad():
            yield
    finally:
        module.train(training)
        for value, flag in flags:
            value.requires_grad_(flag)


@contextmanager
def attention(module: PreTrainedModel, name: str) -> Iterator[None]:
    """Let a transformers model use the attention function registered under `name`."""
    before = module.config._attn_implementation
    module.set_attn_implementation(name)
    try:
        yield
    finally:
        module.set_attn_implementation(before)
