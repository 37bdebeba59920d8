"""What a sweep of sparse parity says: when each subtask was learned, and with which exponents.

Losses by step, size or samples enter; times with their bounds, counts and fitted exponents leave.
Each estimator stands beside the published one, by whose rule it can also be made.

References
----------
Michaud et al. 2023, arXiv 2303.13506, figures 2, A2, A3 and A4.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from quantascope.core.units import NATS_PER_BIT
from quantascope.laws.censored import fit_censored_power_law
from quantascope.laws.powerlaw import PowerLawFit, fit_power_law

__all__ = [
    "LEARNED_BITS",
    "best_evaluation",
    "convergence_bounds",
    "count_learned",
    "fit_by_seed",
    "fit_convergence",
    "fit_convergence_published",
    "onset",
]

Floats = NDArray[np.floating]

LEARNED_BITS: Final = 0.1
"""Below this loss [bit] a subtask counts as learned (figure A3)."""
_ONSET_BITS: Final = 0.95


def convergence_bounds(
    steps: NDArray[np.integer],
    losses: Floats,
    *,
    threshold_nats: float = LEARNED_BITS * NATS_PER_BIT,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bound the step at which each loss first fell below a threshold.

    Parameters
    ----------
    steps
        Evaluated steps, rising, axis ``step``.
    losses
        Losses [nat], axes ``(step, task)``; NaN after the end of a training.
    threshold_nats
        Learned below it [nat].

    Returns
    -------
    earliest, latest : NDArray[np.float64]
        Last evaluation before, 0 if there was none, and first evaluation at which it was seen; for
        a subtask that was not learned the last evaluation and infinity. Axis ``task``.
    """
    below = losses < threshold_nats
    seen, first = below.any(axis=0), below.argmax(axis=0)
    known = np.isfinite(losses)
    last = np.where(known.any(axis=0), len(steps) - 1 - known[::-1].argmax(axis=0), 0)
    before = np.where(first > 0, steps[np.maximum(first - 1, 0)], 0)
    earliest = np.where(seen, before, steps[last])
    latest = np.where(seen, steps[first], np.inf)
    return earliest.astype(np.float64), latest.astype(np.float64)


def fit_convergence_published(frequencies: Floats, latest: NDArray[np.float64]) -> PowerLawFit:
    """Fit the step of convergence to the frequency as the paper does: what never converged is out.

    Parameters
    ----------
    frequencies
        Probability of each subtask, axis ``task``.
    latest
        First evaluation at which it was learned, infinite where it was not.

    Returns
    -------
    PowerLawFit
        Exponent near -1 if learning takes equally many samples of every subtask.
    """
    seen = np.isfinite(latest)
    return fit_power_law(frequencies[seen], latest[seen], min_points=3)


def fit_convergence(
    frequencies: Floats,
    earliest: NDArray[np.float64],
    latest: NDArray[np.float64],
) -> PowerLawFit:
    """Fit the step of convergence to the frequency with the unlearned subtasks as censored times.

    Parameters
    ----------
    frequencies, earliest, latest
        Axis ``task``, as `convergence_bounds` gives the bounds.

    Returns
    -------
    PowerLawFit
        See `quantascope.laws.censored`.
    """
    used = np.asarray(frequencies) > 0  # what is never shown is never learned, and says nothing
    return fit_censored_power_law(frequencies[used], earliest[used], latest[used])


def count_learned(losses: Floats, *, threshold_nats: float) -> NDArray[np.int64]:
    """Count the subtasks whose loss was ever below a threshold.

    Parameters
    ----------
    losses
        Losses [nat], axes ``(step, task)`` or ``(step, member, task)``.
    threshold_nats
        The paper counts below 0.1, compared with nats (figure A4a).

    Returns
    -------
    NDArray[np.int64]
        Scalar or axis ``member``.
    """
    least = np.nanmin(losses, axis=0, initial=np.inf)
    return np.asarray((least < threshold_nats).sum(axis=-1), dtype=np.int64)


def best_evaluation(validation: Floats) -> int:
    """Find the evaluation of least validation loss: a test loss read there gains nothing by it.

    Parameters
    ----------
    validation
        Losses on the validation half of the test set, axis ``step``, at least one; NaN after the
        end.

    Returns
    -------
    int
        Its place.
    """
    return int(np.where(np.isfinite(validation), validation, np.inf).argmin())


def onset(losses: Floats) -> int:
    """Find the first of rising sizes of data whose best loss is clearly below chance.

    Parameters
    ----------
    losses
        Best mean losses [nat], by rising number of samples.

    Returns
    -------
    int
        Place of the first below 0.95 bit, from which the paper fits; the count if none is.
    """
    below = np.asarray(losses) < _ONSET_BITS * NATS_PER_BIT
    return int(below.argmax()) if below.any() else len(below)


def fit_by_seed(x: Floats, y: Sequence[Floats] | Floats) -> PowerLawFit:
    """Fit a power law to several seeds; the interval is that of the mean of the seeds' exponents.

    Points of one seed share its data and are not independent, so intervals from the scatter about
    the line are too narrow. With one seed there is nothing else, and that interval is given.

    Parameters
    ----------
    x
        Sizes, axis ``size``.
    y
        Losses or counts, axes ``(seed, size)``.

    Returns
    -------
    PowerLawFit
        Exponent and prefactor of the pooled least-squares line, as published; Student's interval
        over seeds.
    """
    rows = np.atleast_2d(np.asarray(y, dtype=np.float64))
    pooled = fit_power_law(np.tile(x, len(rows)), rows.ravel(), min_points=3)
    if len(rows) < 2 or not pooled.identified:
        return pooled
    each = np.array([fit_power_law(x, row, min_points=2).exponent for row in rows])
    return _with_spread(pooled, each[np.isfinite(each)])


def _with_spread(fit: PowerLawFit, exponents: NDArray[np.float64]) -> PowerLawFit:
    if len(exponents) < 2:
        return fit
    error = exponents.std(ddof=1) / np.sqrt(len(exponents))
    half = float(stats.t.ppf(0.975, len(exponents) - 1) * error)
    return replace(
        fit,
        lo=fit.exponent - half,
        hi=fit.exponent + half,
        method=f"least squares in logs, t interval over {len(exponents)} seeds",
    )
