"""Sparse parity: the stacked trainer against plain PyTorch written as the task is usually written.

The baseline builds each batch task by task in Python, feeds control and task bits as one dense
input, and evaluates every task by itself on fresh points each 100 steps. Both sides train the same
network (500 subtasks of 3 of 100 bits, batches of 20,000) in this process, one thread.

    python benchmarks/toys.py            # one step, a run with its evaluations, a stack of 32
    python benchmarks/toys.py --loss     # losses in float32 and bfloat16, side by side

Claims: one step at least 5 times at width 50 and 3 times at width 300; a run with evaluation at
least 20 times; a stack of 32 narrow networks at least 3 times as fast as one by one.
"""

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from quantascope.toys.adam import adam_step, start_moments
from quantascope.toys.parity import ParityTask
from quantascope.toys.runs import ParityRun, build_stack, plan_stacks, uses_half
from quantascope.toys.training import Schedule, start, train

TASK = ParityTask()
BATCH = 20_000
POINTS = 1000
EVERY = 100
STEPS = 100_000
WIDTHS = (9, 11, 13, 14, 17, 19, 22, 25, 29, 33, 38, 44, 50, 57, 66, 75, 86, 99)
CPU = torch.device("cpu")


class Plain:
    """The baseline: dense inputs, a Python loop over tasks, torch.optim.Adam."""

    def __init__(self, width: int) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(TASK.n_tasks + TASK.n, width), nn.ReLU(), nn.Linear(width, 2)
        )
        self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.subsets = [subset.tolist() for subset in TASK.subsets]
        self.chances = torch.from_numpy(TASK.frequencies)

    def batch(self, counts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Fill a batch task by task."""
        inputs = torch.zeros(sum(counts), TASK.n_tasks + TASK.n)
        labels = torch.zeros(sum(counts), dtype=torch.int64)
        begin = 0
        for task, count in enumerate(counts):
            if count:
                bits = torch.randint(0, 2, (count, TASK.n))
                inputs[begin : begin + count, task] = 1.0
                inputs[begin : begin + count, TASK.n_tasks :] = bits.float()
                labels[begin : begin + count] = bits[:, self.subsets[task]].sum(dim=1) % 2
            begin += count
        return inputs, labels

    def step(self) -> None:
        """Take one step of Adam."""
        drawn = torch.multinomial(self.chances, BATCH, replacement=True)
        counts = torch.bincount(drawn, minlength=TASK.n_tasks).tolist()
        inputs, labels = self.batch(counts)
        self.adam.zero_grad()
        functional.cross_entropy(self.net(inputs), labels).backward()
        self.adam.step()

    @torch.no_grad()
    def evaluate(self) -> list[float]:
        """Measure each task on fresh points."""
        losses = []
        for task in range(TASK.n_tasks):
            counts = [0] * TASK.n_tasks
            counts[task] = POINTS
            inputs, labels = self.batch(counts)
            losses.append(float(functional.cross_entropy(self.net(inputs), labels)))
        return losses


class Ours:
    """One stack of networks on shared samples."""

    def __init__(
        self, widths: list[int], *, seeds: list[int] | None = None, like: ParityRun | None = None
    ) -> None:
        like = like or ParityRun(n_test=0)
        runs = [replace(like, width=width) for width in widths]
        if seeds is not None:  # same samples, different weights: learning rates tell them apart
            runs = [
                replace(run, learning_rate=1e-3 * (1 + seed / 100))
                for run, seed in zip(runs, seeds, strict=True)
            ]
        self.stack, places = build_stack(
            runs, plan_stacks(runs)[0], device=CPU, half=uses_half("auto", "cpu")
        )
        if len(places) != len(runs):
            raise RuntimeError("the plan splits this stack; nothing to compare")
        self.params = self.stack.start()
        self.moments = start_moments(self.params)
        self.rates = self.stack.spread(np.array([run.learning_rate for run in runs]))
        self.taken = 0

    def step(self) -> None:
        """Take one step of Adam."""
        gradients = self.stack.gradients(self.params, self.taken)
        self.taken += 1
        adam_step(
            self.params, gradients, self.moments, step=self.taken, rates=self.rates, decays=None
        )

    def evaluate(self) -> None:
        """Measure all on the fixed test set."""
        self.stack.evaluate(self.params)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Least CPU time of several calls: other work on the machine only adds to it."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def report(name: str, plain: float, ours: float, target: float) -> None:
    ratio = plain / ours
    said = "reached" if ratio >= target else "NOT reached"
    print(
        f"{name:<44} {1e3 * plain:10.1f} ms {1e3 * ours:10.1f} ms {ratio:7.1f}x  {target:g}x {said}"
    )


def compare_steps() -> None:
    print(f"{'':<44} {'plain':>15} {'ours':>15} {'ratio':>8}  target")
    for width, target in ((50, 5.0), (300, 3.0)):
        plain, ours = Plain(width), Ours([width])
        step, own_step = seconds(plain.step, 5), seconds(ours.step, 15)
        report(f"one step, width {width}", step, own_step, target)
        if width == 50:
            evaluation, own = seconds(plain.evaluate, 2), seconds(ours.evaluate, 5)
            report("one evaluation of 500 x 1,000 points", evaluation, own, 1.0)
            # plain: each 100 steps, to the end. Ours: 100 times, and samples that are read again
            # and again only until the validation loss rises (some 5,000 steps at a million)
            plain_run, own_run = STEPS * (step + evaluation / EVERY), STEPS * own_step + 100 * own
            report("run of 100,000 steps, new samples", plain_run, own_run, 20.0)
            stopped = 5000 * own_step + 100 * own
            report("the same, a million samples in epochs", plain_run, stopped, 20.0)


def compare_sweep() -> None:
    """Run every width up to 99 of the published sweep, ours side by side."""
    nets = [Plain(width) for width in WIDTHS]
    plain = sum(seconds(net.step, 2) + seconds(net.evaluate, 1) / EVERY for net in nets)
    ours = Ours(list(WIDTHS))
    own = seconds(ours.step, 5) + 100 / STEPS * seconds(ours.evaluate, 2)
    report("run of 18 widths from 9 to 99, a step of each", plain, own, 20.0)


def compare_stack() -> None:
    small = ParityRun(
        task=ParityTask(n_tasks=50, n=20, k=2), batch_size=1000, n_test=0, n_test_per_subtask=10
    )
    for name, like in (("500 subtasks", None), ("50 subtasks, batches of 1,000", small)):
        for width in (10, 20, 32):
            many = Ours([width] * 32, seeds=list(range(32)), like=like)
            one = Ours([width], like=like)
            a, b = seconds(one.step, 15), seconds(many.step, 5)
            report(f"32 x width {width}, {name}", 32 * a, b, 3.0)


def compare_losses(n_steps: int) -> None:
    """Train the same networks in both precisions; the seeds' spread is the yardstick."""
    widths = (20, 50)
    for seed in (0, 1, 2):
        runs = [
            ParityRun(
                task=ParityTask(seed=seed),
                seed=seed,
                width=w,
                n_test=100_000,
                n_test_per_subtask=200,
            )
            for w in widths
        ]
        losses = {}
        for half in (False, True):
            stack, _ = build_stack(runs, plan_stacks(runs)[0], device=CPU, half=half)
            state = train(
                stack,
                start(stack),
                schedule=Schedule(n_steps=n_steps, n_evals=4),
                rates=np.full(len(runs), 1e-3),
                decays=np.zeros(len(runs)),
            )
            losses[half] = state.history.table("mean_loss_test")
        for place, width in enumerate(widths):
            a, b = losses[False][-1, place], losses[True][-1, place]
            losses_of = f"float32 {a:.5f}, bfloat16 {b:.5f} nat, {100 * (b / a - 1):+.2f} %"
            print(f"seed {seed}, width {width}, {n_steps} steps: {losses_of}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loss", action="store_true", help="compare losses instead of times")
    parser.add_argument("--steps", type=int, default=3000, help="steps of --loss")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread")
    if arguments.loss:
        compare_losses(arguments.steps)
    else:
        compare_steps()
        compare_sweep()
        compare_stack()


if __name__ == "__main__":
    main()
