"""Laws of several inputs that are not sums of powers.

Kaplan's joint law, the data-constrained law, the routing law, batch trade-offs and the joint
and finite-task forms of the Quantization Model; each a plain function of internal coordinates
and log inputs.
"""

import numpy as np
from scipy.special import expit, log_expit

from quantascope.core.special import hurwitz_zeta, zipf_sum
from quantascope.laws.forms.law import Floats, LogForm, Starts
from quantascope.laws.forms.projection import grid, positive_coefficients, project

__all__ = [
    "batch_rescale",
    "batch_starts",
    "batch_tradeoff",
    "critical_batch",
    "critical_batch_rescale",
    "critical_batch_starts",
    "kaplan_joint",
    "kaplan_joint_rescale",
    "kaplan_joint_starts",
    "quanta_finite",
    "quanta_finite_rescale",
    "quanta_finite_starts",
    "quanta_max",
    "quanta_max_rescale",
    "quanta_max_starts",
    "quanta_smooth",
    "quanta_smooth_rescale",
    "quanta_smooth_starts",
]

_EXPONENTS = np.geomspace(0.02, 2.0, 24)


def _columns(theta: Floats) -> list[Floats]:
    return [theta[:, index, None] for index in range(theta.shape[1])]


def kaplan_joint(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``L = ((Nc/N)^(aN/aD) + Dc/D)^aD`` (arXiv:2001.08361, eq. 1.5). Nc Dc aN aD; N D."""
    Nc, Dc, aN, aD = _columns(theta)
    ratio = aN / aD
    sizes, data = ratio * (Nc - x[0]), Dc - x[1]
    total = np.logaddexp(sizes, data)
    share = np.exp(sizes - total)
    gradient = np.stack(
        [
            aD * share * ratio,
            aD * (1 - share),
            share * (Nc - x[0]),
            total - share * sizes,
        ],
        axis=1,
    )
    return aD * total, gradient


def kaplan_joint_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of Kaplan's joint law."""
    moved = theta.copy()
    moved[:, :2] += log_units + log_unit / theta[:, 2:]
    return moved


def kaplan_joint_starts(x: Floats, y: Floats) -> Floats:
    """Grid over both exponents; ``y^(1/aD)`` is linear in the rest."""
    rows = []
    for aD in _EXPONENTS:
        nonlinear = _EXPONENTS[:, None]

        def basis(part: Floats, aD: float = aD) -> Floats:
            sizes = np.exp(-part / aD * x[0])
            return np.stack([sizes, np.broadcast_to(np.exp(-x[1]), sizes.shape)], axis=1)

        u, v = project(nonlinear, y ** (1 / aD), basis).T
        rows.append(np.stack([u * aD / _EXPONENTS, v, _EXPONENTS, np.full(len(u), aD)], axis=1))
    return np.concatenate(rows)


def batch_tradeoff(sign: float) -> LogForm:
    """``S = S_min (1 + B_crit/B)`` for sign -1, ``C = C_min (1 + B/B_crit)`` for sign +1.

    Steps, and compute, that one loss costs at batch size B (arXiv:1812.06162, eq. 2.11;
    arXiv:2001.08361, eqs. 5.4 and 5.5). theta: the minimum, B_crit; x: B.
    """

    def form(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        least, critical = _columns(theta)
        t = sign * (x[0] - critical)
        share = expit(t)
        return least - log_expit(-t), np.stack([np.ones_like(t), -sign * share], axis=1)

    return form


def batch_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of a batch trade-off."""
    return np.asarray(theta + np.array([log_unit, log_units[0]]))


def batch_starts(x: Floats, y: Floats) -> Floats:
    """Critical batch sizes over the data and beyond; the minimum from the mean."""
    critical = np.linspace(x.min() - 4, x.max() + 4, 33)
    return np.stack([np.full(33, np.log(y.min())), critical], axis=1)


def critical_batch(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``B = B_star L^(-1/aB)`` (arXiv:2001.08361, eq. 1.4). theta: B_star aB; x: L."""
    star, power = _columns(theta)
    return star - x[0] / power, np.stack(
        [np.ones((len(theta), x.shape[1])), x[0] / power**2], axis=1
    )


def critical_batch_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of the critical batch size."""
    return np.stack([theta[:, 0] + log_unit + log_units[0] / theta[:, 1], theta[:, 1]], axis=1)


def critical_batch_starts(x: Floats, y: Floats) -> Floats:
    """Grid over the exponent; the level is a mean of logarithms."""
    powers = np.geomspace(0.03, 4.0, 64)
    level = (np.log(y) + x[0] / powers[:, None]).mean(axis=1)
    return np.stack([level, powers], axis=1)


def quanta_max(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``L = E + max(A N^-alpha, B D^(-alpha/(1+alpha)))``. theta: E A B alpha; x: N D.

    The Quantization Model when the scarcer resource decides how many quanta are learned (Michaud
    2026, retrospective on the quanta hypothesis).
    """
    E, A, B, alpha = _columns(theta)
    sizes, data = A - alpha * x[0], B - alpha / (1 + alpha) * x[1]
    by_size = sizes >= data
    log_y = np.logaddexp(E, np.maximum(sizes, data))
    share = np.exp(np.maximum(sizes, data) - log_y)
    slope = np.where(by_size, -x[0], -x[1] / (1 + alpha) ** 2)
    gradient = np.stack([1 - share, share * by_size, share * ~by_size, share * slope], axis=1)
    return log_y, gradient


def quanta_max_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of the joint law of quanta, max form."""
    moved, alpha = theta.copy(), theta[:, 3]
    moved[:, 0] += log_unit
    moved[:, 1] += log_unit + alpha * log_units[0]
    moved[:, 2] += log_unit + alpha / (1 + alpha) * log_units[1]
    return moved


def quanta_max_starts(x: Floats, y: Floats) -> Floats:
    """Grid over the exponent and the balance of both terms; floor and size by projection."""
    nonlinear = grid(_EXPONENTS, np.linspace(-3, 3, 25))

    def term(part: Floats) -> Floats:
        alpha, balance = part[:, :1], part[:, 1:]
        return np.asarray(np.exp(np.maximum(-alpha * x[0], balance - alpha / (1 + alpha) * x[1])))

    logs = project(
        nonlinear, y, lambda part: np.stack([np.ones((len(part), len(y))), term(part)], axis=1)
    )
    return np.stack([logs[:, 0], logs[:, 1], logs[:, 1] + nonlinear[:, 1], nonlinear[:, 0]], axis=1)


def quanta_smooth(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
    """``L = E + (A/N + B/D^(1/(1+alpha)))^alpha``: both resources add up. theta: E A B alpha."""
    E, A, B, alpha = _columns(theta)
    sizes, data = A - x[0], B - x[1] / (1 + alpha)
    total = np.logaddexp(sizes, data)
    by_size = np.exp(sizes - total)
    log_y = np.logaddexp(E, alpha * total)
    share = np.exp(alpha * total - log_y)
    slope = total + alpha * (1 - by_size) * x[1] / (1 + alpha) ** 2
    gradient = np.stack(
        [1 - share, share * alpha * by_size, share * alpha * (1 - by_size), share * slope], axis=1
    )
    return log_y, gradient


def quanta_smooth_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of the joint law of quanta, smooth form."""
    moved, alpha = theta.copy(), theta[:, 3]
    moved[:, 0] += log_unit
    moved[:, 1] += log_unit / alpha + log_units[0]
    moved[:, 2] += log_unit / alpha + log_units[1] / (1 + alpha)
    return moved


def quanta_smooth_starts(x: Floats, y: Floats) -> Floats:
    """Grid over floor and exponent; ``(y - E)^(1/alpha)`` is linear in the rest."""
    rows = []
    floors = y.min() * np.array([1e-3, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.97])
    for E, alpha in grid(floors, _EXPONENTS):
        columns = np.exp(np.stack([-x[0], -x[1] / (1 + alpha)]))[None]
        A, B = positive_coefficients(columns, (y - E) ** (1 / alpha))[0]
        rows.append([np.log(E), A, B, alpha])
    return np.array(rows)


def quanta_finite(data_limited: bool) -> LogForm:
    """``L = E + Delta sum_{n<k<=T} k^-(alpha+1) / sum_{k<=T} k^-(alpha+1)``, T tasks, n real.

    ``n = N / C``, or ``n = (D p_1 / tau)^(1/(1+alpha))`` where data limit (arXiv:2303.13506,
    section 2 with the sum kept finite). theta: E Delta alpha C|tau n_tasks; x: N or D.
    """

    def form(theta: Floats, x: Floats) -> tuple[Floats, Floats]:
        E, Delta, alpha, C, T = _columns(theta)
        s, last = alpha + 1, np.exp(T)
        whole = zipf_sum(s, 1.0, last)
        whole_s = zipf_sum(s, 1.0, last, derivative=1)
        end = last * s * hurwitz_zeta(s + 1, last + 1)  # d sum / d log T
        log_n, n_alpha, n_T = x[0] - C, np.zeros_like(s), np.zeros_like(s)
        if data_limited:
            log_n = (log_n - np.log(whole)) / s
            n_alpha, n_T = -log_n / s - whole_s / whole / s, -end / whole / s
        n = np.minimum(np.exp(np.minimum(log_n, T)), last * (1 - 1e-12))  # rounding
        learning = log_n < T
        tail = np.maximum(zipf_sum(s, n + 1, last), 1e-12 * whole)
        lost = -n * s * hurwitz_zeta(s + 1, n + 1) * learning  # d tail / d log n
        tail_s = zipf_sum(s, n + 1, last, derivative=1)
        log_y = np.logaddexp(E, Delta + np.log(tail / whole))
        share = np.exp(Delta + np.log(tail / whole) - log_y)
        by_alpha = (tail_s + lost * n_alpha) / tail - whole_s / whole
        by_tasks = (end * learning + lost * n_T) / tail - end / whole
        per_C = -lost / tail / (s if data_limited else 1.0)
        return log_y, np.stack(
            [1 - share, share, share * by_alpha, share * per_C, share * by_tasks], axis=1
        )

    return form


def quanta_finite_rescale(theta: Floats, log_units: Floats, log_unit: float) -> Floats:
    """Change of units of the finite-task law."""
    return np.asarray(theta + np.array([log_unit, log_unit, 0.0, log_units[0], 0.0]))


def quanta_finite_starts(data_limited: bool) -> Starts:
    """Grid over exponent, cost of a quantum and number of tasks; levels by projection."""
    form = quanta_finite(data_limited)

    def starts(x: Floats, y: Floats) -> Floats:
        costs = np.linspace(x.min() - 12, x.max(), 20)
        nonlinear = grid(np.geomspace(0.05, 2.0, 10), costs, np.log([100.0, 500.0, 1e4, 1e7]))

        def basis(part: Floats) -> Floats:
            bare = np.concatenate(
                [np.full((len(part), 1), -np.inf), np.zeros((len(part), 1)), part], axis=1
            )
            term = np.exp(form(bare, x)[0])
            return np.stack([np.ones_like(term), term], axis=1)

        return np.concatenate([project(nonlinear, y, basis), nonlinear], axis=1)

    return starts
