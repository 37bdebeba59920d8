"""From resources to learned quanta to loss: parameters, samples, steps, and the exponents between.

A `QuantaModel` states what the theory assumes; `learned_quanta` says how many quanta a resource
buys, `predict_loss` what loss follows, `leading_law` the power law it tends to. The paper's own
assumptions are the defaults; three of them can be relaxed where a formula remains: the cost of a
quantum, the evidence it needs, and what it gains may all drift with its rank as a power.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from quantascope.theory.quanta import (
    Floats,
    Form,
    as_floats,
    check_alpha,
    check_range,
    frequencies,
    normaliser,
    power_tail,
)

__all__ = [
    "ROUNDING",
    "Exponents",
    "QuantaModel",
    "Resource",
    "alpha_from_exponent",
    "exponents",
    "leading_law",
    "learned_quanta",
    "loss_by_chance",
    "predict_loss",
    "required_resource",
]

Resource = Literal["N", "D", "S"]
_Kind = Literal["alpha_N", "alpha_D", "alpha_S", "zipf_exponent"]

ROUNDING: Final = 1e-12
"""Share by which a resource may miss the threshold of a whole quantum and still reach it."""

_HEAD: Final = 1000
"""Ranks summed one by one where the rest is an integral; its midpoint error is below 1e-7."""


@dataclass(frozen=True, kw_only=True)
class QuantaModel:
    """What the Quantization Model assumes of a learner and a task.

    References
    ----------
    arXiv:2303.13506, sections 2 and 3; drifts with the rank are this project's.
    """

    alpha: float
    """Quantum k is used by a share of samples ~ ``k^-(alpha+1)``; > 0."""
    n_tasks: float = np.inf
    """Number of quanta."""
    capacity: float = 1.0
    """C: parameters a quantum takes."""
    threshold: float = 1.0
    """tau: samples that must need a quantum before it is learned from data seen again and again."""
    first_step: float = 1.0
    """T: steps to learn the first quantum when every sample is new."""
    a: float = 0.0
    """Loss on samples whose quantum is learned [nat]."""
    b: float = 1.0
    """Loss on the others [nat]; for the drifting gain, of the first quantum."""
    cost_drift: float = 0.0
    """gamma in ``C_k = C k^gamma``, > -1; the paper has 0."""
    evidence_drift: float = 0.0
    """gamma in ``tau_k = tau k^gamma`` and ``T_k = T k^(alpha+1+gamma)``, > -(1 + alpha)."""
    whole: bool = False
    """Count whole quanta only, so that the loss is a staircase; else it runs smoothly between."""
    gain_drift: float = 0.0
    """delta in ``b_k - a_k = (b - a) k^-delta``, > -alpha."""

    def __post_init__(self) -> None:
        """Refuse values for which the formulas do not hold."""
        check_alpha(self.alpha)
        for name in ("capacity", "threshold", "first_step"):
            check_range(name, getattr(self, name), above=0, finite=True)
        check_range("n_tasks", self.n_tasks, least=1)
        check_range("cost_drift", self.cost_drift, above=-1, finite=True)
        check_range("evidence_drift", self.evidence_drift, above=-1 - self.alpha, finite=True)
        check_range("gain_drift", self.gain_drift, above=-self.alpha, finite=True)
        check_range("a", self.a, finite=True)
        check_range("b", self.b, above=self.a, finite=True)


@dataclass(frozen=True, kw_only=True)
class Exponents:
    """Exponents of the mean loss in each resource, and of the use frequencies."""

    alpha: Floats
    alpha_N: Floats  # noqa: N815  (symbols of the source)
    alpha_D: Floats  # noqa: N815
    alpha_S: Floats  # noqa: N815
    zipf_exponent: Floats
    """Of the frequencies, ``alpha + 1``."""


def exponents(alpha: ArrayLike) -> Exponents:
    """Give all exponents that follow from one.

    ``alpha_N = alpha``, ``alpha_D = alpha_S = alpha / (1 + alpha)``.

    Parameters
    ----------
    alpha
        Exponent of the theory, > 0.

    References
    ----------
    arXiv:2303.13506, section 2.

    Examples
    --------
    >>> found = exponents(0.4)
    >>> float(found.alpha_N), round(float(found.alpha_D), 6), float(found.zipf_exponent)
    (0.4, 0.285714, 1.4)
    """
    value = check_alpha(alpha)
    slow = np.asarray(value / (1 + value))
    return Exponents(
        alpha=value, alpha_N=value, alpha_D=slow, alpha_S=slow, zipf_exponent=np.asarray(value + 1)
    )


def alpha_from_exponent(value: ArrayLike, *, kind: _Kind) -> Floats:
    """Invert `exponents`: the alpha at which infinitely many quanta give this exponent.

    Parameters
    ----------
    value
        Measured exponent, positive; an array carries the ends of an interval through.
    kind
        Which exponent it is: ``alpha_N``, ``alpha_D``, ``alpha_S`` (both below 1) or
        ``zipf_exponent`` (above 1).

    Raises
    ------
    ValueError
        If no alpha > 0 gives this value.

    References
    ----------
    arXiv:2303.13506, section 2.

    Examples
    --------
    >>> alpha_from_exponent([0.2, 0.285714285714], kind="alpha_D").round(9).tolist()
    [0.25, 0.4]
    """
    if kind not in get_args(_Kind):
        raise ValueError(f"kind: {kind!r} found; allowed: {', '.join(get_args(_Kind))}")
    found = as_floats(kind, value)
    lo, hi = {"alpha_N": (0.0, np.inf), "zipf_exponent": (1.0, np.inf)}.get(kind, (0.0, 1.0))
    bad = ~((found > lo) & (found < hi))
    if bad.any():
        allowed = f"above {lo:g}" + (f" and below {hi:g}" if hi < np.inf else "")
        raise ValueError(f"{kind}: {found[bad].ravel()[0]:g} found; allowed: {allowed}")
    if kind == "alpha_N":
        return found
    return np.asarray(found - 1 if kind == "zipf_exponent" else found / (1 - found))


def learned_quanta(model: QuantaModel, by: Resource, amount: ArrayLike) -> Floats:
    """Count the quanta that a resource buys, the two others being plentiful.

    - N: ``n = N / C``; with drifting cost ``C n^(1+gamma) / (1+gamma) = N``.
    - D: quantum n is the last with ``D p_n >= tau``, ``n = (D / (tau Z))^(1/(1+alpha))``.
    - S: quantum n takes ``T n^(alpha+1)`` steps, ``n = (S / T)^(1/(1+alpha))``.

    Parameters
    ----------
    model
        The assumptions.
    by
        ``N`` parameters, ``D`` samples seen again and again, ``S`` steps on new samples.
    amount
        Amount of the resource, >= 0.

    Returns
    -------
    NDArray[np.float64]
        n, at most `n_tasks`; rounded down where the model says ``whole``, but so that a resource
        equal to a threshold but for rounding (1e-12 of it) reaches it.

    References
    ----------
    arXiv:2303.13506, section 2.

    Examples
    --------
    >>> model = QuantaModel(alpha=1.0, capacity=10, first_step=100)
    >>> learned_quanta(model, "N", [100, 1000]).tolist(), learned_quanta(model, "S", 400).tolist()
    ([10.0, 100.0], 2.0)
    """
    units, power = _unit_and_power(model, by)
    with np.errstate(over="ignore"):  # more than 1e308 quanta are all there are
        have = check_range(by, amount, least=0) * (1 + ROUNDING if model.whole else 1.0)
        n = (have / units) ** power
    return np.minimum(np.floor(n) if model.whole else n, model.n_tasks)


def required_resource(model: QuantaModel, by: Resource, n: ArrayLike) -> Floats:
    """Give the amount of a resource that n quanta take: `learned_quanta` the other way.

    ``N = C n``, ``D = tau Z n^(1+alpha)``, ``S = T n^(1+alpha)``.

    Parameters
    ----------
    model
        The assumptions.
    by
        ``N``, ``D`` or ``S``.
    n
        Learned quanta, >= 0 and at most `n_tasks`.

    References
    ----------
    arXiv:2303.13506, section 2.
    """
    units, power = _unit_and_power(model, by)
    rank = check_range("n", n, least=0)
    check_range("n_tasks - n", model.n_tasks - rank, least=0)
    return np.asarray(units * rank ** (1 / power))


def predict_loss(
    model: QuantaModel, by: Resource, amount: ArrayLike, *, form: Form = "exact"
) -> Floats:
    """Mean loss that the theory predicts for amounts of one resource.

    ``L = a + (b - a) sum_{k>n} k^-delta p_k`` with n from `learned_quanta`; the paper's delta
    is 0.

    Parameters
    ----------
    model
        The assumptions.
    by
        ``N``, ``D`` or ``S``, see `learned_quanta`.
    amount
        Amount of the resource, >= 0; > 0 in the integral form.
    form
        See `quantascope.theory.quanta.power_tail`.

    Returns
    -------
    NDArray[np.float64]
        Mean loss [nat]; with a drifting gain the floor is still `a`.

    References
    ----------
    arXiv:2303.13506, section 2.

    Examples
    --------
    >>> model = QuantaModel(alpha=0.4, capacity=100)
    >>> predict_loss(model, "N", [100, 1000, 10_000]).round(6).tolist()
    [0.677996, 0.31422, 0.127331]
    """
    n = learned_quanta(model, by, amount)
    uncovered = power_tail(n, _tail_power(model) + 1, n_tasks=model.n_tasks, form=form)
    Z = normaliser(model.alpha, n_tasks=model.n_tasks)
    return np.asarray(model.a + (model.b - model.a) * uncovered / Z)


def leading_law(model: QuantaModel, by: Resource) -> tuple[float, float]:
    """Give exponent and prefactor of the power law that the loss tends to.

    ``L - a -> prefactor * amount^-exponent`` for infinitely many quanta; for N with the paper's
    assumptions ``(b - a) C^alpha / (alpha zeta(alpha+1))`` and alpha. With a finite task set it
    is the law of the range far below all tasks, and `quantascope.theory.finite` has the slopes.

    References
    ----------
    arXiv:2303.13506, section 2.
    """
    units, power = _unit_and_power(model, by)
    p = _tail_power(model)
    exponent = p * power
    Z = float(normaliser(model.alpha, n_tasks=model.n_tasks))
    with np.errstate(over="ignore"):  # a prefactor that is no number is infinite
        unit_loss = float(np.power(units, exponent))
    return exponent, (model.b - model.a) * unit_loss / (p * Z)


def loss_by_chance(model: QuantaModel, n_samples: ArrayLike) -> Floats:
    """Mean loss when samples are drawn: a quantum is learned once tau draws have needed it.

    ``L = a + (b - a) sum_k p_k Pr[Poisson(D p_k) < tau]``: the order of learning is not strict,
    and tau = 1 is the memorising learner. The exponent is ``alpha / (1 + alpha)`` still; the
    prefactor is not that of the strict threshold.

    Parameters
    ----------
    model
        The assumptions; drifts with the rank are not used and must be 0.
    n_samples
        D, >= 0.

    Returns
    -------
    NDArray[np.float64]
        Expected mean loss [nat].

    Notes
    -----
    A thousand ranks are summed, the rest is the integral from half a rank on, closed through
    incomplete gamma functions: ``int u^(c-1) Q(tau, u) du`` by parts.

    References
    ----------
    arXiv:2102.04074 for tau = 1.
    """
    if model.gain_drift or model.evidence_drift:
        raise ValueError("gain_drift, evidence_drift: not 0; allowed here: 0, as in the paper")
    D = check_range("n_samples", n_samples, least=0)[..., None]
    head = np.arange(1, min(_HEAD, model.n_tasks) + 1, dtype=np.float64)
    p = frequencies(head, model.alpha, n_tasks=model.n_tasks)
    missed = (p * special.gammaincc(model.threshold, D * p)).sum(axis=-1)
    if model.n_tasks > _HEAD:
        missed = missed + _missed_behind_head(model, D[..., 0])
    return np.asarray(model.a + (model.b - model.a) * missed)


def _missed_behind_head(model: QuantaModel, D: Floats) -> Floats:
    """Integrate ``p Q(tau, D p)`` over ranks from half past the head."""
    s, tau = model.alpha + 1, model.threshold
    c = model.alpha / s
    Z = float(normaliser(model.alpha, n_tasks=model.n_tasks))
    ends = np.array([_HEAD + 0.5, model.n_tasks + 0.5]) ** -s / Z

    def antiderivative(p: float) -> Floats:
        """Integrate ``u^(c-1) Q(tau, u)`` from 0 to D p, over ``D^c``."""
        gain = np.where(D > 0, D, 1.0) ** -c * special.poch(tau, c)  # Gamma(tau + c) / Gamma(tau)
        learned = np.where(D > 0, gain * special.gammainc(tau + c, D * p), 0.0)
        return np.asarray((p**c * special.gammaincc(tau, D * p) + learned) / c)

    return np.asarray((antiderivative(ends[0]) - antiderivative(ends[1])) * Z ** (-1 / s) / s)


def _tail_power(model: QuantaModel) -> float:
    """Exponent of the unlearned loss in n."""
    return model.alpha + model.gain_drift


def _unit_and_power(model: QuantaModel, by: Resource) -> tuple[float, float]:
    """Give u and q of ``n = (amount / u)^q``."""
    growth = 1 + model.alpha + model.evidence_drift
    if by == "N":
        return model.capacity / (1 + model.cost_drift), 1 / (1 + model.cost_drift)
    if by == "D":
        Z = float(normaliser(model.alpha, n_tasks=model.n_tasks))
        return model.threshold * Z, 1 / growth
    if by == "S":
        return model.first_step, 1 / growth
    raise ValueError(f"by: {by!r} found; allowed: {', '.join(get_args(Resource))}")
