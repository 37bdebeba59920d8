"""A gradient pressed into a few thousand numbers that keep inner products.

First stage: the input side of every gradient matrix, and if so wanted its output side too, is
multiplied by a random sign matrix (the engines do that while they go back). Second stage:
CountSketch, every remaining component goes with a random sign to one random place of `dim`. All
keep inner products without bias. Where there are no more components than places, each gets one of
its own.

References
----------
Charikar, Chen and Farach-Colton 2002, doi:10.1007/3-540-45465-9_59 (CountSketch);
Achlioptas 2003, doi:10.1016/S0022-0000(03)00025-4 (sign projections).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.rng import stream
from quantascope.qdg.config import SketchConfig
from quantascope.qdg.engines import GradientEngine, make_engine
from quantascope.qdg.parameters import ParameterChoice, choose_parameters
from quantascope.qdg.whitening import GradientMoments, Whitening

__all__ = [
    "GradientSketch",
    "chosen_blocks",
    "is_exact",
    "measure_whitening",
    "normalise",
    "sketch_predictions",
]

Sequences = Iterable[tuple[NDArray[np.integer], NDArray[np.integer]]]


class GradientSketch:
    """The random maps of one sketch, fixed by shapes and seed.

    Parameters
    ----------
    shapes
        Shape (n_out, n_in) of each gradient matrix.
    dim
        Numbers of a sketch.
    input_dim
        Width of the input-side projection; 0 leaves all matrices whole. A matrix not wider than
        this is left whole.
    output_dim
        The same for the output side.
    seed
        Seed of all signs and places.
    device
        Where gradients are.
    whitening
        Maps of the inputs and of the backpropagated signals of blocks; None leaves gradients as
        they are.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, int]],
        *,
        dim: int,
        input_dim: int,
        output_dim: int = 0,
        seed: int,
        device: torch.device | str = "cpu",
        whitening: Whitening | None = None,
    ) -> None:
        if dim < 1 or min(input_dim, output_dim) < 0:
            raise ValueError(
                f"dim, input_dim, output_dim: {dim}, {input_dim}, {output_dim}; dim must be at "
                "least 1, the others at least 0"
            )
        self.dim = dim
        self.projections: list[torch.Tensor | None] = []
        """Of the input side of each block ``(n_in, m)``, whitened where that is wanted."""
        self.outputs: list[torch.Tensor | None] = []
        """Of the output side."""
        self._places, self._signs = [], []
        sizes = [_kept(n_out, output_dim) * _kept(n_in, input_dim) for n_out, n_in in shapes]
        self.exact = is_exact(shapes, dim=dim, input_dim=input_dim, output_dim=output_dim)
        starts = np.cumsum([0, *sizes])
        maps = whitening or Whitening({}, {})
        for index, (size, (n_out, n_in)) in enumerate(zip(sizes, shapes, strict=True)):
            inside = _projection("input", index, n_in, input_dim, seed)
            outside = _projection("output", index, n_out, output_dim, seed)
            self.projections.append(_through(maps.inputs.get(index), inside, device))
            signals = maps.signals[index].T if index in maps.signals else None
            self.outputs.append(_through(signals, outside, device))
            random = stream(seed, "sketch", "count", index)
            places = random.integers(0, dim, size=size)
            if sum(sizes) <= dim:
                places = np.arange(starts[index], starts[index + 1])
            signs = random.integers(0, 2, size=size, dtype=np.int8) * 2 - 1
            self._places.append(torch.from_numpy(places).to(device))
            self._signs.append(torch.from_numpy(signs).to(device))

    def compress(self, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
        """Press projected gradients into sketches.

        Parameters
        ----------
        gradients
            For each block an array as engines give it that were told `projections` and `outputs`;
            `factors.map_outputs` does the second where that was not done.

        Returns
        -------
        torch.Tensor
            Sketches ``(K, dim)``, float32, linear in the gradients.
        """
        total = torch.zeros(len(gradients[0]), self.dim, device=gradients[0].device)
        for index, gradient in enumerate(gradients):
            total.index_add_(
                1, self._places[index], gradient.float().flatten(1) * self._signs[index]
            )
        return total


def is_exact(
    shapes: Sequence[tuple[int, int]], *, dim: int, input_dim: int, output_dim: int = 0
) -> bool:
    """Say whether a sketch of matrices (n_out, n_in) has a place for every component."""
    narrowed = any(
        _kept(n_in, input_dim) < n_in or _kept(n_out, output_dim) < n_out for n_out, n_in in shapes
    )
    return not narrowed and sum(n_out * n_in for n_out, n_in in shapes) <= dim


def _kept(width: int, narrow: int) -> int:
    return min(width, narrow) if narrow else width


def _projection(side: str, index: int, width: int, narrow: int, seed: int) -> torch.Tensor | None:
    """Draw signs over the root of the new width, (width, narrow); None if that is not narrower."""
    if not 0 < narrow < width:
        return None
    signs = stream(seed, "sketch", side, index).integers(0, 2, size=(width, narrow)) * 2 - 1
    return torch.from_numpy((signs / np.sqrt(narrow)).astype(np.float32))


def _through(
    whitening: torch.Tensor | None, projection: torch.Tensor | None, device: torch.device | str
) -> torch.Tensor | None:
    """Give a whitening map and the projection behind it as one."""
    if whitening is None:
        return None if projection is None else projection.to(device)
    whole = whitening.cpu().float()
    return (whole if projection is None else whole @ projection).to(device)


def sketch_predictions(
    module: PreTrainedModel,
    sequences: Sequences,
    *,
    config: SketchConfig,
    whitening: Whitening | None = None,
    advance: Advance = ignore_progress,
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Sketch the gradient of each prediction's own loss.

    Parameters
    ----------
    module
        Causal language model, already on its device and in its dtype.
    sequences
        Pairs of token ids as the model should read them, and positions of the predicted tokens
        among them (each at least 1).
    config
        Engine, parameters and sketch.
    whitening
        Maps that gradients go through first, see `measure_whitening`; None for none.
    advance
        Told the number of predictions just done.

    Returns
    -------
    sketch : NDArray[np.float16]
        Unit vectors, axes ``(pred, dim)``, in the order of the input; a vanishing gradient is a
        row of zeros.
    norm : NDArray[np.float32]
        Norm of the sketch before it was scaled, which estimates that of the gradient after the
        whitening; axis ``pred``.

    Raises
    ------
    ValueError
        If a position is out of range, or the model cannot serve the engine.
    DataError
        If a gradient is not finite.

    Notes
    -----
    A sequence's passes depend on its own positions alone, so results do not depend on how
    sequences are grouped into calls.
    """
    choice = chosen_blocks(module, config)
    device = next(module.parameters()).device
    sketch = GradientSketch(
        choice.shapes,
        dim=config.dim,
        input_dim=config.input_dim,
        output_dim=config.output_dim,
        seed=config.seed,
        device=device,
        whitening=whitening,
    )
    engine = make_engine(
        config.engine,
        module,
        choice,
        projections=sketch.projections,
        outputs=sketch.outputs,
        targets_per_pass=config.targets_per_pass,
    )
    rows = []
    for input_ids, positions in sequences:
        _check_positions(positions, len(input_ids))
        ids = torch.as_tensor(np.asarray(input_ids, dtype=np.int64), device=device)
        rows.append(_sketch_sequence(engine, sketch, ids, positions))
        advance(len(positions))
    return normalise(np.concatenate(rows) if rows else np.zeros((0, config.dim), np.float32))


def chosen_blocks(module: PreTrainedModel, config: SketchConfig) -> ParameterChoice:
    """Choose the parameters that a config names."""
    return choose_parameters(
        module,
        layers=config.layers,
        biases=config.biases,
        norms=config.norms,
        embeddings=config.embeddings,
    )


def measure_whitening(
    module: PreTrainedModel, sequences: Sequences, *, config: SketchConfig
) -> Whitening:
    """Take second moments of whole gradients of some predictions, and invert them.

    Parameters
    ----------
    module, sequences, config
        As in `sketch_predictions`.

    Returns
    -------
    Whitening
        Maps of every chosen block, on the CPU.
    """
    choice = chosen_blocks(module, config)
    engine = make_engine(
        config.engine,
        module,
        choice,
        projections=[None] * len(choice.blocks),
        targets_per_pass=config.targets_per_pass,
    )
    device = next(module.parameters()).device
    moments = GradientMoments(choice.shapes)
    for input_ids, positions in sequences:
        _check_positions(positions, len(input_ids))
        ids = torch.as_tensor(np.asarray(input_ids, dtype=np.int64), device=device)
        for _, gradients in engine.gradients(ids, [int(p) for p in positions]):
            moments.add([gradient.detach() for gradient in gradients])
    return moments.whitening(damping=config.damping)


def _check_positions(positions: NDArray[np.integer], length: int) -> None:
    if len(positions) and not 1 <= positions.min() <= positions.max() < length:
        raise ValueError(
            f"positions: {positions.min()} to {positions.max()} in a sequence of {length} tokens; "
            f"allowed are 1 to {length - 1}"
        )


def _sketch_sequence(
    engine: GradientEngine,
    sketch: GradientSketch,
    input_ids: torch.Tensor,
    positions: NDArray[np.integer],
) -> NDArray[np.float32]:
    rows = np.empty((len(positions), sketch.dim), dtype=np.float32)
    for indices, gradients in engine.gradients(input_ids, [int(p) for p in positions]):
        rows[indices] = sketch.compress(gradients).cpu().numpy()
    return rows


def normalise(
    rows: NDArray[np.float32],
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Split sketches into unit vectors and norms.

    Raises
    ------
    DataError
        If a row is not finite.
    """
    norm = np.linalg.norm(rows, axis=1).astype(np.float32)
    if not np.isfinite(norm).all():
        bad = int(np.flatnonzero(~np.isfinite(norm))[0])
        raise DataError(
            f"gradient of prediction {bad} of this call is not finite; "
            "compute in float32, or leave this prediction out"
        )
    scale = np.where(norm > 0, norm, 1.0)[:, None]
    return (rows / scale).astype(np.float16), norm
