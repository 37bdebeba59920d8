"""Multitask sparse parity: the world in which the quanta are the subtasks.

A config enters; subsets, frequencies and labels leave. A sample is the number of its active subtask
and n random bits; its label is the parity of the k bits that belong to that subtask.

References
----------
Michaud et al. 2023, arXiv 2303.13506, section 3; Barak et al. 2022, arXiv 2207.08799 (one parity).
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream

__all__ = ["DISTRIBUTIONS", "ParityTask", "allocate"]

DISTRIBUTIONS: Final = ("zipf", "uniform", "given")

_FEW_SUBSETS: Final = 1 << 20  # up to here all subsets are listed, above they are drawn until new


@dataclass(frozen=True, kw_only=True)
class ParityTask:
    """The subtasks and how often each is used; the defaults are the paper's.

    Raises
    ------
    ValueError
        If a field is out of its range.

    Examples
    --------
    >>> task = ParityTask(n_tasks=3, n=5, k=2, alpha=0.4)
    >>> task.subsets.shape, round(float(task.frequencies.sum()), 12)
    ((3, 2), 1.0)
    """

    n_tasks: int = 500
    """Subtasks, from 1 to the number of k-subsets of n."""
    n: int = 100
    """Task bits of a sample."""
    k: int = 3
    """Bits whose parity is the label, from 1 to n."""
    alpha: float = 0.4
    """Frequencies fall as ``(i + offset)^-(alpha + 1)``; above 0."""
    offset: float = 0.0
    """Flattens the commonest subtasks; from 0."""
    distribution: str = "zipf"
    """``zipf``, ``uniform`` or ``given``."""
    given: tuple[float, ...] = ()
    """Frequencies of the distribution ``given``, up to a factor, one a subtask, none negative."""
    seed: int = 0
    """Seed of the subsets."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        _check_counts(self)
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(
                f"distribution: {self.distribution!r} unknown; allowed are {DISTRIBUTIONS}"
            )
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha: {self.alpha} found; allowed is any number above 0")
        if not (math.isfinite(self.offset) and self.offset >= 0):
            raise ValueError(f"offset: {self.offset} found; allowed is any number from 0")
        _check_given(self)

    @cached_property
    def frequencies(self) -> NDArray[np.float64]:
        """Probability of each subtask, axis ``task``; sums to 1."""
        if self.distribution == "zipf":
            weights = (np.arange(1, self.n_tasks + 1) + self.offset) ** -(self.alpha + 1.0)
        elif self.distribution == "uniform":
            weights = np.ones(self.n_tasks)
        else:
            weights = np.array(self.given, dtype=np.float64)
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    @cached_property
    def subsets(self) -> NDArray[np.int64]:
        """Bits of each subtask, rising and distinct, no two subtasks alike; axes ``(task, k)``."""
        rng = stream(self.seed, "parity", "subsets", self.n, self.k)
        if math.comb(self.n, self.k) <= _FEW_SUBSETS:
            every = np.array(list(itertools.combinations(range(self.n), self.k)), dtype=np.int64)
            return every[rng.permutation(len(every))[: self.n_tasks]]
        found: dict[tuple[int, ...], None] = {}
        while len(found) < self.n_tasks:
            found[tuple(sorted(rng.choice(self.n, size=self.k, replace=False).tolist()))] = None
        return np.array(list(found), dtype=np.int64)


def allocate(frequencies: NDArray[np.float64], n_points: int) -> NDArray[np.int64]:
    """Share points among subtasks by largest remainders.

    Parameters
    ----------
    frequencies
        Probabilities, axis ``task``.
    n_points
        Points to share, at least 0.

    Returns
    -------
    NDArray[np.int64]
        Points of each subtask, axis ``task``: they sum to `n_points` exactly and each is within 1
        of its share. Rounding down, as the published code does, loses up to one point a subtask.

    Examples
    --------
    >>> allocate(np.array([0.5, 0.3, 0.2]), 9).tolist()
    [4, 3, 2]
    """
    shares = frequencies * n_points
    counts = np.floor(shares).astype(np.int64)
    missing = n_points - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:missing]] += 1
    return counts


def _check_counts(task: ParityTask) -> None:
    if task.n < 1 or not 1 <= task.k <= task.n:
        raise ValueError(f"k: {task.k} of n = {task.n} bits found; allowed is 1 <= k <= n")
    most = math.comb(task.n, task.k)
    if not 1 <= task.n_tasks <= most:
        raise ValueError(
            f"n_tasks: {task.n_tasks} found; allowed are 1 to {most}, the {task.k}-subsets of "
            f"{task.n} bits"
        )


def _check_given(task: ParityTask) -> None:
    if task.distribution != "given":
        if task.given:
            raise ValueError(f"given: frequencies found, with distribution {task.distribution!r}")
        return
    values = np.array(task.given, dtype=np.float64)
    if len(values) != task.n_tasks:
        raise ValueError(f"given: {len(values)} frequencies found for {task.n_tasks} subtasks")
    if not np.isfinite(values).all() or values.min() < 0 or values.sum() <= 0:
        raise ValueError("given: frequencies must be finite, none negative, with a sum above 0")
