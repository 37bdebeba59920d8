"""Rates of piecewise approximation, and a target whose error on every grid is known in closed form.

A function on the d-torus is approximated on ``N = n_side ** d`` equal cells: by the value at the
cell's centre (constant), or by multilinear interpolation of the values at its corners (linear).
The error falls as ``N ** (-power * order / d)``. For a sum of plane waves with distinct integer
frequencies the mean squared error is a product of one-dimensional factors, exact at every N, so
that a sampled experiment can be held against a number and not only against a slope.

References
----------
Sharma and Kaplan, arXiv:2004.10802, section 2 (MSE ~ N^-4/d, piecewise linear; N^-2/d, constant).
Bahri et al., arXiv:2102.06701 (resolution-limited scaling).
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Cells",
    "CosineSum",
    "approximation_exponent",
    "cell_error",
    "random_cosine_sum",
    "sampled_error",
]

Cells = Literal["constant", "linear"]

_ORDER: Final[dict[Cells, int]] = {"constant": 1, "linear": 2}
_BLOCK: Final = 2048  # sampled points evaluated together; 2**d corners of each are held at once


def approximation_exponent(
    dim: ArrayLike, *, cells: Cells = "linear", power: float = 2.0
) -> NDArray[np.float64]:
    """Give the exponent of the approximation error in the number of cells.

    ``error ** p ~ N ** -alpha`` with ``alpha = p * order / d``; the order is 1 for constant and
    2 for linear cells, p = 2 is the mean squared error: 2/d and 4/d.

    Parameters
    ----------
    dim
        Intrinsic dimension d, positive, any shape.
    cells
        ``"constant"`` or ``"linear"``.
    power
        The p of the norm, at least 1.

    Returns
    -------
    NDArray[np.float64]
        Exponent alpha, positive.

    References
    ----------
    arXiv:2004.10802, section 2.

    Examples
    --------
    >>> float(approximation_exponent(4)), float(approximation_exponent(4, cells="constant"))
    (1.0, 0.5)
    """
    d = np.asarray(dim, dtype=np.float64)
    if not (d > 0).all():
        raise ValueError("dim: a value that is not above 0; give positive dimensions")
    if not power >= 1:
        raise ValueError(f"power: {power} found; allowed are numbers from 1")
    exponent: NDArray[np.float64] = power * _order(cells) / d
    return exponent


@dataclass(frozen=True)
class CosineSum:
    """``f(x) = sum_j amplitude_j cos(2 pi frequency_j . x + phase_j)`` on the unit d-torus."""

    frequencies: NDArray[np.int64]
    """Integer frequencies, wave by coordinate; no row repeats another one or its negative."""
    amplitudes: NDArray[np.float64]
    phases: NDArray[np.float64]
    """Phases [radian]."""

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate at points ``(..., d)``."""
        angles = 2.0 * np.pi * (x @ self.frequencies.T.astype(np.float64)) + self.phases
        values: NDArray[np.float64] = np.cos(angles) @ self.amplitudes
        return values


def random_cosine_sum(
    dim: int, *, n_waves: int, max_frequency: int, rng: np.random.Generator
) -> CosineSum:
    """Draw a target: distinct non-zero frequencies, normal amplitudes, uniform phases.

    Parameters
    ----------
    dim
        Dimension d of the torus, 1 to 8.
    n_waves
        Number of waves, at most ``((2 max_frequency + 1) ** dim - 1) / 2``.
    max_frequency
        Largest absolute integer frequency of a coordinate [cycle / side].
    rng
        Source of randomness.

    Returns
    -------
    CosineSum
        The target.

    Raises
    ------
    ValueError
        If there are fewer distinct frequencies than waves.
    """
    if not (1 <= dim <= 8 and max_frequency >= 1 and n_waves >= 1):
        raise ValueError(
            f"dim, max_frequency, n_waves: {dim}, {max_frequency}, {n_waves} found; "
            "allowed are dim 1 to 8 and counts from 1"
        )
    n_grid = (2 * max_frequency + 1) ** dim
    n_distinct = (n_grid - 1) // 2  # the middle is zero, and the lower half is minus the upper one
    if n_waves > n_distinct:
        raise ValueError(
            f"n_waves: {n_waves} found; allowed are 1 to {n_distinct} distinct frequencies up to "
            f"{max_frequency} in {dim} dimensions; raise max_frequency"
        )
    chosen = rng.choice(n_distinct, size=n_waves, replace=False)
    shape = (2 * max_frequency + 1,) * dim
    frequencies = np.stack(np.unravel_index(chosen, shape), axis=1) - max_frequency
    return CosineSum(
        frequencies=frequencies.astype(np.int64),
        amplitudes=rng.standard_normal(n_waves) / np.sqrt(n_waves),
        phases=2.0 * np.pi * rng.random(n_waves),
    )


def cell_error(target: CosineSum, n_side: int, *, cells: Cells = "linear") -> float:
    """Give the exact mean squared error of the piecewise approximation.

    With ``h = 1 / n_side``, ``k = 2 pi frequency`` and ``sinc z = sin(z) / z``, a wave of
    amplitude a adds ``a**2 / 2`` times

    - constant: ``2 (1 - prod_i sinc(k_i h / 2))``;
    - linear: ``1 - 2 prod_i sinc(k_i h / 2)**2 + prod_i (2 + cos k_i h) / 3``.

    Waves add without cross terms while no two of them coincide on the grid.

    Parameters
    ----------
    target
        Sum of plane waves.
    n_side
        Cells along a coordinate, above twice the largest frequency.
    cells
        ``"constant"`` or ``"linear"``.

    Returns
    -------
    float
        Mean over the torus of the squared error [unit of the target, squared].

    Raises
    ------
    ValueError
        If the grid is too coarse for the formula.

    Notes
    -----
    The linear bracket is near ``|k h|**4``; it is summed from ``expm1`` of logarithms, so that it
    keeps its digits on fine grids.
    """
    _check_grid(target, n_side)
    kh = 2.0 * np.pi * target.frequencies / n_side
    weights = 0.5 * target.amplitudes**2
    half = np.log(np.sinc(kh / (2.0 * np.pi)))  # NumPy's sinc holds the pi; |kh / 2| < pi / 2
    if _order(cells) == 1:
        return float(weights @ (-2.0 * np.expm1(half.sum(axis=1))))
    norm = np.log1p(-(4.0 / 6.0) * np.sin(kh / 2.0) ** 2)  # (2 + cos z) / 3 = 1 - 2/3 sin(z/2)**2
    brackets = np.expm1(norm.sum(axis=1)) - 2.0 * np.expm1(2.0 * half.sum(axis=1))
    return float(weights @ brackets)


def sampled_error(
    target: CosineSum, n_side: int, *, points: NDArray[np.float64], cells: Cells = "linear"
) -> tuple[float, float]:
    """Approximate the target on a grid and measure the mean squared error at sampled points.

    Only the corners of cells that hold a point are evaluated, so a grid may have any size.

    Parameters
    ----------
    target
        The function to approximate.
    n_side
        Cells along a coordinate.
    points
        Uniform points of the unit torus, shape ``(n, d)``, at least two.
    cells
        ``"constant"`` or ``"linear"``.

    Returns
    -------
    tuple[float, float]
        Mean squared error and its standard error over the points.
    """
    if n_side < 1 or len(points) < 2:
        raise ValueError(
            f"n_side, points: {n_side} and {len(points)} found; allowed are counts from 1 and 2"
        )
    approximate = _at_centres if _order(cells) == 1 else _between_corners
    squares = np.concatenate(
        [
            (approximate(target, n_side, x=block) - target(block)) ** 2
            for block in np.split(points, range(_BLOCK, len(points), _BLOCK))
        ]
    )
    return float(squares.mean()), float(squares.std(ddof=1) / np.sqrt(len(squares)))


def _at_centres(target: CosineSum, n_side: int, *, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return target((np.floor(x * n_side) + 0.5) / n_side)


def _between_corners(
    target: CosineSum, n_side: int, *, x: NDArray[np.float64]
) -> NDArray[np.float64]:
    dim = x.shape[1]
    lower = np.floor(x * n_side)
    inside = x * n_side - lower
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    values = target((lower[:, None, :] + corners) / n_side)
    near = np.where(corners == 1.0, inside[:, None, :], 1.0 - inside[:, None, :])
    interpolated: NDArray[np.float64] = np.sum(values * np.prod(near, axis=2), axis=1)
    return interpolated


def _order(cells: Cells) -> int:
    if cells not in _ORDER:
        raise ValueError(f"cells: {cells!r} found; allowed are {list(get_args(Cells))}")
    return _ORDER[cells]


def _check_grid(target: CosineSum, n_side: int) -> None:
    highest = int(np.abs(target.frequencies).max())
    if n_side <= 2 * highest:
        raise ValueError(
            f"n_side: {n_side} found; allowed are integers above {2 * highest}, twice the largest "
            "frequency; take a finer grid"
        )
