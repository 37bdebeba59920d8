"""Laws that are sums of power terms, made from a literal description of their terms.

``log y = log sum_j exp(u_j)``, each ``u_j`` linear in the logarithms of the inputs; the gradient
of ``log y`` is the share of each term times the gradient of ``u_j``. Covers the power law with
and without floor, Chinchilla's law and its tied variant (Hoffmann et al. 2022,
arXiv:2203.15556, eq. 2), the overtraining law (Gadre et al. 2024, arXiv:2403.08540, eq. 4) and
Kaplan's laws (arXiv:2001.08361, eqs. 1.1 to 1.3 and 1.6).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantascope.laws.forms.law import Floats, LogForm, Rescale, Starts
from quantascope.laws.forms.projection import grid, project

__all__ = ["Term", "power_form", "power_rescale", "power_starts"]


@dataclass(frozen=True)
class Term:
    """One term: ``c * prod x_i ** (sign_i * e)``, or ``(c / x) ** e`` where ``inside``.

    ``c`` and ``e`` are positions of parameters; ``signs`` gives each input's sign, 0 where the
    input is absent; ``e`` is -1 in a constant term.
    """

    c: int
    e: int
    signs: tuple[int, ...]
    inside: bool = False


def power_form(terms: Sequence[Term]) -> LogForm:
    """Make the function of a sum of power terms."""

    def form(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        sizes = [np.exp(_log_term(term, theta, x)) for term in terms]
        total = sum(sizes[1:], start=sizes[0])
        gradient = np.zeros((len(theta), theta.shape[1], x.shape[1]))
        for term, size in zip(terms, sizes, strict=True):
            _add_gradient(gradient, term, share=size / total, theta=theta, x=x)
        return np.broadcast_to(np.log(total), (len(theta), x.shape[1])), gradient

    return form


def power_rescale(terms: Sequence[Term]) -> Rescale:
    """Make the change of units: ``c`` absorbs the units of response and inputs."""

    def rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
        moved = theta.copy()
        for term in terms:
            shift = log_units @ np.array(term.signs, dtype=np.float64)
            if term.inside:  # (c / x) ** e: c carries the unit of x, and that of y to 1 / e
                moved[:, term.c] += -shift + log_unit / theta[:, term.e]
            else:
                power = theta[:, term.e] if term.e >= 0 else 0.0
                moved[:, term.c] += log_unit - power * shift
        return moved

    return rescale


def power_starts(terms: Sequence[Term], axis: Floats) -> Starts:
    """Make the starts: a grid over the exponents, coefficients by projection."""
    exponents = sorted({term.e for term in terms if term.e >= 0})
    n_params = max(max(term.c, term.e) for term in terms) + 1

    def starts(x: Floats, y: Floats) -> Floats:
        theta = np.zeros((len(axis) ** len(exponents), n_params))
        theta[:, exponents] = grid(*[axis] * len(exponents))
        logs = project(theta, y, lambda part: _basis(terms, part, x))
        for index, term in enumerate(terms):
            at = logs[:, index]
            theta[:, term.c] = at / theta[:, term.e] if term.inside else at
        return theta

    return starts


def _basis(terms: Sequence[Term], theta: Floats, x: Floats) -> Floats:
    bare = theta.copy()
    bare[:, [term.c for term in terms]] = 0.0
    shape = (len(theta), x.shape[1])
    return np.exp(np.stack([np.broadcast_to(_log_term(t, bare, x), shape) for t in terms], axis=1))


def _log_term(term: Term, theta: Floats, x: Floats) -> Floats:
    c = theta[:, term.c, None]
    if term.e < 0:
        return c
    along = np.array(term.signs, dtype=np.float64) @ x
    return (
        theta[:, term.e, None] * (c + along) if term.inside else c + theta[:, term.e, None] * along
    )


def _add_gradient(gradient: Floats, term: Term, *, share: Floats, theta: Floats, x: Floats) -> None:
    if term.e < 0:
        gradient[:, term.c] += share
        return
    along = np.array(term.signs, dtype=np.float64) @ x
    if term.inside:
        gradient[:, term.c] += share * theta[:, term.e, None]
        gradient[:, term.e] += share * (theta[:, term.c, None] + along)
    else:
        gradient[:, term.c] += share
        gradient[:, term.e] += share * along
