"""How wrong a sketch is on the very predictions of a run: exact cosines against sketched ones.

A few predictions enter; the error of their pairwise cosines leaves, for the manifest. An engine
that approximates is compared with the exact one, both through the same sketch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from quantascope.qdg.config import SketchConfig
from quantascope.qdg.engines import make_engine
from quantascope.qdg.sketch import chosen_blocks, sketch_predictions
from quantascope.qdg.whitening import Whitening

__all__ = [
    "EXACT",
    "EngineAgreement",
    "SketchFidelity",
    "measure_agreement",
    "measure_fidelity",
    "n_affordable",
]

_MAX_BYTES: Final = 500_000_000
_MAX_PREDS: Final = 32
_MIN_PREDS: Final = 8
_FLOAT_BYTES: Final = 4
EXACT: Final = "batched"
"""Engine to which those that approximate are compared."""
_NEIGHBOURS: Final = 10


@dataclass(frozen=True, kw_only=True)
class SketchFidelity:
    """Error of the sketched cosines of all pairs of a sample."""

    n_preds: int
    rmse: float
    max_error: float
    correlation: float
    """Pearson's, over pairs; NaN-free only where exact cosines differ."""


@dataclass(frozen=True, kw_only=True)
class EngineAgreement:
    """Sketched cosines of an engine that approximates against those of the exact one."""

    n_preds: int
    correlation: float
    """Pearson's, over pairs."""
    rmse: float
    neighbour_overlap: float
    """Share of each prediction's ten nearest that are among the exact ten nearest."""


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
    return SketchFidelity(
        n_preds=len(exact),
        rmse=float(np.sqrt(np.mean(error**2))),
        max_error=float(np.abs(error).max()),
        correlation=_correlation(wanted, found),
    )


def measure_agreement(
    module: PreTrainedModel,
    sequences: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]],
    *,
    config: SketchConfig,
    whitening: Whitening | None = None,
) -> EngineAgreement:
    """Compare the engine of a config with the exact one, through the same sketch.

    Parameters
    ----------
    module, sequences, config, whitening
        As for `measure_fidelity`; predictions of more than eleven make sense of neighbours.

    Returns
    -------
    EngineAgreement
        Over all pairs of the predictions given.
    """
    found, wanted = (
        _cosines(
            sketch_predictions(
                module, sequences, config=replace(config, engine=engine), whitening=whitening
            )[0].astype(np.float32)
        )
        for engine in (config.engine, EXACT)
    )
    pairs = np.triu_indices(len(wanted), k=1)
    return EngineAgreement(
        n_preds=len(wanted),
        correlation=_correlation(wanted[pairs], found[pairs]),
        rmse=float(np.sqrt(np.mean((found - wanted)[pairs] ** 2))),
        neighbour_overlap=_overlap(wanted, found),
    )


def _correlation(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    spread = float(wanted.std()) * float(found.std())
    return float(np.corrcoef(wanted, found)[0, 1]) if spread > 0 else 0.0


def _overlap(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    n = min(_NEIGHBOURS, len(wanted) - 1)
    alone = np.eye(len(wanted), dtype=np.bool_)
    exact, near = (
        np.argsort(np.where(alone, -np.inf, cosines), axis=1, kind="stable")[:, -n:]
        for cosines in (wanted, found)
    )
    shared = [len(np.intersect1d(a, b)) for a, b in zip(exact, near, strict=True)]
    return float(np.mean(shared) / n)


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
