"""Gradients as sums of outer products, never formed: what sketches and inner products need of them.

The gradient of a weight matrix (n_out, n_in) is given in parts that have no row in common. A part
of rank r holds r input-side and r output-side vectors for each prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["Part", "add_gram", "assemble", "map_outputs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Some rows of the gradient matrices of K predictions: ``sum_r outer(signals_r, inputs_r)``."""

    inputs: torch.Tensor
    """Axes ``pred rank in``."""
    signals: torch.Tensor
    """Axes ``pred rank row``."""
    rows: torch.Tensor | None = None
    """Rows of the matrix; None stands for all, in order."""

    def matrices(self) -> torch.Tensor:
        """Form these rows, transposed: axes ``pred in row``."""
        return self.inputs.transpose(1, 2) @ self.signals

    def chosen(self, preds: slice) -> "Part":
        """Keep some predictions."""
        return Part(inputs=self.inputs[preds], signals=self.signals[preds], rows=self.rows)


def assemble(
    parts: Sequence[Part], *, n_out: int, outputs: torch.Tensor | None = None
) -> torch.Tensor:
    """Form transposed gradients from parts.

    Parameters
    ----------
    parts
        Of one weight matrix.
    n_out
        Its rows.
    outputs
        Map of the output side ``(n_out, m)``; None keeps all rows.

    Returns
    -------
    torch.Tensor
        Axes ``pred in out``, the last of length n_out or m.
    """
    if outputs is not None:
        mapped = [part.signals @ _rows(outputs, part.rows) for part in parts]
        inputs = torch.cat([part.inputs for part in parts], dim=1)
        return inputs.transpose(1, 2) @ torch.cat(mapped, dim=1)
    if len(parts) == 1 and parts[0].rows is None:
        return parts[0].matrices()
    first = parts[0].inputs
    whole = first.new_zeros(len(first), first.shape[2], n_out)
    for part in parts:
        if part.rows is None:
            whole += part.matrices()
        else:
            whole[:, :, part.rows] = part.matrices()
    return whole


def add_gram(gram: torch.Tensor, parts: Sequence[Part], others: Sequence[Part]) -> None:
    """Add the inner products of the gradients of some predictions with those of others.

    A part of rank one needs the products of its vectors alone; what has a higher rank is formed.

    Parameters
    ----------
    gram
        Axes ``pred other``; added to in place.
    parts, others
        Of the same weight matrix, part by part of the same rows.
    """
    for part, other in zip(parts, others, strict=True):
        if part.inputs.shape[1] == other.inputs.shape[1] == 1:
            inputs = part.inputs[:, 0] @ other.inputs[:, 0].T
            gram += inputs * (part.signals[:, 0] @ other.signals[:, 0].T)
        else:
            gram += part.matrices().flatten(1) @ other.matrices().flatten(1).T


def _rows(outputs: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    return outputs if rows is None else outputs[rows]


def map_outputs(
    gradients: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor | None]
) -> list[torch.Tensor]:
    """Map the output side of gradients ``(K, m, n_out)``; none is mapped if `outputs` is empty."""
    if not outputs:
        return list(gradients)
    return [
        gradient if output is None else gradient.to(output.dtype) @ output
        for gradient, output in zip(gradients, outputs, strict=True)
    ]
