"""Is it a power law, or something else that looks like one: likelihood ratios on one tail.

A ratio alone says nothing; its sign counts only where the test says that it is not chance.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2, norm

from quantascope.laws.tails.fit import fit_sample
from quantascope.laws.tails.models import ALTERNATIVES, TailModel, fit_alternative
from quantascope.laws.tails.power import Floats, zeta_moments
from quantascope.laws.tails.sample import Sample, read_sample

__all__ = ["TailComparison", "compare_tails"]

_LEVEL: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class TailComparison:
    """The power law against one alternative."""

    alternative: str
    params: dict[str, float]
    """Of the alternative, named as in its formula, in units of the data."""
    ratio: float
    """Log likelihood of the power law less that of the alternative [nat]; > 0 favours the law."""
    p: float
    """Probability of a ratio as far from 0 if both were equally near the truth (Vuong), or of one
    as low if the power law were true (nested)."""
    test: str
    aic_difference: float
    """AIC of the power law less that of the alternative; < 0 favours the law."""
    verdict: str
    """Which one is favoured at level 0.05: "power law", the alternative's name, or "undecided"."""
    converged: bool
    note: str


def compare_tails(
    values: ArrayLike,
    *,
    xmin: float | None = None,
    discrete: bool | None = None,
    counts: ArrayLike | None = None,
) -> tuple[TailComparison, ...]:
    """Compare the power law above a cut-off with four other shapes.

    Vuong's test for the lognormal, exponential and stretched exponential:
    ``R = sum_i (l_i - l'_i)``, ``z = R / (sqrt(n) s)`` with s the deviation of the terms. The
    truncated power law contains the power law at the edge of its range (b = 0), so
    ``-2R`` is a half-half mixture of 0 and chi-squared with one degree of freedom.

    Parameters
    ----------
    values, xmin, discrete, counts
        As `fit_power_tail`; all shapes are fitted to the same tail.

    Returns
    -------
    tuple[TailComparison, ...]
        One for each of `ALTERNATIVES`; empty where there is no power law to compare.

    Raises
    ------
    ValueError
        As `fit_power_tail`.

    References
    ----------
    arXiv 0706.1062, section 5 and appendix C; Vuong 1989, doi:10.2307/1912557; for the edge Self
    and Liang 1987, doi:10.1080/01621459.1987.10478472, case 5.
    """
    sample = read_sample(values, counts=counts, discrete=discrete)
    fit = fit_sample(sample, xmin=xmin)
    if not fit.identified:
        return ()
    tail = sample.tail(fit.xmin)
    power = _log_power(tail, fit.exponent, fit.xmin)
    return tuple(
        _compare(tail, power, fit_alternative(name, tail, xmin=fit.xmin)) for name in ALTERNATIVES
    )


def _log_power(tail: Sample, a: float, xmin: float) -> Floats:
    if tail.discrete:
        return np.asarray(-a * np.log(tail.values) - zeta_moments(a, xmin).log_zeta)
    return np.asarray(np.log((a - 1) / xmin) - a * np.log(tail.values / xmin))


def _compare(tail: Sample, power: Floats, other: TailModel) -> TailComparison:
    terms = power - other.log_density
    ratio = float(tail.counts @ terms)
    nested = other.name == "truncated_power_law"
    if nested:
        ratio = min(ratio, 0.0)  # the search stops a hair short of the edge, where ratio is 0
        p = float(chi2.sf(-2 * ratio, 1)) / 2 if ratio < 0 else 1.0
    else:
        off = terms - ratio / tail.n
        unit = max(float(np.abs(off).max()), np.finfo(float).tiny)  # squares might overflow
        spread = unit * np.sqrt(np.average((off / unit) ** 2, weights=tail.counts))
        p = float(2 * norm.sf(abs(ratio) / (np.sqrt(tail.n) * spread))) if spread > 0 else 1.0
    verdict = "undecided"
    if p < _LEVEL and other.converged:
        verdict = "power law" if ratio > 0 else other.name
    return TailComparison(
        alternative=other.name,
        params=other.params,
        ratio=ratio,
        p=p,
        test="likelihood ratio, nested" if nested else "Vuong",
        aic_difference=-2 * ratio + 2 * (1 - len(other.params)),
        verdict=verdict,
        converged=other.converged,
        note=f"has run to its limit, the {other.limit}" if other.limit else "",
    )
