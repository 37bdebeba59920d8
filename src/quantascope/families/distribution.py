"""The distribution of losses over all predictions, checkpoint by checkpoint, in one pass.

Blocks of losses enter in any order; counts leave, and counts of parts add up. So ten million
predictions under 140 checkpoints take the memory of one block. Of the same pass: the share of
predictions that are solved, and how many of those that come below a loss stay there.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.units import NATS_PER_BIT

__all__ = ["FIRST_BIN", "LossDistribution", "Persistence", "merge_distributions"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_N_BINS: Final = 1000
_RANGE: Final = 18 * NATS_PER_BIT
"""The paper's histogram: 1,000 bins over 18 bit."""
FIRST_BIN: Final = _RANGE / _N_BINS
"""Width of its first bin [nat]: 0.018 bit."""
_BELOW_ZERO: Final = -1e-5  # rounding of a cross-entropy in single precision [nat]
_BLOCK: Final = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Persistence:
    """Predictions by the checkpoint at which they first come below a loss."""

    threshold: float
    """[nat]"""
    first_below: Counts
    """Predictions that are below for the first time, axis ``model``."""
    stayed_below: Counts
    """Those of them that are below at every later checkpoint, axis ``model``."""

    @property
    def share(self) -> Floats:
        """Share that stays; NaN where none came; 1 by construction at the last checkpoint."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.stayed_below / self.first_below)


class LossDistribution:
    """Counts of losses that grow block by block.

    Parameters
    ----------
    n_models
        Number of checkpoints, in the order in which persistence is asked (by size, or by step).
    n_bins, upper
        Bins over 0 to `upper` [nat]; losses beyond are counted apart. The default is the paper's
        histogram, 1,000 bins over 18 bit.
    thresholds
        Losses [nat] for persistence. The default has 0.3 nat and 0.3 bit: the source gives its
        threshold of 0.3 without a unit that is sure.

    References
    ----------
    arXiv:2303.13506, section 5 and figures 3 and A5.

    Examples
    --------
    >>> found = LossDistribution(2)
    >>> found.add(np.array([[2.0, 0.001], [3.0, 2.5], [0.001, 0.2]]))
    >>> found.share_solved().round(3).tolist()
    [0.333, 0.333]
    >>> found.mean().round(3).tolist()
    [1.667, 0.9]
    """

    def __init__(
        self,
        n_models: int,
        *,
        n_bins: int = _N_BINS,
        upper: float = _RANGE,
        thresholds: tuple[float, ...] = (0.3, 0.3 * NATS_PER_BIT),
    ) -> None:
        if n_models < 1 or n_bins < 1:
            raise ValueError(f"n_models, n_bins: {n_models}, {n_bins} found; allowed: from 1")
        if not (np.isfinite(upper) and upper > 0):
            raise ValueError(f"upper: {upper} found; allowed are finite losses above 0 [nat]")
        if not all(np.isfinite(t) and t > 0 for t in thresholds):
            raise ValueError(f"thresholds: {thresholds} found; allowed are losses above 0 [nat]")
        self.upper, self.thresholds = float(upper), tuple(map(float, thresholds))
        self.counts: Counts = np.zeros((n_models, n_bins + 1), dtype=np.int64)
        """Axes ``model bin``; the last bin has all losses from `upper` on."""
        self.sums: Floats = np.zeros(n_models)
        self.n_preds = 0
        self._first: Counts = np.zeros((len(self.thresholds), n_models), dtype=np.int64)
        self._stayed: Counts = np.zeros_like(self._first)

    @property
    def edges(self) -> Floats:
        """Edges of the bins [nat], the overflow left out."""
        return np.linspace(0.0, self.upper, self.counts.shape[1])

    def add(self, losses: NDArray[np.floating[Any]]) -> None:
        """Count a block.

        Parameters
        ----------
        losses
            Loss [nat], axes ``pred model``. A row of NaN throughout is no prediction (the first
            token of a document) and is passed over.

        Raises
        ------
        DataError
            If a loss is NaN, infinite or negative. What came before in the block is counted.
        """
        if losses.ndim != 2 or losses.shape[1] != len(self.counts):
            raise DataError(
                f"losses: shape {losses.shape} found; allowed is (any, {len(self.counts)}), one "
                "column a checkpoint"
            )
        for start in range(0, len(losses), _BLOCK):
            self._add(losses[start : start + _BLOCK])

    def _add(self, losses: NDArray[np.floating[Any]]) -> None:
        empty = np.isnan(losses[:, 0])
        if empty.any():
            losses = losses[~(empty & np.isnan(losses).all(axis=1))]
        least, most = (losses.min(), losses.max()) if len(losses) else (0.0, 0.0)
        if not (least >= _BELOW_ZERO and np.isfinite(most)):  # NaN fails as well
            raise DataError(
                f"losses: values from {least:g} to {most:g} found; losses are finite and not "
                "negative [nat], or missing under all checkpoints"
            )
        n_bins = self.counts.shape[1] - 1
        columns = np.ascontiguousarray(losses.T)
        place = (columns * (n_bins / self.upper)).astype(np.int64)
        np.clip(place, 0, n_bins, out=place)
        place += np.arange(len(place))[:, None] * (n_bins + 1)
        self.counts += np.bincount(place.ravel(), minlength=self.counts.size).reshape(
            self.counts.shape
        )
        self.sums += columns.sum(axis=1, dtype=np.float64)
        self.n_preds += len(losses)
        for row, threshold in enumerate(self.thresholds):
            self._follow(columns < threshold, row)

    def _follow(self, below: NDArray[np.bool_], row: int) -> None:
        """Count first arrivals and those that stay; `below` has the axes ``model pred``."""
        n_models = len(below)
        ever = below.any(axis=0)
        first = below.argmax(axis=0)
        last_above = n_models - 1 - (~below[::-1]).argmax(axis=0)
        stays = ever & (below.all(axis=0) | (last_above < first))
        self._first[row] += np.bincount(first[ever], minlength=n_models)
        self._stayed[row] += np.bincount(first[stays], minlength=n_models)

    def mean(self) -> Floats:
        """Give the mean loss [nat], axis ``model``."""
        return np.asarray(self.sums / max(self.n_preds, 1))

    def density(self) -> Floats:
        """Give p(L) [1 / nat], axes ``model bin``; it sums to 1 with what lies beyond `upper`."""
        width = self.upper / (self.counts.shape[1] - 1)
        return np.asarray(self.counts[:, :-1] / (max(self.n_preds, 1) * width))

    def weighted_density(self) -> Floats:
        """Give L p(L), L in the middle of its bin: where the mean loss comes from."""
        return (self.edges[:-1] + self.edges[1:]) / 2 * self.density()

    def share_solved(self) -> Floats:
        """Give the share of predictions in the first bin, axis ``model``.

        With the default bins: a loss below 0.018 bit, that is 0.01248 nat.
        """
        return np.asarray(self.counts[:, 0] / max(self.n_preds, 1))

    def persistence(self) -> tuple[Persistence, ...]:
        """Give for each threshold who stays below it."""
        rows = zip(self.thresholds, self._first, self._stayed, strict=True)
        return tuple(
            Persistence(threshold=t, first_below=first.copy(), stayed_below=stayed.copy())
            for t, first, stayed in rows
        )

    def to_table(self) -> pa.Table:
        """Make an Arrow table of the bins that hold something: model, edges [nat], count."""
        model, place = np.nonzero(self.counts)
        edges = np.append(self.edges, np.inf)
        columns = {"model": model, "lo": edges[place], "hi": edges[place + 1]}
        return pa.table(columns | {"count": self.counts[model, place]})


def merge_distributions(parts: list[LossDistribution]) -> LossDistribution:
    """Add up what was counted over parts of the predictions, in any order.

    Raises
    ------
    ValueError
        If there is nothing to merge, or bins, thresholds or checkpoints differ.
    """
    if not parts:
        raise ValueError("parts: none found; one or more are needed")
    first = parts[0]
    like = (first.counts.shape, first.upper, first.thresholds)
    if any((p.counts.shape, p.upper, p.thresholds) != like for p in parts):
        raise ValueError("parts: differ in checkpoints, bins or thresholds; count them alike")
    n_models, n_bins = first.counts.shape
    total = LossDistribution(
        n_models, n_bins=n_bins - 1, upper=first.upper, thresholds=first.thresholds
    )
    for part in parts:
        total.counts += part.counts
        total.sums += part.sums
        total.n_preds += part.n_preds
        total._first += part._first  # noqa: SLF001
        total._stayed += part._stayed  # noqa: SLF001
    return total
