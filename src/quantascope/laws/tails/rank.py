"""The rank-size slope, with its bias: kept because it is common, never used by a fit here.

Least squares through a log-log rank-size plot weighs the few largest values like all others and
takes dependent points as independent. Its bias depends on exponent and sample size, so it is
simulated for both.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from quantascope.core.rng import stream
from quantascope.laws.tails.fit import fit_sample
from quantascope.laws.tails.power import Floats, draw_power_law
from quantascope.laws.tails.sample import read_sample

__all__ = ["RankSizeSlope", "Ties", "rank_size_slope"]

Ties = Literal["keep", "merge"]

_N_SIMULATED: Final = 100
_MAX_VALUES: Final = 10_000_000
_MAX_SIMULATED: Final = 100_000  # values in one simulated sample


@dataclass(frozen=True, kw_only=True)
class RankSizeSlope:
    """Least-squares slope of log size on log rank, and how far off that is."""

    slope: float
    """Steepness of the rank-size line, as a positive number; 1/(exponent - 1) if unbiased."""
    exponent: float
    """Exponent of the density that the slope would mean, 1 + 1/slope."""
    bias: float
    """Mean of this estimate minus truth, at `n_simulated` values of the exponent `mle`."""
    bias_lo: float
    """Lower end of the 95 % interval of that mean, from the simulation."""
    bias_hi: float
    lo: float
    """Estimate less the 97.5 % quantile of its simulated errors: the lower end of the 95 %
    interval of the basic bootstrap. Too wide where `n_simulated` is below `n`."""
    hi: float
    """Estimate less the 2.5 % quantile."""
    mle: float
    """Exponent of maximum likelihood; use this one."""
    n: int
    n_simulated: int
    """Values in each simulated sample: n, but at most 100,000; 0 where nothing was simulated."""
    identified: bool
    warning: str


def rank_size_slope(
    values: ArrayLike,
    *,
    xmin: float = 1.0,
    discrete: bool | None = None,
    counts: ArrayLike | None = None,
    ties: Ties = "keep",
    seed: int = 0,
) -> RankSizeSlope:
    """Regress log size on log rank, and simulate the bias of doing so.

    Parameters
    ----------
    values
        Finite numbers >= 0; those below xmin are left out.
    xmin
        Cut-off, as `fit_power_tail`; required here, default 1.
    discrete
        Whether values are whole numbers; None takes them for it if all are.
    counts
        How often each value occurs; None counts each once.
    ties
        Whether equal sizes are points of their own ("keep") or one point ("merge"), as in plots
        of distinct sizes. The latter is far off: slope near 2.35 instead of 2 for 5,000 whole
        numbers of exponent 1.5.
    seed
        Of the simulation (100 samples of at most 100,000 values).

    Returns
    -------
    RankSizeSlope
        ``identified=False`` where the tail has fewer than two distinct values, or more than
        10,000,000 values.

    Raises
    ------
    ValueError
        If a value or xmin is out of its range.

    References
    ----------
    arXiv 0706.1062, appendix A (what is wrong with regression).
    """
    if ties not in {"keep", "merge"}:
        raise ValueError(f"ties: {ties!r} found; allowed are 'keep' and 'merge'")
    sample = read_sample(values, counts=counts, discrete=discrete)
    fit = fit_sample(sample, xmin=xmin)
    nan = float("nan")
    reason = fit.reason
    if fit.n_tail > _MAX_VALUES:
        reason = f"more than {_MAX_VALUES:,} values"
    if reason:
        return RankSizeSlope(
            **dict.fromkeys(("slope", "exponent", "bias", "bias_lo", "bias_hi", "lo", "hi"), nan),
            mle=nan,
            n=fit.n_tail,
            n_simulated=0,
            identified=False,
            warning=reason,
        )
    tail = sample.tail(xmin)
    slope = _slope(np.repeat(tail.values, tail.counts.astype(np.int64)), ties)
    estimate = 1 + 1 / slope
    rng = stream(seed, "tails", "rank size")
    n = min(fit.n_tail, _MAX_SIMULATED)
    draws = (
        draw_power_law(fit.exponent, n, q=xmin, discrete=fit.discrete, rng=rng)
        for _ in range(_N_SIMULATED)
    )
    simulated = np.array([1 + 1 / _slope(drawn, ties) for drawn in draws])
    simulated = simulated[np.isfinite(simulated)]
    bias = float(simulated.mean() - fit.exponent)
    error = 1.96 * float(simulated.std(ddof=1)) / len(simulated) ** 0.5
    low, high = np.percentile(simulated - fit.exponent, (2.5, 97.5))
    return RankSizeSlope(
        slope=slope,
        exponent=estimate,
        bias=bias,
        bias_lo=bias - error,
        bias_hi=bias + error,
        lo=float(estimate - high),
        hi=float(estimate - low),
        mle=fit.exponent,
        n=fit.n_tail,
        n_simulated=n,
        identified=True,
        warning=(
            f"rank-size regression is biased by {bias:+.3f} at {n} values of exponent"
            f" {fit.exponent:.3f}{_of_more(n, fit.n_tail)}; use the maximum-likelihood exponent"
        ),
    )


def _of_more(n: int, n_tail: int) -> str:
    return "" if n == n_tail else f" (of {n_tail} only so many are simulated: too wide an interval)"


def _slope(values: Floats, ties: Ties) -> float:
    ordered = np.unique(values) if ties == "merge" else np.sort(values)
    if ordered[0] == ordered[-1]:
        return float("nan")  # one size has no slope
    log_size = np.log(ordered[::-1])
    log_rank = np.log(np.arange(1, len(ordered) + 1))
    log_rank -= log_rank.mean()
    return float(-(log_rank @ log_size) / (log_rank @ log_rank))
