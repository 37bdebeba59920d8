"""The reference engine: one forward and one backward pass a prediction, nothing cut or shared.

It is slow and plain on purpose, the oracle to which other engines are compared.
"""

from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from quantascope.qdg.factors import map_outputs
from quantascope.qdg.modes import gradients_of
from quantascope.qdg.parameters import ParameterBlock, ParameterChoice

__all__ = ["ReferenceEngine"]


class ReferenceEngine:
    """Full-document forward and one backward into every chosen parameter, for each prediction.

    Parameters
    ----------
    module
        Causal language model.
    choice
        Blocks of parameters.
    projections
        For each block a matrix ``(n_in, m)``, or None to keep the whole gradient.
    outputs
        For each block a matrix ``(n_out, m)`` for the output side, or None; none at all if empty.
    targets_per_pass
        Accepted for the common interface; this engine always takes one.
    """

    def __init__(
        self,
        module: PreTrainedModel,
        choice: ParameterChoice,
        *,
        projections: Sequence[torch.Tensor | None],
        outputs: Sequence[torch.Tensor | None] = (),
        targets_per_pass: int = 1,
    ) -> None:
        del targets_per_pass
        self._module, self._blocks = module, choice.blocks
        self._projections, self._outputs = projections, outputs

    def gradients(
        self, input_ids: torch.Tensor, positions: Sequence[int]
    ) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        """See `GradientEngine`."""
        for index, position in enumerate(positions):
            matrices = self.matrices(input_ids, position)
            found = [
                (matrix if projection is None else matrix @ projection).T[None]
                for matrix, projection in zip(matrices, self._projections, strict=True)
            ]
            yield [index], map_outputs(found, self._outputs)

    def matrices(self, input_ids: torch.Tensor, position: int) -> list[torch.Tensor]:
        """Give the whole gradient of one prediction, a matrix ``(n_out, n_in)`` for each block."""
        parameters = [value for block in self._blocks for value in block.parameters]
        with gradients_of(self._module, parameters):
            logits = self._module(input_ids[None], use_cache=False).logits
            # a double, for a target's probability that rounds to 1 in single precision
            loss = functional.cross_entropy(logits[0, position - 1].double(), input_ids[position])
            flat = iter(torch.autograd.grad(loss, parameters, materialize_grads=True))
        return [_block_matrix(block, flat) for block in self._blocks]


def _block_matrix(block: ParameterBlock, flat: Iterator[torch.Tensor]) -> torch.Tensor:
    weight = next(flat).float()
    return block.matrix(weight, None if block.bias is None else next(flat).float())
