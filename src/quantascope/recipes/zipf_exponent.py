"""A Zipf exponent from ranks drawn by it: likelihood finds it, regressions on ranks do not.

Source: arXiv:0706.1062, section 3 (discrete maximum likelihood, its standard error) and appendix A
(what is wrong with regression). 5,000 whole numbers are drawn with ``p_k = k^-1.5 / zeta(1.5)``.
Command: ``quantascope reproduce zipf-exponent`` (``--quick`` is the same), 0.3 CPU-s.
Expected: likelihood 1.500 with standard error .0073; the line through counts by rank, fitted to all
ranks, has slope 1.11 in place of 1.5, because the many ranks seen once lie level; the rank-size
line means 1.510. Tolerance: 5 standard deviations between samples.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from quantascope.core.rng import stream
from quantascope.core.special import hurwitz_zeta
from quantascope.laws.powerlaw import fit_power_law
from quantascope.laws.tails import PowerTail, fit_power_tail, rank_size_slope
from quantascope.plots.recipes import plot_tail
from quantascope.recipes.result import Check, RecipeResult

__all__ = ["QUICK", "Config", "run"]

_STANDARD_DEVIATIONS: Final = 5.0
_BETWEEN: Final = "5 standard deviations between 100 other samples"


@dataclass(frozen=True, kw_only=True)
class Config:
    """The sample, and what 100 samples of it gave, mean and standard deviation."""

    exponent: float = 1.5
    n_draws: int = 5_000
    counts_slope: float = 1.111
    counts_slope_sd: float = 0.0205
    rank_size: float = 1.5095
    rank_size_sd: float = 0.0101


QUICK: Final = Config()


def run(config: Config, *, seed: int) -> RecipeResult:
    """Estimate the exponent of one sample by likelihood and by two regressions."""
    draws = stream(seed, "zipf-exponent").zipf(config.exponent, config.n_draws)
    value, count = np.unique(draws, return_counts=True)
    by_rank = np.sort(count)[::-1]
    tail = fit_power_tail(draws, xmin=1, discrete=True)
    counts_line = fit_power_law(np.arange(1, len(by_rank) + 1), by_rank)
    line = rank_size_slope(draws, seed=seed)
    checks = (
        *_likelihood(config, tail),
        *_regressions(config, counts_line=-counts_line.exponent, rank_size=line.exponent),
    )
    expected = config.n_draws * value**-tail.exponent / hurwitz_zeta(tail.exponent, 1.0)
    table = {"value": value, "count": count, "expected": expected}
    return RecipeResult(
        name="zipf-exponent",
        config=config,
        seed=seed,
        checks=checks,
        tables={"counts": table},
        draw=partial(plot_tail, table, prediction=f"power law, exponent {tail.exponent:.3f}"),
    )


def _likelihood(config: Config, tail: PowerTail) -> tuple[Check, ...]:
    truth, n = config.exponent, config.n_draws
    error = fisher_error(truth, n_draws=n)
    reach = _STANDARD_DEVIATIONS * error
    ends = [fisher_error(end, n_draws=n) for end in (truth - reach, truth + reach)]
    return (
        Check(
            name="exponent, maximum likelihood",
            expected=truth,
            obtained=tail.exponent,
            tolerance=reach,
            bound="5 standard errors of the Fisher information",
            source="arXiv:0706.1062, section 3",
        ),
        Check(
            name="its standard error",
            expected=error,
            obtained=tail.stderr,
            tolerance=max(abs(end - error) for end in ends),
            bound="its change over 5 standard errors of the exponent",
            source="arXiv:0706.1062, section 3",
        ),
    )


def _regressions(config: Config, *, counts_line: float, rank_size: float) -> tuple[Check, ...]:
    truth = config.exponent
    return (
        Check(
            name=f"slope of all counts by rank (truth {truth:g})",
            expected=config.counts_slope,
            obtained=counts_line,
            tolerance=_STANDARD_DEVIATIONS * config.counts_slope_sd,
            bound=_BETWEEN,
            source="measured here",
        ),
        Check(
            name=f"exponent, rank-size line (truth {truth:g})",
            expected=config.rank_size,
            obtained=rank_size,
            tolerance=_STANDARD_DEVIATIONS * config.rank_size_sd,
            bound=_BETWEEN,
            source="measured here",
        ),
    )


def fisher_error(exponent: float, *, n_draws: int) -> float:
    """Give the standard error ``1 / sqrt(n (zeta''/zeta - (zeta'/zeta)^2))`` of the likelihood."""
    zeta, slope, bend = (float(hurwitz_zeta(exponent, 1.0, derivative=d)) for d in (0, 1, 2))
    return float(1.0 / np.sqrt(n_draws * (bend / zeta - (slope / zeta) ** 2)))
