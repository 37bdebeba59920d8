"""Where a law of N and D is lowest on the line ``N D = product``, and what it costs there.

In closed form for Chinchilla's law (Hoffmann et al. 2022, arXiv:2203.15556, eq. 4), on a fine grid
with a parabola through its lowest points for any other.
"""

from typing import Final

import numpy as np

from quantascope.laws.fitting.result import LawFit
from quantascope.laws.forms.law import Bools, Floats, Law

__all__ = ["describe", "end_of_line", "law_of_size_and_data", "loss_at", "optimum"]

_N_GRID: Final = 2049
_BLOCK: Final = 250
_MOST_LOG: Final = 700.0
"""Beyond, the optimum is not a number that anything can be computed from."""


def law_of_size_and_data(fit: LawFit) -> Law:
    """Give the law of a fit, if it is one of N and D.

    Raises
    ------
    ValueError
        If this is no fit, or its law has other inputs.
    """
    if not isinstance(fit, LawFit):
        raise ValueError(
            f"fit: {type(fit).__name__} found; allowed is what quantascope.laws.fit gives"
        )
    law = fit.row
    if law.inputs != ("N", "D"):
        raise ValueError(
            f"fit: law {fit.law} has the inputs {', '.join(law.inputs)}; an allocation needs a law "
            "of N and D (chinchilla, chinchilla-tied, kaplan-ND, quanta-max, quanta-smooth)"
        )
    return law


def optimum(law: Law, theta: Floats, *, product: float) -> tuple[Floats, Bools]:
    """Parameters [boot] at which a law of N and D is lowest with ``N D = product``.

    Returns
    -------
    tuple[Floats, NDArray[np.bool_]]
        Number of parameters, NaN where the law has no lowest point at all; and whether the lowest
        point lies between one parameter and one token.
    """
    if law.name == "chinchilla":
        best = _closed_form(theta, product)
        return best, (best >= 1) & (best <= product)
    # from one parameter to one token: a real optimum lies far within
    log_N = np.linspace(0.0, np.log(product), _N_GRID)
    x = np.stack([log_N, np.log(product) - log_N])
    blocks = [theta[i : i + _BLOCK] for i in range(0, len(theta), _BLOCK)]
    lowest = [_lowest(law.form(block, x)[0], log_N) for block in blocks]
    best, inside = (np.concatenate(parts) for parts in zip(*lowest, strict=True))
    return np.exp(best), inside


def end_of_line(n_params: float, n_tokens: float) -> str:
    """Name the end of a budget's line at which an optimum lies that is not between."""
    return "one parameter" if n_params < n_tokens else "one token"


def _closed_form(theta: Floats, product: float) -> Floats:
    """``N = G (C/6)^(beta/(alpha+beta))``, ``G = (alpha A/(beta B))^(1/(alpha+beta))``."""
    _, A, B, alpha, beta = theta.T
    with np.errstate(all="ignore"):  # terms or exponents of 0, or below: there is no optimum
        log_G = (np.log(alpha) + A - np.log(beta) - B) / (alpha + beta)
        log_N = log_G + beta / (alpha + beta) * np.log(product)
        return np.asarray(np.exp(np.where(np.abs(log_N) <= _MOST_LOG, log_N, np.nan)))


def _lowest(log_loss: Floats, at: Floats) -> tuple[Floats, Bools]:
    """Lowest point of each row, by a parabola through three points of the grid."""
    index = np.argmin(log_loss, axis=1)
    interior = (index > 0) & (index < len(at) - 1)
    middle = np.clip(index, 1, len(at) - 2)
    rows = np.arange(len(log_loss))
    known = np.isfinite(log_loss).all(axis=1)
    left, centre, right = (log_loss[rows, middle + step] for step in (-1, 0, 1))
    bend = left - 2 * centre + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    place = at[middle] + np.clip(shift, -1, 1) * (at[1] - at[0])
    best = np.where(interior, place, at[index])
    return np.where(known, best, np.nan), interior & known


def loss_at(law: Law, theta: Floats, size: float, tokens: float) -> float:
    """Give the loss of one size with so many tokens."""
    return float(np.exp(law.form(theta, np.log(np.array([[size], [tokens]])))[0][0, 0]))


def describe(law: Law, theta: Floats, n_params: Floats, *, product: float) -> dict[str, Floats]:
    """Name what sizes [boot] are with the budget's tokens: as the fields of a plan."""
    tokens = product / n_params
    loss = [
        np.exp(law.form(row[None], np.log(np.array([[n], [d]])))[0][0, 0])
        for row, n, d in zip(theta, n_params, tokens, strict=True)
    ]
    return {
        "n_params": n_params,
        "n_tokens": tokens,
        "tokens_per_param": tokens / n_params,
        "loss": np.array(loss),
    }
