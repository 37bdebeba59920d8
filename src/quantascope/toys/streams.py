"""Samples of sparse parity, step by step: endless, or a fixed set that is read in epochs.

Every batch is a function of seed and step alone, so a stopped training continues with the samples
it would have seen, and networks that share a seed share their samples.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from quantascope.core.rng import derive_seed, stream
from quantascope.toys.bits import draw_bytes
from quantascope.toys.parity import ParityTask

__all__ = ["Batch", "FiniteStream", "OnlineStream", "Stream"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples in the order of their subtasks, so that equal ones lie together."""

    subtask: torch.Tensor
    """Active subtask from 0, rising, int64, axis ``sample``."""
    packed: torch.Tensor
    """Packed task bits, uint8, axes ``(sample, byte)``."""


class Stream(Protocol):
    """What gives a network its samples."""

    @property
    def largest(self) -> int:
        """Samples of the largest batch."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every sample is read once; 0 if samples never repeat."""
        ...

    def batch(self, step: int) -> Batch:
        """Give the samples of a step, numbered from 0."""
        ...


class OnlineStream:
    """Fresh samples at every step, as in the paper's runs over parameters and steps.

    Parameters
    ----------
    task
        Subtasks and frequencies.
    batch_size
        Samples of a step, at least 1.
    seed
        Seed of the samples.
    device
        Where batches are made.
    """

    steps_per_epoch = 0

    def __init__(
        self, task: ParityTask, *, batch_size: int, seed: int, device: torch.device
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: {batch_size} found; at least 1 is needed")
        self._task, self._seed = task, seed
        self.largest = batch_size
        self._generator = torch.Generator(device=device)

    def batch(self, step: int) -> Batch:
        """Draw the samples of a step."""
        # how often each subtask comes is multinomial: drawing counts gives samples in order
        counts = stream(self._seed, "parity", "counts", step).multinomial(
            self.largest, self._task.frequencies
        )
        self._generator.manual_seed(derive_seed(self._seed, "parity", "online", step))
        packed = draw_bytes(self.largest, self._task.n, generator=self._generator)
        subtask = np.repeat(np.arange(self._task.n_tasks), counts)
        return Batch(torch.from_numpy(subtask).to(packed.device), packed)


class FiniteStream:
    """A set of samples drawn once, shuffled anew for every epoch; the last batch may be short.

    Parameters
    ----------
    task
        Subtasks and frequencies.
    n_samples
        Samples of the set, at least 1.
    batch_size
        Samples of a step; all of them where there are fewer.
    seed
        Seed of samples and shuffles.
    device
        Where samples are kept, 13 bytes each for 100 task bits and 2 for the subtask.
    """

    def __init__(
        self,
        task: ParityTask,
        *,
        n_samples: int,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        if n_samples < 1 or batch_size < 1:
            raise ValueError(
                f"n_samples, batch_size: {n_samples}, {batch_size} found; at least 1 is needed"
            )
        self._seed, self.n_samples = seed, n_samples
        self.largest = min(n_samples, batch_size)
        self.steps_per_epoch = -(-n_samples // self.largest)
        self._generator = torch.Generator(device=device)
        self._generator.manual_seed(derive_seed(seed, "parity", "finite", n_samples))
        rng = stream(seed, "parity", "counts", n_samples)
        counts = rng.multinomial(n_samples, task.frequencies)
        subtask = np.repeat(np.arange(task.n_tasks, dtype=np.int32), counts)
        self._subtask = torch.from_numpy(subtask).to(device)
        self._packed = draw_bytes(n_samples, task.n, generator=self._generator)
        self._order: tuple[int, torch.Tensor] | None = None

    def batch(self, step: int) -> Batch:
        """Give the samples of a step of its epoch's shuffle."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = self._epoch(epoch)[place * self.largest : (place + 1) * self.largest]
        chosen = order.sort().values  # samples lie by subtask, so that sorted places are in order
        return Batch(self._subtask[chosen].long(), self._packed[chosen])

    def _epoch(self, epoch: int) -> torch.Tensor:
        if self._order is None or self._order[0] != epoch:
            self._generator.manual_seed(derive_seed(self._seed, "parity", "epoch", epoch))
            device = self._generator.device
            order = torch.randperm(self.n_samples, generator=self._generator, device=device)
            self._order = epoch, order
        return self._order[1]
