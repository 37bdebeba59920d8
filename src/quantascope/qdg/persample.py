"""Gradients of any module's loss, sample by sample.

A module, a batch and a function that gives one loss a sample enter; the gradient of each sample's
own loss leaves, parameter by parameter.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import torch
from torch import nn
from torch.utils import _pytree as pytree

__all__ = ["LossPerSample", "chosen_parameters", "sample_gradients"]

LossPerSample = Callable[[nn.Module, Any], torch.Tensor]

_CHUNK_ELEMENTS: Final = 2**26
"""Gradient components in memory at once: 256 MB in single precision."""


def chosen_parameters(module: nn.Module, *, layers: str = "all") -> dict[str, nn.Parameter]:
    """Choose the parameters of layers that own a matrix, and no embedding.

    Norms, whose parameters are vectors, and embeddings are left out, as for language models.
    ``layers="lower"`` takes the first half of such layers in the order of the module.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    parts: list[dict[str, nn.Parameter]] = []
    for prefix, part in module.named_modules():
        own = dict(part.named_parameters(recurse=False))
        if any(value.ndim > 1 for value in own.values()) and not isinstance(part, nn.Embedding):
            parts.append({f"{prefix}.{name}".lstrip("."): value for name, value in own.items()})
    if not parts:
        raise ValueError(f"module: {type(module).__name__} has no layer with a weight matrix")
    kept = parts[: (len(parts) + 1) // 2] if layers == "lower" else parts
    return {name: value for part in kept for name, value in part.items()}


def sample_gradients(
    module: nn.Module,
    batch: Any,
    loss_per_sample: LossPerSample,
    *,
    names: list[str],
    how: Literal["vmap", "loop"],
) -> Iterator[list[torch.Tensor]]:
    """Differentiate each sample's own loss.

    Parameters
    ----------
    module
        Module in the mode (training or evaluation) in which it is to be differentiated.
    batch
        Tensor, or tuple, list or dict of tensors, whose first axis is the sample.
    loss_per_sample
        Called with module and batch, gives losses of shape (n_samples,).
    names
        Parameters to differentiate.
    how
        All samples at once by `torch.func.vmap`, or one after the other where a layer forbids it.

    Yields
    ------
    list[torch.Tensor]
        For some samples, in order, the gradient of each parameter: (n, *shape of the parameter).
    """
    state = dict(module.named_parameters()) | dict(module.named_buffers())
    wanted = {f"module.{name}": state.pop(name).detach() for name in names}
    fixed = {f"module.{name}": value.detach() for name, value in state.items()}
    wrapped = _Loss(module, loss_per_sample)

    def loss(parameters: dict[str, torch.Tensor], sample: Any) -> torch.Tensor:
        single = pytree.tree_map(lambda part: part[None], sample)
        return torch.func.functional_call(wrapped, parameters | fixed, (single,))[0]

    gradient = torch.func.grad(loss)
    n_params = sum(value.numel() for value in wanted.values())
    size = max(1, _CHUNK_ELEMENTS // n_params) if how == "vmap" else 1
    for begin in range(0, len(pytree.tree_leaves(batch)[0]), size):
        part = pytree.tree_map(lambda leaf, b=begin: leaf[b : b + size], batch)
        if how == "vmap":
            found = torch.func.vmap(gradient, in_dims=(None, 0))(wanted, part)
        else:
            first = pytree.tree_map(lambda leaf: leaf[0], part)
            found = {name: value[None] for name, value in gradient(wanted, first).items()}
        yield [found[name].detach() for name in wanted]


class _Loss(nn.Module):
    def __init__(self, module: nn.Module, loss_per_sample: LossPerSample) -> None:
        super().__init__()
        self.module, self._loss = module, loss_per_sample

    def forward(self, batch: Any) -> torch.Tensor:
        return self._loss(self.module, batch)
