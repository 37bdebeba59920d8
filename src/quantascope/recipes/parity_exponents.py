"""Exponents of parity networks over alpha, beside theory with and without an end of the subtasks.

Source: arXiv:2303.13506, figures A4a, A4b (8 alphas, 20 widths of 3 seeds, 25 counts of samples).
Command: quantascope reproduce parity-exponents; --quick takes 2 alphas, 5 widths and 5 numbers of
samples of 50 subtasks; --form reduced takes all 8 alphas, 12 widths of 3 seeds and 8 numbers of
samples of 2 seeds, of 100 subtasks of 2 of 20 bits.
Cost: 25 CPU-s with --quick, 16 CPU-minutes reduced; the paper's setting takes 8 CPU-days.
Expected: published exponents of all eight alphas; small and reduced: measured here, tolerance three
times the spread of seeds. In all of them alpha_N exceeds alpha where alpha is small: the sum over
subtasks ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from quantascope.pipeline.parity_summary import measure_exponents
from quantascope.plots.parity import plot_exponents
from quantascope.recipes.parity_setting import (
    PAPER,
    SMALL,
    ParitySetting,
    Target,
    checks_of,
    train_runs,
)
from quantascope.recipes.parity_tables import EXPONENTS, exponent_tables, read_published
from quantascope.recipes.result import RecipeResult
from quantascope.theory.finite import PARITY_WIDTHS, truncated_grid
from quantascope.toys.training import Stopping

__all__ = ["FORMS", "QUICK", "Config", "run"]

_FIGURE: Final = "three significant digits; losses of three seeds differ by 8 %"
_SPREAD: Final = "three standard deviations over six seeds"


def _targets(columns: dict[str, Iterable[float]], tolerance: float, why: str) -> dict[str, Target]:
    """Write one target for each exponent and alpha of a table by columns."""
    return {
        f"{name}, alpha {alpha:g}": (value, tolerance, why)
        for name, values in columns.items() if name != "alpha"
        for alpha, value in zip(columns["alpha"], values, strict=True)
    }  # fmt: skip


PUBLISHED: Final = _targets(
    {
        "alpha": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        "alpha_N": (0.229, 0.283, 0.339, 0.378, 0.454, 0.503, 0.571, 0.608),
        "alpha_S": (0.228, 0.267, 0.307, 0.346, 0.376, 0.422, 0.468, 0.482),
        "alpha_D": (0.275, 0.274, 0.297, 0.308, 0.335, 0.357, 0.373, 0.404),
    },
    0.03,
    _FIGURE,
)
MEASURED: Final = _targets(
    {"alpha": (0.2, 0.7), "alpha_N": (0.269, 0.42), "alpha_D": (0.299, 0.363)},
    0.135,  # three times .044, the largest of the four spreads
    _SPREAD,
)
REDUCED: Final = _targets(
    {"alpha": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
     "alpha_N": (0.412, 0.431, 0.461, 0.494, 0.554, 0.563, 0.627, 0.676)},
    0.13, "the widest half of a 95 % interval over three seeds",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """Alphas, widths, samples, seeds."""

    setting: ParitySetting = PAPER
    alphas: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    widths: tuple[int, ...] = PARITY_WIDTHS
    n_seeds: int = 3
    samples: tuple[int, ...] = tuple(map(int, truncated_grid(10_000, 5_000_000, 25)))
    samples_width: int = 500
    samples_seeds: int = 1
    n_steps: int = 100_000
    n_evals: int = 200
    stopping: Stopping = field(default_factory=lambda: Stopping(patience=10, least_steps=4000))
    targets: dict[str, Target] = field(default_factory=lambda: PUBLISHED)
    source: str = "arXiv:2303.13506, figure A4, read off the vector figure"


QUICK: Final = Config(
    setting=SMALL,
    alphas=(0.2, 0.7),
    widths=(5, 9, 16, 28, 50),
    n_seeds=1,
    samples=(2000, 4500, 10_000, 22_000, 50_000),
    samples_width=50,
    n_steps=2000,
    n_evals=40,
    stopping=Stopping(patience=6, least_steps=300),
    targets=MEASURED,
    source="measured here",
)
_HUNDRED: Final = replace(SMALL, n_tasks=100, first_eval=40)
FORMS: Final = {
    "reduced": Config(
        setting=_HUNDRED,
        widths=(4, 5, 7, 9, 12, 16, 21, 28, 37, 49, 65, 86),
        samples=(2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000),
        samples_width=64,
        samples_seeds=2,
        n_steps=8000,
        n_evals=50,
        stopping=Stopping(patience=8, least_steps=400),
        targets=REDUCED,
        source="measured here",
    )
}


def run(config: Config, *, seed: int, work: Path | None = None) -> RecipeResult:
    """Train over widths and over samples at every alpha; fit by the published protocols."""
    setting, alphas = config.setting, config.alphas
    over_width = train_runs(
        [setting.run(alpha=alpha, width=width, seed=seed + i)
         for alpha in alphas for i in range(config.n_seeds) for width in config.widths],
        setting, n_steps=config.n_steps, n_evals=config.n_evals, work=work and work / "widths",
    )  # fmt: skip
    over_samples = train_runs(
        [setting.run(alpha=alpha, width=config.samples_width, seed=seed + i, n_samples=n)
         for alpha in alphas for i in range(config.samples_seeds) for n in config.samples],
        setting, n_steps=config.n_steps, n_evals=config.n_evals, work=work and work / "samples",
        stopping=config.stopping,
    )  # fmt: skip
    found = [*measure_exponents(over_width), *measure_exponents(over_samples)]
    tables = exponent_tables(found)
    drawn = {name: tables[name] for name in EXPONENTS if name in tables}
    published = read_published("parity_exponents.csv")
    obtained = {f"{each.name}, alpha {each.alpha:g}": each.estimate for each in found}
    return RecipeResult(
        name="parity-exponents",
        config=config,
        seed=seed,
        checks=checks_of(obtained, config.targets, source=config.source),
        tables={name.replace(" ", "_"): table for name, table in tables.items()},
        draw=lambda ax: plot_exponents(drawn, ax=ax, published=published),
    )
