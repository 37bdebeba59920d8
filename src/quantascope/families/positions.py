"""Loss by position in the context, by checkpoint: what models learn from the text itself.

Blocks of losses with their positions enter; sums leave, and sums of parts add up. A model that
reads its context loses less at later positions; by how much is its in-context gain.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from quantascope.core.errors import DataError

__all__ = ["LossByPosition", "merge_positions"]

Floats = NDArray[np.float64]

_EDGES: Final = (1, 2, 3, 5, 8, 13, 21, 34, 45, 56, 89, 144, 233, 377, 450, 551, 724, 1025)
"""First positions of the groups, the last one out; 45 to 55 and 450 to 550 hold 50 and 500."""


class LossByPosition:
    """Mean losses by position and checkpoint that grow block by block.

    Parameters
    ----------
    n_models
        Number of checkpoints.
    edges
        First position of each group and the end of the last, ascending, from 1. Positions beyond
        are left out and counted in `n_left_out`.

    Examples
    --------
    >>> found = LossByPosition(1, edges=(1, 3, 5))
    >>> found.add(np.array([[4.0], [2.0], [1.0]]), np.array([1, 2, 4]))
    >>> found.mean().tolist()
    [[3.0, 1.0]]
    >>> found.gain(early=1, late=4).tolist()
    [2.0]
    """

    def __init__(self, n_models: int, *, edges: ArrayLike = _EDGES) -> None:
        self.edges = np.asarray(edges, dtype=np.int64)
        if n_models < 1:
            raise ValueError(f"n_models: {n_models} found; allowed are whole numbers from 1")
        ascending = self.edges.ndim == 1 and len(self.edges) > 1 and (np.diff(self.edges) > 0).all()
        if not (ascending and self.edges[0] >= 1):
            raise ValueError("edges: allowed are ascending positions from 1, two or more")
        self.counts: NDArray[np.int64] = np.zeros(len(self.edges) - 1, dtype=np.int64)
        self.sums: Floats = np.zeros((n_models, len(self.edges) - 1))
        self.squares: Floats = np.zeros_like(self.sums)
        self.n_left_out = 0

    def add(self, losses: NDArray[np.floating[Any]], pos: NDArray[np.integer[Any]]) -> None:
        """Add a block.

        Parameters
        ----------
        losses
            Loss [nat], axes ``pred model``; rows of NaN throughout are no predictions.
        pos
            Position of each predicted token in its document, from 1, axis ``pred``.

        Raises
        ------
        DataError
            If shapes do not fit, or a loss is not finite.
        """
        if losses.ndim != 2 or losses.shape != (len(pos), len(self.sums)):
            raise DataError(
                f"losses: shape {losses.shape} found; {len(pos)} positions and {len(self.sums)} "
                f"checkpoints need ({len(pos)}, {len(self.sums)})"
            )
        real = ~np.isnan(losses).all(axis=1)
        group = np.searchsorted(self.edges, pos, side="right") - 1
        kept = real & (group >= 0) & (group < len(self.counts))
        values, group = losses[kept].astype(np.float64), group[kept]
        if not np.isfinite(values).all():
            raise DataError("losses: NaN or infinite ones found; losses are finite [nat]")
        self.n_left_out += int(real.sum()) - len(group)
        self.counts += np.bincount(group, minlength=len(self.counts))
        for model, column in enumerate(values.T):
            n = len(self.counts)
            self.sums[model] += np.bincount(group, weights=column, minlength=n)
            self.squares[model] += np.bincount(group, weights=column**2, minlength=n)

    def mean(self) -> Floats:
        """Give the mean loss [nat], axes ``model group``; NaN where a group is empty."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums / self.counts)

    def stderr(self) -> Floats:
        """Give its standard error over predictions taken as independent; too small within text."""
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = np.maximum(self.squares / self.counts - self.mean() ** 2, 0.0)
            return np.asarray(np.sqrt(variance / (self.counts - 1)))

    def gain(self, *, early: int = 50, late: int = 500) -> Floats:
        """Give how much less is lost late than early in the context [nat], axis ``model``.

        Mean loss in the group of position `early` less that in the group of `late`.

        References
        ----------
        arXiv:2209.11895, the in-context learning score (positions 50 and 500; there with the
        opposite sign).

        Raises
        ------
        ValueError
            If a position lies in no group.
        """
        places = np.searchsorted(self.edges, [early, late], side="right") - 1
        if not ((places >= 0) & (places < len(self.counts))).all():
            raise ValueError(
                f"early, late: {early}, {late} found; allowed are {self.edges[0]} to "
                f"{self.edges[-1] - 1}"
            )
        mean = self.mean()
        return np.asarray(mean[:, places[0]] - mean[:, places[1]])

    def to_table(self) -> pa.Table:
        """Make an Arrow table: model, first and last position, predictions, mean loss [nat]."""
        n_models, n_groups = self.sums.shape
        columns = {
            "model": np.repeat(np.arange(n_models), n_groups),
            "first_pos": np.tile(self.edges[:-1], n_models),
            "last_pos": np.tile(self.edges[1:] - 1, n_models),
            "n_preds": np.tile(self.counts, n_models),
        }
        return pa.table(
            columns | {"mean_nats": self.mean().ravel(), "stderr_nats": self.stderr().ravel()}
        )


def merge_positions(parts: list[LossByPosition]) -> LossByPosition:
    """Add up what was summed over parts of the predictions, in any order.

    Raises
    ------
    ValueError
        If there is nothing to merge, or groups or checkpoints differ.
    """
    if not parts:
        raise ValueError("parts: none found; one or more are needed")
    first = parts[0]
    if any(p.sums.shape != first.sums.shape or (p.edges != first.edges).any() for p in parts[1:]):
        raise ValueError("parts: differ in checkpoints or groups; sum them alike")
    total = LossByPosition(len(first.sums), edges=first.edges)
    for part in parts:
        total.counts += part.counts
        total.sums += part.sums
        total.squares += part.squares
        total.n_left_out += part.n_left_out
    return total
