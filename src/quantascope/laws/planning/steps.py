"""Kaplan's plan: model size, batch size and steps for a budget, from L(N, S) and B_crit(L).

A law ``L = (Nc/N)^aN + (Sc/S_min)^aS`` and a critical batch size ``B_crit = B_star L^(-1/aB)``
enter; what to train with a budget leaves (Kaplan et al. 2020, arXiv:2001.08361, sections 5 and 6,
appendix B). S_min and C_min are what a run far above, and far below, the critical batch size
would need; a real run at batch size B pays ``(S/S_min - 1)(E/E_min - 1) = 1`` (eq. 5.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from quantascope.laws.fitting.result import LawFit
from quantascope.laws.forms.law import Floats
from quantascope.laws.forms.table import find_law
from quantascope.laws.planning.frontier import (
    FLOP_PER_PARAM_TOKEN,
    check_positive,
    percentiles,
)

__all__ = [
    "KAPLAN_BATCH",
    "KAPLAN_FITTED",
    "KAPLAN_STEPS",
    "Exponents",
    "StepPlan",
    "compute_exponents",
    "critical_batch_size",
    "minimum_compute",
    "minimum_examples",
    "minimum_steps",
    "plan_steps",
    "wrong_size_cost",
]

KAPLAN_STEPS: Final[dict[str, float]] = {"Nc": 6.5e13, "Sc": 2.1e3, "aN": 0.077, "aS": 0.76}
"""Fitted parameters of L(N, S_min), N without embeddings (arXiv:2001.08361, table 3)."""
KAPLAN_BATCH: Final[dict[str, float]] = {"B_star": 2e8, "aB": 0.21}
"""Fitted parameters of B_crit(L) [token] (arXiv:2001.08361, eq. 1.4)."""
KAPLAN_FITTED: Final[dict[str, float]] = {"N": 0.73, "B": 0.24, "S": 0.03}
"""Exponents in C_min that the paper fitted directly (arXiv:2001.08361, section 6.1); those that
follow from its laws are .68, .25, .07."""


@dataclass(frozen=True, kw_only=True)
class Exponents:
    """How loss, size, batch and steps go with compute, ``~ C_min^exponent``."""

    loss: float
    """``alpha_C = 1 / (1/aS + 1/aB + 1/aN)``; the loss falls as C_min^-alpha_C."""
    size: float
    batch: float
    steps: float
    data: float
    """Tokens, batch times steps."""


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """What one budget should buy."""

    flop: float
    """Budget, all of it spent [FLOP]."""
    min_flop: float
    """C_min, what the same loss costs far below the critical batch size [FLOP]."""
    n_params: float
    batch: float
    """Batch size, in the unit of the batch law's response (tokens)."""
    n_steps: float
    n_tokens: float
    loss: float
    intervals: dict[str, tuple[float, float]]
    """Of each number above but the budget, where a fit has bootstrap replicates; else empty."""
    extrapolated: bool
    """Whether size or S_min lie outside what was fitted; False where that is not known."""
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return asdict(self)


def critical_batch_size(loss: ArrayLike, *, B_star: float, aB: float) -> Floats:
    """Give the critical batch size, ``B_crit = B_star / L^(1/aB)`` (arXiv:2001.08361, eq. 5.3)."""
    return np.asarray(B_star * np.asarray(loss, dtype=np.float64) ** (-1.0 / aB))


def minimum_steps(steps: ArrayLike, batch: ArrayLike, *, critical: ArrayLike) -> Floats:
    """Give ``S_min = S / (1 + B_crit/B)`` (arXiv:2001.08361, eq. 5.4).

    Examples
    --------
    >>> float(minimum_steps(2000.0, 1e6, critical=1e6))
    1000.0
    """
    return np.asarray(np.asarray(steps) / (1.0 + np.asarray(critical) / np.asarray(batch)))


def minimum_examples(steps: ArrayLike, batch: ArrayLike, *, critical: ArrayLike) -> Floats:
    """Give ``E_min = B S / (1 + B/B_crit)``, which is ``B_crit S_min`` (eqs. 5.1 and 5.2)."""
    examples = np.asarray(steps) * np.asarray(batch)
    return np.asarray(examples / (1.0 + np.asarray(batch) / np.asarray(critical)))


def minimum_compute(flop: ArrayLike, batch: ArrayLike, *, critical: ArrayLike) -> Floats:
    """Give ``C_min = C / (1 + B/B_crit)`` (arXiv:2001.08361, eq. 5.5)."""
    return np.asarray(np.asarray(flop) / (1.0 + np.asarray(batch) / np.asarray(critical)))


def compute_exponents(*, aN: float, aS: float, aB: float) -> Exponents:
    """Derive the exponents of the compute-optimal frontier.

    ``alpha_C = 1/(1/aS + 1/aB + 1/aN)``, ``N ~ C^(alpha_C/aN)``, ``B ~ C^(alpha_C/aB)``,
    ``S ~ C^(alpha_C/aS)``; the last three add up to 1.

    Parameters
    ----------
    aN, aS, aB
        Exponents of L(N, S_min) and of B_crit(L), > 0.

    Raises
    ------
    ValueError
        If an exponent is not positive.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, eqs. 6.4, 6.5 and appendix B.2.

    Examples
    --------
    >>> found = compute_exponents(aN=0.077, aS=0.76, aB=0.21)
    >>> [round(value, 3) for value in (found.loss, found.size, found.batch, found.steps)]
    [0.052, 0.681, 0.25, 0.069]
    """
    for name, value in (("aN", aN), ("aS", aS), ("aB", aB)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: {value}; allowed are numbers > 0")
    loss = 1.0 / (1.0 / aS + 1.0 / aB + 1.0 / aN)
    return Exponents(
        loss=loss, size=loss / aN, batch=loss / aB, steps=loss / aS, data=1.0 - loss / aN
    )


def wrong_size_cost(ratio: ArrayLike, *, aN: float, aS: float) -> tuple[Floats, Floats]:
    """Give what a model of the wrong size costs for the same loss.

    ``C/C_opt = r (1 + (aS/aN)(1 - r^-aN))^(-1/aS)`` and ``S/S_opt = (C/C_opt) / r``, where r is
    the size over the optimal one.

    Returns
    -------
    tuple[Floats, Floats]
        Compute and steps over the optimum's; infinite where the model can never reach the loss.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, appendix B.4.
    """
    r = np.asarray(ratio, dtype=np.float64)
    room = np.maximum(1.0 + aS / aN * (1.0 - r**-aN), 0.0)
    with np.errstate(divide="ignore"):  # no room: no number of steps suffices
        steps = room ** (-1.0 / aS)
    return r * steps, steps


def plan_steps(
    fit: LawFit | Mapping[str, float],
    batch: LawFit | Mapping[str, float],
    flop: Sequence[float],
    *,
    batch_ratio: float = 1.0,
    confidence: float = 0.95,
) -> list[StepPlan]:
    """Find model size, batch size and steps for each budget.

    Parameters
    ----------
    fit
        Law ``kaplan-NS`` fitted to S_min (see `minimum_steps`), or its parameters.
    batch
        Law ``critical-batch``, B in tokens, or its parameters.
    flop
        Budgets [FLOP], > 0.
    batch_ratio
        Batch size over the critical one, > 0. At 1 a run takes 2 S_min steps and 2 C_min FLOP.
    confidence
        Of the intervals.

    Returns
    -------
    list[StepPlan]
        One a budget. Intervals are percentiles over the bootstraps of both fits, paired by
        row as independent draws; a law given as parameters counts as exact.

    Raises
    ------
    ValueError
        If a fit is of another law or has no optimum, a budget or the ratio is not positive, or a
        budget buys less than one parameter or one step.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, appendix B.2.
    """
    (batch_ratio,) = check_positive("batch_ratio", batch_ratio)
    laws = (("kaplan-NS", fit), ("critical-batch", batch))
    params = {k: v for name, one in laws for k, v in _params(name, one).items()}
    replicates = _paired([_replicates(name, one) for name, one in laws])
    said = tuple(
        f"the uncertainty of {name} is not in the intervals"
        for (name, one) in laws
        if replicates and not (isinstance(one, LawFit) and one.replicates is not None)
    )
    found = []
    for budget in check_positive("flop", flop):
        numbers = _optimum(params, budget, batch_ratio)
        spread = _optimum({**params, **replicates}, budget, batch_ratio) if replicates else {}
        plan = {name: float(value) for name, value in numbers.items()}
        _require_optimum(plan, budget)
        found.append(
            StepPlan(
                flop=budget,
                **plan,
                intervals={n: percentiles(v, confidence=confidence) for n, v in spread.items()},
                extrapolated=_outside(fit, plan, batch_ratio),
                warnings=said,
            )
        )
    return found


def _require_optimum(plan: Mapping[str, float], flop: float) -> None:
    if not np.isfinite(list(plan.values())).all():
        raise ValueError(f"fit: the laws have no optimum at {flop:g} FLOP; fit them again")
    if min(plan["n_params"], plan["n_steps"], plan["batch"]) < 1:
        raise ValueError(
            f"flop: {flop:g} buys {plan['n_params']:.3g} parameters with {plan['n_steps']:.3g} "
            f"steps of {plan['batch']:.3g}; allowed are budgets for at least one of each"
        )


@np.errstate(all="ignore")  # what is not finite is refused, or left out of the percentiles
def _optimum(params: Mapping[str, Any], flop: float, ratio: float) -> dict[str, Floats]:
    """Solve as appendix B.2 does; parameters are numbers or have the axis ``boot``."""
    Nc, Sc, aN, aS, B_star, aB = (
        np.asarray(params[n], dtype=np.float64) for n in ("Nc", "Sc", "aN", "aS", "B_star", "aB")
    )
    least = flop / (1.0 + ratio)  # C_min, eq. 5.5
    over = np.log1p(aN / aS)  # the loss is this far above that of infinite training
    log_Cc = np.log(FLOP_PER_PARAM_TOKEN * B_star) + np.log(Nc) + np.log(Sc)
    log_Cc = log_Cc + (1 / aS + 1 / aN) * over + np.log(aS / aN) / aS
    aC = 1.0 / (1 / aS + 1 / aB + 1 / aN)
    log_loss = aC * (log_Cc - np.log(least))
    n_params = np.exp(np.log(Nc) + (over - log_loss) / aN)
    critical = np.exp(np.log(B_star) - log_loss / aB)
    min_steps = least / (FLOP_PER_PARAM_TOKEN * n_params * critical)
    n_steps = min_steps * (1.0 + 1.0 / ratio)
    return {
        "min_flop": np.full(np.shape(aC), least),
        "n_params": n_params,
        "batch": ratio * critical,
        "n_steps": n_steps,
        "n_tokens": ratio * critical * n_steps,
        "loss": np.exp(log_loss),
    }


def _params(name: str, given: LawFit | Mapping[str, float]) -> dict[str, float]:
    law = find_law(name)
    if isinstance(given, LawFit):
        if given.law != name:
            argument = "fit" if name == "kaplan-NS" else "batch"
            raise ValueError(f"{argument}: law {given.law}; allowed here is {name}")
        return dict(given.params)
    if not isinstance(given, Mapping):
        raise ValueError(f"{name}: {type(given).__name__} found; allowed are a fit or parameters")
    law.encode(given)  # refuses missing, unknown and negative parameters
    return {key: float(value) for key, value in given.items()}


def _replicates(name: str, given: LawFit | Mapping[str, float]) -> dict[str, Floats]:
    if not isinstance(given, LawFit) or given.replicates is None:
        return {}
    return dict(zip(find_law(name).names, given.replicates.T, strict=True))


def _paired(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    lengths = [len(column) for part in parts for column in part.values()]
    return {n: column[: min(lengths)] for part in parts for n, column in part.items()}


def _outside(fit: LawFit | Mapping[str, float], plan: dict[str, float], batch_ratio: float) -> bool:
    if not isinstance(fit, LawFit):
        return False
    pairs = (("N", plan["n_params"]), ("S", plan["n_steps"] / (1.0 + 1.0 / batch_ratio)))
    return any(not fit.ranges[n][0] <= value <= fit.ranges[n][1] for n, value in pairs)
