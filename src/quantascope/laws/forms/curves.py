"""Laws of one input that are not sums of powers: shifted, M4, broken, logistic.

Each is a plain function of internal coordinates and log inputs, with its starts and its change
of units beside it.
"""

import numpy as np
from scipy.special import expit, log_expit

from quantascope.laws.forms.law import Floats, LogForm, Rescale, Starts
from quantascope.laws.forms.projection import fill_box, grid, project

__all__ = [
    "bnsl_form",
    "bnsl_rescale",
    "bnsl_starts",
    "logistic",
    "logistic_rescale",
    "logistic_starts",
    "m4",
    "m4_rescale",
    "m4_starts",
    "shifted",
    "shifted_rescale",
    "shifted_starts",
]

_EXPONENTS = np.geomspace(0.02, 3.0, 24)
_NEWTON_STEPS = 40


def _softplus(t: Floats) -> Floats:
    return np.asarray(-log_expit(-t))


def shifted(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``y = E + A (x + s)^-alpha`` (Zhai et al. 2021, arXiv:2106.04560). theta: E A alpha s."""
    E, A, alpha, s = (theta[:, index, None] for index in range(4))
    moved = np.logaddexp(x[0], s)
    floor, term = np.exp(E), np.exp(A - alpha * moved)
    total = floor + term
    share = term / total
    gradient = np.stack(
        [floor / total, share, -share * moved, -share * alpha * np.exp(s - moved)], axis=1
    )
    return np.log(total), gradient


def shifted_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of the shifted power law."""
    A = theta[:, 1] + log_unit + theta[:, 2] * log_units[0]
    return np.stack([theta[:, 0] + log_unit, A, theta[:, 2], theta[:, 3] + log_units[0]], axis=1)


def shifted_starts(x: Floats, y: Floats) -> Floats:
    """Grid over exponent and shift; floor and prefactor by projection."""
    shifts = np.concatenate([[x.min() - 8.0], np.linspace(x.min() - 2.0, x.max(), 12)])
    nonlinear = grid(_EXPONENTS, shifts)

    def basis(part: Floats) -> Floats:
        term = np.exp(-part[:, :1] * np.logaddexp(x[0], part[:, 1:]))
        return np.stack([np.ones_like(term), term], axis=1)

    return np.concatenate([project(nonlinear, y, basis), nonlinear], axis=1)


def m4(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``(y - E) / (L0 - y)^a = b x^-c`` (Alabdulmohsin et al. 2022, arXiv:2209.06640). E L0 a b c.

    With ``y = E + (L0 - E) z`` and ``z = sigma(w)`` the equation is monotone and convex or
    concave in w, so that Newton's method converges from the asymptote.
    """
    E, L0 = np.exp(theta[:, 0, None]), np.exp(theta[:, 1, None])
    a, c, span = theta[:, 2, None], theta[:, 4, None], L0 - E
    log_span = np.log(span)
    height = theta[:, 3, None] - c * x[0] - (1 - a) * log_span
    w = np.where(height < 0, height, height / a)
    for _ in range(_NEWTON_STEPS):
        step = (log_expit(w) + a * _softplus(w) - height) / (expit(-w) + a * expit(w))
        w = w - step
        if not (np.abs(step) > 1e-14 * (1 + np.abs(w))).any():
            break
    z = expit(w)
    per_height = span * z * expit(-w) / (expit(-w) + a * expit(w))  # dy / dheight
    y = E + span * z
    of_span = z - per_height * (1 - a) / span
    gradient = np.stack(
        [
            E * (1 - of_span),
            L0 * of_span,
            per_height * (log_span - _softplus(w)),
            np.broadcast_to(per_height, y.shape),
            -per_height * x[0],
        ],
        axis=1,
    )
    return np.log(y), gradient / y[:, None, :]


def m4_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of M4."""
    b = theta[:, 3] + (1 - theta[:, 2]) * log_unit + theta[:, 4] * log_units[0]
    return np.stack(
        [theta[:, 0] + log_unit, theta[:, 1] + log_unit, theta[:, 2], b, theta[:, 4]], axis=1
    )


def m4_starts(x: Floats, y: Floats) -> Floats:
    """Grid over both levels; the rest is linear in logarithms."""
    floors = y.min() * np.array([1e-3, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995])
    tops = y.max() * np.array([1.003, 1.01, 1.03, 1.1, 1.3, 2.0, 5.0, 20.0])
    rows = []
    for E, L0 in grid(floors, tops):
        columns = np.stack([np.log(L0 - y), np.ones_like(y), -x[0]], axis=1)
        a, b, c = np.linalg.lstsq(columns, np.log(y - E))[0]
        rows.append([np.log(E), np.log(L0), np.clip(a, 0.02, 8), b, np.clip(c, 1e-3, 8)])
    return np.array(rows)


def bnsl_form(n_breaks: int) -> LogForm:
    """``y = a + b x^-c0 prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i)`` (arXiv:2210.14891, eq. 1).

    theta: a b c0, then c_i d_i f_i for each break; evaluated in logarithms only.
    """

    def form(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        a, b, c0 = (theta[:, index, None] for index in range(3))
        log_term = b - c0 * x[0]
        parts = []
        for index in range(n_breaks):
            c, d, f = (theta[:, 3 + 3 * index + which, None] for which in range(3))
            f = np.exp(f)
            t = (x[0] - d) / f
            soft, hard = _softplus(t), expit(t)
            log_term = log_term - c * f * soft
            parts += [-f * soft, c * hard, -c * f * (soft - t * hard)]
        log_y = np.logaddexp(a, log_term)
        share = np.exp(log_term - log_y)
        gradient = np.empty((len(theta), 3 + 3 * n_breaks, x.shape[1]))
        gradient[:, 0], gradient[:, 1], gradient[:, 2] = np.exp(a - log_y), share, -share * x[0]
        for index, part in enumerate(parts):
            gradient[:, 3 + index] = share * part
        return log_y, gradient

    return form


def bnsl_rescale(n_breaks: int) -> Rescale:
    """Change of units of a broken law."""

    def rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
        moved = theta.copy()
        moved[:, 0] += log_unit
        moved[:, 1] += log_unit + theta[:, 2] * log_units[0]
        moved[:, 4 : 4 + 3 * n_breaks : 3] += log_units[0]
        return moved

    return rescale


def bnsl_starts(n_breaks: int) -> Starts:
    """Points that fill the box of exponents, breaks (within the data) and widths."""

    def starts(x: Floats, y: Floats) -> Floats:
        lo, hi = x.min(), x.max()
        low = [-1.0] + [-4.0, lo, np.log(0.03)] * n_breaks
        high = [3.0] + [4.0, hi, np.log(1.0)] * n_breaks
        nonlinear = (
            fill_box(1 << (12 + n_breaks), low, high)
            if n_breaks
            else np.linspace(-1, 4, 64)[:, None]
        )
        form = bnsl_form(n_breaks)

        def basis(part: Floats) -> Floats:
            bare = np.concatenate(
                [np.full((len(part), 1), -np.inf), np.zeros((len(part), 1)), part], axis=1
            )
            term = np.exp(np.clip(form(bare, x)[0], -60, 60))
            return np.stack([np.ones_like(term), term], axis=1)

        return np.concatenate([project(nonlinear, y, basis), nonlinear], axis=1)

    return starts


def logistic(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``y = lo + (hi - lo) / (1 + (x0 / x)^k)``, a skill's emergence. theta: lo hi x0 k."""
    lo, hi, x0, k = (theta[:, index, None] for index in range(4))
    t = k * (x[0] - x0)
    log_y = np.logaddexp(lo + log_expit(-t), hi + log_expit(t))
    below, above = np.exp(lo + log_expit(-t) - log_y), np.exp(hi + log_expit(t) - log_y)
    slope = above * expit(-t) - below * expit(t)
    return log_y, np.stack([below, above, -slope * k, slope * (x[0] - x0)], axis=1)


def logistic_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of the logistic."""
    units = np.array([log_unit, log_unit, log_units[0], 0.0])
    return np.asarray(theta + units)


def logistic_starts(x: Floats, y: Floats) -> Floats:
    """Grid over place and steepness; both levels by projection."""
    steepness = np.geomspace(0.3, 60.0, 16)
    nonlinear = grid(np.linspace(x.min(), x.max(), 32), steepness)

    def basis(part: Floats) -> Floats:
        t = part[:, 1:] * (x[0] - part[:, :1])
        return np.stack([expit(-t), expit(t)], axis=1)

    return np.concatenate([project(nonlinear, y, basis), nonlinear], axis=1)
