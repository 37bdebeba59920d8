"""The batched engine: one forward pass for many predictions, one backward pass for their losses.

Predictions of a sequence are sorted by position and cut into passes. A pass reads the context up
to its last prediction (causality: what follows has no part in any of its losses), computes logits
on the predicted rows alone, and sends all cotangents back together. Taps (taps.py) turn cotangents
into projected gradients where they arise.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.activations import ACT2CLS

from quantascope.qdg.attention import ATTENTION, ATTENTION_ROWS, register_attention
from quantascope.qdg.factors import map_outputs
from quantascope.qdg.modes import attention, gradients_of
from quantascope.qdg.parameters import ParameterBlock, ParameterChoice
from quantascope.qdg.taps import ActivationTap, EmbeddingTap, LinearTap

__all__ = ["BatchedEngine", "loss_slopes", "plan_passes", "project"]

_PASS_FLOPS: Final = 1e9
"""Cost of starting a pass, as arithmetic: about 12 ms at 80 GFlop/s (measured)."""
_HEAD_FLOPS: Final = 64
"""Cost of reading one weight of the unembedding from memory, as arithmetic."""
_MAX_ELEMENTS: Final = 2**23
"""Elements of the largest array of a pass: 32 MB, the largest that malloc keeps in its heap."""
_ACTIVATIONS: Final[tuple[Any, ...]] = tuple(
    {entry[0] if isinstance(entry, tuple) else entry for entry in ACT2CLS.values()}
)


class BatchedEngine:
    """Many cotangents through one forward pass, context cut, no weight gradient formed.

    Parameters
    ----------
    module
        Causal language model of transformers made of Linear or Conv1D layers.
    choice
        Blocks of parameters.
    projections
        For each block a matrix ``(n_in, m)``, or None to keep the whole gradient.
    outputs
        For each block a matrix ``(n_out, m)`` for the output side, or None; none at all if empty.
    targets_per_pass
        Most predictions of one pass.
    """

    def __init__(
        self,
        module: PreTrainedModel,
        choice: ParameterChoice,
        *,
        projections: Sequence[torch.Tensor | None],
        outputs: Sequence[torch.Tensor | None] = (),
        targets_per_pass: int = 16,
    ) -> None:
        register_attention()
        self._module, self._blocks = module, choice.blocks
        self._projections, self._outputs = projections, outputs
        self._targets_per_pass = targets_per_pass
        n_params = sum(b.n_params for b in choice.blocks if b.kind == "linear")
        head = module.get_output_embeddings().weight.numel()
        self._overhead = int((_PASS_FLOPS + _HEAD_FLOPS * head) / (2 * n_params))
        self._widest = max(b.n_out for b in choice.blocks if b.kind == "linear")
        self._n_heads = module.config.num_attention_heads

    def gradients(
        self, input_ids: torch.Tensor, positions: Sequence[int]
    ) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        """See `GradientEngine`."""
        order = sorted(range(len(positions)), key=positions.__getitem__)
        counts = plan_passes(
            [positions[index] for index in order],
            most=self._targets_per_pass,
            overhead=self._overhead,
            fits=self._fits,
        )
        start = 0
        for count in counts:
            indices = order[start : start + count]
            start += count
            found = self._one_pass(input_ids, [positions[index] for index in indices])
            yield indices, map_outputs(found, self._outputs)

    def _fits(self, count: int, length: int) -> bool:
        widest = max(self._widest, self._n_heads * min(length, ATTENTION_ROWS))
        return count * length * widest <= _MAX_ELEMENTS

    def _one_pass(self, input_ids: torch.Tensor, positions: list[int]) -> list[torch.Tensor]:
        """Projected gradients ``(K, m, n_out)`` of each block, for increasing positions."""
        context = input_ids[: positions[-1]]
        targets = torch.tensor(positions, device=input_ids.device)
        vectors = [block.weight for block in self._blocks if block.kind == "vector"]
        with (
            gradients_of(self._module, vectors),
            attention(self._module, ATTENTION),
            _tapped(self._blocks, self._projections, context) as leaves,
            _activations_tapped(self._module),
            _head_watched(self._module) as head,
        ):
            logits = self._module(context[None], logits_to_keep=targets - 1, use_cache=False).logits
            slope = loss_slopes(logits.detach()[0], input_ids[targets])[None]
            at_head = torch.autograd.grad(logits, (head["inputs"], head["output"]), slope)
            below = _pull_each(head["inputs"], at_head[0], list(leaves.values()))
        inputs = head["inputs"].detach()[0]
        return self._complete(dict(zip(leaves, below, strict=True)), inputs, at_head[1][0])

    def _complete(
        self, gradients: dict[int, torch.Tensor], inputs: torch.Tensor, cotangents: torch.Tensor
    ) -> list[torch.Tensor]:
        """Add the unembedding's own gradients, from its inputs and the cotangents of its logits."""
        for index, block in enumerate(self._blocks):
            if block.kind == "vector":
                gradients[index] = gradients[index][:, None]
            elif block.kind == "embedding" and isinstance(block.modules[-1], nn.Linear):
                projected = project(inputs, block, self._projections[index])
                own = projected[:, :, None] * cotangents[:, None, :]
                gradients[index] = own + gradients[index] if index in gradients else own
        return [gradients[index] for index in range(len(self._blocks))]


def loss_slopes(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Slopes of each row's cross-entropy in its logits: probabilities less the one-hot target.

    The target's is minus the sum of the others', which holds where its probability rounds to 1.
    """
    slopes = functional.softmax(logits.float(), dim=1)
    slopes = slopes.scatter(1, targets[:, None], 0.0)
    own = -slopes.sum(dim=1, keepdim=True)
    return slopes.scatter(1, targets[:, None], own).to(logits.dtype)


@contextmanager
def _tapped(
    blocks: Sequence[ParameterBlock],
    projections: Sequence[torch.Tensor | None],
    input_ids: torch.Tensor,
) -> Iterator[dict[int, torch.Tensor]]:
    """Place a tap behind every chosen layer; give the leaf whose gradient is each block's."""
    leaves: dict[int, torch.Tensor] = {}
    with ExitStack() as hooks:
        for index, (block, projection) in enumerate(zip(blocks, projections, strict=True)):
            if block.kind == "vector":
                leaves[index] = block.weight
            elif block.kind == "linear":
                leaves[index] = _leaf(block, projection)
                hook = _linear_hook(block, projection, leaves[index])
                hooks.callback(block.modules[0].register_forward_hook(hook).remove)
            elif isinstance(block.modules[0], nn.Embedding):
                leaves[index] = _leaf(block, projection)
                hook = _embedding_hook(block, projection, leaves[index], input_ids)
                hooks.callback(block.modules[0].register_forward_hook(hook).remove)
        yield leaves


def _leaf(block: ParameterBlock, projection: torch.Tensor | None) -> torch.Tensor:
    width = block.n_in if projection is None else projection.shape[1]
    weight = block.weight
    return torch.zeros(
        width, block.n_out, dtype=weight.dtype, device=weight.device, requires_grad=True
    )


def project(
    inputs: torch.Tensor, block: ParameterBlock, projection: torch.Tensor | None
) -> torch.Tensor:
    """Multiply inputs ``(T, n)``, and a 1 for the bias, by the projection."""
    if projection is None:
        return inputs if block.bias is None else functional.pad(inputs, (0, 1), value=1.0)
    projection = projection.to(inputs.dtype)
    if block.bias is None:
        return inputs @ projection
    return torch.addmm(projection[-1], inputs, projection[:-1])


def _linear_hook(
    block: ParameterBlock, projection: torch.Tensor | None, leaf: torch.Tensor
) -> Callable[..., torch.Tensor]:
    matrix = block.matrix(block.weight.detach(), None)

    def hook(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        del module
        projected = project(args[0].detach().flatten(0, -2), block, projection)
        return LinearTap.apply(args[0], leaf, output.detach(), matrix, projected)

    return hook


def _embedding_hook(
    block: ParameterBlock,
    projection: torch.Tensor | None,
    leaf: torch.Tensor,
    input_ids: torch.Tensor,
) -> Callable[..., torch.Tensor]:
    width = block.modules[0].embedding_dim
    if projection is None:
        projection = torch.eye(block.n_in, dtype=leaf.dtype, device=leaf.device)
    rows = projection[:width].to(leaf.dtype)
    weights = torch.ones_like(input_ids, dtype=leaf.dtype)
    if block.modules[0].padding_idx is not None:  # torch gives that row no gradient
        weights[input_ids == block.modules[0].padding_idx] = 0.0

    def hook(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        del module, args
        return EmbeddingTap.apply(leaf, output.detach(), input_ids, rows, weights)

    return hook


@contextmanager
def _activations_tapped(module: nn.Module) -> Iterator[None]:
    """Let the slope of every elementwise activation be computed once for all cotangents."""
    with ExitStack() as hooks:
        for part in module.modules():
            if isinstance(part, _ACTIVATIONS) and not list(part.parameters()):
                hooks.callback(part.register_forward_hook(_activation_hook).remove)
        yield


def _activation_hook(
    module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor
) -> torch.Tensor:
    del output
    inputs = args[0].detach().requires_grad_()
    again = module.forward(inputs)
    (slope,) = torch.autograd.grad(again.sum(), inputs)
    return ActivationTap.apply(args[0], again.detach(), slope)


@contextmanager
def _head_watched(module: PreTrainedModel) -> Iterator[dict[str, torch.Tensor]]:
    """Remember what enters and leaves the unembedding."""
    seen: dict[str, torch.Tensor] = {}

    def hook(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> None:
        del module
        seen.update(inputs=args[0], output=output)

    handle = module.get_output_embeddings().register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def _pull_each(
    output: torch.Tensor, cotangents: torch.Tensor, leaves: list[torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """Gradient of each leaf for each row's cotangent alone, from `output` ``(1, K, width)``."""
    if not leaves:
        return ()
    if output.shape[1] == 1:  # the cost of vmap for nothing
        found = torch.autograd.grad(output, leaves, cotangents, materialize_grads=True)
        return tuple(gradient[None] for gradient in found)
    each = torch.arange(output.shape[1], device=output.device)
    seeds = output.new_zeros(len(each), *output.shape)
    seeds[each, 0, each] = cotangents[0]

    def pull(seed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(output, leaves, seed, materialize_grads=True)

    return torch.func.vmap(pull)(seeds)


def plan_passes(
    positions: Sequence[int],
    *,
    most: int,
    overhead: int,
    fits: Callable[[int, int], bool],
) -> list[int]:
    """Cut sorted positions into passes of least cost.

    A pass over K predictions up to position T costs ``overhead + T (K + 1)`` rows: a forward pass
    and K cotangents. The plan depends on the positions alone, so it is the same in every run.

    Parameters
    ----------
    positions
        Increasing positions of predicted tokens.
    most
        Most predictions of a pass.
    overhead
        Cost of starting a pass, in rows.
    fits
        Whether a pass of (count, length) fits into memory; a single prediction always may.

    Returns
    -------
    list[int]
        Number of predictions in each pass.
    """
    best, start = [0.0], [0]
    for end in range(1, len(positions) + 1):
        length = positions[end - 1]
        costs = {
            begin: best[begin] + overhead + length * (end - begin + 1)
            for begin in range(max(0, end - most), end)
            if begin == end - 1 or fits(end - begin, length)
        }
        start.append(min(costs, key=costs.__getitem__))
        best.append(costs[start[-1]])
    counts = []
    end = len(positions)
    while end:
        counts.append(end - start[end])
        end = start[end]
    return counts[::-1]
