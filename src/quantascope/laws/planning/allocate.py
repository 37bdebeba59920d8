"""A budget in FLOP, a fitted law, and what to train: parameters, tokens, loss, each with interval.

Training costs ``C = k N D`` FLOP, k = 6 (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). The
optimum is where the law is lowest on that line.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from quantascope.laws.fitting.result import LawFit
from quantascope.laws.forms.law import Floats, Law
from quantascope.laws.planning.frontier import FLOP_PER_PARAM_TOKEN, check_positive
from quantascope.laws.planning.optimum import (
    describe,
    end_of_line,
    law_of_size_and_data,
    loss_at,
    optimum,
)

__all__ = ["Overtrained", "Plan", "optimum", "overtrain", "plan"]

_TOKENS: Final = np.linspace(-3.0, 15.0, 721)
"""Grid of log tokens over those of the budget; a step of .025 interpolates the factor to 3e-5."""
_BLOCK: Final = 250


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one budget should buy."""

    flop: float
    n_params: float
    n_tokens: float
    tokens_per_param: float
    loss: float
    intervals: dict[str, tuple[float, float]]
    """Of each number above, where the fit has bootstrap replicates of which (nearly) all have an
    optimum; else empty."""
    share_without: float
    """Share of replicates that have no optimum on this budget, left out of the intervals."""
    extrapolated: bool
    """Whether the model or its data lie outside the range that was fitted."""
    reach: float
    """Budget over the largest one fitted."""
    interior: bool
    """False where the law is lowest with one parameter or one token: nothing between is optimal."""

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Overtrained:
    """A smaller model trained for longer, against the optimum of the same budget."""

    flop: float
    shrink: float
    """Parameters over the optimal number."""
    n_params: float
    n_tokens: float
    loss: float
    loss_excess: float
    """Loss above the optimum's [nat]."""
    flop_factor: float
    """Budget that this size needs for the optimum's loss, over the optimum's budget; infinite
    where no amount of data suffices."""
    intervals: dict[str, tuple[float, float]]
    """Of loss, excess and factor, where the fit has bootstrap replicates; else empty. Each
    replicate compares this very size with its own optimum, so the excess is never below 0."""

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return asdict(self)


def plan(
    fit: LawFit, flop: Sequence[float], *, flop_per_param_token: float = FLOP_PER_PARAM_TOKEN
) -> list[Plan]:
    """Find the compute-optimal model of each budget.

    Parameters
    ----------
    fit
        Of a law with the inputs N and D.
    flop
        Budgets [FLOP], > 0.
    flop_per_param_token
        Cost of one token for one parameter; 6 for dense transformers.

    Returns
    -------
    list[Plan]
        One a budget. Intervals are percentiles over the fit's bootstrap.

    Raises
    ------
    ValueError
        If the law has no N and D, its parameters admit no optimum, or a budget is not positive or
        buys less than one parameter or one token.
    """
    law = law_of_size_and_data(fit)
    theta = law.encode(fit.params)
    replicates = _replicates(law, fit)
    (cost,) = check_positive("flop_per_param_token", flop_per_param_token)
    found = []
    for budget in check_positive("flop", flop):
        units = budget / cost
        best, interior = _best(law, fit, budget, product=units)
        values = describe(law, theta, np.array([best]), product=units)
        ends: dict[str, tuple[float, float]] = {}
        without = 0.0
        if replicates is not None:
            many, inside = optimum(law, replicates, product=units)
            without = float(1 - inside.mean())
            if without < 1 - fit.confidence:  # more of them would be an end of the interval
                spread = describe(law, replicates[inside], many[inside], product=units)
                ends = _ends(spread, fit.confidence)
        found.append(
            Plan(
                flop=budget,
                **{name: float(value[0]) for name, value in values.items()},
                intervals=ends,
                share_without=without,
                extrapolated=_outside(fit, values),
                reach=budget / (cost * _largest_product(fit)),
                interior=interior,
            )
        )
    return found


def overtrain(
    fit: LawFit,
    flop: float,
    *,
    shrink: Sequence[float] = (1.0, 0.75, 0.5, 0.35, 0.25, 0.1),
    flop_per_param_token: float = FLOP_PER_PARAM_TOKEN,
) -> list[Overtrained]:
    """Say what smaller models, cheaper to serve, cost in loss or in training compute.

    Parameters
    ----------
    fit
        Of a law with the inputs N and D.
    flop
        Budget [FLOP], > 0.
    shrink
        Sizes as shares of the optimal one, > 0.
    flop_per_param_token
        As in `plan`.

    Raises
    ------
    ValueError
        As `plan`; also where the law is lowest with one parameter or one token, or where a share
        leaves less than that.
    """
    law = law_of_size_and_data(fit)
    theta = law.encode(fit.params)
    (budget,) = check_positive("flop", flop)
    (cost,) = check_positive("flop_per_param_token", flop_per_param_token)
    product = budget / cost
    best, interior = _best(law, fit, budget, product=product)
    if not interior:
        end = end_of_line(best, product / best)
        raise ValueError(
            f"flop: at {budget:g} the loss is nowhere lower than with {end}, nothing is optimal"
        )
    target = loss_at(law, theta, best, product / best)
    found = []
    for share in check_positive("shrink", shrink):
        size, start = best * share, product / (best * share)
        if min(size, start) < 1:
            raise ValueError(
                f"shrink: {share:g} of the optimum is {size:.3g} parameters with {start:.3g} "
                "tokens; allowed are shares with at least one of each"
            )
        loss = loss_at(law, theta, size, start)
        needed = _data_for(law, theta, size=size, loss=target, start=start)
        found.append(
            Overtrained(
                flop=budget,
                shrink=share,
                n_params=size,
                n_tokens=start,
                loss=loss,
                loss_excess=loss - target,
                flop_factor=size * needed / product,
                intervals=_spread(law, fit, size=size, product=product),
            )
        )
    return found


def _best(law: Law, fit: LawFit, flop: float, *, product: float) -> tuple[float, bool]:
    """Give the optimal size, and whether it lies between one parameter and one token."""
    sizes, inside = optimum(law, law.encode(fit.params), product=product)
    size, interior = float(sizes[0]), bool(inside[0])
    if not np.isfinite(size):
        said = ", ".join(f"{name} {value:.4g}" for name, value in fit.params.items())
        raise ValueError(f"fit: law {law.name} with {said} has no optimum at {flop:g} FLOP")
    if product < 1 or (law.name == "chinchilla" and not interior):
        raise ValueError(
            f"flop: {flop:g} buys {size:.3g} parameters with {product / size:.3g} tokens; allowed "
            "are budgets for at least one of each"
        )
    return size, interior


def _spread(
    law: Law, fit: LawFit, *, size: float, product: float
) -> dict[str, tuple[float, float]]:
    """Percentiles of what one size costs, over the replicates of a fit."""
    theta = _replicates(law, fit)
    if theta is None:
        return {}
    sizes, inside = optimum(law, theta, product=product)
    if not inside.any():
        return {}
    theta = theta[inside]
    best = describe(law, theta, sizes[inside], product=product)["loss"]
    log_tokens = np.log(product / size) + _TOKENS
    at = np.stack([np.full_like(log_tokens, np.log(size)), log_tokens])
    losses = np.concatenate(
        [np.exp(law.form(theta[i : i + _BLOCK], at)[0]) for i in range(0, len(theta), _BLOCK)]
    )
    here = losses[:, np.argmin(np.abs(_TOKENS))]
    factors = [  # losses fall with tokens
        np.exp(np.interp(-target, -row, _TOKENS, right=np.inf))
        for row, target in zip(losses, best, strict=True)
    ]
    found = {"loss": here, "loss_excess": here - best, "flop_factor": np.array(factors)}
    tail = (1 - fit.confidence) / 2
    ends = {n: np.quantile(v, [tail, 1 - tail], method="nearest") for n, v in found.items()}
    return {name: (float(lo), float(hi)) for name, (lo, hi) in ends.items()}


def _ends(values: dict[str, Floats], confidence: float) -> dict[str, tuple[float, float]]:
    tail = (1 - confidence) / 2
    ends = {name: np.quantile(value, [tail, 1 - tail]) for name, value in values.items()}
    return {name: (float(lo), float(hi)) for name, (lo, hi) in ends.items()}


def _replicates(law: Law, fit: LawFit) -> Floats | None:
    if fit.replicates is None:
        return None
    return law.encode(dict(zip(law.names, fit.replicates.T, strict=True)))


def _outside(fit: LawFit, values: dict[str, Floats]) -> bool:
    pairs = (("N", values["n_params"]), ("D", values["n_tokens"]))
    return any(not fit.ranges[n][0] <= float(v[0]) <= fit.ranges[n][1] for n, v in pairs)


def _largest_product(fit: LawFit) -> float:
    if fit.points is not None:
        return float(fit.points.inputs[:2].prod(axis=0).max())
    return fit.ranges["N"][1] * fit.ranges["D"][1]


def _data_for(law: Law, theta: Floats, *, size: float, loss: float, start: float) -> float:
    """Tokens with which a size reaches a loss, by bisection of a falling function."""
    lo, hi = np.log(start) - 3.0, np.log(start) + 60.0
    if loss_at(law, theta, size, float(np.exp(hi))) > loss:
        return float("inf")
    for _ in range(80):
        middle = 0.5 * (lo + hi)
        above = loss_at(law, theta, size, float(np.exp(middle))) > loss
        lo, hi = (middle, hi) if above else (lo, middle)
    return float(np.exp(hi))
