"""A budget in FLOP, a fitted law, and what to train: parameters, tokens, loss, each with interval.

Training costs ``C = k N D`` FLOP, k = 6 (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). The
optimum is where the law is lowest on that line: in closed form for Chinchilla's law (Hoffmann et
al. 2022, arXiv:2203.15556, eq. 4), on a fine grid with a parabola through its lowest points for
any other law of N and D.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from quantascope.laws.fitting.result import LawFit
from quantascope.laws.forms.law import Floats, Law

__all__ = ["Overtrained", "Plan", "optimum", "overtrain", "plan"]

FLOP_PER_PARAM_TOKEN: Final = 6.0
_N_GRID: Final = 2049
_TOKENS: Final = np.linspace(-3.0, 15.0, 721)
"""Grid of log tokens over those of the budget; a step of .025 interpolates the factor to 1e-5."""
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
    """Of each number above, where the fit has bootstrap replicates; else empty."""
    extrapolated: bool
    """Whether the model or its data lie outside the range that was fitted."""
    reach: float
    """Budget over the largest one fitted."""
    interior: bool
    """False where the law has no lowest point on the budget's line: nothing is optimal then."""

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
    where no amount of data suffices, NaN where nothing is optimal."""
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
        If the law has no N and D, or a budget is not positive.
    """
    law = _law_of_size_and_data(fit)
    theta = law.encode(fit.params)
    replicates = _replicates(law, fit)
    found = []
    for budget in _budgets(flop):
        units = budget / flop_per_param_token
        best, interior = optimum(law, theta, product=units)
        values = _row(law, theta, best, product=units)
        ends: dict[str, tuple[float, float]] = {}
        if replicates is not None:
            many, inside = optimum(law, replicates, product=units)
            ends = _ends(_row(law, replicates, many, product=units), inside, fit.confidence)
        found.append(
            Plan(
                flop=budget,
                **{name: float(value[0]) for name, value in values.items()},
                intervals=ends,
                extrapolated=_outside(fit, values),
                reach=budget / (flop_per_param_token * _largest_product(fit)),
                interior=bool(interior[0]),
            )
        )
    return found


def optimum(
    law: Law, theta: Floats, *, product: float
) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Parameters [boot] at which a law of N and D is lowest with ``N D = product``.

    Returns
    -------
    tuple[Floats, NDArray[np.bool_]]
        Number of parameters, and whether the lowest point lies inside the grid.
    """
    if law.name == "chinchilla":
        best = _closed_form(theta, product)
        return best, (best >= 1) & (best <= product)
    # from one parameter to one token: a real optimum lies far within
    log_N = np.linspace(0.0, np.log(product), _N_GRID)
    x = np.stack([log_N, np.log(product) - log_N])
    blocks = [theta[i : i + _BLOCK] for i in range(0, len(theta), _BLOCK)]
    lowest = [_lowest(law.form(block, x)[0], log_N) for block in blocks]
    return np.exp(np.concatenate([at for at, _ in lowest])), np.concatenate(
        [ok for _, ok in lowest]
    )


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
    """
    law = _law_of_size_and_data(fit)
    theta = law.encode(fit.params)
    product = _budgets([flop])[0] / flop_per_param_token
    sizes, inside = optimum(law, theta, product=product)
    best, interior = float(sizes[0]), bool(inside[0])
    target = _loss(law, theta, best, product / best)
    found = []
    for share in shrink:
        if not share > 0:
            raise ValueError(f"shrink: {share}; allowed are numbers > 0")
        size = best * share
        loss = _loss(law, theta, size, product / size)
        start = product / size
        needed = _data_for(law, theta, size=size, loss=target, start=start) if interior else np.nan
        found.append(
            Overtrained(
                flop=flop,
                shrink=share,
                n_params=size,
                n_tokens=product / size,
                loss=loss,
                loss_excess=loss - target,
                flop_factor=size * needed / product,
                intervals=_spread(law, fit, size=size, product=product),
            )
        )
    return found


def _spread(
    law: Law, fit: LawFit, *, size: float, product: float
) -> dict[str, tuple[float, float]]:
    """Percentiles of what one size costs, over the replicates of a fit."""
    theta = _replicates(law, fit)
    if theta is None:
        return {}
    best = _row(law, theta, optimum(law, theta, product=product)[0], product=product)["loss"]
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


def _closed_form(theta: Floats, product: float) -> Floats:
    """``N = G (C/6)^(beta/(alpha+beta))``, ``G = (alpha A/(beta B))^(1/(alpha+beta))``."""
    _, A, B, alpha, beta = theta.T
    with np.errstate(all="ignore"):  # terms or exponents of 0: the optimum is at an end, or NaN
        log_G = (np.log(alpha) + A - np.log(beta) - B) / (alpha + beta)
        log_N = log_G + beta / (alpha + beta) * np.log(product)
    # one model of no parameters, or of all the budget, stands for what lies beyond
    return np.asarray(np.exp(np.clip(log_N, -1.0, np.log(product) + 1.0)))


def _lowest(log_loss: Floats, at: Floats) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Lowest point of each row, by a parabola through three points of the grid."""
    index = np.argmin(log_loss, axis=1)
    interior = (index > 0) & (index < len(at) - 1)
    middle = np.clip(index, 1, len(at) - 2)
    rows = np.arange(len(log_loss))
    left, centre, right = (log_loss[rows, middle + step] for step in (-1, 0, 1))
    bend = left - 2 * centre + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    place = at[middle] + np.clip(shift, -1, 1) * (at[1] - at[0])
    return np.where(interior, place, at[index]), interior


def _data_for(law: Law, theta: Floats, *, size: float, loss: float, start: float) -> float:
    """Tokens with which a size reaches a loss, by bisection of a falling function."""
    lo, hi = np.log(start) - 3.0, np.log(start) + 60.0
    if _loss(law, theta, size, float(np.exp(hi))) > loss:
        return float("inf")
    for _ in range(80):
        middle = 0.5 * (lo + hi)
        above = _loss(law, theta, size, float(np.exp(middle))) > loss
        lo, hi = (middle, hi) if above else (lo, middle)
    return float(np.exp(hi))


def _loss(law: Law, theta: Floats, size: float, tokens: float) -> float:
    return float(np.exp(law.form(theta, np.log(np.array([[size], [tokens]])))[0][0, 0]))


def _row(law: Law, theta: Floats, n_params: Floats, *, product: float) -> dict[str, Floats]:
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


def _ends(
    values: dict[str, Floats], inside: np.ndarray[Any, np.dtype[np.bool_]], confidence: float
) -> dict[str, tuple[float, float]]:
    if not inside.any():
        return {}
    tail = (1 - confidence) / 2
    ends = {name: np.quantile(value[inside], [tail, 1 - tail]) for name, value in values.items()}
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


def _law_of_size_and_data(fit: LawFit) -> Law:
    law = fit.row
    if law.inputs != ("N", "D"):
        raise ValueError(
            f"fit: law {fit.law} has the inputs {', '.join(law.inputs)}; an allocation needs a law "
            "of N and D (chinchilla, chinchilla-tied, kaplan-ND, quanta-max, quanta-smooth)"
        )
    return law


def _budgets(flop: Sequence[float]) -> list[float]:
    budgets = [float(value) for value in flop]
    for value in budgets:
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"flop: {value:g}; allowed are finite numbers > 0, such as 5.76e23")
    if not budgets:
        raise ValueError("flop: none given; give at least one budget")
    return budgets
