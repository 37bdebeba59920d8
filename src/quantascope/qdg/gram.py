"""Inner products of all pairs of gradients, without a sketch.

Exact gradients are far too many numbers to keep. Inner products add up over weight matrices, so a
group of matrices is taken at a time: its gradients for all predictions are held, multiplied, and
dropped. The own-position engine gives factors instead, which are multiplied as they are.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from quantascope.core.progress import Advance, ignore_progress
from quantascope.qdg.engines import make_engine
from quantascope.qdg.factors import Part, add_gram
from quantascope.qdg.own_position import OwnPositionEngine
from quantascope.qdg.parameters import ParameterBlock, ParameterChoice

__all__ = ["exact_gram", "own_position_gram"]

Sequences = Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]]

_BYTES: Final = 4


def exact_gram(
    module: PreTrainedModel,
    sequences: Sequences,
    *,
    choice: ParameterChoice,
    engine: str = "batched",
    max_bytes: float = 2e9,
    advance: Advance = ignore_progress,
) -> NDArray[np.float64]:
    """Multiply whole gradients of all pairs of predictions.

    Parameters
    ----------
    module
        Causal language model.
    sequences
        Token ids, and positions of the predicted tokens among them.
    choice
        Blocks of parameters.
    engine
        An exact one.
    max_bytes
        Memory for the gradients of one group of blocks; a single block may take more.
    advance
        Told the number of predictions just done.

    Returns
    -------
    NDArray[np.float64]
        Axes ``pred other``, predictions in the order of the input.
    """
    n_preds = sum(len(positions) for _, positions in sequences)
    gram = np.zeros((n_preds, n_preds))
    for blocks in _groups(choice.blocks, n_preds, max_bytes):
        group = ParameterChoice(blocks=tuple(blocks))
        made = make_engine(engine, module, group, projections=[None] * len(blocks))
        rows = torch.empty(n_preds, group.n_params)
        first = 0
        for input_ids, positions in sequences:
            ids = torch.as_tensor(np.asarray(input_ids, dtype=np.int64), device=module.device)
            for indices, found in made.gradients(ids, [int(p) for p in positions]):
                flat = torch.cat([block.detach().float().flatten(1).cpu() for block in found], 1)
                rows[[first + index for index in indices]] = flat
            first += len(positions)
            advance(len(positions))
        gram += (rows @ rows.T).double().numpy()
    return gram


def own_position_gram(
    module: PreTrainedModel,
    sequences: Sequences,
    *,
    choice: ParameterChoice,
    advance: Advance = ignore_progress,
) -> NDArray[np.float64]:
    """Multiply own-position gradients of all pairs, from factors; arguments as `exact_gram`."""
    engine = OwnPositionEngine(module, choice, projections=[None] * len(choice.blocks))
    found: list[list[list[Part]]] = []
    places: list[int] = []
    for input_ids, positions in sequences:
        ids = torch.as_tensor(np.asarray(input_ids, dtype=np.int64), device=module.device)
        first = len(places)
        for indices, blocks in engine.parts(ids, [int(p) for p in positions]):
            found.append(blocks)
            places += [first + index for index in indices]
        advance(len(positions))
    gram = torch.zeros(len(places), len(places))
    for block in range(len(choice.blocks)):
        parts = [_joined(same) for same in zip(*(each[block] for each in found), strict=True)]
        add_gram(gram, parts, parts)
    back = np.argsort(places)
    return gram.double().cpu().numpy()[np.ix_(back, back)]


def _groups(
    blocks: Sequence[ParameterBlock], n_preds: int, max_bytes: float
) -> list[list[ParameterBlock]]:
    groups: list[list[ParameterBlock]] = [[]]
    held = 0.0
    for block in blocks:
        size = float(_BYTES * n_preds * block.n_params)
        if groups[-1] and held + size > max_bytes:
            groups.append([])
            held = 0.0
        groups[-1].append(block)
        held += size
    return groups


def _joined(parts: Sequence[Part]) -> Part:
    """Put the predictions of several sequences behind each other; ranks are alike."""
    return Part(
        inputs=torch.cat([part.inputs for part in parts]),
        signals=torch.cat([part.signals for part in parts]),
        rows=parts[0].rows,
    )
