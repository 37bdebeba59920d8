"""Stacks of the paper's parity networks, with the gradient derived by hand.

One hidden ReLU layer reads the control bits and the task bits. A one-hot control input picks one
row of the first weight matrix, so it is kept as an embedding and never multiplied. Networks that
share their samples lie side by side along the hidden axis (no padding: any widths fit), so bits are
drawn and spread once for all; streams of samples are a further axis. Work is cut into chunks that
stay in the processor's cache.

With z = h V + c and two classes, the loss is softplus(-s d), d = z_1 - z_0, s the label's sign:
only the difference of the two columns of V is multiplied, and their gradients are opposite.

References
----------
Michaud et al. 2023, arXiv 2303.13506, section 3: hidden ReLU layer, two logits, cross-entropy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from quantascope.core.rng import stream
from quantascope.toys.bits import n_bytes, spread
from quantascope.toys.parity import ParityTask
from quantascope.toys.problem import Measured, Params
from quantascope.toys.streams import Batch, Stream
from quantascope.toys.test_set import ParityTest

__all__ = ["ParityMember", "ParityStack", "ParityStream", "n_params", "parity_labels"]

_CPU_CHUNK: Final = 400_000  # numbers of hidden layer in hand: 0.8 MB in half precision (measured)
_GPU_CHUNK: Final = 1 << 28


@dataclass(frozen=True, kw_only=True)
class ParityMember:
    """One network of a stack."""

    width: int
    seed: int = 0
    """Seed of the initial weights."""
    init_scale: float = 1.0
    """Factor on all initial weights."""


@dataclass(frozen=True, eq=False)
class ParityStream:
    """Subtasks, samples, and the test set of the networks that share them."""

    task: ParityTask
    samples: Stream
    test: ParityTest


def n_params(task: ParityTask, width: int) -> int:
    """Count weights and biases, ``(n_tasks + n + 3) width + 2``.

    Examples
    --------
    >>> n_params(ParityTask(), 500)
    301502
    """
    return (task.n_tasks + task.n + 3) * width + 2


class ParityStack:
    """Streams times members: every stream trains a network for each member.

    Parameters
    ----------
    streams
        Streams whose tasks have equal n_tasks, n and k, and whose batches are equally large.
    members
        For each stream its members; widths must be the same for all streams.
    device
        Where to compute.
    half
        Multiply in bfloat16 (sums, parameters and optimiser stay in float32).
    """

    def __init__(
        self,
        streams: Sequence[ParityStream],
        members: Sequence[Sequence[ParityMember]],
        *,
        device: torch.device,
        half: bool = False,
    ) -> None:
        _check(streams, members)
        self.streams, self.members = list(streams), [list(row) for row in members]
        self.device, self.dtype = device, torch.bfloat16 if half else torch.float32
        self.widths = [member.width for member in members[0]]
        self._owner = torch.repeat_interleave(
            torch.arange(len(self.widths)), torch.tensor(self.widths)
        ).to(device)
        self._subsets = torch.from_numpy(np.stack([s.task.subsets for s in streams])).to(device)

    @property
    def n_members(self) -> int:
        """Networks in the stack, stream by stream."""
        return len(self.streams) * len(self.widths)

    def start(self) -> Params:
        """Draw PyTorch's default: uniform up to one over the root of the inputs, biases alike."""
        drawn = [
            [self._draw(stream_.task, member) for member in row]
            for stream_, row in zip(self.streams, self.members, strict=True)
        ]
        params: Params = {}
        for name, axis in (("control", 1), ("bits", 1), ("bias", 1), ("readout", 0), ("offset", 0)):
            rows = [np.concatenate([found[name] for found in row], axis=axis) for row in drawn]
            params[name] = torch.from_numpy(np.stack(rows)).to(self.device)
        return params

    def _draw(self, task: ParityTask, member: ParityMember) -> dict[str, NDArray[np.float32]]:
        width, padded = member.width, 8 * n_bytes(task.n)
        rng = stream(member.seed, "parity", "init", width)

        def uniform(fan_in: int, *shape: int) -> NDArray[np.float32]:
            bound = member.init_scale / np.sqrt(fan_in)
            return rng.uniform(-bound, bound, size=shape).astype(np.float32)

        fan_in = task.n_tasks + task.n
        first = uniform(fan_in, fan_in, width)
        bits = np.zeros((padded, width), dtype=np.float32)  # padding reads bits that are always 0
        bits[: task.n] = first[task.n_tasks :]
        return {
            "control": first[: task.n_tasks],
            "bits": bits,
            "bias": uniform(fan_in, 1, width),
            "readout": uniform(width, width, 2),
            "offset": uniform(width, 1, 2),
        }

    def spread(self, values: NDArray[np.float64]) -> Params:
        """Spread one number a network along the hidden axis."""
        table = torch.from_numpy(values.astype(np.float32)).to(self.device)
        table = table.view(len(self.streams), -1)
        columns = table[:, self._owner]
        return {
            "control": columns[:, None, :],
            "bits": columns[:, None, :],
            "bias": columns[:, None, :],
            "readout": columns[:, :, None],
            "offset": table[:, :, None],
        }

    def gradients(self, params: Params, step: int) -> Params:
        """Give the gradients of all networks on the batches of a step."""
        found = {name: torch.zeros_like(value) for name, value in params.items()}
        readers = self._readers(params["readout"])
        offset = params["offset"][:, :, 1] - params["offset"][:, :, 0]
        batches = [each.samples.batch(step) for each in self.streams]
        controls = (params["control"] + params["bias"]).to(self.dtype)
        bits = params["bits"].to(self.dtype)
        for part in _chunks(len(batches), self._streams_at_once(len(batches[0].subtask))):
            self._add_gradients(
                [batches[place] for place in range(part.start, part.stop)],
                found={name: value[part] for name, value in found.items()},
                controls=controls[part],
                bits=bits[part],
                readers=readers[part],
                offset=offset[part],
                subsets=self._subsets[part],
            )
        found["bias"] = found["control"].sum(dim=1, keepdim=True)
        return found

    def _add_gradients(
        self,
        batches: list[Batch],
        *,
        found: Params,
        controls: torch.Tensor,
        bits: torch.Tensor,
        readers: torch.Tensor,
        offset: torch.Tensor,
        subsets: torch.Tensor,
    ) -> None:
        """Add the gradients of some streams, rows chunk by chunk."""
        subtask = torch.stack([batch.subtask for batch in batches])
        inputs = spread(torch.stack([batch.packed for batch in batches]), self.dtype)
        label = parity_labels(inputs, subtask, subsets)
        n_streams, n_rows = subtask.shape
        summed = torch.zeros_like(readers, dtype=torch.float32)
        transposed = readers.transpose(1, 2)
        for rows in _chunks(n_rows, self._rows_at_once(n_streams)):
            active, x = subtask[:, rows], inputs[:, rows]
            place = (
                active + torch.arange(n_streams, device=self.device)[:, None] * controls.shape[1]
            )
            hidden = controls.flatten(0, 1).index_select(0, place.flatten())
            hidden = hidden.view(n_streams, -1, controls.shape[2])
            hidden = _add_product(hidden, x, bits).relu_()
            logit = _product(hidden, readers).float() + offset[:, None, :]
            signal = (logit.sigmoid_() - label[:, rows, None]).div_(n_rows)
            found["offset"][:, :, 1] += signal.sum(dim=1)
            signal = signal.to(self.dtype)
            summed += _product(hidden.transpose(1, 2), signal)
            back = torch.ops.aten.threshold_backward(_product(signal, transposed), hidden, 0)
            found["bits"] += _product(x.transpose(1, 2), back)
            self._add_by_subtask(found["control"], active, back)
        own = summed.gather(2, self._owner[None, :, None].expand(n_streams, -1, 1))
        found["readout"] += torch.cat([-own, own], dim=2)
        found["offset"][:, :, 0] = -found["offset"][:, :, 1]

    def _add_by_subtask(
        self, total: torch.Tensor, active: torch.Tensor, back: torch.Tensor
    ) -> None:
        """Sum rows of equal subtask, which lie together, into the control's gradient."""
        n_streams, n_rows = active.shape
        first, last = 0, total.shape[1] - 1
        if n_streams == 1 and self.device.type == "cpu":
            first, last = int(active[0, 0]), int(active[0, -1])
        wanted = torch.arange(first, last + 1, device=self.device).expand(n_streams, -1)
        begins = torch.searchsorted(active.contiguous(), wanted.contiguous())
        begins += torch.arange(n_streams, device=self.device)[:, None] * n_rows
        every = torch.arange(n_streams * n_rows, device=self.device)
        sums = functional.embedding_bag(every, back.flatten(0, 1), begins.flatten(), mode="sum")
        total[:, first : last + 1] += sums.view(n_streams, last + 1 - first, -1)

    def evaluate(self, params: Params) -> Measured:
        """Measure all networks, in float32, on the test sets of their streams."""
        readers = self._readers(params["readout"]).float()
        offset = params["offset"][:, :, 1] - params["offset"][:, :, 0]
        controls = params["control"] + params["bias"]
        found = [
            each.test.measure(
                controls=controls[place],
                bits=params["bits"][place],
                readers=readers[place],
                offset=offset[place],
            )
            for place, each in enumerate(self.streams)
        ]
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}

    def keep(self, members: NDArray[np.bool_]) -> tuple[Self, NDArray[np.intp]]:
        """Leave out streams and members all of whose networks are left out."""
        wanted = members.reshape(len(self.streams), -1)
        rows, columns = np.flatnonzero(wanted.any(axis=1)), np.flatnonzero(wanted.any(axis=0))
        smaller = type(self)(
            [self.streams[row] for row in rows],
            [[self.members[row][column] for column in columns] for row in rows],
            device=self.device,
            half=self.dtype == torch.bfloat16,
        )
        return smaller, (rows[:, None] * wanted.shape[1] + columns).ravel()

    def select(self, arrays: Params, members: NDArray[np.intp]) -> Params:
        """Cut arrays down to the streams and members that are kept."""
        rows, columns = (np.unique(place) for place in np.divmod(members, len(self.widths)))
        streams, kept = torch.from_numpy(rows), torch.from_numpy(columns)
        hidden = torch.isin(self._owner.cpu(), kept).nonzero()[:, 0]
        axes = {"control": 2, "bits": 2, "bias": 2, "readout": 1, "offset": 1}
        return {
            name: arrays[name]
            .index_select(0, streams.to(self.device))
            .index_select(axis, (kept if name == "offset" else hidden).to(self.device))
            for name, axis in axes.items()
        }

    def _readers(self, readout: torch.Tensor) -> torch.Tensor:
        """Give the difference of the logits' weights as one column a member, zero elsewhere."""
        own = (readout[:, :, 1] - readout[:, :, 0])[:, :, None]
        blocks = torch.zeros(*readout.shape[:2], len(self.widths), device=self.device)
        blocks.scatter_(2, self._owner[None, :, None].expand_as(own), own)
        return blocks.to(self.dtype)

    def _streams_at_once(self, n_rows: int) -> int:
        return max(1, self._chunk() // (n_rows * sum(self.widths)))

    def _rows_at_once(self, n_streams: int) -> int:
        return max(64, self._chunk() // (n_streams * sum(self.widths)))

    def _chunk(self) -> int:
        return _CPU_CHUNK if self.device.type == "cpu" else _GPU_CHUNK


def _chunks(total: int, size: int) -> Iterator[slice]:
    return (slice(begin, min(begin + size, total)) for begin in range(0, total, size))


def parity_labels(
    inputs: torch.Tensor, subtask: torch.Tensor, subsets: torch.Tensor
) -> torch.Tensor:
    """Give the parity of each sample's own bits as 0 or 1, axes ``(stream, sample)``."""
    places = torch.stack(
        [subset.index_select(0, active) for subset, active in zip(subsets, subtask, strict=True)]
    )
    return (inputs.gather(2, places).int().sum(dim=2, dtype=torch.int32) & 1).float()


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply stream by stream; a single one goes to the routine that copies no transposes."""
    return torch.mm(a[0], b[0])[None] if len(a) == 1 else torch.bmm(a, b)


def _add_product(total: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Add the product to `total`, in place where there is a single stream."""
    if len(a) == 1:
        return total[0].addmm_(a[0], b[0])[None]
    return torch.baddbmm(total, a, b)


def _check(streams: Sequence[ParityStream], members: Sequence[Sequence[ParityMember]]) -> None:
    if not streams or len(streams) != len(members) or not members[0]:
        raise ValueError(f"streams, members: {len(streams)}, {len(members)}; one row for each")
    shapes = {(s.task.n_tasks, s.task.n, s.task.k, s.samples.largest) for s in streams}
    widths = {tuple(member.width for member in row) for row in members}
    if len(shapes) > 1 or len(widths) > 1:
        raise ValueError(
            "streams, members: a stack needs equal n_tasks, n, k, batches and widths; "
            f"{len(shapes)} kinds of streams and {len(widths)} rows of widths found"
        )
    if min(next(iter(widths))) < 1:
        raise ValueError(f"width: {min(next(iter(widths)))} found; at least 1 is needed")
