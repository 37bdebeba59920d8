"""Where unlearned samples cost -ln p_k, the mean loss is a power law with a logarithm.

Source: arXiv:2303.13506, appendix on alternative loss assumptions and figure A1.
Command: quantascope reproduce log-correction; --quick is the same.
Cost: 0.1 CPU-s.
Expected: published, the integral form n^-alpha [1 + alpha + alpha ln Z] / (alpha^2 Z) + n^-alpha
ln(n) (alpha + 1) / (alpha Z); the exact sum differs from it by a share of order alpha / (2 n), and
the local slope is below alpha by about 1 / ln n.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from quantascope.plots.subtasks import plot_log_correction
from quantascope.recipes.result import Check, RecipeResult
from quantascope.theory.entropy import log_frequency_loss
from quantascope.theory.quanta import normaliser, tail

__all__ = ["QUICK", "Config", "run"]

_SOURCE: Final = "arXiv:2303.13506, appendix, figure A1"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Exponents and the range of learned quanta that the figure shows."""

    alphas: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8)
    n_lo: float = 10.0
    n_hi: float = 10_000.0
    n_points: int = 61
    form: str = "exact"
    """How the obtained loss is summed."""


QUICK: Final = Config()


def run(config: Config, *, seed: int) -> RecipeResult:
    """Compare the exact sums with the published form; nothing is random."""
    n = np.geomspace(config.n_lo, config.n_hi, config.n_points)
    tables, checks = {}, []
    for alpha in config.alphas:
        exact = log_frequency_loss(n, alpha, form=config.form)  # type: ignore[arg-type]
        formula = _published(n, alpha)
        tables[f"alpha_{alpha:g}"] = {
            "n": n,
            "loss": exact,
            "published": formula,
            "without": tail(n, alpha),
        }
        checks += _checks(alpha, n, exact=exact, formula=formula)

    def draw(ax: Axes) -> Axes:
        return plot_log_correction(
            {name.removeprefix("alpha_"): table for name, table in tables.items()}, ax=ax
        )

    return RecipeResult(
        name="log-correction",
        config=config,
        seed=seed,
        checks=tuple(checks),
        tables=tables,
        draw=draw,
    )


def _published(n: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Give the paper's closed form."""
    Z = float(normaliser(alpha))  # noqa: N806 (symbol of the source)
    level = (1 + alpha + alpha * np.log(Z)) / (alpha**2 * Z)
    return np.asarray(n**-alpha * (level + np.log(n) * (alpha + 1) / (alpha * Z)))


def _checks(
    alpha: float,
    n: NDArray[np.float64],
    *,
    exact: NDArray[np.float64],
    formula: NDArray[np.float64],
) -> list[Check]:
    slope = -np.diff(np.log(exact))[-1] / np.diff(np.log(n))[-1]
    expected = -np.diff(np.log(formula))[-1] / np.diff(np.log(n))[-1]
    bound = "an integral from n for a sum from n + 1 misses half a term: a share alpha / (2 n)"
    return [
        Check(
            name=f"loss at n = {n[0]:g}, alpha {alpha:g}",
            expected=float(formula[0]),
            obtained=float(exact[0]),
            tolerance=float(formula[0]) * (alpha + 1) / n[0],
            bound=bound,
            source=_SOURCE,
        ),
        Check(
            name=f"loss at n = {n[-1]:g}, alpha {alpha:g}",
            expected=float(formula[-1]),
            obtained=float(exact[-1]),
            tolerance=float(formula[-1]) * (alpha + 1) / n[-1],
            bound=bound,
            source=_SOURCE,
        ),
        Check(
            name=f"local slope at n = {n[-1]:g}, alpha {alpha:g}",
            expected=float(expected),
            obtained=float(slope),
            tolerance=1e-3,
            bound="that of the closed form; the difference is of order 1 / n",
            source=_SOURCE,
        ),
    ]
