"""The own-position engine: gradients that do not flow back into earlier positions.

A prediction's loss reaches the weights through its own row of every layer, and through the keys and
values of earlier rows. This engine keeps the first, and of the second the direct share (what the
last attention on the way does with keys and values that stand); it leaves out what earlier rows
computed in layers below. One backward pass then serves all predictions of a sequence, and every
gradient is a sum of few outer products. That is an approximation: `fidelity` measures it.

Let row t have weights P, slopes dS in the scores, query q, cotangents u of what a head gives, and
let a be the inputs of the layers of keys and values. Then for each head

    gradient of values = outer(u_t, sum_s P_ts a_s),
    gradient of keys   = sum_s dS_ts outer(R_s' q_t, a_s),

where R_s are rotary turns: for a pair of turned entries two outer products, with
``sum_s dS_ts cos(w s) a_s`` and ``sum_s dS_ts sin(w s) a_s``; for entries not turned one.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import nn
from transformers import PreTrainedModel

from quantascope.qdg.batched import loss_slopes, project
from quantascope.qdg.factors import Part, assemble
from quantascope.qdg.layouts import Layout, find_layout
from quantascope.qdg.modes import attention, gradients_of
from quantascope.qdg.own_attention import OWN, Kept, register_own_attention, watched
from quantascope.qdg.parameters import LINEAR_TYPES, ParameterChoice

__all__ = ["OwnPositionEngine"]

_ROWS_AT_ONCE: Final = 512
"""Predictions of one backward pass: their logits are held together."""


class OwnPositionEngine:
    """One backward pass for all predictions of a sequence, each cut at its own position.

    Parameters
    ----------
    module
        Causal language model of transformers whose attention keeps to a known layout.
    choice
        Linear layers; norms and embeddings are not served.
    projections
        For each block a matrix ``(n_in, m)``, or None.
    outputs
        For each block a matrix ``(n_out, m)`` for the output side, or None; none at all if empty.
    targets_per_pass
        Predictions whose gradients are formed together.

    Raises
    ------
    ValueError
        If a block is not a linear layer.
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
        if any(block.kind != "linear" for block in choice.blocks):
            raise ValueError(
                "engine: own_position serves linear layers alone; set norms and embeddings to "
                "false, or use the engine batched"
            )
        register_own_attention()
        self._module, self._blocks = module, choice.blocks
        self._projections = projections
        self._outputs = outputs or [None] * len(choice.blocks)
        self._together = targets_per_pass
        self._layouts: dict[nn.Module, Layout] = {}

    def gradients(
        self, input_ids: torch.Tensor, positions: Sequence[int]
    ) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        """See `GradientEngine`."""
        for indices, found in self.parts(input_ids, positions):
            for start in range(0, len(indices), self._together):
                some = slice(start, start + self._together)
                yield (
                    indices[some],
                    [
                        assemble([p.chosen(some) for p in parts], n_out=block.n_out, outputs=output)
                        for block, parts, output in zip(
                            self._blocks, found, self._outputs, strict=True
                        )
                    ],
                )

    def parts(
        self, input_ids: torch.Tensor, positions: Sequence[int]
    ) -> Iterator[tuple[list[int], list[list[Part]]]]:
        """Give gradients in parts, block by block; arguments as `gradients`."""
        order = sorted(range(len(positions)), key=positions.__getitem__)
        for start in range(0, len(order), _ROWS_AT_ONCE):
            indices = order[start : start + _ROWS_AT_ONCE]
            yield indices, self._one_pass(input_ids, [positions[index] for index in indices])

    def _one_pass(self, input_ids: torch.Tensor, positions: list[int]) -> list[list[Part]]:
        targets = torch.tensor(positions, device=input_ids.device)
        rows = targets - 1
        context = input_ids[: positions[-1]]
        with (
            gradients_of(self._module, []),
            attention(self._module, OWN),
            _watch_attentions(self._module, rows) as kept,
            _watch_linears(self._module) as layers,
        ):
            logits = self._module(context[None], logits_to_keep=rows, use_cache=False).logits
            slopes = loss_slopes(logits.detach()[0], input_ids[targets])[None]
            chosen = [layers[block.modules[0]] for block in self._blocks]
            tops = [output for _, output in chosen]
            signals = torch.autograd.grad(logits, tops, slopes, materialize_grads=True)
            return self._complete(layers, kept, [signal[0][rows] for signal in signals])

    def _complete(
        self,
        layers: "Layers",
        kept: dict[nn.Module, Kept],
        signals: list[torch.Tensor],
    ) -> list[list[Part]]:
        """Give the parts of every block, from its inputs and the cotangents of its outputs."""
        by_layer = {
            layer: (mod, here)
            for mod, here in kept.items()
            for layer in self._of(mod, here, layers)
        }
        found = []
        for block, projection, signal in zip(self._blocks, self._projections, signals, strict=True):
            layer = block.modules[0]
            inputs = project(layers[layer][0].detach()[0], block, projection)
            if layer not in by_layer:
                rows = next(iter(kept.values())).rows
                found.append([Part(inputs=inputs[rows][:, None], signals=signal[:, None])])
            else:
                mod, here = by_layer[layer]
                found.append(_attending(layer, self._layouts[mod], here, inputs, signal))
        return found

    def _of(self, mod: nn.Module, kept: Kept, layers: "Layers") -> tuple[nn.Module, ...]:
        """Give the layers that make an attention's keys and values; looked for once."""
        if mod not in self._layouts:
            mine = {part: layers[part][1].detach() for part in mod.modules() if part in layers}
            self._layouts[mod] = find_layout(
                mod, mine, key=kept.key, value=kept.value, rotation=kept.rotation
            )
        layout = self._layouts[mod]
        return (layout.key, layout.value)


Layers = dict[nn.Module, tuple[torch.Tensor, torch.Tensor]]
"""Inputs and outputs of linear layers."""


def _attending(
    layer: nn.Module, layout: Layout, kept: Kept, inputs: torch.Tensor, signal: torch.Tensor
) -> list[Part]:
    """Give the parts of a layer that makes keys or values, and maybe queries."""
    taken = torch.cat([rows.flatten() for rows in layout.rows(layer)])
    others = torch.ones(signal.shape[1], dtype=torch.bool)
    others[taken] = False
    rows = others.nonzero()[:, 0]
    parts = []
    if len(rows):
        parts.append(
            Part(inputs=inputs[kept.rows][:, None], signals=signal[:, None, rows], rows=rows)
        )
    if layer is layout.value:
        parts += _value_parts(kept, inputs, layout.value_rows)
    if layer is layout.key:
        parts += _key_parts(kept, inputs, layout.key_rows)
    return parts


def _value_parts(kept: Kept, inputs: torch.Tensor, rows: torch.Tensor) -> list[Part]:
    """Give a part for each value head; its rank is the number of query heads that share it."""
    carried = (kept.weights @ inputs).transpose(0, 1)  # pred, head, in
    above = kept.above.transpose(0, 1)
    groups = carried.shape[1] // len(rows)
    return [
        Part(inputs=carried[:, mine], signals=above[:, mine], rows=rows[head])
        for head in range(len(rows))
        for mine in [slice(head * groups, (head + 1) * groups)]
    ]


def _key_parts(kept: Kept, inputs: torch.Tensor, rows: torch.Tensor) -> list[Part]:
    """Give for each key head a part of the turned entries, and one of the others."""
    slopes, query = kept.slopes, kept.query.transpose(0, 1)  # query: pred, head, width
    groups = query.shape[1] // len(rows)
    n_turned, parts = 0, []
    if kept.rotation is not None:
        n_turned = kept.rotation[0].shape[-1]
        half = n_turned // 2
        cos, sin = (part[0, :, :half].to(inputs.dtype) for part in kept.rotation)
        for head in range(len(rows)):
            mine = slice(head * groups, (head + 1) * groups)
            waves = torch.cat([_waves(slopes[mine], wave, inputs) for wave in (cos, sin)], dim=1)
            signals = _turned_signals(query[:, mine, :n_turned])
            parts.append(Part(inputs=waves, signals=signals, rows=rows[head, :n_turned]))
    if n_turned < rows.shape[1]:
        summed = (slopes @ inputs).transpose(0, 1)
        for head in range(len(rows)):
            mine = slice(head * groups, (head + 1) * groups)
            parts.append(
                Part(
                    inputs=summed[:, mine],
                    signals=query[:, mine, n_turned:],
                    rows=rows[head, n_turned:],
                )
            )
    return parts


def _waves(slopes: torch.Tensor, wave: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Compute ``sum_s dS_ts wave_f(s) a_s``, axes ``pred (head frequency) in``."""
    modulated = slopes[:, :, None, :] * wave.T[:, : slopes.shape[2]]  # head, pred, frequency, s
    summed = modulated @ inputs
    return summed.transpose(0, 1).flatten(1, 2)


def _turned_signals(query: torch.Tensor) -> torch.Tensor:
    """Give output-side vectors of cosines, then of sines: axes ``pred (wave head frequency) row``.

    A turn of (x, y) by an angle w has the transpose (x cos w + y sin w, y cos w - x sin w).
    """
    n, heads, width = query.shape
    half = width // 2
    first, second = query[..., :half], query[..., half:]
    of_cos = torch.cat([torch.diag_embed(first), torch.diag_embed(second)], dim=-1)
    of_sin = torch.cat([torch.diag_embed(second), torch.diag_embed(-first)], dim=-1)
    return torch.stack([of_cos, of_sin], dim=1).reshape(n, 2 * heads * half, width)


@contextmanager
def _watch_attentions(module: nn.Module, rows: torch.Tensor) -> Iterator[dict[nn.Module, Kept]]:
    """Let every attention layer keep what it computes; give what was kept, layer by layer."""
    found: dict[nn.Module, Kept] = {}

    def begin(part: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        del args
        found[part] = Kept(rows=rows, rotation=options.get("position_embeddings"))
        watched()[part] = found[part]

    with ExitStack() as hooks:
        for part in module.modules():
            if type(part).__name__.endswith("Attention"):
                handle = part.register_forward_pre_hook(begin, with_kwargs=True)
                hooks.callback(handle.remove)
                hooks.callback(watched().pop, part, None)
        yield found


@contextmanager
def _watch_linears(module: nn.Module) -> Iterator[Layers]:
    """Remember inputs and outputs of all linear layers of the decoder."""
    layers: Layers = {}
    head = module.get_output_embeddings()  # type: ignore[operator]

    def end(part: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        layers[part] = (args[0], output)
        return output

    with ExitStack() as hooks:
        for part in module.modules():
            if isinstance(part, LINEAR_TYPES) and part is not head:
                hooks.callback(part.register_forward_hook(end).remove)
        yield layers
