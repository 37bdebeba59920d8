"""Volume against side of a d-cube: the calibration case whose exponent is known exactly.

A side enters, a volume leaves: exact, or estimated by counting lattice points, with the error of
the count in closed form. An estimator of exponents that does not return d here is wrong.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["cube_volume", "lattice_volume", "lattice_volume_stderr"]


def cube_volume(side: ArrayLike, *, dim: int) -> NDArray[np.float64]:
    """Give the volume of a d-cube, ``V = side ** dim``.

    Parameters
    ----------
    side
        Length of an edge [length], positive, any shape.
    dim
        Dimension d, at least 1.

    Returns
    -------
    NDArray[np.float64]
        Volume [length ** dim], shape of `side`; log V against log side has slope exactly `dim`.

    Examples
    --------
    >>> cube_volume([1.0, 2.0], dim=3).tolist()
    [1.0, 8.0]
    """
    sides = _checked(side, dim)
    volume: NDArray[np.float64] = sides**dim
    return volume


def lattice_volume(
    side: ArrayLike, *, dim: int, spacing: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Estimate the volume by counting points of a lattice laid at a random offset.

    ``V = spacing ** d * prod_i count_i``, where ``count_i`` is the number of lattice planes that
    cut axis i. Each count is floor(side / spacing) or one more, right on average.

    Parameters
    ----------
    side
        Length of an edge [length], positive, any shape.
    dim
        Dimension d, at least 1.
    spacing
        Lattice constant [length], positive.
    rng
        Draws the offset of each axis, uniform over one lattice constant.

    Returns
    -------
    NDArray[np.float64]
        Unbiased estimates, shape of `side`.
    """
    ratio = _checked(side, dim) / _positive("spacing", spacing)
    offsets = rng.random((dim, *ratio.shape))
    counts = np.floor(ratio - offsets) + 1.0  # planes at offset, offset + 1, ... below the ratio
    volume: NDArray[np.float64] = spacing**dim * np.prod(counts, axis=0)
    return volume


def lattice_volume_stderr(side: ArrayLike, *, dim: int, spacing: float) -> NDArray[np.float64]:
    """Give the standard error of `lattice_volume`.

    With ``r = side / spacing`` and ``f`` its fractional part, each count has mean r and variance
    ``f (1 - f)``; axes are independent, so ``Var V = spacing**2d ((r**2 + f(1-f))**d - r**2d)``.

    Parameters
    ----------
    side, dim, spacing
        As in `lattice_volume`.

    Returns
    -------
    NDArray[np.float64]
        Standard error [length ** dim], shape of `side`; zero where the spacing divides the side.

    Examples
    --------
    >>> lattice_volume_stderr([2.0, 2.5], dim=1, spacing=1.0).tolist()
    [0.0, 0.5]
    """
    ratio = _checked(side, dim) / _positive("spacing", spacing)
    fraction = ratio - np.floor(ratio)
    relative = np.expm1(dim * np.log1p(fraction * (1.0 - fraction) / ratio**2))
    error: NDArray[np.float64] = (spacing * ratio) ** dim * np.sqrt(relative)
    return error


def _checked(side: ArrayLike, dim: int) -> NDArray[np.float64]:
    if dim < 1:
        raise ValueError(f"dim: {dim} found; allowed are integers from 1")
    sides = np.asarray(side, dtype=np.float64)
    if not (np.isfinite(sides) & (sides > 0)).all():
        raise ValueError("side: a value that is not finite and positive; give positive lengths")
    return sides


def _positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: {value} found; allowed are finite numbers above 0")
    return value
