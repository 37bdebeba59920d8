"""Planted worlds whose signs mean nothing: groups are subspaces, like whitened gradients of skills.

Sizes of groups enter, unit vectors with their groups leave. Every point lies in the subspace of its
group with a sign of its own; points come in patterns that are more alike than the group.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.core.rng import stream
from quantascope.qdg.worlds import Sizes, World

__all__ = ["Subspaces", "subspace_world"]

_MOST_AXES: Final = 8
_FAMILY: Final = 4
"""Groups of one family, which have a part of their axes in common."""
_SHARED_AXES: Final = 16
_SPREAD: Final = 0.3
"""Scatter of the log overlap from group to group."""
_LARGEST_SHARE: Final = 0.95
"""Of a point's squared length, what is not noise."""


@dataclass(frozen=True, kw_only=True)
class Subspaces:
    """What groups look like in a sign-free world."""

    overlap: float
    """Mean squared cosine of two patterns of the largest group, between 0 and 1."""
    flattening: float
    """Exponent with which that of a group falls with its size, as whitening makes it; from 0."""
    pattern: float
    """Points that share a pattern, on average; from 1."""
    own: float
    """Share of the squared length along the pattern's own direction."""
    peaked: float = 1.0
    """Power of the pattern's coefficients on the axes; above 1 a group falls into parts; from 1."""
    kin: float = 0.0
    """Share of their axes that the four groups of a family have in common."""
    shared: float = 0.0
    """Share of the squared length in a subspace of 16 axes that all points are in."""


def subspace_world(sizes: Sizes, kind: Subspaces, *, dim: int, seed: int = 0) -> World:
    """Place groups of points in subspaces, each met with either sign and in many patterns.

    ``x = +-(sqrt(g_i) U_i z_p + sqrt(o) q_p + sqrt(s) B y + sqrt(1 - g_i - o - s) e)``, divided by
    its length. The axes of the group U_i (1 to 8, drawn), the direction q_p of the pattern, the
    axes B of all and the noise e are from N(0, I_d), y is from the sphere, and so is ``z_p`` but
    for a power of its coefficients. Two patterns of one group have a mean squared cosine of
    ``g_i^2 / r_i``; it is ``overlap (n_i / n_1)^-flattening`` but for a factor
    ``exp(.3 N(0, 1))``.

    Parameters
    ----------
    sizes
        Points of each group; those of 0 are left out.
    kind
        Overlap, patterns, families, background.
    dim
        Dimension d, at least 2. Squared cosines of unrelated points are 1/d on average.
    seed
        Seed of all parts.

    Returns
    -------
    World
        Points in the order of the groups.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Made to look like whitened gradients of parity networks and of small language models: about ten
    samples share a pattern whatever the size of the subtask, and the overlap of two patterns falls
    with the size, because whitening shrinks what is frequent (docs/calibration.md).
    """
    shares = (kind.own, kind.kin, kind.shared)
    if dim < 2 or not 0 < kind.overlap < 1 or kind.flattening < 0:
        raise ValueError(
            f"dim, overlap, flattening: {dim}, {kind.overlap}, {kind.flattening}; allowed: from 2, "
            "between 0 and 1, from 0"
        )
    if not min(kind.pattern, kind.peaked) >= 1:
        raise ValueError(f"pattern, peaked: {kind.pattern}, {kind.peaked}; allowed: from 1")
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"own, kin, shared: {shares}; allowed are shares from 0 to 1")
    sizes = np.asarray(sizes)[np.asarray(sizes) > 0]
    if not len(sizes):
        raise ValueError("sizes: no group has a point; at least one is needed")
    labels = np.repeat(np.arange(len(sizes)), sizes)
    draw, axes, noise = (stream(seed, "subspaces", part) for part in ("draw", "axes", "noise"))
    n_patterns = np.maximum(1, np.round(sizes / kind.pattern)).astype(np.int64)
    group = np.repeat(np.arange(len(sizes)), n_patterns)
    first = np.cumsum(n_patterns) - n_patterns
    pattern = first[labels] + draw.integers(0, n_patterns[labels])
    mixing, common = _mixing(sizes, group, kind, rng=draw)
    own = np.minimum(kind.own, np.maximum(_LARGEST_SHARE - kind.shared - common, 0))
    rest = np.maximum(1 - _LARGEST_SHARE, 1 - kind.shared - common - own)
    centers = mixing @ axes.standard_normal((mixing.shape[1], dim), dtype=np.float32)
    centers += _root(own) * noise.standard_normal(centers.shape, dtype=np.float32)
    points = centers[pattern]
    points += _root(rest)[pattern] * noise.standard_normal(points.shape, dtype=np.float32)
    if kind.shared:
        place = _on_sphere(noise.standard_normal((len(points), _SHARED_AXES), dtype=np.float32))
        every = axes.standard_normal((_SHARED_AXES, dim), dtype=np.float32)
        points += np.float32(np.sqrt(kind.shared)) * (place @ every)
    points *= draw.choice(np.array([-1, 1], dtype=np.float32), (len(points), 1))
    return World(vectors=_on_sphere(points), labels=labels)


def _mixing(
    sizes: Sizes, group: NDArray[np.int64], kind: Subspaces, *, rng: np.random.Generator
) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Coefficients of patterns on the axes of groups and families, and their squared lengths."""
    n_groups, n_patterns = len(sizes), len(group)
    rank = rng.integers(1, _MOST_AXES + 1, n_groups)
    overlap = kind.overlap * (sizes / sizes.max()) ** -kind.flattening
    overlap = overlap * np.exp(_SPREAD * rng.standard_normal(n_groups))
    common = np.minimum(np.sqrt(overlap * rank), _LARGEST_SHARE - kind.shared).clip(min=0)[group]
    along = rng.standard_normal((n_patterns, _MOST_AXES))
    along = np.sign(along) * np.abs(along) ** kind.peaked
    along[np.arange(_MOST_AXES) >= rank[group][:, None]] = 0
    along *= np.sqrt(common)[:, None] / np.linalg.norm(along, axis=1, keepdims=True)
    family = n_groups + rng.permutation(n_groups)[group] // _FAMILY
    parts = np.sqrt([1 - kind.kin, kind.kin])[None, :, None] * along[:, None, :]
    columns = _MOST_AXES * np.stack([group, family], axis=1)[:, :, None] + np.arange(_MOST_AXES)
    mixing = sparse.csr_array(
        (
            parts.astype(np.float32).ravel(),
            columns.ravel(),
            np.arange(0, parts.size + 1, 2 * _MOST_AXES),
        ),
        shape=(n_patterns, _MOST_AXES * (n_groups + n_groups // _FAMILY + 1)),
    )
    return mixing, common


def _root(share: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.sqrt(share, dtype=np.float64).astype(np.float32)[:, None]


def _on_sphere(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
