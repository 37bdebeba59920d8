"""Skills that need others: a simulator, and what order and overlap say about one's curves.

Frequencies and a graph of prerequisites enter, strengths over time leave; measured curves can be
held against them: is the order that of use, is a prerequisite ever learned after what needs it, and
does one skill start when another is done, as dominoes fall?

References
----------
Liu et al. 2025, arXiv 2501.12391 (domino effect; skills that share a network's attention);
Michaud et al. 2025, arXiv 2505.15811 (compositional parity).
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = [
    "domino_overlap",
    "half_times",
    "order_violations",
    "prerequisites_of",
    "rank_agreement",
    "simulate_skills",
]

Floats = NDArray[np.floating]

_HALF: Final = 0.5
_DONE: Final = 0.9
_NOTHING: Final = 1e-300  # what is left when all is learned


def simulate_skills(
    frequencies: Floats,
    prerequisites: NDArray[np.bool_],
    *,
    n_steps: int,
    rate: float = 0.1,
    initial: float = 0.01,
    sharing: Literal["none", "all"] = "none",
) -> NDArray[np.float64]:
    """Integrate logistic growth of skills that wait for their prerequisites.

    ``dR_k/dt = rate s_k G_k R_k (1 - R_k)`` with G_k the product of the strengths of k's
    prerequisites. Without sharing s_k = p_k: skills do not see each other. With sharing s_k is
    k's part of all that is still to be learned, ``p_k (1 - R_k) / sum_j p_j (1 - R_j)``: under an
    optimiser that scales its step by the whole gradient, rare skills speed up when others are done.

    Parameters
    ----------
    frequencies
        Use frequencies, axis ``task``.
    prerequisites
        Whether the first needs the second, axes ``(task, task)``, without cycles.
    n_steps
        Unit steps of Euler's method, at least 1.
    rate
        Growth rate, above 0, at most 1.
    initial
        Strength at the start, in (0, 1).
    sharing
        ``none`` or ``all``.

    Returns
    -------
    NDArray[np.float64]
        Strengths, axes ``(step, task)``, the start first.

    Raises
    ------
    ValueError
        If the graph has a cycle, or a number is out of its range.
    """
    if sharing not in ("none", "all"):
        raise ValueError(f"sharing: {sharing!r} unknown; allowed are 'none' and 'all'")
    if not (n_steps >= 1 and 0 < rate <= 1 and 0 < initial < 1):
        raise ValueError(
            f"n_steps, rate, initial: {n_steps}, {rate}, {initial} found; allowed are at least 1, "
            "(0, 1] and (0, 1)"
        )
    _check_graph(prerequisites)
    strength = np.full(len(frequencies), initial)
    rows = [strength]
    for _ in range(n_steps):
        gate = np.where(prerequisites, strength[None, :], 1.0).prod(axis=1)
        left = frequencies * (1 - strength)
        share = left / max(left.sum(), _NOTHING) if sharing == "all" else frequencies
        strength = np.minimum(strength + rate * share * gate * strength * (1 - strength), 1.0)
        rows.append(strength)
    return np.array(rows)


def prerequisites_of(counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which subtasks of a parity world contain which others.

    Parameters
    ----------
    counted
        Task bits that count, axes ``(task, n)``.

    Returns
    -------
    NDArray[np.bool_]
        True where the bits of the second are a proper part of those of the first.
    """
    inside = (~counted[None, :, :] | counted[:, None, :]).all(axis=2)
    proper = counted.sum(axis=1)[None, :] < counted.sum(axis=1)[:, None]
    return np.asarray(inside & proper)


def half_times(steps: Floats, strengths: Floats, *, level: float = _HALF) -> NDArray[np.float64]:
    """Interpolate when each strength first reaches a level.

    Parameters
    ----------
    steps
        Rising, axis ``step``.
    strengths
        Axes ``(step, task)``.
    level
        The level.

    Returns
    -------
    NDArray[np.float64]
        Axis ``task``; the first step where it starts above, infinite where it is never reached.
    """
    above = strengths >= level
    first = above.argmax(axis=0)
    column = np.arange(strengths.shape[1])
    before = np.maximum(first - 1, 0)
    rise = strengths[first, column] - strengths[before, column]
    share = np.where(rise > 0, (level - strengths[before, column]) / np.where(rise > 0, rise, 1), 0)
    times = steps[before] + share * (steps[first] - steps[before])
    return np.where(above.any(axis=0), times, np.inf)


def rank_agreement(times: Floats, frequencies: Floats) -> float:
    """Rank correlation of earliness and frequency over learned skills: 1 if order is that of use.

    NaN where fewer than three were learned.
    """
    seen = np.isfinite(times)
    if seen.sum() < 3:
        return float("nan")
    return float(stats.spearmanr(-times[seen], frequencies[seen]).statistic)


def order_violations(times: Floats, prerequisites: NDArray[np.bool_]) -> float:
    """Share of dependencies in which the skill was learned before what it needs.

    Dependencies of skills that were not learned are not counted; NaN where none is left.
    """
    needs, needed = np.nonzero(prerequisites)
    learned = np.isfinite(times[needs])
    if not learned.any():
        return float("nan")
    return float((times[needs] < times[needed])[learned].mean())


def domino_overlap(steps: Floats, strengths: Floats) -> float:
    """Mean strength of the next skill when one is done: 0 where skills fall like dominoes.

    Skills are taken in the order of half strength; done means nine tenths. For skills that grow
    independently at frequencies with a ratio near 1 it is near .9.
    """
    times, done = half_times(steps, strengths), half_times(steps, strengths, level=_DONE)
    order = [k for k in np.argsort(times, kind="stable") if np.isfinite(done[k])]
    pairs = list(zip(order[:-1], order[1:], strict=True))
    if not pairs:
        return float("nan")
    at = [float(np.interp(done[now], steps, strengths[:, later])) for now, later in pairs]
    return float(np.mean(at))


def _check_graph(prerequisites: NDArray[np.bool_]) -> None:
    reached = prerequisites.astype(np.int64)
    for _ in range(len(prerequisites)):
        if not reached.any():
            return
        reached = (reached @ prerequisites.astype(np.int64) > 0).astype(np.int64)
    raise ValueError("prerequisites: a cycle found; allowed are graphs without one")
