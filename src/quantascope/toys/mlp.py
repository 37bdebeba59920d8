"""Stacks of plain ReLU networks on dense inputs; gradients by autograd, all members at once.

References
----------
Michaud et al. 2025, arXiv 2505.15811, section 2: three weight layers of width 512.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from quantascope.core.rng import derive_seed, stream
from quantascope.toys.dense import DenseBatch, DenseStream
from quantascope.toys.measures import MEASURES, Measure
from quantascope.toys.problem import Measured, Params

__all__ = ["MLPStack", "make_module"]

_TEST_CHUNK: Final = 8192  # samples evaluated at once


class MLPStack:
    """Networks of equal shape, each with its own samples and its own initial weights.

    Parameters
    ----------
    streams
        One for each member; the same object where members share their samples.
    seeds
        Seed of each member's initial weights.
    hidden
        Widths of the hidden layers, at least one.
    n_per_subtask
        Test points of each subtask, fixed by `test_seed`; the first half is the validation half.
    test_seed
        Seed of the test points.
    measures
        Further progress measures by name, beside `MEASURES`.
    """

    def __init__(
        self,
        streams: Sequence[DenseStream],
        seeds: Sequence[int],
        *,
        hidden: Sequence[int],
        n_per_subtask: int = 500,
        test_seed: int = 0,
        measures: Mapping[str, Measure] | None = None,
    ) -> None:
        if not streams or len(streams) != len(seeds) or not hidden or min(hidden) < 1:
            raise ValueError(
                f"streams, seeds, hidden: {len(streams)}, {len(seeds)}, {tuple(hidden)} found; one "
                "seed a stream and widths from 1 are needed"
            )
        if taken := set(measures or {}) & set(MEASURES):
            raise ValueError(f"measures: {sorted(taken)} stand already; give another name")
        shapes = {(each.task.n_inputs, len(each.task.frequencies)) for each in streams}
        if len(shapes) > 1:
            raise ValueError(f"streams: tasks of {len(shapes)} shapes found; a stack needs one")
        if n_per_subtask < 2:
            raise ValueError(f"n_per_subtask: {n_per_subtask} found; at least 2 is needed")
        self.streams, self.seeds, self.hidden = list(streams), list(seeds), list(hidden)
        self.n_per_subtask, self.test_seed = n_per_subtask, test_seed
        self.measures = {**MEASURES, **(measures or {})}

    @property
    def n_members(self) -> int:
        """Networks in the stack."""
        return len(self.seeds)

    def start(self) -> Params:
        """Draw PyTorch's default initial weights for each member."""
        sizes = [self.streams[0].task.n_inputs, *self.hidden, 2]
        params: Params = {}
        for layer, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            rngs = [stream(seed, "mlp", "init", layer, n_in, n_out) for seed in self.seeds]
            bound = 1 / np.sqrt(n_in)
            for name, shape in ((f"weight{layer}", (n_in, n_out)), (f"bias{layer}", (1, n_out))):
                drawn = np.stack([rng.uniform(-bound, bound, size=shape) for rng in rngs])
                params[name] = torch.from_numpy(drawn.astype(np.float32))
        return params

    def spread(self, values: NDArray[np.float64]) -> Params:
        """Spread one number a member."""
        column = torch.from_numpy(values.astype(np.float32))[:, None, None]
        names = [f"{kind}{i}" for i in range(len(self.hidden) + 1) for kind in ("weight", "bias")]
        return dict.fromkeys(names, column)

    def gradients(self, params: Params, step: int) -> Params:
        """Differentiate the sum of the members' mean losses: each depends on its own weights."""
        batches = {id(each): each.batch(step) for each in self.streams}
        inputs, label = self._stacked([batches[id(each)] for each in self.streams])
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        logits = _forward(leaves, inputs)
        loss = functional.cross_entropy(logits.flatten(0, 1), label.flatten(), reduction="sum")
        found = torch.autograd.grad(loss / label.shape[1], list(leaves.values()))
        return dict(zip(leaves, found, strict=True))

    @torch.no_grad()
    def evaluate(self, params: Params) -> Measured:
        """Measure every member on fresh points of every subtask, the same each time."""
        weights = torch.from_numpy(np.stack([each.task.frequencies for each in self.streams]))
        subtask = np.tile(np.arange(weights.shape[1]), self.n_per_subtask)
        tests = {
            id(each): each.samples(subtask, seed=derive_seed(self.test_seed, "test"))
            for each in self.streams
        }
        inputs, label = self._stacked([tests[id(each)] for each in self.streams])
        parts = [_forward(params, part) for part in inputs.split(_TEST_CHUNK, dim=1)]
        logits = torch.cat(parts, dim=1)
        margin = (logits[..., 1] - logits[..., 0]) * (2 * label - 1)
        margin = margin.view(self.n_members, self.n_per_subtask, -1)
        half = self.n_per_subtask // 2
        found = {name: measure(margin) for name, measure in self.measures.items()}
        return {
            **{name: values.mean(dim=1).numpy() for name, values in found.items()},
            "mean_loss_validation": _weighted(found["loss"][:, :half], weights),
            "mean_loss_test": _weighted(found["loss"][:, half:], weights),
        }

    def keep(self, members: NDArray[np.bool_]) -> tuple[Self, NDArray[np.intp]]:
        """Leave out members."""
        places = np.flatnonzero(members)
        smaller = type(self)(
            [self.streams[place] for place in places],
            [self.seeds[place] for place in places],
            hidden=self.hidden,
            n_per_subtask=self.n_per_subtask,
            test_seed=self.test_seed,
            measures={n: m for n, m in self.measures.items() if n not in MEASURES},
        )
        return smaller, places

    def select(self, arrays: Params, members: NDArray[np.intp]) -> Params:
        """Cut arrays down to the members that are kept."""
        places = torch.from_numpy(members)
        return {name: value.index_select(0, places) for name, value in arrays.items()}

    def _stacked(self, batches: list[DenseBatch]) -> tuple[torch.Tensor, torch.Tensor]:
        """Give inputs and labels with a member axis; shared samples are not copied."""
        if len({id(batch) for batch in batches}) == 1:
            inputs, label = batches[0].inputs[None], batches[0].label[None]
            return inputs.expand(len(batches), -1, -1), label.expand(len(batches), -1)
        return torch.stack([b.inputs for b in batches]), torch.stack([b.label for b in batches])


def _weighted(losses: torch.Tensor, weights: torch.Tensor) -> NDArray[np.float32]:
    """Average points ``(member, point, task)``, then subtasks by each member's frequencies."""
    return (losses.mean(dim=1) * weights.float()).sum(dim=1).numpy()


def _forward(params: Params, inputs: torch.Tensor) -> torch.Tensor:
    """Compute logits, axes ``(member, sample, class)``."""
    n_layers = len(params) // 2
    for layer in range(n_layers):
        inputs = torch.baddbmm(params[f"bias{layer}"], inputs, params[f"weight{layer}"])
        if layer + 1 < n_layers:
            inputs = inputs.relu()
    return inputs


def make_module(params: Params, member: int) -> nn.Sequential:
    """Give one network as an ordinary module, for discovery and for saving.

    Parameters
    ----------
    params
        Of an `MLPStack`.
    member
        Place of the network in the stack.

    Returns
    -------
    nn.Sequential
        Linear layers with ReLU between them; inputs ``(sample, input)`` to logits
        ``(sample, class)``.
    """
    layers: list[nn.Module] = []
    for layer in range(len(params) // 2):
        weight, bias = params[f"weight{layer}"][member], params[f"bias{layer}"][member, 0]
        linear = nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = weight.T.clone(), bias.clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
