"""Per-sample gradients of a module over batches, as often as asked, in sufficient precision."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import nn
from torch.utils import _pytree as pytree

from quantascope.qdg.persample import LossPerSample, sample_gradients

__all__ = ["How", "ModuleGradients", "as_matrices", "in_double", "n_samples"]

How = Literal["vmap", "loop"]

_SMALL: Final = 2_000_000
"""Parameters below which a module is differentiated in double precision."""


@dataclass
class ModuleGradients:
    """Per-sample gradients of some parameters, batch by batch, as often as asked."""

    module: nn.Module
    batches: list[Any]
    loss_per_sample: LossPerSample
    names: list[str]
    how: How = "vmap"
    """Becomes ``loop`` at the first layer without a batching rule, and stays."""

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shape (n_out, n_in) of each gradient as a matrix."""
        parameters = [self.module.get_parameter(name) for name in self.names]
        return [(p.shape[0], p.numel() // p.shape[0]) for p in parameters]

    def all(self, step: int = 1) -> Iterator[list[torch.Tensor]]:
        """Give the gradients of every `step`-th sample, in order, some at a time."""
        seen = 0
        for whole in self.batches:
            _check_losses(self.module, whole, self.loss_per_sample)
            begin, n = -seen % step, n_samples(whole)
            seen += n
            if begin >= n:
                continue
            batch = whole if step == 1 else _map(lambda leaf, b=begin: leaf[b::step], whole)
            found = self._of(batch)
            try:
                first = next(found)
            except RuntimeError:  # a layer without a batching rule
                if self.how == "loop":
                    raise
                self.how = "loop"
                found = self._of(batch)
                first = next(found)
            yield first
            yield from found

    def _of(self, batch: Any) -> Iterator[list[torch.Tensor]]:
        return sample_gradients(
            self.module, batch, self.loss_per_sample, names=self.names, how=self.how
        )


def in_double(
    module: nn.Module, batches: list[Any], loss_per_sample: LossPerSample
) -> tuple[nn.Module, list[Any], LossPerSample]:
    """Take a small module in double precision, unless its loss mixes precisions."""
    empty = [place for place, batch in enumerate(batches) if not n_samples(batch)]
    if empty or not batches:
        found = f"batch {empty[0]} is empty" if empty else "none"
        raise ValueError(f"batches: {found}; at least one is needed, each of one sample or more")
    if sum(value.numel() for value in module.parameters()) >= _SMALL:
        return module, batches, loss_per_sample
    finer = [_map(_doubled, batch) for batch in batches]
    try:
        double = copy.deepcopy(module).double()
        with torch.no_grad():
            loss_per_sample(double, _map(lambda leaf: leaf[:1], finer[0]))
    except (RuntimeError, TypeError):  # weights of the loss in float32, a device without doubles
        return module, batches, loss_per_sample
    return double, finer, loss_per_sample


def _doubled(leaf: torch.Tensor) -> torch.Tensor:
    return leaf.double() if leaf.is_floating_point() else leaf


def _map(change: Callable[..., Any], batch: Any) -> Any:
    return pytree.tree_map(change, batch)


def n_samples(batch: Any) -> int:
    """Count the samples of a batch."""
    leaves = pytree.tree_leaves(batch)
    return len(leaves[0]) if leaves else 0


def _check_losses(module: nn.Module, batch: Any, loss_per_sample: LossPerSample) -> None:
    with torch.no_grad():
        losses = loss_per_sample(module, batch)
    expected = (n_samples(batch),)
    if losses.shape != expected:
        raise ValueError(
            f"loss_per_sample: gave shape {tuple(losses.shape)} for a batch of {expected[0]}; "
            f"allowed is {expected}, one loss a sample (reduction='none')"
        )


def as_matrices(gradient: torch.Tensor) -> torch.Tensor:
    """Lay gradients ``(n, n_out, ...)`` out as matrices ``(n, n_out, n_in)``."""
    return gradient.reshape(*gradient.shape[:2], -1)
