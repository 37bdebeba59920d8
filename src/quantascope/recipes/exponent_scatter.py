"""Published pairs (alpha_N, alpha_D) against the Quantization Model's relation of the two.

Source: arXiv:2303.13506, figure A12: 16 pairs of six papers, collected by Villalobos (Epoch) and
plotted by the authors' public notebook; curves ``alpha_D = alpha_N / (1 + alpha_N)`` (the model)
and ``alpha_D = alpha_N``. The figure is the point: the literature does not decide.
Command: ``quantascope reproduce exponent-scatter`` (``--quick`` is the same), 0.1 CPU-s.
Expected, exact counts: 16 pairs; 6 nearer to the model's curve and 10 to the diagonal, in the ratio
of exponents (which has no free unit); 7 above the diagonal, where the model puts none.

One pair of the figure is exchanged: the collection gives the recommendation models (arXiv
2208.08489) an exponent of 4 in parameters and .1 in data. Put right, 7 pairs are nearer to the
model and 6 lie above the diagonal.
"""

import csv
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Final

import numpy as np

from quantascope.plots.recipes import plot_exponent_pairs
from quantascope.recipes.result import Check, RecipeResult, Table

__all__ = ["QUICK", "Config", "read_pairs", "run"]

_SOURCE: Final = "arXiv:2303.13506, figure A12; counted by hand"
_COUNT: Final = "a count"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which of the collected pairs to take."""

    file: str = "exponents.csv"
    """Name of a table in the package's data folder."""
    last: int = 16
    """Take the first so many pairs."""


QUICK: Final = Config()


def run(config: Config, *, seed: int) -> RecipeResult:
    """Count which curve each pair is nearer to; nothing is random, the seed is only recorded."""
    table = {name: column[: config.last] for name, column in read_pairs(config.file).items()}
    drawn, right = _counts(table, exchange=False), _counts(table, exchange=True)
    numbers = (
        ("pairs", 16, len(table["paper"])),
        ("pairs nearer to the model", 6, drawn[0]),
        ("pairs above the diagonal", 7, drawn[1]),
        ("nearer to the model, exchanged pair put right", 7, right[0]),
        ("above the diagonal, exchanged pair put right", 6, right[1]),
    )
    checks = tuple(
        Check(
            name=name,
            expected=expected,
            obtained=obtained,
            tolerance=0,
            bound=_COUNT,
            source=_SOURCE,
        )
        for name, expected, obtained in numbers
    )
    return RecipeResult(
        name="exponent-scatter",
        config=config,
        seed=seed,
        checks=checks,
        tables={"pairs": table},
        draw=partial(plot_exponent_pairs, table),
    )


def read_pairs(file: str = "exponents.csv") -> dict[str, np.ndarray]:
    """Read the collected pairs: authors, paper, source, task, alpha_N, alpha_D, exchanged."""
    text = files("quantascope").joinpath("data", file).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    numbers = {name: table[name].astype(np.float64) for name in ("alpha_N", "alpha_D")}
    return {**table, **numbers, "exchanged": table["exchanged"] == "yes"}


def _counts(table: Table, *, exchange: bool) -> tuple[int, int]:
    """Count pairs nearer to the model than to the diagonal, and pairs above the diagonal."""
    swapped = table["exchanged"] & exchange
    alpha_n = np.where(swapped, table["alpha_D"], table["alpha_N"])
    alpha_d = np.where(swapped, table["alpha_N"], table["alpha_D"])
    to_model = np.abs(np.log(alpha_d * (1.0 + alpha_n) / alpha_n))
    to_diagonal = np.abs(np.log(alpha_d / alpha_n))
    return int(np.sum(to_model < to_diagonal)), int(np.sum(alpha_d > alpha_n))
