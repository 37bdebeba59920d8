"""Plain forecasts to be beaten: last value, a power law, a broken law, one skill for all others.

Each gives one number a group and target; a Gaussian around it, as wide as the same rule was wrong
over the same distance among the levels seen, makes it a forecast.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit, logit

from quantascope.families.forecast.mixture import Mixture, Unit, gaussian
from quantascope.families.forecast.seen import Floats, Seen
from quantascope.laws.fitting.data import read_points
from quantascope.laws.fitting.frame import choose_frame
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.fitting.search import search
from quantascope.laws.forms.table import find_law
from quantascope.theory.skills import strength_in_params

__all__ = ["BASELINES", "Baseline", "predict_baseline"]

_ALIKE: Final = 0.25
"""Relative difference of ln distance within which an error counts as of the same horizon."""
_LEAST: Final = 1e-3  # of the spread of all losses: no rule is taken to be more exact
_LEAST_MEAN: Final = 1e-9
"""Mean losses of 0 have no logarithm [nat]."""
_INSIDE: Final = (0.02, 0.98)
_HALF: Final = 0.5

Rule = Callable[[Seen, float], Floats]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A rule that gives a loss a group, and the levels that it needs."""

    rule: Rule
    fewest_levels: int
    fewest_points: int = 0
    """Means of runs; 0: as many as levels."""
    words: str


def _last_value(seen: Seen, target: float) -> Floats:
    del target
    return seen.losses[:, -1]


def _follow(seen: Seen, target: float, *, law: str) -> Floats:
    """Take every group down by the factor by which a law takes the mean loss."""
    s = seen.series
    mean = np.maximum(seen.share @ s.losses, _LEAST_MEAN)
    row = find_law(law)
    points = read_points(row, {row.inputs[0]: s.x[s.level], "loss": mean}, response="loss")
    frame = choose_frame(row, points, fixed={}, tied={})
    theta = frame.outward(search(frame, points, Objective("lsq-log")).theta[None])
    curve = row.form(theta, np.log([[seen.x[-1], target]]))[0][0]  # in logs
    return seen.losses[:, -1] * np.exp(curve[1] - curve[0])


def _power_law(seen: Seen, target: float) -> Floats:
    """Follow a power law with floor; without floor where points are too few for one."""
    return _follow(seen, target, law="floor" if len(seen.x) > 3 else "power")


def _bnsl(seen: Seen, target: float) -> Floats:
    return _follow(seen, target, law="bnsl-1")


def _one_skill(seen: Seen, target: float) -> Floats:
    """Read the one constant off the skill that is best seen, and move it to all by their use.

    Over sizes skill k is served by ``N_c`` parameters in its turn; over steps all start alike and
    rise like ``1 / (1 + exp(b - c p T))``. Skills that stand below keep what they have.
    """
    y = seen.losses
    floor = float(y[:, -1].min())
    skill = _best_seen(seen, floor)
    strength = (y[skill, 0] - y[skill]) / max(y[skill, 0] - y[skill].min(), 1e-12)
    if seen.scale == "n_params":
        rank = np.empty(len(seen))
        rank[np.argsort(-seen.frequency, kind="stable")] = np.arange(1, len(seen) + 1)
        half = np.exp(np.interp(_HALF, np.maximum.accumulate(strength), seen.t))
        reached = strength_in_params(target, rank, needed=half / (rank[skill] - _HALF))
    else:
        shown = seen.frequency[skill] * seen.x
        slope, start = np.polyfit(shown, logit(np.clip(strength, *_INSIDE)), 1)
        reached = expit(start + max(slope, 0.0) * seen.frequency * target)
    return np.minimum(y[:, -1], y[:, 0] - np.maximum(y[:, 0] - floor, 0.0) * reached)


def _best_seen(seen: Seen, floor: float) -> int:
    """Pick the skill with most predictions among those that fall most of the way while seen."""
    y = seen.losses
    part = (y[:, 0] - y[:, -1]) / np.maximum(y[:, 0] - floor, 1e-12)
    falls = (y[:, 0] - y[:, -1]) * (part > _HALF)
    clear = falls > np.quantile(falls, 0.75)  # not one that had been learned before
    best = np.where(clear, seen.n_preds * 1.0, -1.0)
    return int(np.argmax(best if clear.any() else falls))


BASELINES: Final[dict[str, Baseline]] = {
    "last_value": Baseline(
        rule=_last_value, fewest_levels=1, words="what the group lost at the last level"
    ),
    "power_law": Baseline(
        rule=_power_law,
        fewest_levels=2,
        fewest_points=3,
        words="the power law with floor of the mean loss, from the group's last level",
    ),
    "bnsl": Baseline(
        rule=_bnsl,
        fewest_levels=4,
        fewest_points=8,
        words="the broken law of the mean loss (one break), from the group's last level",
    ),
    "one_skill": Baseline(
        rule=_one_skill, fewest_levels=2, words="one skill's curve, moved by use (Nam et al.)"
    ),
}
"""The rules, by name."""


def predict_baseline(
    name: str, seen: Seen, target: float, *, unit: Unit, cache: dict[tuple[str, int, float], Floats]
) -> tuple[Mixture, str] | str:
    """Give a rule's forecast with a Gaussian from its own errors, or why there is none.

    Parameters
    ----------
    name
        One of `BASELINES`.
    seen
        Groups at the levels that may be used.
    target
        Size or step.
    unit
        In which errors are Gaussian.
    cache
        Kept by the caller over calls with the same groups: predictions by rule, levels, target.

    Returns
    -------
    tuple[Mixture, str] | str
        The forecast, and a remark on its width that is empty where the horizon was seen.
    """
    row, n = BASELINES[name], len(seen.x)
    if not _enough(row, seen):
        return f"{n} levels with {len(seen.series.level)} means of runs are too few"

    def predict(n_levels: int, at: float) -> Floats:
        key = (name, n_levels, at)
        if key not in cache:
            cache[key] = row.rule(seen.upto(n_levels), at)
        return cache[key]

    errors: list[tuple[float, float]] = []
    for cut in range(1, n):
        if _enough(row, seen.upto(cut)):
            for level in range(cut, n):
                off = unit.forward(seen.losses[:, level])
                off = off - unit.forward(predict(cut, float(seen.x[level])))
                errors.append((seen.t[level] - seen.t[cut - 1], float((off**2).mean())))
    wanted = float(np.log(target) - seen.t[-1])
    scale, remark = _width(errors, wanted)
    if scale is None:
        return "no two levels over which its errors could be measured"
    least = _LEAST * float(unit.forward(seen.losses).std())
    centre = unit.forward(predict(n, target))
    return gaussian(centre, max(scale, least, 1e-9), unit=unit), remark


def _enough(row: Baseline, seen: Seen) -> bool:
    points = row.fewest_points or row.fewest_levels
    return len(seen.x) >= row.fewest_levels and len(seen.series.level) >= points


def _width(errors: list[tuple[float, float]], wanted: float) -> tuple[float | None, str]:
    """Give the root mean square of errors over a like distance; else of the nearest, stretched."""
    if not errors:
        return None, ""
    distance, square = np.array(errors).T
    near = np.abs(distance - wanted) <= _ALIKE * wanted
    if near.any():
        return float(np.sqrt(square[near].mean())), ""
    at = np.abs(np.log(distance / wanted))
    near = at <= at.min() + 1e-9
    stretch = wanted / float(distance[near][0])
    remark = f"width from errors over {1 / stretch:.2g} of the distance, in proportion"
    return float(np.sqrt(square[near].mean()) * stretch), remark
