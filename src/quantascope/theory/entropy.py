"""Losses that start from knowing the quanta's frequencies: the two cases of the paper's appendix.

A sample whose quantum is not learned costs ``b_k = -ln p_k``, as for a guess by frequency. With
``a_k = 0`` the power law gains a logarithm; with ``a_k = -ln(C p_k)`` it is kept and the floor is
the entropy of the frequencies less ``ln C``. The paper gives integrals; here the sums are exact as
well, through the zeta function's derivative.
"""

import numpy as np
from numpy.typing import ArrayLike

from quantascope.core.special import zipf_sum
from quantascope.theory.quanta import (
    SHIFT,
    Floats,
    Form,
    check_range,
    normaliser,
    power_tail,
    tail,
)

__all__ = ["frequency_entropy", "log_frequency_loss", "scaled_frequency_loss"]


def frequency_entropy(
    alpha: ArrayLike, *, n_tasks: ArrayLike = np.inf, form: Form = "exact"
) -> Floats:
    """Entropy of the use frequencies.

    Exactly ``H = ln Z - (alpha+1) Z'/Z`` with Z' the derivative of Z in its exponent. The integral
    form is the paper's, ``(1 + alpha + alpha ln Z) / (alpha^2 Z)``, an integral from k = 1.

    Parameters
    ----------
    alpha
        Exponent of the theory, > 0.
    n_tasks
        Number of quanta.
    form
        ``exact``; ``integral`` from k = 1, 4.8 % low at alpha 0.4; ``midpoint`` from k = 1/2.

    Returns
    -------
    NDArray[np.float64]
        Entropy [nat].

    References
    ----------
    arXiv:2303.13506, appendix on alternative loss assumptions.

    Examples
    --------
    >>> frequency_entropy([0.4, 0.8]).round(4).tolist()
    [3.9197, 2.0649]
    >>> frequency_entropy([0.4, 0.8], form="integral").round(4).tolist()
    [3.7298, 1.9143]
    """
    start = 1.0 if form == "integral" else 0.0
    return log_frequency_loss(start, alpha, n_tasks=n_tasks, form=form)


def log_frequency_loss(
    n: ArrayLike, alpha: ArrayLike, *, n_tasks: ArrayLike = np.inf, form: Form = "exact"
) -> Floats:
    """Mean loss with ``b_k = -ln p_k`` and ``a_k = 0`` (case 1).

    ``L_n = -sum_{k>n} p_k ln p_k``, about ``n^-alpha [1 + alpha + alpha ln Z] / (alpha^2 Z)
    + n^-alpha ln(n) (alpha+1) / (alpha Z)``: a power law with a logarithmic correction.

    Parameters
    ----------
    n
        Learned quanta, >= 0, whole or not; > 0 in the integral form.
    alpha
        Exponent of the theory, > 0.
    n_tasks
        Number of quanta.
    form
        See `quantascope.theory.quanta.power_tail`.

    Returns
    -------
    NDArray[np.float64]
        Mean loss [nat].

    References
    ----------
    arXiv:2303.13506, appendix on alternative loss assumptions and figure A1.
    """
    Z = normaliser(alpha, n_tasks=n_tasks)
    s = np.asarray(alpha, dtype=np.float64) + 1
    plain = power_tail(n, s, n_tasks=n_tasks, form=form)
    weighted = _log_tail(n, s, n_tasks=n_tasks, form=form)
    return np.asarray((s * weighted + np.log(Z) * plain) / Z)


def scaled_frequency_loss(
    n: ArrayLike,
    alpha: ArrayLike,
    *,
    C: ArrayLike,
    n_tasks: ArrayLike = np.inf,
    form: Form = "exact",
) -> Floats:
    """Mean loss with ``b_k = -ln p_k`` and ``a_k = -ln(C p_k)`` (case 2).

    ``L_n = ln(C) sum_{k>n} p_k - ln C + H``: the plain power law over a floor.

    Parameters
    ----------
    n
        Learned quanta, >= 0, whole or not; > 0 in the integral form.
    alpha
        Exponent of the theory, > 0.
    C
        By what factor a learned quantum raises the probability of the right answer, > 1. Above
        ``1 / p_1`` that probability exceeds 1, which no network can do.
    n_tasks
        Number of quanta.
    form
        Form of the tail and of H.

    Returns
    -------
    NDArray[np.float64]
        Mean loss [nat].

    References
    ----------
    arXiv:2303.13506, appendix on alternative loss assumptions.
    """
    gain = np.log(check_range("C", C, above=1))
    uncovered = tail(n, alpha, n_tasks=n_tasks, form=form)
    return np.asarray(gain * (uncovered - 1) + frequency_entropy(alpha, n_tasks=n_tasks, form=form))


def _log_tail(n: ArrayLike, s: Floats, *, n_tasks: ArrayLike, form: Form) -> Floats:
    """Sum ``k^-s ln k`` over ``n < k <= n_tasks``."""
    last = np.asarray(n_tasks, dtype=np.float64)
    start = np.minimum(np.asarray(n, dtype=np.float64), last)
    infinite = np.isinf(start)
    start = np.where(infinite, 1.0, start)
    if form == "exact":
        found = -zipf_sum(s, start + 1, last, derivative=1)
    else:
        found = _log_integral(start + SHIFT[form], s) - _log_integral(last + SHIFT[form], s)
    return np.asarray(np.where(infinite, 0.0, found))


def _log_integral(x: Floats, s: Floats) -> Floats:
    """Integrate ``k^-s ln k`` from x to infinity: ``x^-p (ln x / p + 1 / p^2)``, p = s - 1."""
    p, finite = s - 1, np.where(np.isinf(x), 1.0, x)
    value = finite**-p * (np.log(finite) / p + 1 / p**2)
    return np.asarray(np.where(np.isinf(x), 0.0, value))
