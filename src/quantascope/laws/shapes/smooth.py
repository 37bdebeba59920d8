"""Smooth bends that are neither a break nor a step: powers of x, floors, wide logistics.

A curve of such a shape is ``c + A g(u; p, q)`` with u the log range as 0 to 1. A grid of (p, q)
makes regressors; Gauss-Newton steps from the grid's best member reach the shapes between.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, exprel

__all__ = ["Smooth", "lay_out_smooth", "refine_smooth"]

Floats = NDArray[np.float64]
_Parts = tuple[Floats, Floats, Floats]

_POWERS: Final = (-6.0, -4.0, -2.5, -1.5, -0.7, 0.0, 0.7, 1.5, 2.5, 4.0, 6.0)
"""Power of x times the log range; 0 is a line."""
_FLOORS: Final = (1.0, 3.0, 10.0, 30.0, 100.0)
"""First value of a power law over its floor."""
_DECAYS: Final = (1.0, 2.0, 3.0, 4.5, 7.0)
"""Its exponent times the log range of x."""
_MIDDLES: Final = tuple(np.linspace(0.1, 0.9, 9).tolist())
_WIDTHS: Final = (0.1, 0.125, 0.16, 0.2, 0.25)
"""Widths of logistics: eight tenths of the change take 0.44 of the log range and more."""
_STEPS: Final = 6
_DAMPING: Final = 1e-6
_SHORTER: Final = 0.25  # of a step that made the fit worse


def _power(theta: Floats, u: Floats) -> _Parts:
    """Give ``(e^(q u) - 1) / q``, a line at q = 0."""
    z = theta[:, 1:] * u
    near = np.abs(z) < 1e-3
    far = np.where(near, 1.0, z)
    rate = np.where(near, 1 / 2 + z / 3, (np.exp(far) * (far - 1) + 1) / far**2)
    return u * exprel(z), np.zeros_like(z), u**2 * rate


def _floor(theta: Floats, u: Floats) -> _Parts:
    z = theta[:, :1] - theta[:, 1:] * u
    rate = expit(z)
    return np.logaddexp(0.0, z), rate, -u * rate


def _logistic(theta: Floats, u: Floats) -> _Parts:
    z = (u - theta[:, :1]) / theta[:, 1:]
    g = expit(z)
    rate = g * (1 - g) / theta[:, 1:]
    return g, -rate, -rate * z


def _pairs(first: tuple[float, ...], second: tuple[float, ...]) -> Floats:
    return np.array([(p, q) for p in first for q in second])


_KINDS: Final[tuple[tuple[Callable[[Floats, Floats], _Parts], Floats], ...]] = (
    (_power, _pairs((0.0,), _POWERS)),
    (_floor, _pairs(tuple(np.log(_FLOORS).tolist()), _DECAYS)),
    (_logistic, _pairs(_MIDDLES, _WIDTHS)),
)
"""Shape with its two derivatives, and its grid; the grid's ends bound the refinement."""


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """The smooth family at given places."""

    unit: Floats
    """log x over its range, 0 to 1, axis ``point``."""
    grid: Floats
    """Regressors of mean 0 and norm 1, axes ``candidate point``."""
    kind: NDArray[np.int64]
    """Place of each candidate in the list of kinds."""
    theta: Floats
    """Its parameters, axes ``candidate parameter``."""


def lay_out_smooth(unit: Floats) -> Smooth:
    """Lay out the grid for points at `unit`."""
    grid = np.concatenate([shape(theta, unit)[0] for shape, theta in _KINDS])
    grid = grid - grid.mean(axis=1, keepdims=True)
    return Smooth(
        unit=unit,
        grid=grid / np.linalg.norm(grid, axis=1, keepdims=True),
        kind=np.repeat(np.arange(len(_KINDS)), [len(theta) for _, theta in _KINDS]),
        theta=np.concatenate([theta for _, theta in _KINDS]),
    )


def refine_smooth(smooth: Smooth, y: Floats, w: Floats, *, explained: Floats) -> Floats:
    """Explain more by the smooth family than its grid does, starting from each kind's best member.

    Parameters
    ----------
    smooth
        The family.
    y
        Curves, axes ``curve point``.
    w
        Weights, axes ``curve point`` or ``1 point``.
    explained
        Weighted squares that the grid explains, axes ``curve candidate``.

    Returns
    -------
    NDArray[np.float64]
        Least weighted sum of squares found, axis ``curve``.
    """
    root = np.broadcast_to(np.sqrt(w), y.shape)
    fits = [
        _descend(kind, smooth, y * root, root, explained=explained) for kind in range(len(_KINDS))
    ]
    return np.asarray(np.min(fits, axis=0))


def _descend(kind: int, smooth: Smooth, y: Floats, root: Floats, *, explained: Floats) -> Floats:
    shape, grid = _KINDS[kind]
    members = np.flatnonzero(smooth.kind == kind)
    theta = smooth.theta[members[explained[:, members].argmax(axis=1)]]
    least, most = grid.min(axis=0), grid.max(axis=0)
    step, rss = _gauss_newton(shape(theta, smooth.unit), y, root)
    length = np.ones((len(y), 1))
    for _ in range(_STEPS):
        tried = np.clip(theta + length * step, least, most)
        next_step, squares = _gauss_newton(shape(tried, smooth.unit), y, root)
        better = squares < rss
        rss = np.where(better, squares, rss)
        theta, step = (
            np.where(better[:, None], new, old) for new, old in ((tried, theta), (next_step, step))
        )
        length = np.where(better[:, None], 1.0, _SHORTER * length)
    return rss


def _gauss_newton(parts: _Parts, y: Floats, root: Floats) -> tuple[Floats, Floats]:
    """Give the step in both parameters, and the weighted squares at the present ones.

    `y` is weighted by `root` already. Constant and amplitude are projected out first: the step is
    that of variable projection in Kaufman's form (arXiv 2402.13865).
    """
    constant = root / np.sqrt(_dot(root, root))
    g, first, second = (_without(part * root, constant) for part in parts)
    g, size = _normed(g)
    residual = _without(y, constant)
    amplitude = _dot(residual, g) / size
    residual = _without(residual, g)
    columns, sizes = zip(
        *(_normed(amplitude * _without(part, g)) for part in (first, second)), strict=True
    )
    slopes = [_dot(column, residual) for column in columns]
    cosine, one = _dot(columns[0], columns[1]), 1 + _DAMPING
    both = one**2 - cosine**2
    step = [
        (one * slopes[0] - cosine * slopes[1]) / both / sizes[0],
        (one * slopes[1] - cosine * slopes[0]) / both / sizes[1],
    ]
    return np.concatenate(step, axis=1), _dot(residual, residual)[:, 0]


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", a, b)[:, None])


def _without(part: Floats, axis: Floats) -> Floats:
    """Project an axis of length 1 out."""
    return np.asarray(part - _dot(part, axis) * axis)


def _normed(part: Floats) -> tuple[Floats, Floats]:
    """Give directions of length 1 and the lengths, which count as at least tiny."""
    size = np.sqrt(np.maximum(_dot(part, part), np.finfo(np.float64).tiny))
    return part / size, size
