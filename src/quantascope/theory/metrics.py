"""Emergence as an artefact of the metric: one smooth loss, seen through metrics that are not.

Per-token cross-entropies enter, what a benchmark would print leaves. A model whose cross-entropy
is a power law of its size is right on L tokens in a row with probability p**L: smooth, but so
steep that a test set of n items shows exact zeros and then a sudden rise. A linear metric of the
same outputs shows no jump.

References
----------
Schaeffer, Miranda and Koyejo, arXiv:2304.15004, section 2.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "brier_score",
    "exact_match",
    "never_seen",
    "onset_cross_entropy",
    "power_law_cross_entropy",
    "token_accuracy",
    "token_edits",
]


def power_law_cross_entropy(
    n_params: ArrayLike, *, scale: float, exponent: float
) -> NDArray[np.float64]:
    """Give the per-token cross-entropy ``(N / scale) ** -exponent`` [nat].

    Parameters
    ----------
    n_params
        Size N [parameter], positive, any shape.
    scale
        Size [parameter] at which the cross-entropy is 1 nat.
    exponent
        Positive exponent.
    """
    N = np.asarray(n_params, dtype=np.float64)
    if not ((N > 0).all() and scale > 0 and exponent > 0):
        raise ValueError(
            "n_params, scale, exponent: a value that is not above 0; allowed are positive numbers"
        )
    loss: NDArray[np.float64] = (N / scale) ** -exponent
    return loss


def token_accuracy(cross_entropy: ArrayLike) -> NDArray[np.float64]:
    """Give the probability ``p = exp(-CE)`` of the right token.

    Parameters
    ----------
    cross_entropy
        Per-token cross-entropy [nat], not negative, any shape.

    Notes
    -----
    The geometric mean of the right token's probability; the share of right tokens where all
    tokens are equally hard and outputs are sampled.
    """
    probability: NDArray[np.float64] = np.exp(-_checked(cross_entropy))
    return probability


def exact_match(cross_entropy: ArrayLike, *, n_tokens: int) -> NDArray[np.float64]:
    """Give the probability ``p ** L`` that all L tokens are right.

    Parameters
    ----------
    cross_entropy
        Per-token cross-entropy [nat].
    n_tokens
        Length L of the answer [token], at least 1.

    References
    ----------
    arXiv:2304.15004, section 2.

    Examples
    --------
    >>> exact_match([0.0, 1.0], n_tokens=5).round(4).tolist()
    [1.0, 0.0067]
    """
    probability: NDArray[np.float64] = token_accuracy(cross_entropy) ** _count("n_tokens", n_tokens)
    return probability


def token_edits(cross_entropy: ArrayLike, *, n_tokens: int) -> NDArray[np.float64]:
    """Give the expected number ``L (1 - p)`` of wrong tokens: linear in p, hence smooth.

    References
    ----------
    arXiv:2304.15004, section 2 (token edit distance, approximately).
    """
    edits: NDArray[np.float64] = _count("n_tokens", n_tokens) * _wrong(cross_entropy)
    return edits


def brier_score(cross_entropy: ArrayLike, *, n_choices: int) -> NDArray[np.float64]:
    """Give the Brier score of a choice whose wrong answers share what is left evenly.

    ``(1 - p)**2 + (1 - p)**2 / (V - 1)`` for V choices: 0 is perfect, 1 - 1/V is even odds.

    Parameters
    ----------
    cross_entropy
        Cross-entropy of the right choice [nat].
    n_choices
        Number V of choices, at least 2.

    References
    ----------
    arXiv:2304.15004, section 4 (Brier score in place of multiple choice grade).
    """
    if n_choices < 2:
        raise ValueError(f"n_choices: {n_choices} found; allowed are integers from 2")
    score: NDArray[np.float64] = _wrong(cross_entropy) ** 2 * (1.0 + 1.0 / (n_choices - 1))
    return score


def never_seen(probability: ArrayLike, *, n_items: int) -> NDArray[np.float64]:
    """Give the probability ``(1 - p) ** n`` that a test of n items shows exactly zero.

    Parameters
    ----------
    probability
        Success probability of one item, 0 to 1, any shape.
    n_items
        Items n of the test; its scores are multiples of 1/n.

    Examples
    --------
    >>> float(never_seen(0.01, n_items=100).round(3))
    0.366
    """
    p = np.asarray(probability, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probability: a value outside 0 to 1; allowed are probabilities")
    with np.errstate(divide="ignore"):
        unseen: NDArray[np.float64] = np.exp(_count("n_items", n_items) * np.log1p(-p))
    return unseen


def onset_cross_entropy(*, n_tokens: int, n_items: int) -> float:
    """Give the cross-entropy at which a test of n items is as likely as not to show a success.

    ``CE = -ln(1 - 2**(-1/n)) / L``, near ``ln(1.44 n) / L``: the "emergence" depends on the length
    of the answer and on the size of the test alone, not on the model.

    Parameters
    ----------
    n_tokens
        Length L of the answer [token].
    n_items
        Items n of the test.

    Examples
    --------
    >>> round(onset_cross_entropy(n_tokens=5, n_items=100), 3)
    0.995
    """
    rare = -np.expm1(-np.log(2.0) / _count("n_items", n_items))
    return float(-np.log(rare) / _count("n_tokens", n_tokens))


def _wrong(cross_entropy: ArrayLike) -> NDArray[np.float64]:
    """Give ``1 - exp(-CE)``, exact where next to nothing is wrong."""
    wrong: NDArray[np.float64] = -np.expm1(-_checked(cross_entropy))
    return wrong


def _checked(cross_entropy: ArrayLike) -> NDArray[np.float64]:
    loss = np.asarray(cross_entropy, dtype=np.float64)
    if not (loss >= 0).all():
        raise ValueError("cross_entropy: a value below 0 or NaN; allowed are nats from 0")
    return loss


def _count(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name}: {value} found; allowed are integers from 1")
    return value
