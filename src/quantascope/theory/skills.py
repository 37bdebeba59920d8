"""The exactly solvable multilinear model of skills: how strongly each is known, and when.

In go use frequencies P_k and a resource; out come skill strengths R_k, from 0 to the target S, and
the loss ``sum_k P_k (S - R_k)^2 / 2``. The model is ``f = sum_k a_k b_k g_k`` with orthonormal
skill functions g_k, so the skills do not interact and each follows a logistic curve. Unlike the
Quantization Model nothing is a threshold: sharp emergence comes from the product of two weights.

Three constants carry the model over to networks: a factor B^2 on the rate, the samples D_c and the
units N_c that one skill takes. `quantascope.theory.calibration` reads them off one skill. (The
source calibrates the B that multiplies g_k, which rescales time by B^2: its equations 13 and 14.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlog1py

from quantascope.theory.quanta import Floats, check_alpha, check_range

__all__ = [
    "SkillExponents",
    "check_start",
    "compute_frontier",
    "data_loss",
    "emergence_order",
    "emergence_time",
    "skill_exponents",
    "skill_loss",
    "strength_in_params",
    "strength_in_samples",
    "strength_in_time",
]


@dataclass(frozen=True, kw_only=True)
class SkillExponents:
    """Exponents of the loss in time T, samples D, parameters N and compute C = N T."""

    time: float
    data: float
    params: float
    compute: float


def skill_exponents(alpha: float) -> SkillExponents:
    """Give the exponents of the loss for frequencies ``P_k ~ k^-(alpha+1)``.

    ``alpha / (alpha+1)`` in time and data, alpha in parameters, ``alpha / (alpha+2)`` in compute
    where parameters and time are balanced.

    References
    ----------
    arXiv:2404.17563, scaling laws.

    Examples
    --------
    >>> found = skill_exponents(0.6)
    >>> round(found.time, 4), found.params, round(found.compute, 4)
    (0.375, 0.6, 0.2308)
    """
    check_alpha(alpha)
    slow = alpha / (alpha + 1)
    return SkillExponents(time=slow, data=slow, params=alpha, compute=alpha / (alpha + 2))


def strength_in_time(
    time: ArrayLike,
    frequency: ArrayLike,
    *,
    initial: ArrayLike,
    rate: float,
    target: float = 1.0,
    factor: float = 1.0,
) -> Floats:
    """Strength of a skill after gradient descent on ever new samples.

    ``R(T) = S / (1 + (S / R(0) - 1) exp(-2 eta B^2 P S T))``, the solution of
    ``dR/dT = 2 eta B^2 P R (S - R)`` that starts at R(0).

    Parameters
    ----------
    time
        T, >= 0 [step].
    frequency
        P, share of the samples that show the skill.
    initial
        R(0), in (0, S].
    rate
        eta, learning rate.
    target
        S, strength of the skill in the target function.
    factor
        B^2, what multiplies the rate: 1 for the model itself; the source has 1/22 for its two-layer
        network.

    References
    ----------
    arXiv:2404.17563, equations 11 and 14; code github.com/yoonsoonam119/Skill_Eigenmode.

    Examples
    --------
    >>> strength_in_time([0, 50, 500], 0.2, initial=0.01, rate=0.1).round(4).tolist()
    [0.01, 0.0695, 1.0]
    """
    start, P = check_start(initial, target), check_range("frequency", frequency, least=0)
    T = check_range("time", time, least=0)
    odds = target / start - 1
    return np.asarray(target / (1 + odds * np.exp(-2 * rate * factor * P * target * T)))


def emergence_time(
    frequency: ArrayLike,
    *,
    initial: ArrayLike,
    rate: float,
    target: float = 1.0,
    factor: float = 1.0,
    share: float = 0.5,
) -> Floats:
    """Time at which a skill reaches a share of its strength.

    ``T = ln[(S / R(0) - 1) f / (1 - f)] / (2 eta B^2 P S)``: with equal starts it grows like 1/P,
    that is like ``k^(alpha+1)``. Never before 0.

    Parameters
    ----------
    frequency
        P, > 0.
    initial, rate, target, factor
        See `strength_in_time`.
    share
        f, in (0, 1).

    References
    ----------
    arXiv:2404.17563, time emergence.

    Examples
    --------
    >>> k = np.arange(1, 4)
    >>> times = emergence_time(k**-1.6, initial=0.01, rate=0.1)
    >>> (times / times[0] / k**1.6).round(12).tolist()
    [1.0, 1.0, 1.0]
    """
    if not 0 < share < 1:
        raise ValueError(f"share: {share} found; allowed: between 0 and 1")
    start, P = check_start(initial, target), check_range("frequency", frequency, above=0)
    with np.errstate(divide="ignore"):  # a skill known from the start emerges at 0
        wait = np.log((target / start - 1) * share / (1 - share))
    return np.asarray(np.maximum(wait, 0.0) / (2 * rate * factor * P * target))


def emergence_order(
    frequency: ArrayLike,
    *,
    initial: ArrayLike,
    rate: float = 1.0,
    target: float = 1.0,
    share: float = 0.5,
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Sort the indices of skills by when they emerge.

    By frequency where all start alike; a lucky start can overtake. Ties keep their index order.

    Parameters
    ----------
    frequency
        P_k, > 0.
    initial
        R_k(0): one for all, or one a skill.
    rate, target, share
        See `emergence_time`.
    """
    P = np.atleast_1d(np.asarray(frequency, dtype=np.float64))
    times = emergence_time(P, initial=initial, rate=rate, target=target, share=share)
    return np.argsort(np.broadcast_to(times, P.shape), kind="stable")


def strength_in_samples(shown: ArrayLike, *, needed: float = 1.0, target: float = 1.0) -> Floats:
    """Strength of a skill trained to the end on few samples of it.

    ``R = S (1 - sqrt(1 - d / D_c))`` for d < D_c samples, S from D_c on; the model itself learns a
    skill from one sample.

    Parameters
    ----------
    shown
        d, samples that show the skill, ``D P_k`` in the mean; >= 0.
    needed
        D_c, > 0.
    target
        S.

    References
    ----------
    arXiv:2404.17563, data emergence.

    Examples
    --------
    >>> strength_in_samples([0, 600, 800, 1000], needed=800).tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    check_range("needed", needed, above=0)
    missing = np.maximum(1 - check_range("shown", shown, least=0) / needed, 0.0)
    return np.asarray(target * (1 - np.sqrt(missing)))


def strength_in_params(
    n_units: ArrayLike, k: ArrayLike, *, needed: float = 1.0, target: float = 1.0
) -> Floats:
    """Strength of the k-th most frequent skill in a network of limited width.

    ``R_k = S clip(N / N_c - (k - 1), 0, 1)``: skills are served in order, N_c units each.

    Parameters
    ----------
    n_units
        N, >= 0.
    k
        Rank of the skill, >= 1.
    needed
        N_c, > 0.
    target
        S.

    References
    ----------
    arXiv:2404.17563, parameter emergence.
    """
    check_range("needed", needed, above=0)
    served = check_range("n_units", n_units, least=0) / needed
    return np.asarray(target * np.clip(served - (check_range("k", k, least=1) - 1), 0.0, 1.0))


def skill_loss(strength: ArrayLike, frequency: ArrayLike, *, target: float = 1.0) -> Floats:
    """Loss of a set of skill strengths.

    ``L = sum_k P_k (S - R_k)^2 / 2`` over the last axis.

    References
    ----------
    arXiv:2404.17563, the multilinear model's mean squared error.
    """
    gap = target - np.asarray(strength, dtype=np.float64)
    return np.asarray(np.sum(np.asarray(frequency, dtype=np.float64) * gap**2, axis=-1) / 2)


def data_loss(n_samples: ArrayLike, frequency: ArrayLike, *, target: float = 1.0) -> Floats:
    """Loss expected over draws of the data, where one sample teaches a skill.

    ``L = S^2 / 2 sum_k P_k (1 - P_k)^D``, in the limit of no initial strength.

    Parameters
    ----------
    n_samples
        D, >= 0.
    frequency
        P_k, along the last axis.
    target
        S.

    References
    ----------
    arXiv:2404.17563, data scaling law.
    """
    D = check_range("n_samples", n_samples, least=0)[..., None]
    P = check_range("frequency", frequency, least=0)
    if (P > 1).any():
        raise ValueError(f"frequency: {P.max():g} found; allowed: 0 to 1")
    missed = np.exp(xlog1py(D, -P))  # (1 - P)^D, 1 for D = 0
    return np.asarray(target**2 / 2 * (P * missed).sum(axis=-1))


def compute_frontier(
    compute: ArrayLike,
    frequency: ArrayLike,
    *,
    initial: float,
    rate: float,
    target: float = 1.0,
) -> tuple[Floats, Floats]:
    """Best loss for ``C = N T``, and the number of skills it is reached with.

    For each N the first N skills train for C / N steps and the rest is never learned.

    Parameters
    ----------
    compute
        C, > 0, one axis.
    frequency
        P_k, falling, one axis; summed one by one, so at most some 10,000.
    initial, rate, target
        See `strength_in_time`.

    Returns
    -------
    loss, n_skills
        Each with the axis of `compute`. An `n_skills` at the end of the list says that the
        frontier has left it.

    References
    ----------
    arXiv:2404.17563, compute scaling law.
    """
    budgets = np.atleast_1d(check_range("compute", compute, above=0))
    P = check_range("frequency", frequency, least=0)
    behind = P.sum() - np.cumsum(P)
    counts = np.unique(np.geomspace(1, len(P), 200).astype(np.int64))
    loss = np.empty((len(counts), len(budgets)))
    for row, n in enumerate(counts):  # one count at a time keeps memory at skills x budgets
        R = strength_in_time(budgets[:, None] / n, P[:n], initial=initial, rate=rate, target=target)
        loss[row] = skill_loss(R, P[:n], target=target) + target**2 / 2 * max(behind[n - 1], 0.0)
    best = loss.argmin(axis=0)
    return loss[best, np.arange(len(budgets))], counts[best].astype(np.float64)


def check_start(initial: ArrayLike, target: float) -> Floats:
    """Return initial strengths as floats when they lie in (0, target].

    Raises
    ------
    ValueError
        If one does not.
    """
    check_range("target", target, above=0)
    start = check_range("initial", initial, above=0)
    if (start > target).any():
        raise ValueError(f"initial: {start.max():g} found; allowed: 0 to the target {target:g}")
    return start
