"""Curves over sizes, steps or data: the columns of losses that belong to one question.

A `Series` holds, for each column, its level (which size, which step, which amount of text) and the
training run it comes from. Across sizes and amounts of text every column is a run of its own; along
steps a run has a column at every level, and its columns deviate together. All tests rest on that
difference.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.families.curves import Checkpoints, LossCurves

__all__ = ["Scale", "Series", "over_data", "over_sizes", "over_steps"]

Floats = NDArray[np.float64]
Scale = Literal["n_params", "step", "n_unique"]


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
    return _apart(curves, columns, x=x, level=level, scale="n_params")


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
    return _apart(curves, columns, x=x, level=level, scale="n_unique")


def _apart(
    curves: LossCurves,
    columns: list[int],
    *,
    x: Floats,
    level: NDArray[np.integer],
    scale: Scale,
) -> Series:
    """Cut out checkpoints that are training runs of their own."""
    return Series(
        scale=scale,
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
