"""Do the approaches to a compute-optimal plan agree? Exponents side by side, and pairwise.

Hoffmann et al. (2022, arXiv:2203.15556, section 3.4, table 2) set three approaches side by side
by their exponents; Besiroglu et al. (2024, arXiv:2404.10102) found the third to contradict the
other two, because its fit had stopped early. The report here makes such a contradiction loud.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from quantascope.core.rng import stream
from quantascope.laws.fitting.result import LawFit
from quantascope.laws.forms.law import Floats, Law
from quantascope.laws.planning.frontier import (
    FLOP_PER_PARAM_TOKEN,
    Frontier,
    check_positive,
    no_frontier,
    percentiles,
)
from quantascope.laws.planning.optimum import law_of_size_and_data, optimum

__all__ = [
    "KAPLAN_EXPONENT",
    "Consistency",
    "Pair",
    "compare_approaches",
    "parametric_frontier",
]

KAPLAN_EXPONENT: Final = 0.73
"""``N ~ C_min^0.73``, N without embeddings, published without an interval (Kaplan et al. 2020,
arXiv:2001.08361, section 6.1 and table 6)."""
_APPROACH: Final = "parametric law (approach 3)"
_STEP: Final = 0.05
"""Half a step in log C over which the slope of the optimum is taken."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Difference of two exponents."""

    first: str
    second: str
    difference: float
    interval: tuple[float, float]
    agree: bool
    """Whether the interval of the difference includes 0."""


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Approaches side by side."""

    frontiers: tuple[Frontier, ...]
    pairs: tuple[Pair, ...]
    optima: tuple[dict[str, Any], ...]
    """One row an approach and budget: approach, flop, n_params, n_tokens, their intervals, and
    reach, the budget over the largest that the approach saw."""
    kaplan_inside: tuple[str, ...]
    """Approaches whose interval holds Kaplan's exponent."""
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return {**asdict(self), "frontiers": [one.to_json() for one in self.frontiers]}


def compare_approaches(
    frontiers: Sequence[Frontier], *, flop: Sequence[float] = (), seed: int = 0
) -> Consistency:
    """Set approaches side by side.

    Parameters
    ----------
    frontiers
        Of `training_envelope`, `isoflop_profiles` and `parametric_frontier`, as many as there
        are; those not identified are named and left out of the verdict.
    flop
        Budgets at which to compare the optimal sizes [FLOP], > 0.
    seed
        Of the pairing of replicates.

    Returns
    -------
    Consistency
        Two exponents agree where the interval of their difference includes 0. Bootstraps are
        paired at random, as if independent: approaches that share data are correlated; where
        positively, true differences vary less than this, and the test is cautious.

    Raises
    ------
    ValueError
        If there is no frontier, two share a name, or a budget is not positive.
    """
    if not all(isinstance(one, Frontier) for one in frontiers):
        raise ValueError("frontiers: allowed are those of envelope, isoFLOP profiles and law")
    names = [one.approach for one in frontiers]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"frontiers: {names}; allowed are one or more, each approach once")
    budgets = check_positive("flop", flop) if np.size(flop) else []
    known = [one for one in frontiers if one.identified]
    pairs = tuple(_pair(one, other, seed=seed) for one, other in combinations(known, 2))
    inside = tuple(
        one.approach for one in known if one.interval[0] <= KAPLAN_EXPONENT <= one.interval[1]
    )
    return Consistency(
        frontiers=tuple(frontiers),
        pairs=pairs,
        optima=tuple(_optimum(one, budget) for budget in budgets for one in known),
        kaplan_inside=inside,
        verdict=_verdict(known, pairs, inside),
    )


def parametric_frontier(fit: LawFit, *, flop: float | None = None) -> Frontier:
    """Give the frontier of a fitted law of N and D (approach 3).

    Parameters
    ----------
    fit
        Of a law with the inputs N and D; without bootstrap replicates the exponent has no
        interval and counts as not identified.
    flop
        Budget at which the slope of the optimum is taken, for laws whose frontier is no power
        law; the largest fitted one by default. For Chinchilla's law ``a = beta / (alpha + beta)``
        everywhere (arXiv:2203.15556, eq. 4).

    Raises
    ------
    ValueError
        If the law has other inputs.
    """
    law = law_of_size_and_data(fit)
    lowest, highest = _budgets(fit)
    (budget,) = check_positive("flop", highest if flop is None else flop)
    at = np.log(budget / FLOP_PER_PARAM_TOKEN)
    point = _power_law(law, law.encode(fit.params), at)[0]
    if not np.isfinite(point).all():
        return no_frontier(
            _APPROACH, f"law {fit.law} has no optimum at this budget", confidence=fit.confidence
        )
    rows = np.full((1, 2), np.nan)
    if fit.replicates is not None:
        columns = dict(zip(law.names, fit.replicates.T, strict=True))
        rows = _power_law(law, law.encode(columns), at)
    lo, hi = percentiles(rows[:, 0], confidence=fit.confidence)
    return Frontier(
        approach=_APPROACH,
        exponent=float(point[0]),
        interval=(lo, hi),
        log_k=float(point[1]),
        replicates=rows,
        confidence=fit.confidence,
        method=f"{len(rows)} replicates of the fit" if fit.replicates is not None else "none",
        flop_range=(lowest, highest),
        identified=bool(np.isfinite(lo)),
        reason="" if np.isfinite(lo) else _why_no_interval(fit),
    )


def _why_no_interval(fit: LawFit) -> str:
    if fit.replicates is None:
        return "the fit has no bootstrap replicates"
    return "too few of the fit's replicates have an optimum at this budget"


def _power_law(law: Law, theta: Floats, log_product: float) -> Floats:
    """Slope a and log k of the optimum near ``log(N D)``, axes ``boot 2``; NaN at an end."""
    ends = [optimum(law, theta, product=float(np.exp(log_product + s))) for s in (-_STEP, _STEP)]
    (low, low_inside), (high, high_inside) = ends
    with np.errstate(divide="ignore"):  # an optimum at no parameters is judged below
        log_low, log_high = np.log(low), np.log(high)
        a = (log_high - log_low) / (2 * _STEP)
        log_k = (log_low + log_high) / 2 - a * (log_product + np.log(FLOP_PER_PARAM_TOKEN))
    good = low_inside & high_inside & np.isfinite(a)
    return np.where(good[:, None], np.stack([a, log_k], axis=1), np.nan)


def _budgets(fit: LawFit) -> tuple[float, float]:
    if fit.points is None:
        ends = [fit.ranges["N"][i] * fit.ranges["D"][i] for i in (0, 1)]
    else:
        product = fit.points.inputs[:2].prod(axis=0)
        ends = [float(product.min()), float(product.max())]
    return FLOP_PER_PARAM_TOKEN * ends[0], FLOP_PER_PARAM_TOKEN * ends[1]


def _pair(one: Frontier, other: Frontier, *, seed: int) -> Pair:
    draw = stream(seed, "consistency", one.approach, other.approach)
    first, second = (f.replicates[:, 0][np.isfinite(f.replicates[:, 0])] for f in (one, other))
    n = max(len(first), len(second))
    gaps = draw.choice(first, n) - draw.choice(second, n)
    lo, hi = percentiles(gaps, confidence=min(one.confidence, other.confidence))
    return Pair(
        first=one.approach,
        second=other.approach,
        difference=one.exponent - other.exponent,
        interval=(lo, hi),
        agree=bool(lo <= 0 <= hi),
    )


def _optimum(frontier: Frontier, flop: float) -> dict[str, Any]:
    n_params = float(frontier.n_opt(flop))
    lo, hi = (float(end[0]) for end in frontier.band(flop))
    tokens = [flop / (FLOP_PER_PARAM_TOKEN * n) for n in (n_params, hi, lo)]
    return {
        "approach": frontier.approach,
        "flop": float(flop),
        "n_params": n_params,
        "n_params_interval": (lo, hi),
        "n_tokens": tokens[0],
        "n_tokens_interval": (tokens[1], tokens[2]),
        "reach": flop / frontier.flop_range[1],
    }


def _verdict(known: list[Frontier], pairs: tuple[Pair, ...], inside: tuple[str, ...]) -> str:
    if len(known) < 2:
        return f"{len(known)} identified: no two approaches to compare"
    apart = [pair for pair in pairs if not pair.agree]
    if apart:
        said = "; ".join(
            f"{pair.first} and {pair.second} differ by {pair.difference:+.3f} "
            f"[{pair.interval[0]:+.3f}, {pair.interval[1]:+.3f}]"
            for pair in apart
        )
        said = f"the approaches contradict each other: {said}"
    else:
        said = f"the {len(known)} approaches agree: every interval of a difference includes 0"
    if inside:
        return f"{said}; {', '.join(inside)} admits Kaplan's {KAPLAN_EXPONENT}"
    return f"{said}; none admits Kaplan's {KAPLAN_EXPONENT}"
