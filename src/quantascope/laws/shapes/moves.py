"""Rises and falls that noise does not explain, and the order in which they come.

For every window of neighbouring points the slope against log x is divided by its error. If the
true curve nowhere rises, no window's slope is positive in the mean, so the largest of all is at
most as large as on a flat curve: simulated flat curves bound the error for every monotone truth
(Duembgen and Spokoiny 2001, doi:10.1214/aos/996986504, without their penalty for scale). A curve
falls and then rises if a window that falls stands before one that rises.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Design",
    "Moves",
    "find_moves",
    "make_design",
    "noise_scale",
    "standardise",
    "turning_interval",
]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_KEPT: Final = 0.75
"""Share of the pseudo-residuals, smallest first, that measure the noise: a jump spoils two."""
_FLOOR: Final = 1e-9  # noise of a curve without noise, relative to its range


@dataclass(frozen=True, kw_only=True)
class Design:
    """Places of the points of curves, and what follows from them alone."""

    t: Floats
    """log x, ascending, axis ``point``."""
    windows: NDArray[np.int64]
    """First and last point of each window, shape ``(2, window)``."""
    contrasts: Floats
    """Slope weights of unit length, axes ``window point``."""


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Largest standardised moves of curves, each axis ``curve``."""

    rise: Singles
    fall: Singles
    fall_rise: Singles
    """Smaller of the two, for the best split into a fall and a later rise."""
    rise_fall: Singles
    fall_rise_fall: Singles
    rise_fall_rise: Singles


def make_design(t: Floats) -> Design:
    """Lay out windows and their slope weights for points at `t` (log x, ascending)."""
    first, last = np.triu_indices(len(t), k=1)
    place = np.arange(len(t))
    inside = (place >= first[:, None]) & (place <= last[:, None])
    count = inside.sum(axis=1, keepdims=True)
    weights = np.where(inside, t - (inside * t).sum(axis=1, keepdims=True) / count, 0.0)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return Design(t=t, windows=np.stack([first, last]), contrasts=weights)


def noise_scale(design: Design, y: Floats) -> Floats:
    """Measure the noise of curves from how far points lie off the line through their neighbours.

    The root mean square of the smaller three quarters of these pseudo-residuals (Gasser, Sroka
    and Jennen-Steinmetz 1986, doi:10.1093/biomet/73.3.625): low by a constant factor under
    Gaussian noise, which cancels against simulated curves measured alike.

    Returns
    -------
    NDArray[np.float64]
        Axis ``curve``.
    """
    t = design.t
    share = (t[2:] - t[1:-1]) / (t[2:] - t[:-2])
    off = share * y[:, :-2] + (1 - share) * y[:, 2:] - y[:, 1:-1]
    off /= np.sqrt(share**2 + (1 - share) ** 2 + 1)
    kept = max(2, int(np.ceil(_KEPT * off.shape[1])))
    smallest = np.partition(off**2, kept - 1, axis=1)[:, :kept]
    return np.asarray(np.maximum(np.sqrt(smallest.mean(axis=1)), _FLOOR * np.ptp(y, axis=1)))


def find_moves(design: Design, y: Floats, noise: Floats) -> Moves:
    """Find the largest moves and ordered sequences of moves.

    Parameters
    ----------
    design
        Of the points.
    y
        Curves, axes ``curve point``.
    noise
        Standard error of each point, axes ``curve point`` or ``curve 1``.

    Returns
    -------
    Moves
        In units of each window's error.
    """
    z = standardise(design, y, noise)
    rise, fall = _best_within(design, z), _best_within(design, -z)
    fall_first, rise_first = fall[:, 0, :], rise[:, 0, :]
    fall_rise, rise_fall = _then(fall_first, rise), _then(rise_first, fall)
    return Moves(
        rise=rise_first[:, -1],
        fall=fall_first[:, -1],
        fall_rise=fall_rise[:, -1],
        rise_fall=rise_fall[:, -1],
        fall_rise_fall=_then(fall_rise, fall)[:, -1],
        rise_fall_rise=_then(rise_fall, rise)[:, -1],
    )


def turning_interval(
    design: Design, y: Floats, noise: Floats, *, critical: float, rises_first: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bracket the turn between a significant move and the opposite one after it.

    A window that rises beyond doubt and a later one that falls beyond doubt hold a maximum
    between the start of the first and the end of the second; the shortest such pair is taken.

    Parameters
    ----------
    design, y, noise
        As `find_moves`.
    critical
        Standardised move that is beyond doubt; all windows hold at once.
    rises_first
        Whether the turn is a maximum, axis ``curve``.

    Returns
    -------
    first, last
        Points that bracket the turn, axis ``curve``; 0 and the last where no pair is found.
    """
    z = standardise(design, y, noise) * np.where(rises_first, 1, -1)[:, None]
    n_points = len(design.t)
    first, last = design.windows
    starts = np.full((len(y), n_points), -1)  # latest start of a first move that ends by point k
    ends = np.full((len(y), n_points), n_points)  # earliest end of a second one from k on
    for w, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        starts[:, b] = np.where(z[:, w] >= critical, np.maximum(starts[:, b], a), starts[:, b])
        ends[:, a] = np.where(z[:, w] <= -critical, np.minimum(ends[:, a], b), ends[:, a])
    starts = np.maximum.accumulate(starts, axis=1)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    t = np.concatenate([design.t, [np.inf]])
    length = np.where(starts >= 0, t[ends] - design.t[np.maximum(starts, 0)], np.inf)
    best = length.argmin(axis=1)
    rows = np.arange(len(y))
    found = np.isfinite(length[rows, best])
    return (
        np.where(found, starts[rows, best], 0),
        np.where(found, np.minimum(ends[rows, best], n_points - 1), n_points - 1),
    )


def standardise(design: Design, y: Floats, noise: Floats) -> Floats:
    """Give the slope over each window in units of its error, axes ``curve window``.

    Arguments as `find_moves`.
    """
    moves = y @ design.contrasts.T
    error = noise if noise.shape[1] == 1 else np.sqrt(noise**2 @ (design.contrasts**2).T)
    return np.asarray(np.divide(moves, error, out=np.zeros_like(moves), where=error > 0))


def _best_within(design: Design, z: Floats) -> Singles:
    """Give the largest z of windows inside [j, k], axes ``curve j k``; -inf where there is none."""
    n_points = len(design.t)
    table = np.full((len(z), n_points, n_points), -np.inf, dtype=np.float32)
    table[:, design.windows[0], design.windows[1]] = z
    np.maximum.accumulate(table, axis=2, out=table)
    flipped = table[:, ::-1, :]
    np.maximum.accumulate(flipped, axis=1, out=flipped)
    return table


def _then(before: Singles, after: Singles) -> Singles:
    """Give ``max_j min(before[j], after[j, k])`` by k: one move, then another after it."""
    return np.asarray(np.minimum(before[:, :, None], after).max(axis=1))
