"""How well a law predicts beyond what it was fitted to: ordered splits, scored by RMSLE.

Points are ordered by the resource; the upper end is held out, the rest is fitted, and the error
of the logarithm on the held-out points is the score. A fit's own residuals say nothing of this.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from quantascope.laws.fitting.data import Points
from quantascope.laws.fitting.frame import choose_frame
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.fitting.search import search
from quantascope.laws.forms.law import Floats, Law
from quantascope.laws.forms.table import find_law

__all__ = ["Extrapolation", "Split", "extrapolate"]

_SHARES: Final = (0.2, 0.35, 0.5)


@dataclass(frozen=True, kw_only=True)
class Split:
    """One ordered split."""

    share_held: float
    n_fitted: int
    n_held: int
    reach: float
    """Largest held-out resource over the largest fitted one."""
    rmsle: float
    """Root mean square of log predicted - log observed on the held-out points."""
    bias: float
    """Mean of the same; negative where the law promises too low a loss."""
    rmsle_power: float
    """The same score of a power law in the resource, fitted alike to the same points."""
    converged: bool


@dataclass(frozen=True, kw_only=True)
class Extrapolation:
    """Scores over splits."""

    rmsle: float
    """Over all held-out points of all splits."""
    rmsle_power: float
    splits: tuple[Split, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return asdict(self)


def extrapolate(
    law: Law,
    points: Points,
    objective: Objective,
    *,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    shares: tuple[float, ...] = _SHARES,
) -> Extrapolation | None:
    """Score a law on the upper end of the data, fitted to the lower end.

    Parameters
    ----------
    law, points, objective
        The fit.
    fixed, tied
        As in `fit`.
    shares
        Shares of points held out, each in (0, 1). Points of equal resource stay together.

    Returns
    -------
    Extrapolation | None
        None where no split leaves enough points to fit.
    """
    order = np.unique(points.resource(law))
    rank = np.searchsorted(order, points.resource(law))
    found: list[tuple[Split, Floats]] = []
    for share in shares:
        cut = np.quantile(rank, 1 - share)
        kept, held = np.flatnonzero(rank <= cut), np.flatnonzero(rank > cut)
        if len(held) and len(kept) > len(law.params) - len(fixed or {}) - len(tied or {}):
            found.append(
                _score(
                    law, points, objective, kept=kept, held=held, fixed=fixed or {}, tied=tied or {}
                )
            )
    if not found:
        return None
    errors = np.concatenate([error for _, error in found])
    power = np.concatenate([np.full(split.n_held, split.rmsle_power) for split, _ in found])
    return Extrapolation(
        rmsle=float(np.sqrt(np.mean(errors**2))),
        rmsle_power=float(np.sqrt(np.mean(power**2))),
        splits=tuple(split for split, _ in found),
    )


def _score(
    law: Law,
    points: Points,
    objective: Objective,
    *,
    kept: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    held: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    fixed: Mapping[str, float],
    tied: Mapping[str, str],
) -> tuple[Split, Floats]:
    few, beyond = points.take(kept), points.take(held)
    frame = choose_frame(law, few, fixed=fixed, tied=tied)
    found = search(frame, few, objective)
    smallest = few.response[few.response > 0].min()
    predicted = np.exp(law.form(found.theta[None], frame.log_inputs(beyond))[0][0] + frame.log_unit)
    error = _log_error(predicted, beyond.response, smallest=smallest)
    straight = _log_error(
        _power_law(law, few, beyond, objective), beyond.response, smallest=smallest
    )
    split = Split(
        share_held=len(held) / points.n,
        n_fitted=len(kept),
        n_held=len(held),
        reach=float(np.exp(beyond.resource(law).max() - few.resource(law).max())),
        rmsle=float(np.sqrt(np.mean(error**2))),
        bias=float(error.mean()),
        rmsle_power=float(np.sqrt(np.mean(straight**2))),
        converged=found.converged,
    )
    return split, error


def _log_error(predicted: Floats, observed: Floats, *, smallest: float) -> Floats:
    """Log predicted less log observed; a response of zero counts as the smallest one fitted."""
    zero = observed <= 0
    with np.errstate(divide="ignore"):
        log_predicted = np.log(np.where(zero, np.maximum(predicted, smallest), predicted))
    return np.asarray(log_predicted - np.log(np.where(zero, smallest, observed)))


def _power_law(law: Law, few: Points, beyond: Points, objective: Objective) -> Floats:
    """Predictions of a power law in the resource, fitted with the same objective."""
    power = find_law("power")
    centre = few.resource(law).mean()  # a product of inputs may overflow
    one = replace(few, inputs=np.exp(few.resource(law) - centre)[None])
    frame = choose_frame(power, one, fixed={}, tied={})
    theta = frame.outward(search(frame, one, objective).theta[None])
    x = (beyond.resource(law) - centre)[None]
    return np.asarray(np.exp(power.form(theta, x)[0][0]))
