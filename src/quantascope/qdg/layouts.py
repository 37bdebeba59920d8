"""Where keys and values of an attention layer come from: which rows of which linear layer.

A layout is not trusted by the name of its class: keys and values that it foretells from the outputs
of the linear layers are compared with those that reach the attention.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

__all__ = ["Layout", "find_layout", "rotate"]

_TOLERANCE: Final = 1e-2  # of the largest entry: bfloat16 keeps 8 bits


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Linear layers of one attention, and which of their rows are keys and values."""

    key: nn.Module
    value: nn.Module
    key_rows: torch.Tensor
    """Rows of the layer `key`, axes ``head width``."""
    value_rows: torch.Tensor

    def rows(self, layer: nn.Module) -> list[torch.Tensor]:
        """List the rows of a layer that are keys or values."""
        found = [self.key_rows] if layer is self.key else []
        return [*found, self.value_rows] if layer is self.value else found


def find_layout(
    attention: nn.Module,
    outputs: dict[nn.Module, torch.Tensor],
    *,
    key: torch.Tensor,
    value: torch.Tensor,
    rotation: tuple[torch.Tensor, torch.Tensor] | None,
) -> Layout:
    """Find the layout that gives these keys and values.

    Parameters
    ----------
    attention
        The attention layer.
    outputs
        What the linear layers in it gave, ``(1, T, n_out)``.
    key, value
        As they reach the attention, ``(1, heads, T, width)``.
    rotation
        Cosines and sines of rotary positions ``(1, T, n_rotated)``; None where there are none.

    Raises
    ------
    ValueError
        If none of the known layouts does.
    """
    heads, width = key.shape[1], key.shape[3]
    for layout in _candidates(list(outputs), heads, width):
        foretold = outputs[layout.key][0][:, layout.key_rows].transpose(0, 1)
        if rotation is not None:
            foretold = rotate(foretold, rotation)
        carried = outputs[layout.value][0][:, layout.value_rows].transpose(0, 1)
        if _alike(foretold, key[0]) and _alike(carried, value[0]):
            return layout
    raise ValueError(
        f"engine: own_position does not know how {type(attention).__name__} makes its keys and "
        "values; use the engine batched"
    )


def rotate(heads: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn pairs (i, i + half) of the first entries of each head by the angles of its position.

    Parameters
    ----------
    heads
        Axes ``head position width``.
    rotation
        Cosines and sines ``(1, T, n_rotated)``, the second half a copy of the first.
    """
    cos, sin = (part[0].to(heads.dtype) for part in rotation)
    n = cos.shape[-1]
    turned, rest = heads[..., :n], heads[..., n:]
    half = torch.cat([-turned[..., n // 2 :], turned[..., : n // 2]], dim=-1)
    return torch.cat([turned * cos + half * sin, rest], dim=-1)


def _candidates(layers: list[nn.Module], heads: int, width: int) -> list[Layout]:
    """List layouts: separate layers, heads of (query, key, value), or thirds."""
    found = []
    n = heads * width
    plain = torch.arange(n).view(heads, width)
    for whole in layers:
        if _n_out(whole) != 3 * n:
            continue
        by_head = torch.arange(3 * n).view(heads, 3, width)
        thirds = torch.arange(3 * n).view(3, heads, width)
        for key, value in ((by_head[:, 1], by_head[:, 2]), (thirds[1], thirds[2])):
            found.append(Layout(key=whole, value=whole, key_rows=key, value_rows=value))
    narrow = [layer for layer in layers if _n_out(layer) == n]
    found += [
        Layout(key=a, value=b, key_rows=plain, value_rows=plain)
        for a in narrow
        for b in narrow
        if a is not b
    ]
    return found


def _n_out(layer: nn.Module) -> int:
    return layer.nf if hasattr(layer, "nf") else layer.out_features  # type: ignore[return-value]


def _alike(foretold: torch.Tensor, seen: torch.Tensor) -> bool:
    if foretold.shape != seen.shape:
        return False
    return float((foretold - seen).abs().max()) <= _TOLERANCE * float(seen.abs().max())
