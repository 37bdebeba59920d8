"""Runs of sparse parity and how they are stacked: settings enter, stacks of networks leave.

Networks that read the same samples are laid side by side; streams of equal shape whose work is so
small that calls cost more than arithmetic are stacked too; everything else is trained one after the
other (measured: `benchmarks/toys.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from quantascope.toys.measures import Measure
from quantascope.toys.parity import ParityTask
from quantascope.toys.parity_net import ParityMember, ParityStack, ParityStream, n_params
from quantascope.toys.streams import FiniteStream, OnlineStream, Stream
from quantascope.toys.test_set import ParityTest
from quantascope.toys.training import Schedule, Stopping

__all__ = ["PRECISIONS", "ParityRun", "ParitySweep", "build_stack", "plan_stacks", "uses_half"]

PRECISIONS: Final = ("auto", "float32", "bfloat16")

_COLUMNS: Final = 1024  # hidden units side by side: wider gains nothing and costs memory
_SMALL: Final = 400_000  # rows times hidden units of a step below which streams are stacked
_STREAMS: Final = 32


@dataclass(frozen=True, kw_only=True)
class ParityRun:
    """One network and its training; the defaults are the paper's."""

    task: ParityTask = field(default_factory=ParityTask)
    width: int = 500
    """Hidden units, at least 1."""
    seed: int = 0
    """Seed of samples, test set and initial weights; the subsets have the task's own."""
    n_samples: int = 0
    """Training samples that are read again and again; 0 for fresh ones at every step."""
    batch_size: int = 20_000
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    init_scale: float = 1.0
    n_test: int = 1_000_000
    """Test points shared by frequency."""
    n_test_per_subtask: int = 1000
    """Least number of test points of a subtask."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        counts = {"width": (self.width, 1), "batch_size": (self.batch_size, 1)}
        counts |= {"n_samples": (self.n_samples, 0), "n_test": (self.n_test, 0)}
        counts |= {"n_test_per_subtask": (self.n_test_per_subtask, 2)}
        for name, (value, least) in counts.items():
            if value < least:
                raise ValueError(f"{name}: {value} found; at least {least} is needed")
        numbers = {"learning_rate": self.learning_rate, "init_scale": self.init_scale}
        for name, number in numbers.items():
            if not (np.isfinite(number) and number > 0):
                raise ValueError(f"{name}: {number} found; allowed is any number above 0")
        if not (np.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay: {self.weight_decay} found; allowed are numbers from 0")

    @property
    def n_params(self) -> int:
        """Weights and biases."""
        return n_params(self.task, self.width)


@dataclass(frozen=True, kw_only=True)
class ParitySweep:
    """Runs that are trained by one schedule."""

    runs: tuple[ParityRun, ...]
    schedule: Schedule
    stopping: Stopping | None = None
    """When a network has finished early; None trains all to the last step."""
    precision: str = "auto"
    """``float32``, ``bfloat16``, or ``auto``: bfloat16 products where the processor has them."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse an empty sweep, and one that lists a run twice."""
        if not self.runs or len(set(self.runs)) != len(self.runs):
            raise ValueError(
                f"runs: {len(self.runs)} found, {len(set(self.runs))} different; at least one is "
                "needed and none twice"
            )
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: {self.precision!r} unknown; allowed are {PRECISIONS}")
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device: {self.device!r} unknown; allowed are 'cpu' and 'cuda'")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device: 'cuda' found, but torch sees no such device; use 'cpu'")


def plan_stacks(runs: Sequence[ParityRun]) -> list[list[list[int]]]:
    """Decide which runs are trained together.

    Parameters
    ----------
    runs
        Any runs.

    Returns
    -------
    list[list[list[int]]]
        Stacks of streams of places in `runs`. The plan depends on the runs alone.
    """
    streams: dict[tuple[object, ...], list[int]] = {}
    for place, run in enumerate(runs):
        streams.setdefault(_samples_of(run), []).append(place)
    alike: dict[tuple[tuple[object, ...], int], list[list[int]]] = {}
    for places in streams.values():
        for part in _side_by_side(runs, places):
            alike.setdefault(_shape_of(runs, part), []).append(part)
    return [stack for (_, size), parts in alike.items() for stack in _stacked(parts, size)]


def build_stack(
    runs: Sequence[ParityRun],
    stack: Sequence[Sequence[int]],
    *,
    device: torch.device,
    half: bool,
    measures: Mapping[str, Measure] | None = None,
) -> tuple[ParityStack, NDArray[np.intp]]:
    """Make the networks of one stack.

    Parameters
    ----------
    runs, stack
        As given to and by `plan_stacks`.
    device, half
        As for `ParityStack`.
    measures
        Further progress measures, as for `ParityTest`.

    Returns
    -------
    stack : ParityStack
        Ready to be trained.
    places : NDArray[np.intp]
        Place in `runs` of each member.
    """
    streams = [_stream(runs[places[0]], device, measures) for places in stack]
    members = [
        [
            ParityMember(width=runs[p].width, seed=runs[p].seed, init_scale=runs[p].init_scale)
            for p in places
        ]
        for places in stack
    ]
    flat = np.array([place for places in stack for place in places], dtype=np.intp)
    return ParityStack(streams, members, device=device, half=half), flat


def uses_half(precision: str, device: str) -> bool:
    """Say whether products are made in bfloat16."""
    if precision != "auto":
        return precision == "bfloat16"
    if device == "cpu":
        probe = getattr(torch.cpu, "get_capabilities", None)  # older torch: not known, hence no
        capabilities = probe() if probe is not None else {}
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return torch.cuda.is_bf16_supported()


def _stream(
    run: ParityRun, device: torch.device, measures: Mapping[str, Measure] | None
) -> ParityStream:
    samples: Stream
    if run.n_samples:
        samples = FiniteStream(
            run.task,
            n_samples=run.n_samples,
            batch_size=run.batch_size,
            seed=run.seed,
            device=device,
        )
    else:
        samples = OnlineStream(run.task, batch_size=run.batch_size, seed=run.seed, device=device)
    test = ParityTest(
        run.task,
        n_points=run.n_test,
        n_per_subtask=run.n_test_per_subtask,
        seed=run.seed,
        device=device,
        measures=measures,
    )
    return ParityStream(run.task, samples, test)


def _samples_of(run: ParityRun) -> tuple[object, ...]:
    """Give what runs that read the same samples, and are tested on the same points, share."""
    return (
        run.task,
        run.seed,
        run.n_samples,
        run.batch_size,
        run.n_test,
        run.n_test_per_subtask,
    )


def _side_by_side(runs: Sequence[ParityRun], places: list[int]) -> Iterator[list[int]]:
    part: list[int] = []
    for place in places:
        if part and sum(runs[p].width for p in part) + runs[place].width > _COLUMNS:
            yield part
            part = []
        part.append(place)
    yield part


def _shape_of(runs: Sequence[ParityRun], part: list[int]) -> tuple[tuple[object, ...], int]:
    """Give what streams of one stack must share, and the work of a step."""
    first, widths = runs[part[0]], tuple(runs[place].width for place in part)
    rows = min(first.batch_size, first.n_samples or first.batch_size)
    task = first.task
    last = first.n_samples % rows if first.n_samples else 0  # short batches must be short together
    epoch = first.n_samples // rows
    return (task.n_tasks, task.n, task.k, rows, last, epoch, widths), rows * sum(widths)


def _stacked(parts: list[list[int]], size: int) -> Iterator[list[list[int]]]:
    at_once = max(1, min(_STREAMS, _SMALL // size))
    return (parts[begin : begin + at_once] for begin in range(0, len(parts), at_once))
