"""What the choice of the cut-off costs, and whether a power law is plausible at all.

Both repeat the whole fit, cut-off included, on made samples: resampled data for the interval,
draws from the fit for the test (Clauset, Shalizi and Newman, arXiv 0706.1062, sections 3.3, 4.1).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta

from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.rng import stream
from quantascope.laws.tails.fit import PowerTail, fit_sample
from quantascope.laws.tails.power import draw_power_law
from quantascope.laws.tails.sample import Sample, read_sample

__all__ = ["GoodnessOfFit", "bootstrap_tail", "goodness_of_fit"]

_MAX_DRAWN: Final = 20_000_000


@dataclass(frozen=True, kw_only=True)
class GoodnessOfFit:
    """Test of the power law against whatever else, by KS distance."""

    p: float
    """Probability of a KS distance at least as large if the fit were true; NaN without a fit."""
    lo: float
    """Lower end of p's 95 % interval, from the count of replicates (Clopper-Pearson)."""
    hi: float
    ks: float
    n_boot: int


def bootstrap_tail(
    values: ArrayLike,
    *,
    xmin: float | None = None,
    discrete: bool | None = None,
    counts: ArrayLike | None = None,
    n_boot: int = 200,
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> PowerTail:
    """Fit a tail with an interval that includes the choice of the cut-off.

    Parameters
    ----------
    values, xmin, discrete, counts
        As `fit_power_tail`; with xmin=None each replicate chooses its own.
    n_boot
        Resamples, >= 20; the cost is that of as many fits.
    seed
        Of the resampling.
    advance
        Called with 1 after each resample.

    Returns
    -------
    PowerTail
        The point fit with percentiles (2.5, 97.5) of the resampled exponents, widened where
        needed to hold the profile interval: resampling alone is too narrow when resamples keep
        the same cut-off. `xmin_lo`, `xmin_hi` likewise.

    Raises
    ------
    ValueError
        As `fit_power_tail`, and for n_boot < 20.

    References
    ----------
    arXiv 0706.1062, section 3.3.
    """
    _check_replicates(n_boot)
    sample = read_sample(values, counts=counts, discrete=discrete)
    fit = fit_sample(sample, xmin=xmin)
    if not fit.identified:
        return fit
    rng = stream(seed, "tails", "bootstrap")
    fits = []
    for _ in range(n_boot):
        fits.append(fit_sample(sample.resample(rng), xmin=xmin))
        advance(1)
    known = [one for one in fits if one.identified]
    if 2 * len(known) < n_boot:
        return replace(fit, identified=False, reason="most resamples have no power-law tail")
    lo, hi = np.percentile([one.exponent for one in known], (2.5, 97.5))
    xmin_lo, xmin_hi = np.percentile([one.xmin for one in known], (2.5, 97.5), method="nearest")
    chosen = "its xmin given" if xmin is not None else "xmin chosen anew in each"
    return replace(
        fit,
        lo=min(float(lo), fit.lo),
        hi=max(float(hi), fit.hi),
        xmin_lo=min(float(xmin_lo), fit.xmin),  # resampling favours other cut-offs than the data
        xmin_hi=max(float(xmin_hi), fit.xmin),
        method=f"{n_boot} bootstrap samples, {chosen}, with the profile interval",
    )


def goodness_of_fit(
    values: ArrayLike,
    *,
    xmin: float | None = None,
    discrete: bool | None = None,
    counts: ArrayLike | None = None,
    n_boot: int = 200,
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> GoodnessOfFit:
    """Test whether the tail is plausibly a power law.

    Made samples take their values below xmin from the data and above it from the fit; each is
    fitted anew, cut-off included, and its KS distance compared with that of the data.

    Parameters
    ----------
    values, xmin, discrete, counts, n_boot, seed, advance
        As `bootstrap_tail`.

    Returns
    -------
    GoodnessOfFit
        A small p (the source rules out at 0.1) speaks against the power law; a large one means
        only that this many values do not contradict it. ``p = (1 + more extreme) / (1 + n_boot)``.

    Raises
    ------
    ValueError
        As `bootstrap_tail`, and for more than 20,000,000 values.

    References
    ----------
    arXiv 0706.1062, section 4.1.
    """
    _check_replicates(n_boot)
    sample = read_sample(values, counts=counts, discrete=discrete)
    fit = fit_sample(sample, xmin=xmin)
    if not fit.identified:
        nan = float("nan")
        return GoodnessOfFit(p=nan, lo=nan, hi=nan, ks=nan, n_boot=0)
    if sample.n > _MAX_DRAWN:
        raise ValueError(
            f"values: {sample.n:,} counted; the test draws as many, allowed are {_MAX_DRAWN:,}"
        )
    rng = stream(seed, "tails", "goodness")
    worse = 0
    for _ in range(n_boot):
        again = fit_sample(_draw_like(sample, fit, rng), xmin=xmin)
        worse += not again.ks < fit.ks  # a replicate without a fit counts against rejection
        advance(1)
    return GoodnessOfFit(
        p=(1 + worse) / (1 + n_boot),
        lo=float(beta.ppf(0.025, worse, n_boot - worse + 1)) if worse else 0.0,
        hi=float(beta.ppf(0.975, worse + 1, n_boot - worse)) if worse < n_boot else 1.0,
        ks=fit.ks,
        n_boot=n_boot,
    )


def _draw_like(sample: Sample, fit: PowerTail, rng: np.random.Generator) -> Sample:
    """Draw a sample of equal size: the body from the data, the tail from the fit."""
    n_tail = int(rng.binomial(sample.n, fit.n_tail / sample.n))
    drawn = draw_power_law(fit.exponent, n_tail, q=fit.xmin, discrete=fit.discrete, rng=rng)
    tail, tail_counts = np.unique(drawn, return_counts=True)
    is_body = sample.values < fit.xmin
    body, body_counts = sample.values[is_body], np.empty(0)
    if len(body):
        weight = sample.counts[is_body]
        body_counts = rng.multinomial(sample.n - n_tail, weight / weight.sum()).astype(float)
    return Sample(
        values=np.concatenate([body[body_counts > 0], tail]),
        counts=np.concatenate([body_counts[body_counts > 0], tail_counts.astype(float)]),
        discrete=sample.discrete,
    )


def _check_replicates(n_boot: int) -> None:
    if n_boot < 20:
        raise ValueError(f"n_boot: {n_boot} found; allowed are numbers >= 20")
