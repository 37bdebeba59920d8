"""Mean loss of Pythia falls as a power of size; share solved, and predictions by the paper's rules.

Source: arXiv:2303.13506, section on language models and figures 3, 4, A5, A6: seven sizes of
Pythia's first release on 10,000,000 predictions of the Pile; alpha_N of six sizes, for the seventh
(6.4b) lies off the trend. Mean losses are read off the figure to .03 bit.
Command: ``quantascope reproduce pythia-scaling``; ``--quick`` fits the published means, 0.1 CPU-s.
The full form fetches seven models (25 GB in half precision) and the first 10,000 documents of the
Pile from the hub, and says in one line if none answers. By its multiply-adds it takes weeks of
CPU, or about an hour of a large GPU (``Config.device``); it has not been run here. Its text is part
of what the models were trained on, which the source's test set is not.
Expected: exponent -.083 with an interval of Student's t; by the theory that makes alpha_S .077,
where the source measures .037 to .060; full: 9 % and 19 % of predictions solved at the ends.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from quantascope.core.units import nats_to_bits
from quantascope.laws.powerlaw import PowerLawFit, fit_power_law
from quantascope.pipeline.config import RunConfig, replace_values
from quantascope.pipeline.family import check_family
from quantascope.pipeline.runner import run_stages
from quantascope.plots.family import plot_loss_by_size
from quantascope.reader.family import family_findings
from quantascope.recipes.result import Check, RecipeResult, Table
from quantascope.store.folder import RunFolder
from quantascope.theory.resources import exponents

__all__ = ["QUICK", "Config", "run"]

_SOURCE: Final = "arXiv:2303.13506, section on language models"
_FIGURE: Final = "arXiv:2303.13506, figure 3, read off to .03 bit"
_SOLVED: Final = "arXiv:2303.13506, figure A5"
_READ_ERROR: Final = 0.03  # bit
_SIZES: Final = (
    18_915_328, 85_056_000, 302_311_424, 805_736_448, 1_208_602_624, 2_517_652_480, 6_444_163_072
)  # fmt: skip
_BITS: Final = (4.22, 3.68, 3.29, 3.07, 2.98, 2.80, 2.70)
_NAMES: Final = ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The family and its text; no models: the published means."""

    models: tuple[str, ...] = tuple(f"EleutherAI/pythia-{name}-v0" for name in _NAMES)
    text: str = "hf:NeelNanda/pile-10k"
    n_predictions: int = 10_000_000
    n_fitted: int = 6
    """Sizes that the power law is fitted to, smallest first."""
    device: str = "cpu"


QUICK: Final = Config(models=())


def run(config: Config, *, seed: int, work: Path | None = None) -> RecipeResult:
    """Fit the mean losses that were published, or those of the models themselves."""
    if config.models:
        with TemporaryDirectory() as folder:
            table = _measured(config, work or Path(folder), seed=seed)
    else:
        table = {"n_params": np.array(_SIZES, dtype=np.float64), "mean_bits": np.array(_BITS)}
    fitted = slice(0, config.n_fitted)
    fit = fit_power_law(table["n_params"][fitted], table["mean_bits"][fitted])
    law = fit.prefactor * table["n_params"] ** fit.exponent
    ends = (fit.exponent, fit.lo, fit.hi, fit.prefactor)
    return RecipeResult(
        name="pythia-scaling",
        config=config,
        seed=seed,
        checks=_checks(table, fit, config=config),
        tables={
            "sizes": table | {"law_bits": law},
            "fit": {
                "alpha_N": np.array([-fit.exponent]),
                "lo": np.array([-fit.hi]),
                "hi": np.array([-fit.lo]),
                "r2": np.array([fit.r2]),
            },
        },
        draw=lambda ax: plot_loss_by_size(
            table["n_params"],
            table["mean_bits"],
            fit=ends,
            unit="bit",
            left_out=np.arange(len(law)) >= config.n_fitted,
            ax=ax,
        ),
    )


def _checks(table: Table, fit: PowerLawFit, *, config: Config) -> tuple[Check, ...]:
    lo, hi = -fit.hi, -fit.lo
    reading = _slope_error(table, n=config.n_fitted)
    tolerance, bound = reading, ".03 bit a point, one standard deviation"
    if config.models:
        tolerance, bound = 0.02, "other text"
    alpha = -fit.exponent
    found = [
        (f"alpha_N, 95 % from {lo:.4f} to {hi:.4f}", 0.083, alpha, tolerance, _FIGURE),
        ("alpha_S by theory", 0.077, float(exponents(alpha).alpha_S), tolerance, _SOURCE),
    ]
    if config.models:
        solved = table["share_solved"]
        found += [
            ("share solved, smallest", 0.09, float(solved[0]), 0.03, _SOLVED),
            ("share solved, largest", 0.19, float(solved[-1]), 0.03, _SOLVED),
        ]
    return tuple(
        Check(
            name=name,
            expected=expected,
            obtained=obtained,
            tolerance=allowed,
            bound=bound,
            source=source,
        )
        for name, expected, obtained, allowed, source in found
    )


def _slope_error(table: Table, *, n: int) -> float:
    """Give the standard deviation that independent errors of reading give to the slope."""
    x = np.log(table["n_params"][:n])
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    return float(np.sqrt(((weights * _READ_ERROR / table["mean_bits"][:n]) ** 2).sum()))


def _measured(config: Config, work: Path, *, seed: int) -> dict[str, np.ndarray]:
    """Compute losses and curves of the models; the run stays in the folder and is resumed there."""
    values = {
        "models.model": config.models,
        "corpus.source": (config.text,),
        "corpus.n_tokens": config.n_predictions,
        "losses.device": config.device,
    }
    resolved = replace_values(RunConfig(), values)
    check_family(resolved.models)
    run_stages(RunFolder(work / "run"), resolved, kinds=["corpus", "losses", "selection", "curves"])
    found = family_findings(RunFolder(work / "run"), seed=seed)
    columns = {name: found.sizes[name].to_numpy(dtype=float) for name in found.sizes}
    picks = {rule: np.full(len(found.sizes), n) for rule, n in found.picks.get("0", {}).items()}
    return columns | picks | {"mean_bits": nats_to_bits(columns["mean_loss_nats"])}
