"""A parity over many bits is learned with its parts, and not without them.

Source: arXiv:2505.15811, section 2 (compositional multitask sparse parity: atoms of 4 of 64 bits,
composites of 2 and 4 atoms, three layers of width 512).
Command: quantascope reproduce compositional-parity; --quick: 6 atoms of 2 of 40 bits, width 128.
Cost: 26 CPU-s with --quick; the full setting about a day on a processor.
Expected: all subtasks learned together, no composite before its atoms; the largest composite
alone stays at chance, ln 2 nat. Published in words and curves, without a number; thresholds
measured here on five seeds.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from quantascope.core.units import NATS_PER_BIT
from quantascope.plots.subtasks import plot_subtasks
from quantascope.recipes.result import Check, RecipeResult
from quantascope.toys.dense import DenseStream, DenseTask, compositional_task
from quantascope.toys.dependency import half_times, order_violations, prerequisites_of
from quantascope.toys.mlp import MLPStack
from quantascope.toys.training import History, Schedule, start, train

__all__ = ["QUICK", "Config", "run"]

_SOURCE: Final = "arXiv:2505.15811, section 2, in words"
_LEARNED: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Config:
    """Atoms, composites and the network."""

    n: int = 64
    n_atoms: int = 8
    k: int = 4
    composites: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3), (4, 5), (6, 7), (0, 1, 2, 3))
    hidden: tuple[int, ...] = (512, 512)
    batch_size: int = 20_000
    learning_rate: float = 1e-3
    n_steps: int = 200_000
    n_evals: int = 60


QUICK: Final = Config(
    n=40,
    n_atoms=6,
    k=2,
    composites=((0, 1), (2, 3), (0, 1, 2, 3)),
    hidden=(128, 128),
    batch_size=1000,
    n_steps=3500,
    n_evals=40,
)


def run(config: Config, *, seed: int) -> RecipeResult:
    """Train on all subtasks, then on the largest composite alone; compare."""
    both = _task(config, seed)
    largest = int(both.counted.sum(axis=1).argmax())
    alone = _task(config, seed, only=largest)
    whole, parts = _train(config, both, seed), _train(config, alone, seed)
    steps = np.array(whole.steps)
    losses, by_itself = whole.table("loss")[:, 0], parts.table("loss")[:, 0, largest]
    times = half_times(steps, 1 - losses / NATS_PER_BIT)
    violations = order_violations(times, prerequisites_of(both.counted))
    learned = float((losses[-1] < _LEARNED).mean())
    numbers = [
        ("share of subtasks learned together", 1.0, learned, 0.0, "every one"),
        ("composites before one of their atoms", 0.0, violations, 0.0, "none of the dependencies"),
        ("loss of the largest composite alone [nat]", NATS_PER_BIT, float(by_itself[-1]), 0.05,
         "chance; a network that has learned nothing errs by its own noise"),
    ]  # fmt: skip
    return RecipeResult(
        name="compositional-parity",
        config=config,
        seed=seed,
        checks=tuple(
            Check(name=name, expected=expected, obtained=obtained, tolerance=tolerance,
                  bound=bound, source=_SOURCE)
            for name, expected, obtained, tolerance, bound in numbers
        ),
        tables={
            "together": {"step": steps, **_columns(losses)},
            "largest_alone": {"step": np.array(parts.steps), "loss": by_itself},
        },
        draw=lambda ax: plot_subtasks(steps, losses, both.frequencies, ax=ax),
    )  # fmt: skip


def _task(config: Config, seed: int, *, only: int | None = None) -> DenseTask:
    n_tasks = config.n_atoms + len(config.composites)
    return compositional_task(
        n=config.n,
        n_atoms=config.n_atoms,
        k=config.k,
        composites=config.composites,
        weights=[float(only is None or task == only) for task in range(n_tasks)],
        seed=seed,
    )


def _train(config: Config, task: DenseTask, seed: int) -> History:
    device = torch.device("cpu")
    stream = DenseStream(task, batch_size=config.batch_size, seed=seed, device=device)
    stack = MLPStack([stream], [seed], hidden=config.hidden, n_per_subtask=200, test_seed=seed)
    schedule = Schedule(n_steps=config.n_steps, n_evals=config.n_evals, first_eval=20)
    rates = np.full(1, config.learning_rate)
    return train(stack, start(stack), schedule=schedule, rates=rates, decays=np.zeros(1)).history


def _columns(losses: np.ndarray) -> dict[str, np.ndarray]:
    return {f"loss_{task + 1}": column for task, column in enumerate(losses.T)}
