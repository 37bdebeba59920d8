"""The interface of gradient engines, and the choice among them by name.

One token sequence and the positions of K predicted tokens enter; for each prediction the gradient
of its own next-token cross-entropy leaves, block by block, already multiplied by the input-side
projection of the block.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import torch
from transformers import PreTrainedModel

from quantascope.qdg.batched import BatchedEngine
from quantascope.qdg.own_position import OwnPositionEngine
from quantascope.qdg.parameters import ParameterChoice
from quantascope.qdg.reference import ReferenceEngine

__all__ = ["APPROXIMATE", "ENGINES", "GradientEngine", "make_engine"]


class GradientEngine(Protocol):
    """What every engine does."""

    def gradients(
        self, input_ids: torch.Tensor, positions: Sequence[int]
    ) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        """Give the gradient of each prediction's own loss.

        Parameters
        ----------
        input_ids
            Token ids of one sequence, exactly as the model should read them.
        positions
            Positions of the predicted tokens, each from 1 to ``len(input_ids) - 1``.

        Yields
        ------
        tuple[list[int], list[torch.Tensor]]
            Indices into `positions`, and for each block an array ``(len(indices), m, n_out)``: the
            transposed gradient matrix, its input side multiplied by the block's projection
            ``(n_in, m)``, or whole (m = n_in) where the projection is None; its output side by the
            block's map of `outputs` ``(n_out, m)`` where there is one.
        """


EngineMaker = Callable[..., GradientEngine]

ENGINES: Final[dict[str, EngineMaker]] = {
    "reference": ReferenceEngine,
    "batched": BatchedEngine,
    "own_position": OwnPositionEngine,
}
APPROXIMATE: Final = ("own_position",)
"""Engines whose gradients are not exact."""


def make_engine(
    name: str,
    module: PreTrainedModel,
    choice: ParameterChoice,
    *,
    projections: Sequence[torch.Tensor | None],
    outputs: Sequence[torch.Tensor | None] = (),
    targets_per_pass: int = 16,
) -> GradientEngine:
    """Make an engine by its name in `ENGINES`.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name not in ENGINES:
        raise ValueError(f"engine: {name!r} unknown; allowed are {sorted(ENGINES)}")
    return ENGINES[name](
        module,
        choice,
        projections=projections,
        outputs=outputs,
        targets_per_pass=targets_per_pass,
    )
