"""The theory backwards: from a measured loss or slope to learned quanta, alpha, and unit costs.

Each function has one solution where it has any, because each law is monotone in what is sought.
Arrays are accepted throughout: pass the ends of an interval and get the ends of an interval, or
bootstrap replicates and get replicates.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from quantascope.theory.finite import fitted_slope
from quantascope.theory.quanta import Floats, as_floats, check_alpha, check_range, normaliser, tail

__all__ = [
    "alpha_from_fitted_slope",
    "alpha_from_loss",
    "alpha_from_two_losses",
    "capacity_from_quanta",
    "first_step_from_quanta",
    "quanta_from_loss",
    "threshold_from_quanta",
]

_ALPHA_LO: Final = 1e-3
_ALPHA_HI: Final = 50.0
_N_HI: Final = 1e15
_MAX_STEPS: Final = 100  # some 10 are taken; halving alone would need 60
_EPS: Final = float(np.finfo(np.float64).eps)


def quanta_from_loss(
    loss: ArrayLike,
    alpha: ArrayLike,
    *,
    a: ArrayLike = 0.0,
    b: ArrayLike = 1.0,
    n_tasks: ArrayLike = np.inf,
) -> Floats:
    """Count the quanta that a network with this mean loss has learned.

    Solves ``L = a + (b - a) sum_{k>n} p_k`` for n, exactly; the tail falls strictly from 1 to 0.

    Parameters
    ----------
    loss
        Mean loss [nat], above `a` and at most `b`; `a` itself where the task set is finite.
    alpha
        Exponent of the theory, > 0.
    a, b
        Loss on samples whose quantum is learned, and is not [nat].
    n_tasks
        Number of quanta.

    Returns
    -------
    NDArray[np.float64]
        n, not rounded; larger losses give smaller n, and `b` gives 0.

    Raises
    ------
    ValueError
        If no n up to 1e15 gives this loss.

    Examples
    --------
    >>> quanta_from_loss([0.677996, 0.127331, 1.0], 0.4).round(3).tolist()
    [1.0, 100.0, 0.0]
    """
    last = check_range("n_tasks", n_tasks, least=1)
    share = _uncovered(loss, a, b)
    top = np.log1p(np.minimum(last, _N_HI))
    reach = np.where(np.isinf(last), tail(_N_HI, alpha), 0.0)
    _require_reach(loss, share, reach, ends=(a, b))
    like = share + as_floats("alpha", alpha)
    log_n = _root(lambda x: share - tail(np.expm1(x), alpha, n_tasks=last), 0.0, top, like=like)
    # at b nothing is learned; the search would end some 1e-17 beside that
    return np.where(share == 1, 0.0, np.minimum(np.expm1(log_n), last))


def alpha_from_loss(
    loss: ArrayLike,
    n: ArrayLike,
    *,
    a: ArrayLike = 0.0,
    b: ArrayLike = 1.0,
    n_tasks: ArrayLike = np.inf,
) -> Floats:
    """Find the alpha at which n learned quanta leave this mean loss.

    A larger alpha moves use to the first ranks, so the tail falls strictly with alpha.

    Parameters
    ----------
    loss
        Mean loss [nat], above `a` and below `b`.
    n
        Learned quanta, > 0 and below `n_tasks`.
    a, b
        Loss on samples whose quantum is learned, and is not [nat].
    n_tasks
        Number of quanta.

    Raises
    ------
    ValueError
        If no alpha in 0.001 to 50 gives this loss.

    Examples
    --------
    >>> float(alpha_from_loss(0.127331, 100).round(4))
    0.4
    """
    learned = check_range("n", n, above=0)
    check_range("n_tasks - n", np.asarray(n_tasks, dtype=np.float64) - learned, above=0)
    share = _uncovered(loss, a, b)
    ends = [tail(learned, end, n_tasks=n_tasks) for end in (_ALPHA_LO, _ALPHA_HI)]
    low, span = as_floats("a", a), as_floats("b", b) - as_floats("a", a)
    _require_inside("loss", as_floats("loss", loss), low + span * ends[1], low + span * ends[0])
    return _root_in_alpha(lambda x: share - tail(learned, x, n_tasks=n_tasks), like=share + learned)


def alpha_from_two_losses(losses: ArrayLike, amounts: ArrayLike, *, a: ArrayLike = 0.0) -> Floats:
    """Read alpha off two models of an N sweep, by the power law between them.

    ``alpha = -ln((L_2 - a) / (L_1 - a)) / ln(N_2 / N_1)``

    Parameters
    ----------
    losses, amounts
        Two losses and two amounts along the first axis.
    a
        Floor [nat].

    Raises
    ------
    ValueError
        If there are not two of each, or a loss does not exceed `a`.
    """
    y = check_range("losses - a", np.asarray(losses, dtype=np.float64) - np.asarray(a), above=0)
    x = check_range("amounts", amounts, above=0)
    if len(y) != 2 or len(x) != 2 or (x[0] == x[1]).any():
        raise ValueError("losses, amounts: allowed are two losses at two different amounts")
    return np.asarray(-np.log(y[1] / y[0]) / np.log(x[1] / x[0]))


def alpha_from_fitted_slope(
    slope: ArrayLike, *, n_tasks: float = np.inf, n_lo: int = 1, n_hi: int = 30
) -> Floats:
    """Find the alpha whose exact loss, fitted by a straight line, shows this slope.

    Inverts `quantascope.theory.finite.fitted_slope`, which rises strictly with alpha: what a
    measured exponent of a finite task set says about alpha.

    Parameters
    ----------
    slope
        Measured exponent, positive; an array carries an interval through.
    n_tasks
        Number of quanta, > `n_hi`.
    n_lo, n_hi
        Range of learned quanta behind the measured slope.

    Raises
    ------
    ValueError
        If no alpha in 0.001 to 50 gives this slope; a finite set is steeper than some.

    Examples
    --------
    >>> alpha_from_fitted_slope([0.459, 0.762], n_tasks=500).round(2).tolist()
    [0.4, 0.8]
    """
    found = as_floats("slope", slope)

    def steepness(alpha: Floats) -> Floats:
        return fitted_slope(alpha, n_tasks=n_tasks, n_lo=n_lo, n_hi=n_hi)

    lo, hi = (steepness(np.array(end)) for end in (_ALPHA_LO, _ALPHA_HI))
    _require_inside("slope", found, lo, hi)
    return _root_in_alpha(lambda x: steepness(x) - found, like=found)


def capacity_from_quanta(n_params: ArrayLike, n: ArrayLike) -> Floats:
    """Count the parameters that a quantum takes, ``C = N / n``.

    References
    ----------
    arXiv:2303.13506, section 2.
    """
    amount = check_range("n_params", n_params, above=0, finite=True)
    return np.asarray(amount / check_range("n", n, above=0))


def threshold_from_quanta(
    n_samples: ArrayLike, n: ArrayLike, alpha: ArrayLike, *, n_tasks: ArrayLike = np.inf
) -> Floats:
    """Count the samples that must need a quantum before it is learned, ``tau = D p_n``.

    References
    ----------
    arXiv:2303.13506, section 2.
    """
    rank = check_range("n", n, above=0)
    p = rank ** -(np.asarray(alpha, dtype=np.float64) + 1) / normaliser(alpha, n_tasks=n_tasks)
    return np.asarray(check_range("n_samples", n_samples, above=0, finite=True) * p)


def first_step_from_quanta(n_steps: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Floats:
    """Count the steps that the first quantum takes, ``T = S n^-(alpha+1)``.

    References
    ----------
    arXiv:2303.13506, section 2.
    """
    s = check_alpha(alpha) + 1
    rank = check_range("n", n, above=0)
    return np.asarray(check_range("n_steps", n_steps, above=0, finite=True) * rank**-s)


def _uncovered(loss: ArrayLike, a: ArrayLike, b: ArrayLike) -> Floats:
    """Share of samples not covered, ``(L - a) / (b - a)``."""
    low, high = (check_range(name, end, finite=True) for name, end in (("a", a), ("b", b)))
    check_range("b - a", high - low, above=0)
    measured = as_floats("loss", loss)
    share = (measured - low) / (high - low)
    bad = ~((share >= 0) & (share <= 1))
    if bad.any():
        where, least, most = (
            np.broadcast_to(v, share.shape)[bad][0] for v in (measured, low, high)
        )
        raise ValueError(f"loss: {where:g} found; allowed: from a to b, {least:g} to {most:g}")
    return np.asarray(share)


def _require_reach(
    loss: ArrayLike, share: Floats, reach: Floats, *, ends: tuple[ArrayLike, ArrayLike]
) -> None:
    """Refuse a loss that infinitely many quanta are needed for, or more than can be counted."""
    low, high = (as_floats(name, end) for name, end in zip("ab", ends, strict=True))
    values = np.broadcast_arrays(as_floats("loss", loss), low, low + (high - low) * reach, share)
    bad = share < reach
    if not bad.any():
        return
    found, floor, least, _ = (np.broadcast_to(value, bad.shape)[bad][0] for value in values)
    why = "is a, which no finite number of quanta reaches" if found == floor else "is too near to a"
    raise ValueError(
        f"loss: {found:g} {why}; allowed: from {least:.6g} on, the loss of {_N_HI:g} quanta"
    )


def _require_inside(name: str, value: Floats, lo: Floats, hi: Floats) -> None:
    value, lo, hi = np.broadcast_arrays(value, lo, hi)
    bad = ~((value > lo) & (value < hi))
    if bad.any():
        v, least, most = (array[bad].ravel()[0] for array in (value, lo, hi))
        raise ValueError(
            f"{name}: {v:g} found; allowed: {least:.6g} to {most:.6g}, "
            f"what alpha from {_ALPHA_LO:g} to {_ALPHA_HI:g} can give"
        )


def _root_in_alpha(rising: Callable[[Floats], Floats], *, like: Floats) -> Floats:
    ends = np.log([_ALPHA_LO, _ALPHA_HI])
    return np.exp(_root(lambda x: rising(np.exp(x)), ends[0], ends[1], like=like))


def _root(
    function: Callable[[Floats], Floats], lo: ArrayLike, hi: ArrayLike, *, like: Floats
) -> Floats:
    """Find the zero between two ends, elementwise, by Chandrupatla's method.

    Inverse quadratic steps where three points lie so that they are safe, halvings elsewhere
    (doi:10.1016/S0965-9978(96)00051-8).
    """
    shape = np.broadcast_shapes(np.shape(lo), np.shape(hi), like.shape)
    x1, x2 = (np.broadcast_to(np.asarray(x, dtype=np.float64), shape) for x in (lo, hi))
    f1, f2 = function(x1), function(x2)
    t: Floats = np.full(shape, 0.5)
    for _ in range(_MAX_STEPS):
        x = x1 + t * (x2 - x1)
        f = function(x)
        kept = np.sign(f) == np.sign(f1)  # the new point replaces the end of its own sign
        x3, f3 = np.where(kept, x1, x2), np.where(kept, f1, f2)
        x2, f2 = np.where(kept, x2, x1), np.where(kept, f2, f1)
        x1, f1 = x, f
        span = np.abs(x2 - x1)
        near = 2 * _EPS * (np.abs(x1) + _EPS)
        if np.all((span <= 2 * near) | (f1 == 0)):
            break
        t = np.clip(_inverse_quadratic(x1, x2, x3, fs=(f1, f2, f3)), 0.0, 1.0)
        edge = np.minimum(near / np.where(span > 0, span, 1.0), 0.5)
        t = np.where(f1 == 0, 0.0, np.clip(t, edge, 1 - edge))
    return np.where(np.abs(f1) <= np.abs(f2), x1, x2)


def _inverse_quadratic(
    x1: Floats, x2: Floats, x3: Floats, *, fs: tuple[Floats, Floats, Floats]
) -> Floats:
    """Give the step from x1 towards x2 as a share of the way; one half where it is not safe."""
    f1, f2, f3 = fs
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
        safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
        step = f1 / (f2 - f1) * f3 / (f2 - f3)
        step += (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    return np.where(safe & np.isfinite(step), step, 0.5)
