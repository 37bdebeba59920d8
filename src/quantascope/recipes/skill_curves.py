"""One skill's curve predicts the others': strengths of skills against the solvable model.

Source: arXiv:2404.17563, sections 3 and 4 (the multilinear model; its constant read off the first
skill of a network, the other skills then follow without a fit).
Command: quantascope reproduce skill-curves; --quick trains the network on 20 bits at width 64.
Cost: 3 CPU-s with --quick, 60 CPU-s in full.
Expected: the model itself, trained on drawn samples, meets the closed curve; skill k emerges after
T_1 p_1 / p_k steps. A ReLU network trained with Adam on cross-entropy, which the source does not
use, is measured beside it: its rare skills emerge earlier than the first one predicts.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.plots.subtasks import plot_skills
from quantascope.recipes.parity_setting import SMALL, ParitySetting, train_runs
from quantascope.recipes.result import Check, RecipeResult
from quantascope.theory.skills import emergence_time, strength_in_time
from quantascope.toys.dependency import half_times
from quantascope.toys.multilinear import train_multilinear

__all__ = ["QUICK", "Config", "run"]

Floats = NDArray[np.float64]

_SOURCE: Final = "arXiv:2404.17563, equation 11"
_INITIAL: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class Config:
    """Five skills, the model's training, and a network's."""

    alpha: float = 0.6
    n_skills: int = 5
    batch_size: int = 4000
    learning_rate: float = 0.05
    n_steps: int = 4000
    setting: ParitySetting = field(
        default_factory=lambda: replace(
            SMALL, n_tasks=5, n=32, k=3, batch_size=4000, n_test_each=2000
        )
    )
    width: int = 1000
    network_steps: int = 4000
    earlier: tuple[float, float] = (0.34, 0.12)
    """Emergence of the network's last skill over the predicted one: expected, tolerance."""


QUICK: Final = Config(
    setting=replace(SMALL, n_tasks=5, n_test_each=500),
    width=64,
    network_steps=1500,
    earlier=(0.55, 0.15),
)


def run(config: Config, *, seed: int, work: Path | None = None) -> RecipeResult:
    """Train the model and the network; compare the model with its solution, both in time."""
    network = config.setting.run(alpha=config.alpha, width=config.width, seed=seed)
    frequency = network.task.frequencies[: config.n_skills]
    steps, strength = train_multilinear(
        frequency,
        n_steps=config.n_steps,
        every=10,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        initial=_INITIAL,
        seed=seed,
    )
    solved = strength_in_time(
        steps[:, None], frequency, initial=_INITIAL, rate=config.learning_rate
    )
    tables = train_runs(
        [network], config.setting, n_steps=config.network_steps, n_evals=80, work=work
    )
    shown = tables.subtasks.to_pandas().pivot(index="step", columns="subtask", values="strength")
    times = half_times(shown.index.to_numpy(dtype=np.float64), shown.to_numpy(dtype=np.float64))
    model_times = half_times(steps.astype(np.float64), strength)
    predicted = times[0] * frequency[0] / frequency
    return RecipeResult(
        name="skill-curves",
        config=config,
        seed=seed,
        checks=_checks(config, frequency, strength - solved, model_times, times / predicted),
        tables={
            "model": _columns(steps, strength, solved),
            "emergence": {
                "frequency": frequency,
                "model": model_times,
                "network": times,
                "predicted_from_first": predicted,
            },
        },
        draw=lambda ax: plot_skills(steps, strength, solved, ax=ax),
    )


def _columns(steps: NDArray[np.int64], strength: Floats, solved: Floats) -> dict[str, Floats]:
    table = {"step": steps.astype(np.float64)}
    for skill in range(strength.shape[1]):
        table[f"strength_{skill + 1}"] = strength[:, skill]
        table[f"solved_{skill + 1}"] = solved[:, skill]
    return table


def _checks(
    config: Config, frequency: Floats, gap: Floats, model: Floats, ratio: Floats
) -> tuple[Check, ...]:
    closed = emergence_time(frequency, initial=_INITIAL, rate=config.learning_rate)
    # the count of a skill in T steps of B samples scatters by 1 / sqrt(p B T); 4 such, and a step
    noise = 4 / np.sqrt(frequency * config.batch_size * closed) + config.learning_rate
    checks = [
        Check(
            name=f"emergence of skill {k + 1} [step]", expected=float(closed[k]),
            obtained=float(model[k]), tolerance=float(closed[k] * noise[k]),
            bound="4 standard deviations of the skill's count, and one part in 20 for the steps",
            source=_SOURCE,
        )
        for k in range(config.n_skills)
    ]  # fmt: skip
    expected, tolerance = config.earlier
    return (
        *checks,
        Check(name="largest distance from the closed curve", expected=0.0,
              obtained=float(np.abs(gap).max()), tolerance=0.05,
              bound="steps of .05 where the flow has none", source=_SOURCE),
        Check(name="network: last skill's time over the predicted", expected=expected,
              obtained=float(ratio[-1]), tolerance=tolerance,
              bound="three standard deviations over six seeds", source="measured here"),
    )  # fmt: skip
