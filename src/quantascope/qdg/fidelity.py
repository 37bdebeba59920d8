"""How wrong a sketch is on the very predictions of a run: exact cosines against sketched ones.

A few predictions enter; the error of their pairwise cosines leaves, for the manifest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from quantascope.qdg.config import SketchConfig
from quantascope.qdg.engines import make_engine
from quantascope.qdg.sketch import chosen_blocks, sketch_predictions
from quantascope.qdg.whitening import Whitening

__all__ = ["SketchFidelity", "measure_fidelity", "n_affordable"]

_MAX_BYTES: Final = 500_000_000
_MAX_PREDS: Final = 32
_MIN_PREDS: Final = 8
_FLOAT_BYTES: Final = 4


@dataclass(frozen=True, kw_only=True)
class SketchFidelity:
    """Error of the sketched cosines of all pairs of a sample."""

    n_preds: int
    rmse: float
    max_error: float
    correlation: float
    """Pearson's, over pairs; NaN-free only where exact cosines differ."""


def n_affordable(n_components: int) -> int:
    """Say how many exact gradients fit in memory; 0 where too few for a measurement would."""
    n = min(_MAX_PREDS, _MAX_BYTES // (_FLOAT_BYTES * n_components))
    return n if n >= _MIN_PREDS else 0


def measure_fidelity(
    module: PreTrainedModel,
    sequences: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]],
    *,
    config: SketchConfig,
    whitening: Whitening | None = None,
) -> SketchFidelity:
    """Compare the sketch's cosines with those of whole gradients.

    Parameters
    ----------
    module
        Causal language model.
    sequences
        Token ids, and positions of the predicted tokens among them; two predictions or more in all.
    config
        Engine, parameters and sketch of the run.
    whitening
        Maps that both go through, see `measure_whitening`.

    Returns
    -------
    SketchFidelity
        Over all pairs of the predictions given.
    """
    sketch, _ = sketch_predictions(module, sequences, config=config, whitening=whitening)
    exact = _exact_gradients(module, sequences, config=config, whitening=whitening)
    pairs = np.triu_indices(len(exact), k=1)
    wanted = _cosines(exact)[pairs]
    found = _cosines(sketch.astype(np.float32))[pairs]
    error = found - wanted
    spread = float(wanted.std()) * float(found.std())
    return SketchFidelity(
        n_preds=len(exact),
        rmse=float(np.sqrt(np.mean(error**2))),
        max_error=float(np.abs(error).max()),
        correlation=float(np.corrcoef(wanted, found)[0, 1]) if spread > 0 else 0.0,
    )


def _exact_gradients(
    module: PreTrainedModel,
    sequences: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]],
    *,
    config: SketchConfig,
    whitening: Whitening | None,
) -> NDArray[np.float32]:
    """Whole gradients, axes ``(pred, component)``."""
    choice = chosen_blocks(module, config)
    engine = make_engine(
        config.engine, module, choice, projections=[None] * len(choice.blocks), targets_per_pass=1
    )
    device = next(module.parameters()).device
    rows: list[NDArray[np.float32]] = []
    for input_ids, positions in sequences:
        ids = torch.as_tensor(np.asarray(input_ids, dtype=np.int64), device=device)
        whole = np.empty((len(positions), choice.n_params), dtype=np.float32)
        for indices, blocks in engine.gradients(ids, [int(p) for p in positions]):
            mapped = [block.detach().float() for block in blocks]
            if whitening is not None:
                mapped = [
                    whitening.inputs[i].to(block) @ block @ whitening.signals[i].to(block)
                    for i, block in enumerate(mapped)
                ]
            flat = [block.flatten(1) for block in mapped]
            whole[indices] = torch.cat(flat, dim=1).cpu().numpy()
        rows.append(whole)
    return np.concatenate(rows)


def _cosines(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-30))
    unit = vectors / lengths
    return unit @ unit.T
