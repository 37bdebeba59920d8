"""One parity network: subtasks are learned one after another while the mean loss falls smoothly.

Source: arXiv:2303.13506, figures A2 and A3 (one network of width 500 at alpha .4).
Command: quantascope reproduce parity-convergence; --quick trains 50 subtasks of 2 of 20 bits at
width 128 with batches of 1,000 and twice the rate: order, sharpness and the power law in frequency
stay, the numbers have targets of their own.
Cost: 7.5 CPU-s with --quick; the paper's setting takes 4 CPU-hours and goes on where it was
stopped.
Expected: published, steps to 0.1 bit against frequency with exponent -.81, mean loss against steps
with -.45, .13 bit and 45 subtasks at the end. Small: measured here on ten seeds, with three times
their spread.
The published rule leaves out what was not learned, and so keeps the early ones of the rare
subtasks; the fit beside it keeps them as censored times.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from scipy import stats

from quantascope.core.units import nats_to_bits
from quantascope.pipeline.parity_families import curves_of
from quantascope.pipeline.parity_summary import measure_exponents
from quantascope.plots.subtasks import plot_convergence
from quantascope.recipes.parity_setting import (
    PAPER,
    SMALL,
    ParitySetting,
    Target,
    checks_of,
    train_runs,
)
from quantascope.recipes.result import RecipeResult, Table
from quantascope.toys.estimators import (
    convergence_bounds,
    fit_convergence,
    fit_convergence_published,
)

__all__ = ["QUICK", "Config", "run"]

_FIGURE: Final = "three significant digits of one seed; seeds differ by about as much"
_SPREAD: Final = "three standard deviations over ten seeds"

PUBLISHED: Final[dict[str, Target]] = {
    "exponent of convergence, published rule": (-0.81, 0.08, _FIGURE),
    "exponent of mean loss in steps": (0.45, 0.05, _FIGURE),
    "final mean loss [bit]": (0.13, 0.02, _FIGURE),
    "subtasks learned": (45, 8, _FIGURE),
}
MEASURED: Final[dict[str, Target]] = {
    "exponent of convergence, published rule": (-0.88, 0.22, _SPREAD),
    "exponent of convergence, censored": (-0.94, 0.18, _SPREAD),
    "exponent of mean loss in steps": (0.332, 0.021, _SPREAD),
    "final mean loss [bit]": (0.121, 0.026, _SPREAD),
    "first subtask learned [step]": (223, 35, _SPREAD),
    "rank correlation of order and frequency": (0.962, 0.12, _SPREAD),
    "share of subtasks below .2 or above .8 bit": (0.69, 0.14, _SPREAD),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """One network."""

    setting: ParitySetting = PAPER
    alpha: float = 0.4
    width: int = 500
    n_steps: int = 200_000
    n_evals: int = 150
    targets: dict[str, Target] = field(default_factory=lambda: PUBLISHED)
    source: str = "arXiv:2303.13506, figures 2 and A3"


QUICK: Final = Config(
    setting=SMALL, width=128, n_steps=4000, n_evals=70, targets=MEASURED, source="measured here"
)


def run(config: Config, *, seed: int, work: Path | None = None) -> RecipeResult:
    """Train, bound each subtask's time, fit with and without those that were not learned."""
    network = config.setting.run(alpha=config.alpha, width=config.width, seed=seed)
    tables = train_runs(
        [network], config.setting, n_steps=config.n_steps, n_evals=config.n_evals, work=work
    )
    curve, frequency = curves_of(tables)[0], network.task.frequencies
    earliest, latest = convergence_bounds(curve.steps, curve.subtasks)
    censored = fit_convergence(frequency, earliest, latest)
    published = fit_convergence_published(frequency, latest)
    seen = np.isfinite(latest)
    final = nats_to_bits(curve.subtasks[-1])
    slopes = {each.name: each.estimate for each in measure_exponents(tables)}
    order = stats.spearmanr(frequency[seen], -latest[seen]).statistic if seen.sum() > 2 else np.nan
    obtained = {
        "exponent of convergence, published rule": published.exponent,
        "exponent of convergence, censored": censored.exponent,
        "exponent of mean loss in steps": slopes["alpha_S"],
        "final mean loss [bit]": float(nats_to_bits(curve.final)),
        "subtasks learned": float(seen.sum()),
        "first subtask learned [step]": float(latest.min()),
        "rank correlation of order and frequency": float(order),
        "share of subtasks below .2 or above .8 bit": float(((final < 0.2) | (final > 0.8)).mean()),
    }
    table = {
        "frequency": frequency,
        "earliest": earliest,
        "latest": latest,
        "final_bits": final,
        "line": censored.prefactor * frequency**censored.exponent,
        "line_published": published.prefactor * frequency**published.exponent,
    }
    mean: Table = {"step": curve.steps, "loss_bits": nats_to_bits(curve.test)}
    return RecipeResult(
        name="parity-convergence",
        config=config,
        seed=seed,
        checks=checks_of(obtained, config.targets, source=config.source),
        tables={"subtasks": table, "mean": mean},
        draw=lambda ax: plot_convergence(table, ax=ax),
    )
