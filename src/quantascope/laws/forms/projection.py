"""Starts without a starting point: coefficients that enter linearly are solved, the rest gridded.

Variable projection (Golub and Pereyra 1973, doi:10.1137/0710036) on a coarse grid: for each
combination of the nonlinear parameters the linear coefficients follow from least squares of
relative residuals, with coefficients that must not be negative kept so.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product
from typing import Final

import numpy as np
from scipy.stats import qmc

from quantascope.laws.forms.law import Floats

__all__ = ["fill_box", "grid", "positive_coefficients", "project"]

_BLOCK_FLOATS: Final = 100_000
_TINY: Final = 1e-4
"""A coefficient that projection sets to zero starts at this share of the response instead."""


def grid(*axes: Sequence[float] | Floats) -> Floats:
    """All combinations of values, axes ``start param``."""
    return np.array(list(product(*axes)), dtype=np.float64)


def fill_box(n: int, lo: Sequence[float], hi: Sequence[float]) -> Floats:
    """Points that fill a box evenly (Sobol sequence), axes ``start param``; n a power of two."""
    unit = qmc.Sobol(len(lo), scramble=True, rng=0).random(n)
    low, high = np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64)
    return np.asarray(low + unit * (high - low))


def project(nonlinear: Floats, response: Floats, basis: Callable[[Floats], Floats]) -> Floats:
    """Solve the coefficients for every row of nonlinear parameters, a block of rows at a time.

    Parameters
    ----------
    nonlinear
        Axes ``start param``.
    response
        Positive numbers, axis ``point``.
    basis
        Gives the columns, axes ``start term point``, of some rows.

    Returns
    -------
    Floats
        Logarithms of the coefficients, axes ``start term``.
    """
    block = max(1, _BLOCK_FLOATS // len(response))
    parts = [nonlinear[start : start + block] for start in range(0, len(nonlinear), block)]
    return np.concatenate([positive_coefficients(basis(part), response) for part in parts])


def positive_coefficients(basis: Floats, response: Floats) -> Floats:
    """Solve ``response ~ sum_k c_k basis_k`` with ``c >= 0`` in relative residuals.

    Parameters
    ----------
    basis
        Positive columns, axes ``start term point``.
    response
        Positive numbers, axis ``point``.

    Returns
    -------
    Floats
        Logarithms of the coefficients, axes ``start term``: the best over all supports, solved
        exactly; a coefficient outside the support is set to a small positive number.
    """
    columns = basis / response
    gram = np.matmul(columns, columns.transpose(0, 2, 1))
    target = columns.sum(axis=2)
    best = np.full(len(basis), np.inf)
    coefficients = np.zeros(basis.shape[:2])
    for support in _supports(basis.shape[1]):
        solved = _solve(gram[:, support][:, :, support], target[:, support])
        # |1 - columns c|^2 less a constant, at the least-squares solution
        value = -np.einsum("gk,gk->g", solved, target[:, support])
        better = (solved > 0).all(axis=1) & (value < best)
        best = np.where(better, value, best)
        padded = np.zeros_like(coefficients)
        padded[:, support] = solved
        coefficients = np.where(better[:, None], padded, coefficients)
    least = _TINY / columns.mean(axis=2)
    return np.asarray(np.log(np.maximum(coefficients, least)))


def _solve(gram: Floats, target: Floats) -> Floats:
    size = gram.shape[-1]
    ridge = 1e-12 * np.einsum("gii->g", gram)[:, None, None] * np.eye(size)
    return np.asarray(np.linalg.solve(gram + ridge, target[:, :, None])[:, :, 0])


def _supports(n_terms: int) -> Iterator[list[int]]:
    for size in range(1, n_terms + 1):
        for support in combinations(range(n_terms), size):
            yield list(support)
