"""Loss curves of a family: what each prediction costs under every checkpoint, checked.

Losses by (prediction, checkpoint) and a table of checkpoints enter. `over_sizes` and `over_steps`
cut out a `Series`: the columns that belong to one question, with the level of each (which size, or
which step) and the training run it comes from. Across sizes every column is a run of its own;
along steps a run has a column at every level, and its columns deviate together. All tests rest on
that difference.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError

__all__ = [
    "Checkpoints",
    "LossCurves",
    "Scale",
    "Series",
    "make_curves",
    "over_data",
    "over_sizes",
    "over_steps",
]

Floats = NDArray[np.float64]
Scale = Literal["n_params", "step", "n_unique"]

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Curves over one scale: columns of losses, each at a level and from a training run."""

    scale: Scale
    x: Floats
    """Sizes, steps, or tokens of training data, ascending, axis ``level``."""
    losses: NDArray[np.floating[Any]]
    """Loss [nat], axes ``pred column``."""
    level: NDArray[np.int64]
    """Place of each column's size or step in `x`."""
    run: NDArray[np.int64]
    """Training run of each column."""

    @property
    def tracked(self) -> bool:
        """Whether runs pass through all levels (steps) instead of standing at one (sizes)."""
        return len(np.unique(self.run)) < len(self.run)

    @property
    def n_runs(self) -> NDArray[np.int64]:
        """Number of runs at each level."""
        return np.bincount(self.level, minlength=len(self.x))

    def level_means(self) -> Floats:
        """Average over the runs of each level [nat], axes ``pred level``."""
        member = (self.level[:, None] == np.arange(len(self.x))).astype(np.float64)
        return np.asarray(self.losses @ (member / member.sum(axis=0)))

    def thinned(self, most: int) -> "Series":
        """Leave out levels, evenly in log x, until there are at most so many, from 2."""
        if len(self.x) <= most:
            return self
        wanted = np.geomspace(self.x[0], self.x[-1], most)
        place = np.unique(np.abs(np.log(self.x[:, None] / wanted)).argmin(axis=0))
        kept = np.isin(self.level, place)
        return Series(
            scale=self.scale,
            x=self.x[place],
            losses=self.losses[:, kept],
            level=np.searchsorted(place, self.level[kept]),
            run=self.run[kept],
        )

    def rows(self, part: slice | NDArray[Any]) -> "Series":
        """Take some of the curves."""
        return Series(
            scale=self.scale, x=self.x, losses=self.losses[part], level=self.level, run=self.run
        )

    def averaged(self, cluster: NDArray[np.int64]) -> "Series":
        """Average curves over clusters 0, 1, ... (below 0: none), within every run.

        The mean of a cluster keeps the chance effects that a run has on all its members, however
        many they are: noise is measured between runs, never between predictions.

        Parameters
        ----------
        cluster
            Cluster of each curve, axis ``pred``.
        """
        if cluster.shape != (len(self.losses),):
            raise ValueError(
                f"cluster: shape {cluster.shape} found; allowed is one number a curve, "
                f"({len(self.losses)},)"
            )
        kept = cluster >= 0
        n = np.bincount(cluster[kept])
        if not n.all():
            raise ValueError(
                f"cluster: none of the curves is in cluster {int(np.argmin(n))}; number them "
                "0, 1, ... without gaps"
            )
        sums = [np.bincount(cluster[kept], weights=column[kept]) for column in self.losses.T]
        mean = np.stack(sums, axis=1) / n[:, None]
        return Series(scale=self.scale, x=self.x, losses=mean, level=self.level, run=self.run)


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
    >>> over_sizes(curves).x.tolist()
    [100000.0, 1000000.0]
    """
    if losses.ndim != 2 or losses.shape != (len(pred), len(checkpoints)):
        raise DataError(
            f"losses: shape {losses.shape} found; {len(pred)} predictions and "
            f"{len(checkpoints)} checkpoints need ({len(pred)}, {len(checkpoints)})"
        )
    if len(np.unique(pred)) < len(pred):
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


def over_sizes(curves: LossCurves, *, step: float | None = None, complete: bool = True) -> Series:
    """Cut out the curves over size.

    Parameters
    ----------
    curves
        Of the family.
    step
        Take this step of every run; None takes the last of each.
    complete
        Refuse a family in which some size lacks a seed that another has. False takes the runs
        that are there; sizes of one run then borrow the noise of the others.

    Raises
    ------
    DataError
        If fewer than two sizes are left, or a seed is missing at a size.
    """
    c = curves.checkpoints
    chosen: dict[tuple[float, int], int] = {}
    for i in np.argsort(c.step, kind="stable"):
        if step is None or c.step[i] == step:
            chosen[float(c.n_params[i]), int(c.seed[i])] = int(i)
    columns = [chosen[key] for key in sorted(chosen)]
    x, level = np.unique(c.n_params[columns], return_inverse=True)
    if len(x) < 2:
        where = "" if step is None else f" with a checkpoint at step {step:g}"
        raise DataError(f"curves over size: {len(x)} size(s){where}; two or more are needed")
    if complete:
        _check_seeds(list(chosen), "size")
    return Series(
        scale="n_params",
        x=x,
        losses=curves.losses[:, columns],
        level=level.astype(np.int64),
        run=np.arange(len(columns)),
    )


def over_steps(curves: LossCurves, *, n_params: float | None = None) -> Series:
    """Cut out the curves over training steps of one size.

    Parameters
    ----------
    curves
        Of the family.
    n_params
        The size; None takes the only one.

    Raises
    ------
    DataError
        If the size is not there or not clear, fewer than two steps are, or a run lacks a step
        that another has. Step 0 is left out: steps are taken in logs.
    """
    c = curves.checkpoints
    size = _one_size(c, n_params, "steps")
    columns = np.flatnonzero((c.n_params == size) & (c.step > 0))
    if len(amounts := np.unique(c.data[columns])) > 1:
        raise DataError(
            f"curves over steps: runs of size {size:g} read {len(amounts)} different amounts of "
            "text, of which none is an earlier state of another; take them over data"
        )
    columns = columns[np.lexsort((c.step[columns], c.seed[columns]))]
    x, level = np.unique(c.step[columns], return_inverse=True)
    if len(x) < 2:
        raise DataError(f"curves over steps: {len(x)} step(s) of size {size:g}; two are needed")
    found = zip(c.step[columns].tolist(), c.seed[columns].tolist(), strict=True)
    _check_seeds(list(found), "step")
    _, run = np.unique(c.seed[columns], return_inverse=True)
    return Series(
        scale="step",
        x=x,
        losses=curves.losses[:, columns],
        level=level.astype(np.int64),
        run=run.astype(np.int64),
    )


def over_data(curves: LossCurves, *, n_params: float | None = None) -> Series:
    """Cut out the curves over data: runs of one size that differ in their distinct tokens.

    Parameters
    ----------
    curves
        Of the family; the checkpoints say their `n_unique`, and the last of each run is taken.
    n_params
        The size; None takes the only one.

    Raises
    ------
    DataError
        If the size is not there or not clear, fewer than two amounts of text are, or one lacks a
        seed that another has.
    """
    c = curves.checkpoints
    size = _one_size(c, n_params, "data")
    last: dict[tuple[float, int], int] = {}
    for i in np.argsort(c.step, kind="stable"):
        if c.n_params[i] == size and c.data[i] > 0:
            last[float(c.data[i]), int(c.seed[i])] = int(i)
    columns = [last[key] for key in sorted(last)]
    x, level = np.unique(c.data[columns], return_inverse=True)
    if len(x) < 2:
        raise DataError(
            f"curves over data: {len(x)} amount(s) of text for size {size:g}; two are needed, told "
            "by n_unique, the distinct training tokens of each checkpoint"
        )
    _check_seeds(list(last), "data")
    return Series(
        scale="n_unique",
        x=x,
        losses=curves.losses[:, columns],
        level=level.astype(np.int64),
        run=np.arange(len(columns)),
    )


def _one_size(c: Checkpoints, n_params: float | None, what: str) -> float:
    sizes = np.unique(c.n_params)
    if n_params is None and len(sizes) > 1:
        raise DataError(f"curves over {what}: {len(sizes)} sizes found; name one by n_params")
    return float(sizes[0]) if n_params is None else n_params


def _check_seeds(found: list[tuple[float, int]], what: str) -> None:
    """Refuse levels that lack a seed; `found` has pairs of level and seed."""
    seeds = {seed for _, seed in found}
    by_level = defaultdict(set)
    for level, seed in found:
        by_level[level].add(seed)
    for level in sorted(by_level):
        missing = sorted(seeds - by_level[level])
        if missing:
            raise DataError(
                f"seed {', '.join(map(str, missing))}: missing at {what} {level:g}; train it, or "
                + ("allow it by complete=False" if what == "size" else "leave that step out")
            )
