"""Emergence as an artefact of the metric: one power law of the loss, three metrics.

Source: arXiv:2304.15004, figure 2. Per-token cross-entropy ``(N / 1e8)^-0.3`` nat; an answer of 5
tokens is right with probability ``p^5``; a test has 100 items, so scores are multiples of .01.
Command: ``quantascope reproduce metric-artefact`` (``--quick`` is the same), 0.1 CPU-s.
Expected: the cross-entropy has slope -.300 everywhere, while exact match, printed to the
resolution of its test, is exactly 0 at 4 of 11 sizes; a sampled test shows as many zeros as the
binomial law says, within 4 standard deviations.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from quantascope.core.rng import stream
from quantascope.laws.powerlaw import fit_power_law
from quantascope.plots.recipes import plot_metrics
from quantascope.recipes.result import Check, RecipeResult
from quantascope.theory.metrics import (
    brier_score,
    exact_match,
    never_seen,
    onset_cross_entropy,
    power_law_cross_entropy,
    token_accuracy,
    token_edits,
)

__all__ = ["QUICK", "Config", "run"]

_SOURCE: Final = "arXiv:2304.15004, section 2 and figure 2"
_STANDARD_DEVIATIONS: Final = 4.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """The model family and its test."""

    n_params_lo: float = 1e6
    n_params_hi: float = 1e11
    n_sizes: int = 11
    scale: float = 1e8
    """Size at which the cross-entropy is 1 nat."""
    exponent: float = 0.3
    n_tokens: int = 5
    n_items: int = 100
    n_choices: int = 4


QUICK: Final = Config()


def run(config: Config, *, seed: int) -> RecipeResult:
    """See one family of models through cross-entropy, exact match and Brier score."""
    sizes = np.geomspace(config.n_params_lo, config.n_params_hi, config.n_sizes)
    loss = power_law_cross_entropy(sizes, scale=config.scale, exponent=config.exponent)
    match = exact_match(loss, n_tokens=config.n_tokens)
    rng = stream(seed, "metric-artefact")
    table = {
        "n_params": sizes,
        "cross_entropy_nats": loss,
        "token_accuracy": token_accuracy(loss),
        "exact_match": match,
        "exact_match_printed": np.round(match * config.n_items) / config.n_items,
        "exact_match_sampled": rng.binomial(config.n_items, match) / config.n_items,
        "token_edits": token_edits(loss, n_tokens=config.n_tokens),
        "brier": brier_score(loss, n_choices=config.n_choices),
    }
    return RecipeResult(
        name="metric-artefact",
        config=config,
        seed=seed,
        checks=_checks(table, config=config),
        tables={"metrics": table},
        draw=partial(plot_metrics, table),
    )


def _checks(table: dict[str, np.ndarray], *, config: Config) -> tuple[Check, ...]:
    loss, sizes = table["cross_entropy_nats"], table["n_params"]
    # p^L < 1 / (2 n), which prints as 0, solved for N
    loss_there = np.log(2 * config.n_items) / config.n_tokens
    printed = config.scale * loss_there ** (-1 / config.exponent)
    unseen = never_seen(table["exact_match"], n_items=config.n_items)
    spread = float(np.sqrt(unseen @ (1.0 - unseen)))
    onset = onset_cross_entropy(n_tokens=config.n_tokens, n_items=config.n_items)
    match = exact_match(onset, n_tokens=config.n_tokens)
    return (
        Check(
            name="slope of log cross-entropy",
            expected=-config.exponent,
            obtained=fit_power_law(sizes, loss).exponent,
            tolerance=1e-9,
            bound="rounding of logarithms",
            source=_SOURCE,
        ),
        Check(
            name="sizes whose printed exact match is 0",
            expected=float(np.sum(sizes < printed)),
            obtained=float(np.sum(table["exact_match_printed"] == 0.0)),
            tolerance=0,
            bound="a count",
            source="p^L < 1 / (2 n), solved for N",
        ),
        Check(
            name="sizes whose sampled exact match is 0",
            expected=float(unseen.sum()),
            obtained=float(np.sum(table["exact_match_sampled"] == 0.0)),
            tolerance=_STANDARD_DEVIATIONS * spread,
            bound="4 standard deviations of the binomial law",
            source="(1 - p^L)^n summed over sizes",
        ),
        Check(
            name=f"chance of no success at a cross-entropy of {onset:.3f} nat",
            expected=0.5,
            obtained=float(never_seen(match, n_items=config.n_items)),
            tolerance=1e-9,
            bound="rounding of logarithms",
            source="even odds, (1 - p^L)^n = 1/2",
        ),
    )
