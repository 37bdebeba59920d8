"""Attention whose backward pass serves many cotangents at once.

Registered with transformers under `ATTENTION`; probabilities are computed once for a sequence and
shared by the cotangents of all its predictions.
"""

from typing import Any, Final

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from quantascope.qdg.taps import single_rows

__all__ = [
    "ATTENTION",
    "ATTENTION_ROWS",
    "attend",
    "check_options",
    "register_attention",
    "repeat_heads",
    "shared_attention",
]

ATTENTION: Final = "quantascope_shared"
ATTENTION_ROWS: Final = 128
"""Rows of one block of the backward pass."""
_UNSUPPORTED: Final = ("softcap", "s_aux", "position_bias")


def register_attention() -> None:
    """Make `shared_attention` known to transformers; doing it again changes nothing."""
    AttentionInterface.register(ATTENTION, shared_attention)
    AttentionMaskInterface.register(ATTENTION, eager_mask)


def shared_attention(
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

    Parameters
    ----------
    module
        The attention layer.
    query, key, value
        Shape (1, n_heads, T, head); key and value may have fewer heads.
    attention_mask
        Added to the scores.
    scaling
        Factor of the scores; one over the root of the head's width if None.
    **options
        Ignored, but for those that change the result.

    Returns
    -------
    tuple[torch.Tensor, None]
        Output (1, T, n_heads, head).

    Raises
    ------
    ValueError
        If the model wants a kind of attention that is not built here.
    """
    check_options(module, options, engine="batched")
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_heads(key, groups), repeat_heads(value, groups)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _Attention.apply(query, key, value, attention_mask, scale), None


def check_options(module: nn.Module, options: dict[str, Any], *, engine: str) -> None:
    """Refuse kinds of attention that change the result in ways not built here."""
    for option in _UNSUPPORTED:
        if options.get(option) is not None:
            raise ValueError(
                f"engine: {engine} cannot go back through attention with {option} "
                f"({type(module).__name__}); use the engine reference"
            )


def repeat_heads(heads: torch.Tensor, groups: int) -> torch.Tensor:
    """Give each key or value head to the `groups` query heads that share it."""
    if groups == 1:
        return heads
    return heads[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the weights of all positions and what the heads give, for scaled queries."""
    scores = query @ key.transpose(2, 3)
    if mask is not None:
        scores += mask
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    return weights, weights @ value


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        query = query * scale
        weights, output = attend(query, key, value, mask)
        ctx.save_for_backward(query, key, value, weights, output)
        ctx.scale = scale
        return output.transpose(1, 2).contiguous()

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        down = _AttentionPullback.apply(cotangent, ctx.scale, *ctx.saved_tensors)
        return *down, None, None


class _AttentionPullback(torch.autograd.Function):
    @staticmethod
    def forward(
        cotangent: torch.Tensor, scale: float, *saved: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        return tuple(part[0] for part in _pull_attention(cotangent[None], scale, *saved))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: no second derivative is taken."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[tuple[torch.Tensor, ...], Any]:
        del info, in_dims  # the cotangent alone is batched, along axis 0
        return _pull_attention(*args), (0, 0, 0)


def _pull_attention(
    cotangents: torch.Tensor, scale: float, *saved: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Cotangents (K, 1, T, H, head) to those of query, key and value, each (K, 1, H, T, head)."""
    above = cotangents.squeeze(1)
    rows = single_rows(above.flatten(2))
    heads = above.transpose(1, 2)
    query, key, value, weights, output = (part[0] for part in saved)
    forward = {"query": query, "key": key * scale, "value": value, "weights": weights}
    if rows is None:
        down = _pull_all(heads, output=output, **forward)
    else:
        down = _pull_rows(heads, rows=rows, **forward)
    return tuple(part[:, None] for part in down)


def _pull_all(
    above: torch.Tensor,
    *,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    weights: torch.Tensor,
    output: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """Backward of causal softmax attention, ``dS = P * (dO V' - sum(dO * O))``.

    Rows are taken in blocks, and each block reads keys up to its own last row. The K cotangents
    are folded into the rows of one product wherever they share the other factor.
    """
    n, heads, length, width = above.shape
    means = (above * output).sum(dim=-1).transpose(0, 1)[..., None]  # (H, K, T, 1)
    by_head = above.transpose(0, 1)
    to_query = torch.empty_like(by_head)
    to_key, to_value = above.new_zeros(2, heads, n, length, width)
    for begin in range(0, length, ATTENTION_ROWS):
        end = min(begin + ATTENTION_ROWS, length)
        rows = slice(begin, end)
        folded = (heads, n * (end - begin))
        weight = weights[:, rows, :end]
        block = by_head[:, :, rows].reshape(*folded, width)
        scores = (block @ value[:, :end].transpose(1, 2)).view(heads, n, end - begin, end)
        scores -= means[:, :, rows]
        scores *= weight[:, None]
        to_query[:, :, rows] = (scores.view(*folded, end) @ key[:, :end]).view(
            heads, n, end - begin, width
        )
        to_key[:, :, :end] += scores.transpose(2, 3) @ query[:, None, rows]
        to_value[:, :, :end] += weight.transpose(1, 2)[:, None] @ by_head[:, :, rows]
    return tuple(part.transpose(0, 1) for part in (to_query, to_key, to_value))


def _pull_rows(
    above: torch.Tensor,
    *,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    weights: torch.Tensor,
    rows: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """Do the same where each cotangent lives on one row: that row of the scores alone."""
    each = torch.arange(len(above), device=above.device)
    alive = above[each, :, rows]  # (K, H, head)
    weight = weights[:, rows]  # (H, K, T)
    scores = torch.einsum("khd,htd->hkt", alive, value)
    scores = weight * (scores - (scores * weight).sum(dim=-1, keepdim=True))
    to_query = torch.zeros_like(above)
    to_query[each, :, rows] = torch.einsum("hkt,htd->khd", scores, key)
    to_key = torch.einsum("hkt,hkd->khtd", scores, query[:, rows])
    to_value = torch.einsum("hkt,khd->khtd", weight, alive)
    return to_query, to_key, to_value
