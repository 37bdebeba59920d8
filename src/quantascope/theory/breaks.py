"""Closed forms of losses whose power law breaks: overfitting, a noise floor, topology.

Sizes enter, losses leave. Each form is the smooth rate of piecewise approximation,
``N ** (-2 order / d)``, and the one thing that stops it; `theory.breakdown` tells them apart.

References
----------
The smooth rates: arXiv:2004.10802, section 2. The break forms are derived in each docstring.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "discontinuity_loss",
    "hole_loss",
    "noise_floor_loss",
    "overfitting_loss",
    "periodic_loss",
]

_Array = NDArray[np.float64]


def overfitting_loss(
    n_params: ArrayLike, *, dim: float, n_samples: float, noise: float, order: int = 2
) -> _Array:
    """Give approximation plus estimation error, ``N ** (-2 order / d) + noise * N / D``.

    Parameters
    ----------
    n_params
        Number N of cells, each fitted to its share of the data, positive.
    dim
        Intrinsic dimension d.
    n_samples
        Number D of samples, positive.
    noise
        Variance of the labels, not negative.
    order
        1 for constant, 2 for linear cells.

    Returns
    -------
    NDArray[np.float64]
        Mean squared error in units of the first cell's approximation error; it falls, then rises.
    """
    N = _sizes(n_params)
    loss: _Array = N ** (-2.0 * order / dim) + noise * N / n_samples
    return loss


def noise_floor_loss(n_params: ArrayLike, *, dim: float, floor: float, order: int = 2) -> _Array:
    """Give approximation error over irreducible noise, ``N ** (-2 order / d) + floor``."""
    loss: _Array = _sizes(n_params) ** (-2.0 * order / dim) + floor
    return loss


def discontinuity_loss(n_params: ArrayLike, *, dim: float, jump: float, order: int = 2) -> _Array:
    """Give the error of a piecewise smooth target, ``N ** (-2 order / d) + jump**2 * N ** (-1/d)``.

    A jump across a surface of dimension d - 1 is cut by ``N ** ((d-1)/d)`` of the N cells, a share
    ``N ** (-1/d)``, in each of which the error stays of the order of the jump: the exponent falls
    to 1/d.

    Parameters
    ----------
    n_params
        Number N of cells.
    dim
        Dimension d.
    jump
        Height of the jump, in units of the smooth error of one cell.
    order
        1 for constant, 2 for linear cells.
    """
    N = _sizes(n_params)
    loss: _Array = N ** (-2.0 * order / dim) + jump**2 * N ** (-1.0 / dim)
    return loss


def periodic_loss(n_params: ArrayLike, *, dim: float, period: float, order: int = 2) -> _Array:
    """Give the error for a target of one period: constant until the cells are finer than it.

    An onset by the curve alone; the cause, topology, shows only where the period is known.

    ``1 / (1 + (N period**d) ** (2 order / d))``: exponent 0 while ``N ** (-1/d)`` exceeds the
    period, and the smooth one, 2 order / d, after.

    Parameters
    ----------
    n_params
        Number N of cells of the unit cube.
    dim
        Dimension d.
    period
        Length of the period [side of the cube].
    order
        1 for constant, 2 for linear cells.
    """
    resolved = _sizes(n_params) * period**dim
    loss: _Array = 1.0 / (1.0 + resolved ** (2.0 * order / dim))
    return loss


def hole_loss(
    n_params: ArrayLike, *, dim: float, coarse_dim: float, n_resolved: float, order: int = 2
) -> _Array:
    """Give the error on data that look of one dimension from afar and of another one close by.

    Data with holes, or thin in some directions, fill cells wider than the holes as a set of
    dimension `coarse_dim`; cells that resolve the holes see dimension `dim`. The exponent changes
    from ``2 order / coarse_dim`` to ``2 order / dim`` at `n_resolved` cells.

    Parameters
    ----------
    n_params
        Number N of cells.
    dim, coarse_dim
        Dimension below and above the size of the holes.
    n_resolved
        Number of cells at which the holes are resolved.
    order
        1 for constant, 2 for linear cells.
    """
    x = _sizes(n_params) / n_resolved
    before, after = x ** (-2.0 * order / coarse_dim), x ** (-2.0 * order / dim)
    flattens = dim > coarse_dim
    loss: _Array = before + after if flattens else 1.0 / (1.0 / before + 1.0 / after)
    return loss


def _sizes(n_params: ArrayLike) -> _Array:
    N = np.asarray(n_params, dtype=np.float64)
    if not (np.isfinite(N) & (N > 0)).all():
        raise ValueError("n_params: a size that is not finite and positive; give positive counts")
    return N
