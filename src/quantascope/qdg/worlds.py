"""Planted worlds: power-law groups of points on the sphere, whose true slope is known.

Sizes of groups enter, unit vectors with their groups leave. Each point is the sum of a part that
all share, a part that its group shares, and a part of its own, all Gaussian; so the mean cosine
within a group and between groups is chosen, and the dimension says how much it scatters.

References
----------
Michaud et al. 2023, arXiv 2303.13506, figures A10 and A11: ``n_i = floor(A / i^s)`` points around
``m_i ~ N(0, I_d)``, each ``N(m_i, sigma^2 I_d)``.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import bisect

from quantascope.core.rng import stream

__all__ = ["World", "draw_sizes", "floor_sizes", "planted_world", "sizes_of", "within_of_noise"]

Sizes = NDArray[np.int64]

_MOST_GROUPS: Final = 1e8
"""More do not fit into memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Points whose groups are known."""

    vectors: NDArray[np.float32]
    """Unit vectors, axes ``(pred, dim)``."""
    labels: NDArray[np.int64]
    """Planted group of each, 0 the first of the sizes, axis ``pred``."""


def floor_sizes(slope: float, *, scale: float, n_groups: int = 0) -> Sizes:
    """Give the paper's group sizes, ``n_i = floor(A / i^s)``.

    Parameters
    ----------
    slope
        Exponent s of size against rank, > 0.
    scale
        A, the size of the first group [pred], at least 1.
    n_groups
        Number of groups; 0 for all that have a point.

    Returns
    -------
    NDArray[np.int64]
        Sizes [pred], falling, none of them 0, axis ``rank``.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    arXiv:2303.13506, figure A10.

    Examples
    --------
    >>> int(floor_sizes(0.8, scale=1000, n_groups=1000).sum())
    14989
    """
    if not (slope > 0 and np.isfinite(slope)):
        raise ValueError(f"slope: {slope}; allowed are finite numbers above 0")
    if not 1 <= scale < np.inf or n_groups < 0:
        raise ValueError(f"scale, n_groups: {scale}, {n_groups}; allowed: from 1, and from 0")
    last = n_groups or scale ** (1 / slope) + 1
    if last > _MOST_GROUPS:
        raise ValueError(
            f"n_groups: {last:.3g} groups have a point; give fewer, or a smaller scale"
        )
    sizes: Sizes = np.floor(scale / np.arange(1, int(last) + 1) ** slope).astype(np.int64)
    return sizes[sizes > 0]


def sizes_of(n_points: int, *, slope: float) -> Sizes:
    """Give the paper's group sizes for a number of points: A is the largest that needs no more.

    Parameters
    ----------
    n_points
        Points in all, at least 2.
    slope
        Exponent s of size against rank, from 0.2 to 5.

    Returns
    -------
    NDArray[np.int64]
        Sizes [pred], falling; they add up to `n_points` or a little less.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    if n_points < 2 or not 0.2 <= slope <= 5:
        raise ValueError(f"n_points, slope: {n_points}, {slope}; allowed: from 2, and 0.2 to 5")

    def excess(scale: float) -> float:
        return floor_sizes(slope, scale=scale).sum() - n_points - 0.5

    above = min(n_points + 1.0, (n_points + 2.0) ** slope)  # one group, or as many as points
    low = bisect(excess, 1.0, above, xtol=1e-9, rtol=1e-12)
    return floor_sizes(slope, scale=low * (1 - 1e-8))  # below the step, of either side of it


def draw_sizes(expected: Sizes, *, n_points: int, rng: np.random.Generator) -> Sizes:
    """Draw points into groups at random, as predictions are drawn from a text.

    Parameters
    ----------
    expected
        Sizes that give the frequencies of the groups, axis ``rank``.
    n_points
        Points to draw.
    rng
        Source of randomness.

    Returns
    -------
    NDArray[np.int64]
        Sizes [pred] in the order of `expected`, some of them 0.
    """
    drawn: Sizes = rng.multinomial(n_points, expected / expected.sum())
    return drawn


def planted_world(
    sizes: Sizes, *, dim: int, within: float, between: float = 0.0, seed: int = 0
) -> World:
    """Place groups of points on the sphere.

    ``x = sqrt(b) c + sqrt(w - b) m_i + sqrt(1 - w) e``, divided by its length, with c, m_i and e
    from N(0, I_d); two points have a mean cosine of about w in one group and b in two.

    Parameters
    ----------
    sizes
        Points of each group.
    dim
        Dimension d, at least 2. Cosines of unrelated points scatter by ``1/sqrt(d)``.
    within
        Mean cosine w within a group, in [0, 1].
    between
        Mean cosine b between groups, in [0, w].
    seed
        Seed of all three parts.

    Returns
    -------
    World
        Points in the order of the groups.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    arXiv:2303.13506, figure A10, which is ``b = 0`` and `within_of_noise`.
    """
    if dim < 2:
        raise ValueError(f"dim: {dim}; at least 2 is needed")
    if not 0 <= between <= within <= 1:
        raise ValueError(
            f"between, within: {between}, {within}; allowed are 0 <= between <= within <= 1"
        )
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shared, mean, own = (stream(seed, "world", part) for part in ("shared", "mean", "own"))
    points = np.sqrt(1 - within) * own.standard_normal((len(labels), dim), dtype=np.float32)
    means = mean.standard_normal((len(sizes), dim), dtype=np.float32)
    points += np.sqrt(within - between) * means[labels]
    points += np.sqrt(between) * shared.standard_normal(dim, dtype=np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return World(vectors=points.astype(np.float32), labels=labels)


def within_of_noise(sigma: float) -> float:
    """Give the mean cosine within a group of the paper's worlds, ``1 / (1 + sigma^2)``."""
    return 1.0 / (1.0 + sigma**2)
