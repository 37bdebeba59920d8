"""What recipes on sparse parity share: the paper's setting, a small one, and their training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from quantascope.core.progress import track
from quantascope.pipeline.parity import SweepTables, run_sweep, sweep_work
from quantascope.recipes.result import Check
from quantascope.toys.parity import ParityTask
from quantascope.toys.runs import ParityRun, ParitySweep
from quantascope.toys.training import Schedule, Stopping

__all__ = ["PAPER", "SMALL", "ParitySetting", "Target", "checks_of", "train_runs"]

Target = tuple[float, float, str]
"""Expected value, tolerance, and where the tolerance comes from."""


@dataclass(frozen=True, kw_only=True)
class ParitySetting:
    """Subtasks, samples and optimiser; the defaults are the paper's."""

    n_tasks: int = 500
    n: int = 100
    k: int = 3
    batch_size: int = 20_000
    learning_rate: float = 1e-3
    n_test: int = 1_000_000
    n_test_each: int = 1000
    first_eval: int = 100
    precision: str = "auto"
    device: str = "cpu"

    def run(self, *, alpha: float, width: int, seed: int, n_samples: int = 0) -> ParityRun:
        """Make a run of this setting; subsets, samples and weights share the seed."""
        return ParityRun(
            task=ParityTask(n_tasks=self.n_tasks, n=self.n, k=self.k, alpha=alpha, seed=seed),
            width=width,
            seed=seed,
            n_samples=n_samples,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            n_test=self.n_test,
            n_test_per_subtask=self.n_test_each,
        )


PAPER: Final = ParitySetting()
SMALL: Final = ParitySetting(
    n_tasks=50,
    n=20,
    k=2,
    batch_size=1000,
    learning_rate=2e-3,
    n_test=20_000,
    n_test_each=200,
    first_eval=20,
)
"""Fewer and easier subtasks, smaller batches, twice the rate: the order, the power law and the
sharp drops stay; fewer subtasks end the sum earlier, so exponents differ and have own targets."""


def train_runs(
    runs: Sequence[ParityRun],
    setting: ParitySetting,
    *,
    n_steps: int,
    n_evals: int,
    work: Path | None,
    stopping: Stopping | None = None,
) -> SweepTables:
    """Train runs into a folder, where a stopped training goes on; None takes a passing one."""
    sweep = ParitySweep(
        runs=tuple(runs),
        schedule=Schedule(n_steps=n_steps, n_evals=n_evals, first_eval=setting.first_eval),
        stopping=stopping,
        precision=setting.precision,
        device=setting.device,
    )
    with (
        TemporaryDirectory() as passing,
        track(f"networks: {len(runs)}", sweep_work(sweep), unit="network-steps") as advance,
    ):
        return run_sweep(sweep, work or Path(passing), advance=advance)


def checks_of(
    obtained: dict[str, float], targets: dict[str, Target], *, source: str
) -> tuple[Check, ...]:
    """Put obtained numbers beside their targets; every target must have been obtained."""
    return tuple(
        Check(
            name=name,
            expected=expected,
            obtained=float(obtained[name]),
            tolerance=tolerance,
            bound=bound,
            source=source,
        )
        for name, (expected, tolerance, bound) in targets.items()
    )
