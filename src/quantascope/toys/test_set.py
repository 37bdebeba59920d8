"""A fixed test set of sparse parity, and the measurement of many networks on it.

All subtasks are tested on the same pool of bit vectors: the product of bits and first layer is
computed once, and a subtask only adds its control's row. Points are allocated by largest remainder
and filled up to a least number for each subtask; the mean loss weights subtasks by their exact
frequencies. Blocks of points go in turn to a validation and a test half, so that early stopping can
choose on one and report on the other.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from quantascope.core.rng import derive_seed
from quantascope.toys.bits import draw_bytes, spread
from quantascope.toys.measures import MEASURES, Measure
from quantascope.toys.parity import ParityTask, allocate

__all__ = ["ParityTest"]

_CHUNK: Final = 4_000_000  # numbers of hidden layer in hand, 16 MB
_GPU_CHUNK: Final = 1 << 28
_BLOCKS: Final = 4000


class ParityTest:
    """Test points of one task, the same at every evaluation.

    Parameters
    ----------
    task
        Subtasks and frequencies.
    n_points
        Points shared by frequency; the paper takes a million.
    n_per_subtask
        Least number of points of a subtask, at least 2; the paper takes 1,000.
    seed
        Seed of the points.
    device
        Where to measure.
    measures
        Further progress measures by name, beside `MEASURES`.

    Raises
    ------
    ValueError
        If there are too few points, or a measure takes a name that is in use.
    """

    def __init__(
        self,
        task: ParityTask,
        *,
        n_points: int,
        n_per_subtask: int,
        seed: int,
        device: torch.device,
        measures: Mapping[str, Measure] | None = None,
    ) -> None:
        if n_per_subtask < 2 or n_points < 0:
            raise ValueError(
                f"n_points, n_per_subtask: {n_points}, {n_per_subtask} found; "
                "at least 0 and 2 are needed"
            )
        if taken := set(measures or {}) & set(MEASURES):
            raise ValueError(f"measures: {sorted(taken)} stand already; give another name")
        self.task = task
        self.measures = {**MEASURES, **(measures or {})}
        # two blocks for the rarest; larger ones for a large set, whose blocks would be too many
        block = max(-(-n_per_subtask // 2), n_points // _BLOCKS)
        wanted = np.maximum(allocate(task.frequencies, n_points), 2 * block)
        n_blocks = -(-wanted // block)
        self._order = np.argsort(-n_blocks, kind="stable")  # the subtasks of a block are the first
        self._n_active = np.array([(n_blocks > b).sum() for b in range(int(n_blocks.max()))])
        self._block, self._device = block, device
        generator = torch.Generator(device=device)
        generator.manual_seed(derive_seed(seed, "parity", "test"))
        self._pool = draw_bytes(block * len(self._n_active), task.n, generator=generator)
        self._subsets = torch.from_numpy(task.subsets[self._order]).to(device)

    def measure(
        self,
        *,
        controls: torch.Tensor,
        bits: torch.Tensor,
        readers: torch.Tensor,
        offset: torch.Tensor,
    ) -> dict[str, NDArray[np.float32]]:
        """Measure R networks that lie side by side along the hidden axis.

        Parameters
        ----------
        controls, bits
            First layer with its bias, axes ``(task, hidden)`` and ``(bit, hidden)``.
        readers
            Weights of the logits' difference, axes ``(hidden, member)``.
        offset
            Its bias, axis ``member``.

        Returns
        -------
        dict[str, NDArray[np.float32]]
            Each measure with axes ``(member, task)``, and ``mean_loss_validation`` and
            ``mean_loss_test`` [nat], axis ``member``, one for each half of the points.
        """
        sums = {
            name: torch.zeros(2, self.task.n_tasks, readers.shape[1], device=self._device)
            for name in self.measures
        }
        controls = controls[torch.from_numpy(self._order).to(self._device)]
        for place, n_active in enumerate(self._n_active.tolist()):
            rows = slice(place * self._block, (place + 1) * self._block)
            points = spread(self._pool[rows], torch.float32)
            for tasks in self._parts(n_active, controls.shape[1]):
                logit = _logits(points @ bits, controls[tasks], readers) + offset
                margin = logit * _signs(points, self._subsets[tasks])[:, :, None]
                for name, measure in self.measures.items():
                    sums[name][place % 2, tasks] += measure(margin).mean(dim=1)
        return self._means({name: value.cpu().numpy() for name, value in sums.items()})

    def _parts(self, n_tasks: int, n_hidden: int) -> Iterator[slice]:
        chunk = _CHUNK if self._device.type == "cpu" else _GPU_CHUNK
        size = max(1, chunk // (self._block * n_hidden))
        return (slice(lo, min(lo + size, n_tasks)) for lo in range(0, n_tasks, size))

    def _means(self, sums: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Divide by the number of blocks, and put subtasks into their own order."""
        n_blocks = (self._n_active[:, None] > np.arange(self.task.n_tasks)).astype(int)
        halves = np.stack([n_blocks[0::2].sum(axis=0), n_blocks[1::2].sum(axis=0)])[:, :, None]
        back = np.argsort(self._order)
        found = {
            name: (value.sum(axis=0) / halves.sum(axis=0))[back].T for name, value in sums.items()
        }
        weights = self.task.frequencies[self._order]
        by_half = np.einsum("t,htr->hr", weights, sums["loss"] / halves)
        return {
            **{name: value.astype(np.float32) for name, value in found.items()},
            "mean_loss_validation": by_half[0].astype(np.float32),
            "mean_loss_test": by_half[1].astype(np.float32),
        }


def _logits(projected: torch.Tensor, controls: torch.Tensor, readers: torch.Tensor) -> torch.Tensor:
    """Give the logits' difference, axes ``(task, point, member)``."""
    hidden = (projected[None] + controls[:, None, :]).relu_()
    return hidden @ readers


def _signs(points: torch.Tensor, subsets: torch.Tensor) -> torch.Tensor:
    """Give +1 where a subtask's label is 1, else -1; axes ``(task, point)``."""
    ones = points[:, subsets].sum(dim=2).T
    return 2 * (ones % 2) - 1
