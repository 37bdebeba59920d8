"""Loss curves of a family: what each prediction costs under every checkpoint, checked.

Losses by (prediction, checkpoint) and a table of checkpoints enter; what makes no family is refused
by name. `quantascope.families.series` cuts out what belongs to one question.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError

__all__ = ["Checkpoints", "LossCurves", "check_checkpoints", "make_curves"]

Floats = NDArray[np.float64]

_BELOW_ZERO: Final = -1e-5
"""A cross-entropy in single precision may come out this far below zero [nat]."""
_BLOCK: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoints:
    """Table of checkpoints, every array with the axis ``model``."""

    name: NDArray[np.str_]
    n_params: Floats
    """Non-embedding parameters."""
    step: Floats
    """NaN where unknown."""
    n_tokens: Floats
    """Training tokens; NaN where unknown."""
    seed: NDArray[np.int64]
    weights_sha256: NDArray[np.str_] | None = None
    n_unique: Floats | None = None
    """Distinct training tokens, in a series over data; NaN where unknown."""

    @classmethod
    def from_table(cls, table: pa.Table) -> "Checkpoints":
        """Take the columns of a run's table of models; a seed that is not known counts as 0.

        Raises
        ------
        DataError
            If a column is missing.
        """
        needed = ["name", "n_params", "step", "n_tokens", "seed"]
        missing = sorted(set(needed) - set(table.column_names))
        if missing:
            raise DataError(f"checkpoints: columns {missing} missing; needed are {needed}")

        def numbers(column: str, empty: float) -> Floats:
            values = [empty if v is None else v for v in table[column].to_pylist()]
            return np.array(values, dtype=np.float64)

        hashes = None
        if "weights_sha256" in table.column_names:
            hashes = np.array([v or "" for v in table["weights_sha256"].to_pylist()])
        return cls(
            name=np.array(table["name"].to_pylist(), dtype=np.str_),
            n_params=numbers("n_params", np.nan),
            step=numbers("step", np.nan),
            n_tokens=numbers("n_tokens", np.nan),
            seed=numbers("seed", 0).astype(np.int64),
            weights_sha256=hashes,
            n_unique=numbers("n_unique", np.nan) if "n_unique" in table.column_names else None,
        )

    def rows(self, kept: NDArray[np.bool_]) -> "Checkpoints":
        """Take some of the checkpoints."""
        hashes = None if self.weights_sha256 is None else self.weights_sha256[kept]
        return Checkpoints(
            name=self.name[kept],
            n_params=self.n_params[kept],
            step=self.step[kept],
            n_tokens=self.n_tokens[kept],
            seed=self.seed[kept],
            weights_sha256=hashes,
            n_unique=None if self.n_unique is None else self.n_unique[kept],
        )

    @property
    def data(self) -> Floats:
        """Distinct training tokens of each; -1 where unknown."""
        if self.n_unique is None:
            return np.full(len(self), -1.0)
        return np.where(np.isnan(self.n_unique), -1.0, self.n_unique)

    def __len__(self) -> int:
        """Give the number of checkpoints."""
        return len(self.name)


@dataclass(frozen=True, kw_only=True, eq=False)
class LossCurves:
    """Losses of predictions under all checkpoints of a family."""

    pred: NDArray[np.int64]
    losses: NDArray[np.floating[Any]]
    """Loss [nat], axes ``pred model``."""
    checkpoints: Checkpoints


def make_curves(
    pred: NDArray[np.int64], losses: NDArray[np.floating[Any]], *, checkpoints: Checkpoints
) -> LossCurves:
    """Check losses and checkpoints of a family.

    Parameters
    ----------
    pred
        Index of each prediction, distinct, axis ``pred``.
    losses
        Loss [nat], finite and not negative, axes ``pred model``.
    checkpoints
        One row a column of `losses`.

    Returns
    -------
    LossCurves
        The same arrays.

    Raises
    ------
    DataError
        If a loss cannot be one, or the checkpoints make no family: one alone, one twice, or two
        with the same weights.

    Examples
    --------
    >>> table = Checkpoints(
    ...     name=np.array(["small", "large"]), n_params=np.array([1e5, 1e6]),
    ...     step=np.array([1000.0, 1000.0]), n_tokens=np.array([1e6, 1e6]), seed=np.array([0, 0]))
    >>> curves = make_curves(np.arange(2), np.array([[3.0, 1.0], [2.0, 2.0]]), checkpoints=table)
    >>> curves.losses.shape
    (2, 2)
    """
    if losses.ndim != 2 or losses.shape != (len(pred), len(checkpoints)):
        raise DataError(
            f"losses: shape {losses.shape} found; {len(pred)} predictions and "
            f"{len(checkpoints)} checkpoints need ({len(pred)}, {len(checkpoints)})"
        )
    ascending = np.sort(pred)  # for distinct numbers faster than `np.unique`
    if (ascending[1:] == ascending[:-1]).any():
        raise DataError("pred: a prediction stands there twice; each may have one row")
    check_checkpoints(checkpoints)
    for start in range(0, len(losses), _BLOCK):
        _check_losses(losses[start : start + _BLOCK], pred[start : start + _BLOCK], checkpoints)
    return LossCurves(pred=pred, losses=losses, checkpoints=checkpoints)


def check_checkpoints(checkpoints: Checkpoints) -> None:
    """Refuse checkpoints that make no family.

    Raises
    ------
    DataError
        With the names of those that are wrong.
    """
    c = checkpoints
    if len(c) < 2:
        raise DataError(f"checkpoints: {len(c)} found; a family has two sizes or steps, or more")
    sized = np.isfinite(c.n_params) & (c.n_params > 0)
    placed = np.isnan(c.step) | (np.isfinite(c.step) & (c.step >= 0))
    for column, good in (("n_params", sized), ("step", placed)):
        if not good.all():
            at = int(np.argmin(good))
            raise DataError(
                f"checkpoint {c.name[at]}: {column} is {getattr(c, column)[at]:g}; allowed are "
                + ("numbers above 0" if column == "n_params" else "numbers from 0")
            )
    step = np.where(np.isnan(c.step), -1.0, c.step)
    keys = list(zip(c.n_params, step, c.seed, c.data, strict=True))
    _refuse_twins(keys, c, "size, step and seed")
    if c.weights_sha256 is not None:
        _refuse_twins(c.weights_sha256.tolist(), c, "weights")


def _refuse_twins(keys: list[Any], checkpoints: Checkpoints, what: str) -> None:
    counts = Counter(key for key in keys if key != "")
    for key, n in counts.items():
        if n > 1:
            names = [checkpoints.name[i] for i, each in enumerate(keys) if each == key]
            raise DataError(
                f"checkpoints {', '.join(map(str, names))}: equal {what}; leave all but one out"
                + (" (was the wrong revision loaded?)" if what == "weights" else "")
            )


def _check_losses(
    losses: NDArray[np.floating[Any]], pred: NDArray[np.int64], checkpoints: Checkpoints
) -> None:
    bad = ~(np.isfinite(losses) & (losses >= _BELOW_ZERO))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"losses: {losses[row, column]:g} found for prediction {pred[row]} under checkpoint "
            f"{checkpoints.name[column]}; losses are finite and not negative [nat]"
        )
