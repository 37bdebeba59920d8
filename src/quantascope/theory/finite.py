"""Slopes of a finite task set: what a straight line through the exact loss gives.

With finitely many quanta the loss falls faster than ``n^-alpha``, because the sum runs out. The
local slope is closed; `fitted_slope` and `fitted_exponent` repeat the protocol by which the paper
reads exponents off its parity experiments, so that its numbers can be held against the theory of a
finite set rather than against alpha.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from quantascope.core.special import hurwitz_zeta, zipf_sum
from quantascope.theory.quanta import Floats, as_floats, check_alpha, check_range, tail
from quantascope.theory.resources import QuantaModel, Resource, predict_loss

__all__ = [
    "PARITY_TASKS",
    "PARITY_WIDTHS",
    "fitted_exponent",
    "fitted_slope",
    "local_slope",
    "parity_params",
    "truncated_grid",
]

PARITY_TASKS: Final = 500
PARITY_BITS: Final = 100
PARITY_WIDTHS: Final = (
    *(9, 11, 14, 17, 20, 24, 29, 35, 41, 50),
    *(59, 71, 85, 102, 122, 146, 175, 209, 250, 300),
)
"""Hidden widths of the parity experiment over alpha; github.com/ejmichaud/quantization-model."""


def local_slope(n: ArrayLike, alpha: ArrayLike, *, n_tasks: ArrayLike = np.inf) -> Floats:
    """Exponent of the exact loss at n.

    ``-d ln L / d ln n = (alpha+1) n zeta(alpha+2, n+1) / sum_{n<k<=n_tasks} k^-(alpha+1)``: alpha
    for large n and infinitely many quanta, without bound where the set runs out.

    Parameters
    ----------
    n
        Learned quanta, > 0 and below `n_tasks`.
    alpha
        Exponent of the theory, > 0.
    n_tasks
        Number of quanta.

    Examples
    --------
    >>> local_slope([10, 1000], 0.4).round(4).tolist()
    [0.3806, 0.3998]
    >>> local_slope([10, 100, 400], 0.4, n_tasks=500).round(3).tolist()
    [0.484, 0.84, 4.684]
    """
    start, last = check_range("n", n, above=0), check_range("n_tasks", n_tasks, least=1)
    s = check_alpha(alpha) + 1
    if (start >= last).any():
        raise ValueError("n: n_tasks or more found; allowed: below n_tasks, where loss is left")
    with np.errstate(invalid="ignore"):  # NaN where the tail is below the smallest number
        share = hurwitz_zeta(s + 1, start + 1) / zipf_sum(s, start + 1, last)
    return np.asarray(s * start * share)


def fitted_slope(
    alpha: ArrayLike, *, n_tasks: float = np.inf, n_lo: int = 1, n_hi: int = 30
) -> Floats:
    """Exponent that least squares in logarithms finds through the exact loss at n_lo ... n_hi.

    Parameters
    ----------
    alpha
        Exponent of the theory, > 0.
    n_tasks
        Number of quanta, > `n_hi`.
    n_lo, n_hi
        Range of learned quanta, all whole numbers in it counted once.

    Returns
    -------
    NDArray[np.float64]
        Shape of alpha.

    Examples
    --------
    >>> fitted_slope([0.1, 0.4, 0.8], n_tasks=500).round(3).tolist()
    [0.278, 0.459, 0.762]
    """
    check_range("n_tasks", n_tasks, least=3)
    if not 1 <= n_lo < n_hi < n_tasks:
        raise ValueError(
            f"n_lo, n_hi: {n_lo}, {n_hi} found; allowed: 1 <= n_lo < n_hi < n_tasks, "
            f"which is {n_tasks:g}"
        )
    n = np.arange(n_lo, n_hi + 1, dtype=np.float64)
    loss = tail(n, as_floats("alpha", alpha)[..., None], n_tasks=n_tasks)
    return _slope(n, loss)


def fitted_exponent(
    model: QuantaModel, by: Resource, amounts: ArrayLike, *, below: float = np.inf
) -> float:
    """Exponent that least squares in logarithms finds through predicted losses.

    The paper's protocol: all widths for N; for D all from the first loss below 0.95 of the loss at
    chance (`below`).

    Parameters
    ----------
    model
        The assumptions, usually with a finite `n_tasks` and ``a = 0``.
    by
        ``N``, ``D`` or ``S``.
    amounts
        Amounts of the resource, ascending, > 0.
    below
        Points before the first loss below this are left out [nat].

    Raises
    ------
    ValueError
        If fewer than two points with a loss above 0 remain.

    References
    ----------
    arXiv:2303.13506, figure A4; protocol in the notebooks of
    github.com/ejmichaud/quantization-model.

    Examples
    --------
    >>> model = QuantaModel(alpha=0.4, n_tasks=500, capacity=7000)
    >>> round(fitted_exponent(model, "N", parity_params(PARITY_WIDTHS)), 3)
    0.422
    """
    amount = check_range("amounts", amounts, above=0)
    loss = predict_loss(model, by, amount)
    started = np.logical_or.accumulate(loss < below) & (loss > 0)
    if started.sum() < 2:
        raise ValueError(f"amounts: {started.sum()} losses in (0, {below:g}); allowed: 2 or more")
    return float(_slope(amount[started], loss[started]))


def parity_params(widths: ArrayLike, *, n_tasks: int = PARITY_TASKS) -> Floats:
    """Parameters of the two-layer network of the parity experiment.

    ``(n_tasks + 100) w + w + 2 w + 2``: task and data bits in, two classes out.

    Examples
    --------
    >>> parity_params([9, 20, 50, 300, 500]).astype(int).tolist()
    [5429, 12062, 30152, 180902, 301502]
    """
    width = check_range("widths", widths, least=1)
    return np.asarray((n_tasks + PARITY_BITS + 3) * width + 2)


def truncated_grid(lo: float, hi: float, count: int) -> Floats:
    """Space sizes evenly in their logarithm and truncate them, as the paper's code does.

    ``int(2^linspace(log2 lo, log2 hi, count))``. The power falls just short of some whole ends, so
    a grid from 10 starts at 9.

    References
    ----------
    Scripts of github.com/ejmichaud/quantization-model.

    Examples
    --------
    >>> truncated_grid(10, 300, 20)[[0, 1, -1]].tolist()
    [9.0, 11.0, 300.0]
    """
    check_range("hi - lo", np.asarray(hi) - check_range("lo", lo, above=0), least=0)
    return np.trunc(2 ** np.linspace(np.log2(lo), np.log2(hi), count))


def _slope(x: Floats, y: Floats) -> Floats:
    """Least-squares slope of -ln y on ln x, along the last axis."""
    log_x = np.log(x) - np.log(x).mean()
    return np.asarray(-(np.log(y) * log_x).sum(axis=-1) / (log_x**2).sum())
