"""The Quantization Model: use frequencies of quanta, and the mean loss once n of them are learned.

In go the exponent alpha and a number of learned quanta, whole or not; out go frequencies, tails and
losses. Quantum k is needed by a share ``p_k = k^-(alpha+1) / Z`` of the samples, and a network that
has learned the first n of them pays ``a`` on what they cover and ``b`` on the rest
(arXiv:2303.13506, section 2). The tail comes in three forms:

- exact: a difference of Hurwitz zeta functions, which also says what a broken n means;
- integral: the sum as an integral from n, the paper's power law;
- midpoint: the same integral from ``n + 1/2``, right to second order in 1/n.
"""

from collections.abc import Callable
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantascope.core.special import zipf_sum

__all__ = [
    "SHIFT",
    "Floats",
    "Form",
    "as_floats",
    "check_alpha",
    "check_range",
    "frequencies",
    "general_loss",
    "mean_loss",
    "missing_quanta_floor",
    "missing_quanta_loss",
    "normaliser",
    "power_tail",
    "tail",
]

Floats = NDArray[np.float64]
Form = Literal["exact", "integral", "midpoint"]
OfRank = ArrayLike | Callable[[Floats], Floats]
"""A number a quantum: one for all, an array by rank, or a function of the rank."""

_ALPHA_RANGE: Final = (1e-6, 50.0)
SHIFT: Final = {"integral": 0.0, "midpoint": 0.5}
"""Where the integral of each form starts, from n."""


def as_floats(name: str, value: ArrayLike) -> Floats:
    """Return an array of floats.

    Raises
    ------
    ValueError
        If the argument is something else than numbers.
    """
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: {repr(value).splitlines()[0]:.40} found; allowed: numbers"
        ) from None


def check_range(
    name: str,
    value: ArrayLike,
    *,
    above: float = -np.inf,
    least: float = -np.inf,
    finite: bool = False,
) -> Floats:
    """Return a float array whose values are all > `above` and >= `least`, and perhaps finite.

    Raises
    ------
    ValueError
        With the argument's name, the first bad value, and what is allowed.
    """
    values = as_floats(name, value)
    good = (values > above) & (values >= least)  # NaN fails both
    good &= np.isfinite(values) | (not finite)
    if not good.all():
        bounds = f"> {above:g}" if above >= least else f">= {least:g}"
        kind = "finite numbers" if finite else "numbers"
        unbounded = above == least == -np.inf
        allowed = kind if unbounded else f"{kind} {bounds}" if finite else bounds
        raise ValueError(f"{name}: {values[~good].ravel()[0]:g} found; allowed: {allowed}")
    return values


def check_alpha(alpha: ArrayLike) -> Floats:
    """Return alpha as floats when the formulas hold for it: from 1e-6 to 50.

    Below, ``zeta(alpha + 1)`` loses its digits in ``1 + alpha``; above, a tail is below 1e-15.

    Raises
    ------
    ValueError
        If a value is outside.
    """
    lo, hi = _ALPHA_RANGE
    values = as_floats("alpha", alpha)
    good = (values >= lo) & (values <= hi)
    if not good.all():
        raise ValueError(f"alpha: {values[~good].ravel()[0]:g} found; allowed: {lo:g} to {hi:g}")
    return values


def normaliser(alpha: ArrayLike, *, n_tasks: ArrayLike = np.inf) -> Floats:
    """Sum ``k^-(alpha+1)`` over all quanta.

    ``Z = zeta(alpha + 1)``, or the sum up to `n_tasks`.

    Parameters
    ----------
    alpha
        Exponent of the theory, > 0.
    n_tasks
        Number of quanta, >= 1; infinite in the paper's theory.

    References
    ----------
    arXiv:2303.13506, section 2.
    """
    s = check_alpha(alpha) + 1
    return zipf_sum(s, 1, check_range("n_tasks", n_tasks, least=1))


def frequencies(k: ArrayLike, alpha: ArrayLike, *, n_tasks: ArrayLike = np.inf) -> Floats:
    """Share of the samples that need quantum k.

    ``p_k = k^-(alpha+1) / Z``; a rank-frequency plot has slope ``-(alpha+1)``.

    Parameters
    ----------
    k
        Rank, > 0; 0 is returned past `n_tasks`.
    alpha
        Exponent of the theory, > 0.
    n_tasks
        Number of quanta.

    References
    ----------
    arXiv:2303.13506, section 2.

    Examples
    --------
    >>> frequencies([1, 10, 500], 0.4, n_tasks=500).round(6).tolist()
    [0.345126, 0.01374, 5.7e-05]
    """
    rank = check_range("k", k, above=0)
    s = np.asarray(alpha, dtype=np.float64) + 1
    inside = rank <= np.asarray(n_tasks, dtype=np.float64)
    share: Floats = np.where(inside, rank**-s / normaliser(alpha, n_tasks=n_tasks), 0.0)
    return share


def power_tail(
    n: ArrayLike, s: ArrayLike, *, n_tasks: ArrayLike = np.inf, form: Form = "exact"
) -> Floats:
    """Sum ``k^-s`` over the ranks behind n, ``n < k <= n_tasks``; 0 where n is past `n_tasks`.

    Parameters
    ----------
    n
        Learned quanta, >= 0, whole or not; > 0 in the integral form, which diverges at 0.
    s
        Exponent, > 1.
    n_tasks
        Number of quanta.
    form
        ``exact``; ``integral``, too high by about ``alpha / (2 n)``; ``midpoint``, whose error
        is of order ``1 / n^2``.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    if form not in get_args(Form):
        raise ValueError(f"form: {form!r} found; allowed: {', '.join(get_args(Form))}")
    exponent = check_range("s", s, above=1)
    last = check_range("n_tasks", n_tasks, least=1)
    learned = check_range("n", n, least=0)
    if form == "integral":
        check_range("n (integral form)", n, above=0)
    start = np.minimum(learned, last)
    if form == "exact":
        infinite = np.isinf(start)  # everything is learned: nothing is left
        start = np.where(infinite, 0.0, start)
        return np.asarray(np.where(infinite, 0.0, zipf_sum(exponent, start + 1, last)))
    shift, p = SHIFT[form], exponent - 1
    with np.errstate(over="ignore"):  # near n = 0 the integral form grows without bound
        return np.asarray(((start + shift) ** -p - (last + shift) ** -p) / p)


def tail(
    n: ArrayLike, alpha: ArrayLike, *, n_tasks: ArrayLike = np.inf, form: Form = "exact"
) -> Floats:
    """Share of the samples that need a quantum not yet learned.

    ``sum_{k>n} p_k``, exactly ``zeta(alpha+1, n+1) / zeta(alpha+1)`` for infinitely many quanta and
    about ``n^-alpha / (alpha zeta(alpha+1))``.

    Parameters
    ----------
    n
        Learned quanta, >= 0, whole or not.
    alpha
        Exponent of the theory, > 0.
    n_tasks
        Number of quanta.
    form
        See `power_tail`.

    References
    ----------
    arXiv:2303.13506, section 2.

    Examples
    --------
    >>> tail([0, 1, 10, 100], 0.4).round(6).tolist()
    [1.0, 0.677996, 0.31422, 0.127331]
    >>> tail([1, 10, 100], 0.4, form="integral").round(6).tolist()
    [0.805011, 0.320481, 0.127586]
    """
    total = normaliser(alpha, n_tasks=n_tasks)
    s = np.asarray(alpha, dtype=np.float64) + 1
    return np.asarray(power_tail(n, s, n_tasks=n_tasks, form=form) / total)


def mean_loss(
    n: ArrayLike,
    alpha: ArrayLike,
    *,
    a: ArrayLike = 0.0,
    b: ArrayLike = 1.0,
    n_tasks: ArrayLike = np.inf,
    form: Form = "exact",
) -> Floats:
    """Mean loss of a network that has learned n quanta.

    ``L_n = a + (b - a) sum_{k>n} p_k``

    Parameters
    ----------
    n
        Learned quanta, >= 0, whole or not.
    alpha
        Exponent of the theory, > 0.
    a, b
        Loss on samples whose quantum is learned, and is not [nat].
    n_tasks
        Number of quanta.
    form
        See `power_tail`.

    Returns
    -------
    NDArray[np.float64]
        Broadcast shape [nat].

    References
    ----------
    arXiv:2303.13506, section 2.
    """
    low, high = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.asarray(low + (high - low) * tail(n, alpha, n_tasks=n_tasks, form=form))


def general_loss(n: ArrayLike, alpha: float, *, a: OfRank, b: OfRank, n_tasks: int) -> Floats:
    """Mean loss with losses of their own for every quantum.

    ``L_n = sum_{k<=n} a_k p_k + sum_{k>n} b_k p_k``. A broken n has learned that part of its last
    quantum: the loss runs straight between whole n.

    Parameters
    ----------
    n
        Learned quanta, >= 0; all where above `n_tasks`.
    alpha
        Exponent of the theory, > 0.
    a, b
        Loss with and without the quantum [nat]: a number, `n_tasks` numbers by rank, or a function
        of the rank array.
    n_tasks
        Number of quanta, finite: a general series has no closed tail.

    Raises
    ------
    ValueError
        If there are infinitely many quanta, or `a` or `b` has another count than `n_tasks`.

    References
    ----------
    arXiv:2303.13506, section 2 and appendix.

    Examples
    --------
    >>> general_loss([0, 1, 500], 0.4, a=0.0, b=lambda k: 1 / k, n_tasks=500).round(4).tolist()
    [0.4774, 0.1323, 0.0]
    """
    if not (np.isfinite(n_tasks) and n_tasks >= 1):
        raise ValueError(f"n_tasks: {n_tasks} found; allowed: 1 to as many as fit in memory")
    rank = np.arange(1, int(n_tasks) + 1, dtype=np.float64)
    p = frequencies(rank, alpha, n_tasks=int(n_tasks))
    learned, missed = _by_rank("a", a, rank) * p, _by_rank("b", b, rank) * p
    # the tail is summed from its small end, so that it is exact to its own last digit
    below = np.concatenate([[0.0], np.cumsum(learned)])
    behind = np.concatenate([np.cumsum(missed[::-1])[::-1], [0.0]])
    whole = np.arange(len(rank) + 1)
    return np.asarray(np.interp(check_range("n", n, least=0), whole, below + behind))


def missing_quanta_floor(alpha: ArrayLike, every: ArrayLike) -> Floats:
    """Share of the samples that stay uncovered when every M-th quantum can never be learned.

    ``sum_j p_{Mj} = M^-(alpha+1)``, exactly.

    Parameters
    ----------
    alpha
        Exponent of the theory, > 0.
    every
        M, >= 1.
    """
    share = check_range("every", every, least=1) ** -(check_alpha(alpha) + 1)
    return np.asarray(share)


def missing_quanta_loss(
    n: ArrayLike, alpha: ArrayLike, *, every: ArrayLike, a: ArrayLike = 0.0, b: ArrayLike = 1.0
) -> Floats:
    """Mean loss when ranks M, 2M, 3M ... can never be learned.

    ``L = a + (b-a) [sum_{k>n} p_k + sum_{j <= n/M} p_{Mj}]``. For large n the exponent is alpha as
    before, the floor is higher by ``(b-a) M^-(alpha+1)``, the prefactor smaller by ``(M-1)/M``.

    Parameters
    ----------
    n
        Rank up to which everything learnable is learned, >= 0.
    alpha
        Exponent of the theory, > 0.
    every
        M, >= 1; with 1 nothing is ever learned.
    a, b
        Loss on samples whose quantum is learned, and is not [nat].
    """
    floor = missing_quanta_floor(alpha, every)
    blocked = np.floor(check_range("n", n, least=0) / np.asarray(every, dtype=np.float64))
    uncovered = tail(n, alpha) + floor * (1 - tail(blocked, alpha))
    low, high = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.asarray(low + (high - low) * uncovered)


def _by_rank(name: str, value: OfRank, rank: Floats) -> Floats:
    found = np.asarray(value(rank) if callable(value) else value, dtype=np.float64)
    if found.ndim and found.shape != rank.shape:
        raise ValueError(f"{name}: shape {found.shape} found; allowed: one number or {len(rank)}")
    return np.broadcast_to(found, rank.shape)
