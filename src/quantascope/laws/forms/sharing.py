"""Laws whose inputs are used more than once, or shared: repeated data, experts.

The data-constrained law (Muennighoff et al. 2023, arXiv:2305.16264) and the law of
routed models (Clark et al. 2022, arXiv:2202.01169).
"""

import numpy as np

from quantascope.laws.forms.law import Floats
from quantascope.laws.forms.projection import grid, project

__all__ = [
    "data_constrained",
    "data_constrained_rescale",
    "data_constrained_starts",
    "routing",
    "routing_rescale",
    "routing_starts",
]


def data_constrained(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``L = E + A / N_eff^alpha + B / D_eff^beta`` with decaying worth of repetition.

    ``D_eff = U (1 + R_D* (1 - exp(-R_D / R_D*)))``, ``R_D = D/U - 1``; the same for N with
    ``U_N = min(N, N_opt(U))``. theta: E A B alpha beta R_D R_N; x: N D U.
    """
    E, A, B, alpha, beta, R_D, R_N = (theta[:, index, None] for index in range(7))
    # N_opt at D = U balances both terms: alpha A N^-alpha = beta B U^-beta
    log_opt = (np.log(alpha) + A - np.log(beta) - B + beta * x[2]) / alpha
    excess = x[0] > log_opt
    unique = np.where(excess, log_opt, x[0])
    N_eff, N_unique, N_R = _worth(x[0], unique, np.exp(R_N))
    D_eff, _, D_R = _worth(x[1], np.minimum(x[1], x[2]), np.exp(R_D))
    sizes, data, floor = np.exp(A - alpha * N_eff), np.exp(B - beta * D_eff), np.exp(E)
    total = floor + sizes + data
    by_N, by_D = sizes / total, data / total
    through = -alpha * by_N * N_unique * excess  # d log L / d log N_opt
    gradient = np.stack(
        [
            np.broadcast_to(floor / total, by_N.shape),
            by_N + through / alpha,
            by_D - through / alpha,
            -by_N * N_eff + through * (1 / alpha - log_opt) / alpha,
            -by_D * D_eff + through * (x[2] - 1 / beta) / alpha,
            -beta * by_D * D_R,
            -alpha * by_N * N_R,
        ],
        axis=1,
    )
    return np.log(total), gradient


def _worth(used: Floats, unique: Floats, decay: Floats) -> tuple[Floats, Floats, Floats]:
    """Log of the effective amount, its derivatives in log unique and in log decay constant."""
    repeats = np.expm1(used - unique)
    gain = -decay * np.expm1(-repeats / decay)
    fading = np.exp(-repeats / decay)
    by_unique = 1 - fading * (repeats + 1) / (1 + gain)
    by_decay = (gain - fading * repeats) / (1 + gain)
    return unique + np.log1p(gain), by_unique, by_decay


def data_constrained_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units; unique and total tokens share theirs."""
    moved = theta.copy()
    moved[:, :3] += log_unit
    moved[:, 1] += theta[:, 3] * log_units[0]
    moved[:, 2] += theta[:, 4] * log_units[1]
    return moved


def data_constrained_starts(x: Floats, y: Floats) -> Floats:
    """Grid over exponents and the worth of repeated data; coefficients by projection."""
    exponents = np.geomspace(0.1, 1.2, 8)
    nonlinear = grid(exponents, exponents, np.log([2.0, 6.0, 15.0, 50.0]), np.log([2.0, 8.0, 50.0]))
    unique = np.minimum(x[1], x[2])

    def basis(part: Floats) -> Floats:
        D_eff = _worth(x[1], unique, np.exp(part[:, 2:3]))[0]
        sizes, data = np.exp(-part[:, :1] * x[0]), np.exp(-part[:, 1:2] * D_eff)
        return np.stack([np.ones_like(data), sizes, data], axis=1)

    return np.concatenate([project(nonlinear, y, basis), nonlinear], axis=1)


def routing(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``log L = a log N + b log E^ + c log N log E^ + d``, E^ saturating in the experts E.

    ``1/E^ = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max``. theta: a b c d E_start E_max; x: N E.
    """
    a, b, c, d, start, most = (theta[:, index, None] for index in range(6))
    gap = np.exp(-start) - np.exp(-most)
    moved = np.expm1(x[1]) + 1 / gap
    inverse = 1 / moved + np.exp(-most)
    log_E = -np.log(inverse)
    per_gap = -1 / (inverse * moved**2 * gap**2)  # d log E^ / d gap
    by_E = b + c * x[0]
    gradient = np.stack(
        [
            np.broadcast_to(x[0], log_E.shape),
            log_E,
            x[0] * log_E,
            np.ones_like(log_E),
            by_E * per_gap * -np.exp(-start),
            by_E * np.exp(-most) * (per_gap + 1 / inverse),
        ],
        axis=1,
    )
    return a * x[0] + b * log_E + c * x[0] * log_E + d, gradient


def routing_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of the unit of N; experts are counted."""
    moved = theta.copy()
    moved[:, 1] -= theta[:, 2] * log_units[0]
    moved[:, 3] += log_unit - theta[:, 0] * log_units[0]
    return moved


def routing_starts(x: Floats, y: Floats) -> Floats:
    """Grid over both ends of the saturation; the rest is linear in logarithms."""
    rows = []
    for start, most in grid(
        np.log([1.05, 1.5, 2.5, 5.0]), np.log([20.0, 64.0, 256.0, 1024.0, 1e4])
    ):
        bare = np.array([[0.0, 1.0, 0.0, 0.0, start, most]])
        log_E = routing(bare, x)[0][0]
        columns = np.stack([x[0], log_E, x[0] * log_E, np.ones_like(log_E)], axis=1)
        rows.append([*np.linalg.lstsq(columns, np.log(y))[0], start, most])
    return np.array(rows)
