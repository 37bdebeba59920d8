"""Parity worlds whose control is more than one hot bit: compositional parity, and coded subtasks.

A subtask says which task bits count and how the control shows it. In compositional parity several
control bits are on, one for each atom, and the label is the parity over the atoms' bits together.
In a coded world every bit of the subtask's number is itself the parity of a few random code bits:
no single input, and no linear function of the input, tells which subtask is active.

References
----------
Michaud et al. 2025, arXiv 2505.15811, section 2 (compositional multitask sparse parity).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from quantascope.core.rng import derive_seed, stream
from quantascope.toys.bits import draw_bytes, spread
from quantascope.toys.parity import ParityTask

__all__ = ["DenseBatch", "DenseStream", "DenseTask", "coded_task", "compositional_task"]


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseTask:
    """Subtasks of any kind: what counts, how it is shown, how often it is used."""

    counted: NDArray[np.bool_]
    """Task bits that count, axes ``(task, n)``."""
    control: NDArray[np.bool_]
    """What the control shows, axes ``(task, bit)``: the control itself, or what its code says."""
    frequencies: NDArray[np.float64]
    """Probability of each subtask, axis ``task``; sums to 1."""
    code_order: int = 1
    """Control bits whose parity makes one bit of `control`; 1 shows them plainly."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        if self.code_order < 1:
            raise ValueError(f"code_order: {self.code_order} found; at least 1 is needed")
        if not len(self.counted) == len(self.control) == len(self.frequencies) > 0:
            raise ValueError(
                f"counted, control, frequencies: {len(self.counted)}, {len(self.control)}, "
                f"{len(self.frequencies)} subtasks found; equal numbers, at least 1, are needed"
            )

    @property
    def n_control(self) -> int:
        """Control inputs."""
        return self.control.shape[1] * self.code_order

    @property
    def n_inputs(self) -> int:
        """All inputs, control first."""
        return self.n_control + self.counted.shape[1]


@dataclass(frozen=True, eq=False)
class DenseBatch:
    """Samples as a network reads them."""

    subtask: torch.Tensor
    """int64, axis ``sample``."""
    inputs: torch.Tensor
    """0 or 1, float32, axes ``(sample, input)``."""
    label: torch.Tensor
    """0 or 1, int64, axis ``sample``."""


class DenseStream:
    """Fresh samples at every step, a function of seed and step.

    Parameters
    ----------
    task
        Subtasks.
    batch_size
        Samples of a step, at least 1.
    seed
        Seed of the samples.
    device
        Where they are made.
    """

    def __init__(
        self, task: DenseTask, *, batch_size: int, seed: int, device: torch.device
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: {batch_size} found; at least 1 is needed")
        self.task, self.batch_size, self._seed = task, batch_size, seed
        self._generator = torch.Generator(device=device)
        self._cumulative = torch.from_numpy(np.cumsum(task.frequencies)).to(device)
        self._counted = torch.from_numpy(task.counted.astype(np.float32)).to(device)
        self._control = torch.from_numpy(task.control.astype(np.float32)).to(device)

    def batch(self, step: int) -> DenseBatch:
        """Draw the samples of a step, subtasks by their frequencies."""
        self._generator.manual_seed(derive_seed(self._seed, "dense", "online", step))
        uniform = torch.rand(
            self.batch_size,
            dtype=torch.float64,
            generator=self._generator,
            device=self._generator.device,
        )
        subtask = torch.searchsorted(self._cumulative, uniform, right=True)
        return self._fill(subtask.clamp_(max=len(self._control) - 1))

    def samples(self, subtask: NDArray[np.integer], *, seed: int) -> DenseBatch:
        """Draw one fresh sample for each given subtask.

        Parameters
        ----------
        subtask
            Subtasks from 0, axis ``sample``.
        seed
            Seed of code and task bits, apart from those of training.
        """
        self._generator.manual_seed(derive_seed(seed, "dense", "samples"))
        return self._fill(torch.from_numpy(subtask.astype(np.int64)).to(self._generator.device))

    def _fill(self, subtask: torch.Tensor) -> DenseBatch:
        bits = self._random(len(subtask), self._counted.shape[1])
        label = (bits * self._counted[subtask]).sum(dim=1).long() % 2
        control = self._control[subtask]
        if self.task.code_order > 1:
            control = self._encode(control)
        return DenseBatch(subtask, torch.cat([control, bits], dim=1), label)

    def _encode(self, control: torch.Tensor) -> torch.Tensor:
        """Show each bit as the parity of random bits: the last of them settles it."""
        count, free = control.shape[1], self.task.code_order - 1
        code = self._random(len(control), count * free).view(len(control), free, count)
        last = (code.sum(dim=1) + control) % 2
        return torch.cat([code.flatten(1), last], dim=1)

    def _random(self, count: int, n: int) -> torch.Tensor:
        return spread(draw_bytes(count, n, generator=self._generator), torch.float32)[:, :n]


def coded_task(task: ParityTask, *, code_order: int = 2, redundancy: int = 1) -> DenseTask:
    """Hide the active subtask behind parities of code bits.

    Parameters
    ----------
    task
        Subtasks, subsets and frequencies.
    code_order
        Code bits whose parity makes one bit of the subtask's code word; from 2.
    redundancy
        Bits of a code word, as a multiple of the least number that tells all subtasks apart; code
        words are random and distinct.

    Returns
    -------
    DenseTask
        The same subtasks; each code bit alone is independent of the subtask.
    """
    if code_order < 2 or redundancy < 1:
        raise ValueError(
            f"code_order, redundancy: {code_order}, {redundancy} found; from 2 and from 1 allowed"
        )
    width = redundancy * max(1, math.ceil(math.log2(task.n_tasks)))
    rng = stream(task.seed, "dense", "code", width)
    words: dict[tuple[bool, ...], None] = {}
    while len(words) < task.n_tasks:
        words[tuple((rng.random(width) < 0.5).tolist())] = None
    counted = np.zeros((task.n_tasks, task.n), dtype=bool)
    np.put_along_axis(counted, task.subsets, True, axis=1)
    return DenseTask(
        counted=counted,
        control=np.array(list(words)),
        frequencies=task.frequencies,
        code_order=code_order,
    )


def compositional_task(
    *,
    n: int = 64,
    n_atoms: int = 8,
    k: int = 4,
    composites: Sequence[Sequence[int]] | None = None,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> DenseTask:
    """Compose subtasks of atoms with disjoint subsets.

    Parameters
    ----------
    n
        Task bits, at least ``n_atoms * k``.
    n_atoms
        Atoms, one control bit each.
    k
        Bits of an atom.
    composites
        Atoms of each composite subtask; None takes two pairs and one four, as the source does:
        (0, 1), (2, 3), (0, 1, 2, 3).
    weights
        Frequencies of atoms, then of composites, up to a factor; None for equal ones.
    seed
        Seed of the subsets.

    Returns
    -------
    DenseTask
        Atoms first, then composites.

    Raises
    ------
    ValueError
        If the atoms do not fit, a composite names an unknown atom or one twice, or weights do not
        fit.
    """
    if k < 1 or n_atoms < 1 or n_atoms * k > n:
        raise ValueError(
            f"n, n_atoms, k: {n}, {n_atoms}, {k} found; allowed: n_atoms * k from 1 to n"
        )
    if composites is None:
        composites = [group for group in ((0, 1), (2, 3), (0, 1, 2, 3)) if max(group) < n_atoms]
    for group in composites:
        if len(set(group)) != len(group) or not all(0 <= atom < n_atoms for atom in group):
            raise ValueError(
                f"composites: {tuple(group)} found; each names atoms 0 to {n_atoms - 1} once"
            )
    order = stream(seed, "dense", "atoms").permutation(n)[: n_atoms * k].reshape(n_atoms, k)
    groups = [(atom,) for atom in range(n_atoms)] + [tuple(group) for group in composites]
    control, counted = np.zeros((len(groups), n_atoms), bool), np.zeros((len(groups), n), bool)
    for row, group in enumerate(groups):
        control[row, list(group)] = True
        counted[row, list(itertools.chain(*order[list(group)].tolist()))] = True
    frequencies = np.ones(len(groups)) if weights is None else np.array(weights, dtype=np.float64)
    if len(frequencies) != len(groups) or not (frequencies >= 0).all() or frequencies.sum() <= 0:
        raise ValueError(
            f"weights: {len(frequencies)} found for {len(groups)} subtasks; none negative, "
            "with a sum above 0"
        )
    return DenseTask(counted=counted, control=control, frequencies=frequencies / frequencies.sum())
