"""Attention whose backward pass stays at each prediction's own position.

Registered with transformers under `OWN`. The row of a prediction sends its cotangent to its own
query, key and value; what would reach keys and values of earlier rows goes no further down, but is
kept: it is these rows' share in the gradient of the layers that make keys and values.
"""

from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from quantascope.qdg.attention import attend, check_options, repeat_heads

__all__ = ["OWN", "Kept", "register_own_attention", "watched"]

OWN: Final = "quantascope_own_position"


@dataclass(eq=False)
class Kept:
    """What one attention layer keeps of its forward and backward pass."""

    rows: torch.Tensor
    """Rows of the predictions."""
    rotation: tuple[torch.Tensor, torch.Tensor] | None
    """Cosines and sines of rotary positions, where there are any."""
    key: torch.Tensor = field(init=False)
    """As it reaches the attention, ``(1, heads, T, width)``; so `value`."""
    value: torch.Tensor = field(init=False)
    weights: torch.Tensor = field(init=False)
    """Attention of the rows, axes ``head pred position``."""
    slopes: torch.Tensor = field(init=False)
    """Slopes of the losses in the scores, axes ``head pred position``."""
    query: torch.Tensor = field(init=False)
    """Scaled queries of the rows, axes ``head pred width``."""
    above: torch.Tensor = field(init=False)
    """Cotangents of what the heads give, axes ``head pred width``."""


_WATCHED: WeakKeyDictionary[nn.Module, Kept] = WeakKeyDictionary()


def watched() -> WeakKeyDictionary[nn.Module, Kept]:
    """Give the attention layers that are being watched, and what they keep."""
    return _WATCHED


def register_own_attention() -> None:
    """Make the attention known to transformers; doing it again changes nothing."""
    AttentionInterface.register(OWN, own_attention)
    AttentionMaskInterface.register(OWN, eager_mask)


def own_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Compute softmax attention, in the calling convention of transformers.

    Parameters and result are those of `attention.shared_attention`.
    """
    check_options(module, options, engine="own_position")
    kept = _WATCHED[module]
    kept.key, kept.value = key.detach(), value.detach()
    groups = query.shape[1] // key.shape[1]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    key, value = repeat_heads(key, groups), repeat_heads(value, groups)
    return _OwnAttention.apply(query, key, value, attention_mask, scale, kept), None


class _OwnAttention(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
        kept: Kept,
    ) -> torch.Tensor:
        query = query * scale
        weights, output = attend(query, key, value, mask)
        rows = kept.rows
        ctx.save_for_backward(key, value, output[:, :, rows])
        ctx.kept, ctx.scale = kept, scale
        kept.weights, kept.query = weights[0][:, rows], query[0][:, rows].detach()
        return output.transpose(1, 2).contiguous()

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Send cotangents of the rows to the rows themselves; keep the rest."""
        key, value, output = ctx.saved_tensors
        kept: Kept = ctx.kept
        rows, weights, query = kept.rows, kept.weights, kept.query
        above = cotangent[0].transpose(0, 1)[:, rows]
        slopes = above @ value[0].transpose(1, 2)
        slopes -= (above * output[0]).sum(dim=-1, keepdim=True)
        slopes *= weights
        kept.slopes, kept.above = slopes, above
        own = torch.arange(len(rows), device=rows.device)
        to_query, to_key, to_value = (torch.zeros_like(key) for _ in range(3))
        to_query[0, :, rows] = slopes @ key[0] * ctx.scale
        to_key[0, :, rows] = slopes[:, own, rows][..., None] * query
        to_value[0, :, rows] = weights[:, own, rows][..., None] * above
        return to_query, to_key, to_value, None, None, None
