"""Published parity exponents against the Quantization Model of a finite set of tasks.

Source: arXiv:2303.13506, figure A4: exponents alpha_N of networks that learn 500 parities used with
frequencies ``k^-(alpha+1)``, for eight alphas, with mean losses at six of 20 widths for three, and
at width 300 for all. All were read off the vector figures: exponents to .001, losses to 1 %.
Command: ``quantascope reproduce parity-finite-tasks`` (``--quick`` is the same), 0.7 CPU-s.
Expected: six widths give the published alpha_N within .01; one capacity C predicts, for all eight
alphas within .01, the slopes that an earlier computation found with one C for each alpha and
straight lines between whole quanta; fitted to losses, C lies in that computation's 6,500 to 7,900
for two alphas of three, and for four of eight where it is solved from the loss at width 300 alone.

What does not hold: that computation had every C in its range; one of three and four of eight are
outside here (at alpha .8 8,350, though its interval reaches in). And the measured exponents lie
below the prediction of the finite set everywhere, by .02 at alpha .1 and by .12 at .8: the set's
end explains why they exceed alpha at small alpha, not this shortfall.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from quantascope.laws import LawFit, fit
from quantascope.plots.parity import plot_parity_exponents
from quantascope.recipes.parity_tables import read_published
from quantascope.recipes.result import Check, RecipeResult, Table
from quantascope.theory.finite import PARITY_WIDTHS, fitted_exponent, parity_params
from quantascope.theory.inverse import capacity_from_quanta, quanta_from_loss
from quantascope.theory.resources import QuantaModel

__all__ = ["QUICK", "Config", "predicted_exponents", "run"]

Floats = NDArray[np.float64]

_A4: Final = "arXiv:2303.13506, figure A4, read off the vector figure"
_EARLIER: Final = "measured here, another computation: a C for each alpha, straight lines between n"
_STRAIGHT: Final = (0.247, 0.306, 0.365, 0.427, 0.499, 0.573, 0.654, 0.727)
_RANGE: Final = (6500.0, 7900.0)
_NO_FLOOR: Final = 1e-6  # bit; a floor of the law must be positive
_READING: Final = "1 % in both end losses is .006 over a factor of 33; fewer widths, as much again"


@dataclass(frozen=True, kw_only=True)
class Config:
    """The set of tasks that is assumed, and the tables of readings in the package's data."""

    n_tasks: int = 500
    exponents: str = "parity_exponents.csv"
    losses: str = "parity_losses.csv"


QUICK: Final = Config()


def run(config: Config, *, seed: int) -> RecipeResult:
    """Refit exponents, fit capacities; nothing is random, the seed is only recorded."""
    published, losses = read_published(config.exponents), read_published(config.losses)
    alphas = published["alpha"]
    predict = partial(predicted_exponents, alphas, n_tasks=config.n_tasks)
    best = optimize.minimize_scalar(
        lambda c: np.abs(predict(c) - _STRAIGHT).max(), bounds=(4000, 12_000), method="bounded"
    )
    fits = {a: _fit_one(losses, a, n_tasks=config.n_tasks) for a in np.unique(losses["alpha"])}
    n_last = [
        float(quanta_from_loss(loss, alpha, n_tasks=config.n_tasks))
        for loss, alpha in zip(published["loss_bits_width_300"], alphas, strict=True)
    ]
    table = {
        "alpha": alphas,
        "measured": published["alpha_N"],
        "finite": predict(float(best.x)),
        "capacity_width_300": capacity_from_quanta(parity_params(300), n_last),
        **_columns(alphas, fits),
    }
    return RecipeResult(
        name="parity-finite-tasks",
        config=config,
        seed=seed,
        checks=_checks(table, float(best.x)),
        tables={"exponents": table, "published": published, "losses": losses},
        draw=partial(plot_parity_exponents, table, capacity=float(best.x)),
    )


def predicted_exponents(alphas: Floats, capacity: float, *, n_tasks: int) -> Floats:
    """Slope of the exact loss of a finite set over the experiment's 20 widths, for each alpha."""
    sizes = parity_params(PARITY_WIDTHS)
    models = [QuantaModel(alpha=a, n_tasks=n_tasks, capacity=capacity) for a in alphas.tolist()]
    return np.array([fitted_exponent(model, "N", sizes) for model in models])


def _fit_one(losses: Table, alpha: float, *, n_tasks: int) -> tuple[LawFit, LawFit]:
    """Fit a power law, and the capacity of a finite set, to the widths of one alpha."""
    rows = losses["alpha"] == alpha
    size, loss = losses["n_params"][rows], losses["loss_bits"][rows]
    # chance is one bit, and all 500 tasks together remove it
    known = {"E": _NO_FLOOR, "Delta": 1.0, "alpha": float(alpha), "n_tasks": float(n_tasks)}
    return (
        fit("power", {"x": size, "loss": loss}, objective="lsq-log"),
        fit("quanta-finite-N", {"N": size, "loss": loss}, objective="lsq-log", fixed=known),
    )


def _columns(alphas: Floats, fits: dict[float, tuple[LawFit, LawFit]]) -> dict[str, Floats]:
    """Refitted exponent and capacity with intervals, NaN where there are no losses."""
    columns: dict[str, Floats] = {}
    for which, (name, param) in enumerate((("refitted", "alpha"), ("capacity", "C"))):
        found = {
            a: (each[which].params[param], *each[which].interval(param)) for a, each in fits.items()
        }
        rows = np.array([found.get(a, (np.nan,) * 3) for a in alphas.tolist()])
        columns |= {name: rows[:, 0], f"{name}_lo": rows[:, 1], f"{name}_hi": rows[:, 2]}
    return columns


def _checks(table: Table, capacity: float) -> tuple[Check, ...]:
    known = np.flatnonzero(np.isfinite(table["refitted"]))
    numbers: list[tuple[str, float, float, float, str, str]] = [
        (f"alpha_N of six widths, alpha {table['alpha'][i]:g}", table["measured"][i],
         table["refitted"][i], 0.01, _READING, _A4)
        for i in known
    ]  # fmt: skip
    gap = "straight lines between whole n, and eight C for one: at most .0054 measured"
    numbers += [
        (f"predicted alpha_N, alpha {alpha:g}", straight, finite, 0.01, gap, _EARLIER)
        for alpha, straight, finite in zip(table["alpha"], _STRAIGHT, table["finite"], strict=True)
    ]
    flat = "all C from 6,000 to 6,700 predict within .01"
    numbers += [("one C for these eight", 6400, capacity, 300, flat, "measured here")]
    for name, column, count in (
        ("C in the earlier range, six widths (all 3 there: fails)", "capacity", 2),
        ("C in the earlier range, width 300 (all 8 there: fails)", "capacity_width_300", 4),
    ):
        inside = (table[column] > _RANGE[0]) & (table[column] < _RANGE[1])
        numbers += [(name, count, inside.sum(), 0, "a count in 6,500 to 7,900", "measured here")]
    return tuple(
        Check(name=name, expected=float(expected), obtained=float(obtained), tolerance=tolerance,
              bound=bound, source=source)
        for name, expected, obtained, tolerance, bound, source in numbers
    )  # fmt: skip
