"""Whitening of gradients: what every sample shares is shrunk, what tells samples apart stays.

Gradient matrices of some samples enter; for each block two symmetric maps leave, one of its inputs
and one of the signals that come back to its outputs. They are inverse square roots of the second
moments of gradients of unit length, ``A = mean(G' G / |G|^2)`` and ``B = mean(G G' / |G|^2)``, so
all that is needed is gradients, whatever the layer. For a rank-one gradient ``G = b a'`` the
product ``B^-1/2 G A^-1/2`` whitens ``a`` and ``b`` apart, as Kronecker-factored curvature does.

References
----------
Martens and Grosse 2015, arXiv:1503.05671 (Kronecker-factored curvature); Gupta, Koren and Singer
2018, arXiv:1802.09568 (the same moments, taken from whole gradients).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from quantascope.core.errors import DataError

__all__ = ["GradientMoments", "Whitening"]


@dataclass(frozen=True, eq=False)
class Whitening:
    """Maps of each block, by its index."""

    inputs: dict[int, torch.Tensor]
    """Symmetric, ``(n_in, n_in)``."""
    signals: dict[int, torch.Tensor]
    """Symmetric, ``(n_out, n_out)``."""

    def pack(self) -> NDArray[np.float32]:
        """Lay all maps into one row of numbers, for a file."""
        pairs = [(self.inputs[index], self.signals[index]) for index in sorted(self.inputs)]
        return np.concatenate([each.flatten().numpy() for pair in pairs for each in pair])

    @classmethod
    def unpack(cls, packed: NDArray[np.float32], shapes: Sequence[tuple[int, int]]) -> "Whitening":
        """Read back what `pack` laid down; `shapes` holds (n_out, n_in) of each block."""
        inputs: dict[int, torch.Tensor] = {}
        signals: dict[int, torch.Tensor] = {}
        at = 0
        for index, (n_out, n_in) in enumerate(shapes):
            for maps, width in ((inputs, n_in), (signals, n_out)):
                part = packed[at : at + width * width].reshape(width, width)
                maps[index] = torch.from_numpy(np.array(part))
                at += width * width
        return cls(inputs, signals)


class GradientMoments:
    """Sums of second moments over samples.

    Parameters
    ----------
    shapes
        Shape (n_out, n_in) of each gradient matrix.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        self._inputs = [torch.zeros(n_in, n_in) for _, n_in in shapes]
        self._signals = [torch.zeros(n_out, n_out) for n_out, _ in shapes]

    def add(self, gradients: Sequence[torch.Tensor]) -> None:
        """Count whole gradients in; for each block an array ``(K, n_in, n_out)``.

        Raises
        ------
        DataError
            If a gradient is not finite.
        """
        for index, gradient in enumerate(gradients):
            matrix = _unit(gradient.cpu())
            across = matrix.transpose(0, 1).flatten(1)
            self._inputs[index] += across @ across.T
            down = matrix.flatten(0, 1)
            self._signals[index] += down.T @ down

    def whitening(self, *, damping: float) -> Whitening:
        """Invert the moments.

        Parameters
        ----------
        damping
            Added to the eigenvalues as a share of their mean; above 0.

        Returns
        -------
        Whitening
            Maps of every block; a block without any gradient is left as it is.

        Raises
        ------
        ValueError
            If the damping is not above 0.
        """
        if not damping > 0:
            raise ValueError(f"damping: {damping} found; allowed is any share above 0")
        return Whitening(
            dict(enumerate(_inverse_root(moment, damping) for moment in self._inputs)),
            dict(enumerate(_inverse_root(moment, damping) for moment in self._signals)),
        )


def _unit(matrix: torch.Tensor) -> torch.Tensor:
    """Scale each matrix to length 1; by its largest entry first, whose square may vanish."""
    peak = matrix.flatten(1).abs().amax(dim=1)
    if not bool(torch.isfinite(peak).all()):
        raise DataError(
            "gradient: not finite where moments are taken; "
            "compute in float32, or leave this prediction out"
        )
    scaled = (matrix / torch.where(peak > 0, peak, torch.ones_like(peak))[:, None, None]).float()
    length = scaled.flatten(1).norm(dim=1)
    return scaled / torch.where(length > 0, length, torch.ones(()))[:, None, None]


def _inverse_root(moment: torch.Tensor, damping: float) -> torch.Tensor:
    """Compute ``(M / tr M + damping / n)^-1/2``."""
    trace = float(moment.trace())
    if trace <= 0:
        return torch.eye(len(moment))
    values, vectors = torch.linalg.eigh(moment.double() / trace)
    scaled = (values.clamp(min=0) + damping / len(moment)) ** -0.5
    return ((vectors * scaled) @ vectors.T).float()
