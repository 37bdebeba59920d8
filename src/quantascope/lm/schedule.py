"""When the learning rate is how large, and which steps are kept."""

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream

__all__ = ["learning_rate_factor", "log_spaced_steps", "row_order"]


def learning_rate_factor(step: int, *, n_steps: int, warmup_share: float) -> float:
    """Give the learning rate of a step as a share of the peak.

    Linear rise from 0 over the first ``warmup_share * n_steps`` steps (at least one), then
    linear fall to 0 one step after the last.

    Parameters
    ----------
    step
        Step about to be taken, 1 to `n_steps`.
    n_steps
        Steps in all.
    warmup_share
        Share of the steps that rise, 0 to 1.

    Returns
    -------
    float
        Factor above 0, at most 1.

    References
    ----------
    Linear decay to zero beats cosine to 10 % at tuned rates: Bergsma et al., arXiv 2502.15938.
    """
    warmup = max(1, round(warmup_share * n_steps))
    rise = step / warmup
    fall = (n_steps + 1 - step) / (n_steps + 1 - warmup)
    return min(rise, fall, 1.0)


def log_spaced_steps(n_steps: int) -> tuple[int, ...]:
    """List powers of two from 1 below `n_steps`, then `n_steps` itself.

    Examples
    --------
    >>> log_spaced_steps(100)
    (1, 2, 4, 8, 16, 32, 64, 100)
    """
    powers = (2**k for k in range(n_steps.bit_length()))
    return (*(step for step in powers if step < n_steps), n_steps)


def row_order(n_rows: int, *, n_wanted: int, seed: int) -> NDArray[np.int64]:
    """Order the rows of training: a fresh permutation for each epoch, cut at `n_wanted`.

    Parameters
    ----------
    n_rows
        Rows of text at hand, at least 1.
    n_wanted
        Rows that training will read; more than `n_rows` repeats the text.
    seed
        Seed of the permutations.

    Returns
    -------
    NDArray[np.int64]
        Row numbers in the order of training.
    """
    n_epochs = -(-n_wanted // n_rows)
    epochs = [stream(seed, "rows", epoch).permutation(n_rows) for epoch in range(n_epochs)]
    return np.concatenate(epochs)[:n_wanted]
