"""Scores of questions by skill: means with intervals, and one metric held against another.

Scores by (item, column) enter, the columns of a `Series` over sizes or steps; leave means by
(skill, level) whose intervals count two kinds of chance: other questions might have been asked,
and other seeds trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from quantascope.core.rng import stream
from quantascope.families.emergence import Emergence
from quantascope.families.series import Series
from quantascope.families.shares import wilson_interval

__all__ = ["SkillMeans", "metric_verdicts", "skill_means", "to_miss"]

Floats = NDArray[np.float64]

_N_BOOT: Final = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class SkillMeans:
    """Mean score of each skill at each level, axes ``skill level``."""

    mean: Floats
    lo: Floats
    hi: Floats
    level: float
    method: str

    def against(self, chance: Floats) -> NDArray[np.str_]:
        """Say "above", "at" or "below" chance, by the interval; axes ``skill level``.

        Parameters
        ----------
        chance
            Score of a guess, axis ``skill``.
        """
        even = chance[:, None]
        return np.where(self.lo > even, "above", np.where(self.hi < even, "below", "at"))


def skill_means(
    series: Series,
    skill: NDArray[np.int64],
    *,
    share: bool,
    level: float = 0.95,
    seed: int = 0,
) -> SkillMeans:
    """Average scores over items and runs.

    Parameters
    ----------
    series
        Scores, a row an item.
    skill
        Skill of each item, 0, 1, ... without gaps.
    share
        Whether scores are shares of right answers, 0 to 1.
    level
        Confidence of the intervals, in (0, 1).
    seed
        Of the items drawn again.

    Returns
    -------
    SkillMeans
        With the items' part of each interval by drawing items again (shares: Wilson's, which is
        not empty where all answers are alike) and the runs' part by Student's t over runs, added as
        squares. With one run a level the second part is unknown, and `method` says so.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Examples
    --------
    >>> right = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    >>> series = Series(scale="n_params", x=np.array([1e5, 1e6]), losses=right,
    ...                 level=np.array([0, 1]), run=np.array([0, 1]))
    >>> found = skill_means(series, np.zeros(3, dtype=np.int64), share=True)
    >>> found.mean.round(2).tolist(), found.hi.round(2).tolist()
    ([[0.0, 0.67]], [[0.56, 0.94]])
    """
    if not 0 < level < 1:
        raise ValueError(f"level: {level} found; allowed are numbers between 0 and 1")
    by_run = np.asarray(series.averaged(skill).losses, dtype=np.float64)
    n_levels = len(series.x)
    onto = np.zeros((by_run.shape[1], n_levels))
    onto[np.arange(len(onto)), series.level] = 1 / series.n_runs[series.level]
    mean = by_run @ onto
    n_items = np.bincount(skill)
    if share:
        lo, hi = wilson_interval(mean, n_items[:, None], level=level)
    else:
        lo, hi = _redrawn(series.losses @ onto, skill, level=level, seed=seed)
    runs = _runs_part(by_run, series, level=level)
    most = 1.0 if share else np.inf
    several = bool((series.n_runs > 1).all())
    return SkillMeans(
        mean=mean,
        lo=np.clip(mean - np.hypot(mean - lo, runs), 0.0, most),
        hi=np.clip(mean + np.hypot(hi - mean, runs), 0.0, most),
        level=level,
        method=("Wilson's interval" if share else "items drawn again")
        + (" and Student's t over runs" if several else "; other seeds are not counted"),
    )


def to_miss(series: Series) -> Series:
    """Turn shares of right answers into shares missed, so that falling is learning."""
    return replace(series, losses=1.0 - series.losses)


def metric_verdicts(found: Mapping[str, Emergence], *, loss: str = "token_loss") -> pa.Table:
    """Hold when and how sharply skills were learned in one metric against another.

    Parameters
    ----------
    found
        By metric; the rows of all are the same skills.
    loss
        The metric that the others are held against.

    Returns
    -------
    pa.Table
        A row a skill and metric: ``metric``, ``curve``, ``at``, ``lo``, ``hi``, ``width``, ``gap``,
        ``p_change``, and ``verdict``: "no change" where it changes in neither, "in this metric
        only" or "in the loss only" where in one (by Benjamini and Hochberg's procedure over the
        skills, metric by metric); "sharp by metric" where the middle half of its drop takes less
        than half of that of the loss and the difference is more than a gap; else "as the loss".

    References
    ----------
    arXiv:2304.15004: a smooth loss can look sudden in another metric.
    """
    base = found[loss]
    parts = []
    for name, each in found.items():
        changed = np.stack([_changed(base), _changed(each)], axis=1).tolist()
        table = each.to_table().select(["at", "lo", "hi", "width", "gap", "p_change"])
        n = table.num_rows
        words = [_verdict(base, each, row=row, changed=changed[row]) for row in range(n)]
        table = table.append_column("verdict", pa.array(words, pa.string()))
        table = table.add_column(0, "metric", pa.array([name] * n, pa.string()))
        parts.append(table.add_column(1, "curve", pa.array(np.arange(n))))
    return pa.concat_tables(parts)


def _changed(found: Emergence) -> NDArray[np.bool_]:
    if not len(found.p_change):
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(stats.false_discovery_control(found.p_change) <= 1 - found.level)


def _verdict(base: Emergence, other: Emergence, *, row: int, changed: list[bool]) -> str:
    in_loss, in_other = changed
    if not (in_loss and in_other):
        only = "in the loss only" if in_loss else "in this metric only"
        return only if in_loss or in_other else "no change"
    gap = np.nan_to_num(max(base.gap[row], other.gap[row]), nan=0.0)
    narrower = base.width[row] - other.width[row]
    sharp = narrower > gap and other.width[row] < 0.5 * base.width[row]
    return "sharp by metric" if sharp else "as the loss"


def _redrawn(
    scores: Floats, skill: NDArray[np.int64], *, level: float, seed: int
) -> tuple[Floats, Floats]:
    """Give percentiles of the means of items drawn again, axes ``skill level``."""
    ends = ((1 - level) / 2, (1 + level) / 2)
    rows = []
    for each in range(skill.max() + 1):
        mine = scores[skill == each]
        drawn = stream(seed, "probe items", each).multinomial(
            len(mine), np.full(len(mine), 1 / len(mine)), size=_N_BOOT
        )
        rows.append(np.quantile(drawn @ mine / len(mine), ends, axis=0))
    lo, hi = np.stack(rows, axis=1)
    return lo, hi


def _runs_part(by_run: Floats, series: Series, *, level: float) -> Floats:
    """Half the width that scatter between runs gives to each mean, axes ``skill level``."""
    half = np.zeros((len(by_run), len(series.x)))
    for i, n in enumerate(series.n_runs):
        if n > 1:
            error = by_run[:, series.level == i].std(axis=1, ddof=1) / np.sqrt(n)
            half[:, i] = stats.t.ppf((1 + level) / 2, n - 1) * error
    return half
