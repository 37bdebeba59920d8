"""Mean loss of parity networks falls as a power of parameters, of steps and of samples.

Source: arXiv:2303.13506, figure 2 (alpha .4: 30 widths from 10 to 500, the widest over steps, 30
numbers of samples from 1e4 to 5e6).
Command: quantascope reproduce parity-scaling; --quick trains 50 subtasks of 2 of 20 bits on 6
widths and 6 numbers of samples with batches of 1,000 and twice the rate; --form narrow trains the
published widths up to 99 for 50,000 steps.
Cost: 30 CPU-s with --quick, 1.4 CPU-hours narrow; the paper's setting takes 31 CPU-hours, and goes
on where it was stopped.
Expected: published at alpha .4, exponents .378 in parameters, .346 in steps, .308 in samples, and
learned subtasks over samples with .678 (over several alphas: figure A4); up to width 102 the
published losses fall with .295. Small: measured here on six seeds, three times their spread.
Samples are read until the validation half of the test set says stop; the loss is that of the other
half, so that choosing the step gains nothing.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from quantascope.plots.parity import plot_scaling
from quantascope.recipes.parity_setting import (
    PAPER,
    SMALL,
    ParitySetting,
    Target,
    checks_of,
    train_runs,
)
from quantascope.recipes.parity_tables import scaling_tables
from quantascope.recipes.result import RecipeResult
from quantascope.theory.finite import truncated_grid
from quantascope.toys.training import Stopping

__all__ = ["FORMS", "QUICK", "Config", "run"]

_FIGURE: Final = "three significant digits; one to three seeds, whose losses differ by 8 %"
_SPREAD: Final = "three standard deviations over six seeds"
_HALF: Final = "half the 95 % interval over 18 widths of one seed"
_SCATTER: Final = "twice 9 %, the scatter of widths about their line: a subtask more or less"
_WIDTHS: Final = tuple(map(int, truncated_grid(10, 500, 30)))
_NAMES: Final = {
    "alpha_N": "exponent in parameters",
    "alpha_S": "exponent in steps",
    "alpha_D": "exponent in samples",
    "quanta of data": "learned subtasks over samples",
}

PUBLISHED: Final[dict[str, Target]] = {
    "exponent in parameters": (0.378, 0.03, _FIGURE),
    "exponent in steps": (0.346, 0.03, _FIGURE),
    "exponent in samples": (0.308, 0.03, _FIGURE),
    "learned subtasks over samples": (0.678, 0.07, _FIGURE),
}
MEASURED: Final[dict[str, Target]] = {
    "exponent in parameters": (0.44, 0.15, _SPREAD),
    "exponent in steps": (0.274, 0.035, _SPREAD),
    "exponent in samples": (0.349, 0.07, _SPREAD),
    "learned subtasks over samples": (0.594, 0.25, _SPREAD),
}
NARROW: Final[dict[str, Target]] = {
    "exponent in parameters": (0.295, 0.065, _HALF),
    "mean loss at width 9 [bit]": (0.604, 0.11, _SCATTER),
    "mean loss at width 50 [bit]": (0.413, 0.075, _SCATTER),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Widths on endless samples, and samples at one width."""

    setting: ParitySetting = PAPER
    alpha: float = 0.4
    widths: tuple[int, ...] = _WIDTHS
    samples: tuple[int, ...] = tuple(map(int, truncated_grid(10_000, 5_000_000, 30)))
    samples_width: int = 500
    n_steps: int = 200_000
    n_steps_samples: int = 100_000
    n_evals: int = 100
    stopping: Stopping = field(default_factory=lambda: Stopping(patience=10, least_steps=4000))
    targets: dict[str, Target] = field(default_factory=lambda: PUBLISHED)
    source: str = "arXiv:2303.13506, figures 2 and A4, read off the vector figures"


QUICK: Final = Config(
    setting=SMALL,
    widths=(5, 8, 13, 22, 36, 60),
    samples=(1500, 3000, 6000, 12_000, 24_000, 48_000),
    samples_width=60,
    n_steps=4000,
    n_steps_samples=4000,
    n_evals=50,
    stopping=Stopping(patience=6, least_steps=300),
    targets=MEASURED,
    source="measured here",
)
FORMS: Final = {
    "narrow": Config(
        setting=replace(PAPER, n_test=200_000, precision="bfloat16"),
        widths=_WIDTHS[:18],
        samples=(),
        n_steps=50_000,
        n_evals=120,
        targets=NARROW,
        source="arXiv:2303.13506, points behind figure A4 at alpha .4, widths 9 to 102",
    )
}


def run(config: Config, *, seed: int, work: Path | None = None) -> RecipeResult:
    """Train both families, fit each by the published protocol."""
    setting, alpha = config.setting, config.alpha
    over_width = train_runs(
        [setting.run(alpha=alpha, width=width, seed=seed) for width in config.widths],
        setting, n_steps=config.n_steps, n_evals=config.n_evals, work=work and work / "widths",
    )  # fmt: skip
    sweeps = [over_width]
    if config.samples:
        runs = [
            setting.run(alpha=alpha, width=config.samples_width, seed=seed, n_samples=n)
            for n in config.samples
        ]
        sweeps += [
            train_runs(
                runs, setting, n_steps=config.n_steps_samples, n_evals=config.n_evals,
                work=work and work / "samples", stopping=config.stopping,
            )
        ]  # fmt: skip
    tables = scaling_tables(sweeps)
    names, estimates = (tables["exponents"][column].tolist() for column in ("name", "estimate"))
    obtained = {
        _NAMES[name]: value for name, value in zip(names, estimates, strict=True) if name in _NAMES
    }
    losses = dict(zip(config.widths, tables["parameters"]["loss_bits"].tolist(), strict=True))
    obtained |= {f"mean loss at width {width} [bit]": loss for width, loss in losses.items()}
    return RecipeResult(
        name="parity-scaling",
        config=config,
        seed=seed,
        checks=checks_of(obtained, config.targets, source=config.source),
        tables=tables,
        draw=lambda ax: plot_scaling(tables, ax=ax),
    )
