"""The multilinear model of skills, trained by stochastic gradient descent on drawn samples.

``f = sum_k a_k b_k g_k`` with skill functions g_k that are +1 or -1 on the samples of skill k and 0
elsewhere; the target is ``S sum_k g_k``. A sample of skill k changes a_k and b_k alone, so a batch
enters through its counts.

References
----------
Nam et al. 2024, arXiv 2404.17563, equation 6 (model) and section 3 (dynamics).
"""

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream

__all__ = ["train_multilinear"]


def train_multilinear(
    frequencies: NDArray[np.float64],
    *,
    n_steps: int,
    every: int,
    batch_size: int,
    learning_rate: float,
    initial: float = 0.01,
    target: float = 1.0,
    seed: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Train with batches of fresh samples.

    Parameters
    ----------
    frequencies
        Probability of each skill, axis ``task``; they sum to 1.
    n_steps, every
        Steps, and how many lie between two records.
    batch_size
        Samples of a step.
    learning_rate
        eta of the squared loss ``(S g - f)^2 / 2``.
    initial
        Strength a_k b_k at the start, with a_k = b_k, in (0, target).
    target
        S.
    seed
        Seed of the samples.

    Returns
    -------
    steps : NDArray[np.int64]
        Recorded steps, from 0, axis ``step``.
    strengths : NDArray[np.float64]
        a_k b_k, axes ``(step, task)``.

    Raises
    ------
    ValueError
        If a count is below 1, or the start is not between 0 and the target.
    """
    if min(n_steps, every, batch_size) < 1:
        raise ValueError(
            f"n_steps, every, batch_size: {n_steps}, {every}, {batch_size}; each at least 1"
        )
    if not 0 < initial < target:
        raise ValueError(f"initial: {initial} found; allowed are numbers between 0 and {target}")
    rng = stream(seed, "multilinear")
    a = np.full(len(frequencies), np.sqrt(initial))
    b = a.copy()
    steps, strengths = [0], [a * b]
    for step in range(1, n_steps + 1):
        share = rng.multinomial(batch_size, frequencies) / batch_size
        pull = learning_rate * share * (target - a * b)
        a, b = a + pull * b, b + pull * a
        if step % every == 0:
            steps.append(step)
            strengths.append(a * b)
    return np.array(steps, dtype=np.int64), np.array(strengths)
