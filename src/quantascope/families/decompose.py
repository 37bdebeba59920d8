"""The mean loss of a family as a sum over groups: what each carries of the loss and of its drop.

Losses of predictions and their groups (clusters, n-grams, skills) enter, or groups that are already
averaged and their shares of use. The mean loss is ``sum_k share_k loss_k`` exactly: what no group
holds is a part of its own, the rest. So is the drop between two sizes or steps.

Two errors are kept apart: that of the seeds (other runs, same predictions) and that of the
predictions (other text, same runs).
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from quantascope.core.errors import DataError
from quantascope.families.series import Series

__all__ = ["Decomposition", "Parts", "decompose", "fall_of_each", "known_parts", "make_parts"]

Floats = NDArray[np.float64]

_CONFIDENCE: Final = 0.95
_Z: Final = float(stats.norm.ppf(0.5 + _CONFIDENCE / 2))
_ROUNDING: Final = 1e-9
"""Share below zero that is rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What the mean loss is a sum of; the last part may be the rest."""

    series: Series
    """Mean loss of each part [nat], axes ``part column``."""
    share: Floats
    """Of all predictions; sums to 1; axis ``part``."""
    n_preds: NDArray[np.int64]
    """Predictions that each loss is a mean of; 0 where shares are known otherwise."""
    has_rest: bool
    """Whether the last part is what no group holds."""
    n_whole: int = 0
    """All predictions; 0 where shares are known otherwise."""
    source: Series | None = None
    """Predictions behind the parts."""
    part: NDArray[np.int64] | None = None
    """Part of each of them."""

    @property
    def n_groups(self) -> int:
        """Number of parts but the rest."""
        return len(self.share) - self.has_rest

    @property
    def whole(self) -> Floats:
        """Mean loss of the whole [nat], axis ``column``."""
        return np.asarray(self.share @ self.series.losses)

    def level_means(self) -> Floats:
        """Average over runs: loss of each part [nat], axes ``part level``."""
        return self.series.level_means()


@dataclass(frozen=True, kw_only=True, eq=False)
class Decomposition:
    """The drop of the mean loss between two levels by part; arrays have the axis ``part``."""

    parts: Parts
    first: int
    """Level from which the drop is counted."""
    last: int
    drop: Floats
    """``share_k (loss_k(first) - loss_k(last))`` [nat]; sums to the whole's drop."""
    share_of_drop: Floats
    """Of the whole's drop; NaN where that is not above 0."""
    seed_error: Floats
    """Half-width of the 95 % interval of `share_of_drop` over seeds; NaN with one run a level."""
    pred_error: Floats
    """The same over predictions; NaN where the predictions are not at hand."""

    @property
    def total(self) -> float:
        """Drop of the mean loss [nat]."""
        return float(self.drop.sum())

    @property
    def covered(self) -> dict[str, float]:
        """Share of groups in predictions, in the mean loss at both levels, and in its drop."""
        n, means = self.parts.n_groups, self.parts.level_means()
        held = self.parts.share[:, None] * means
        whole = held.sum(axis=0)
        nothing = np.full(len(whole), np.nan)  # of a mean loss of 0
        share = np.divide(held[:n].sum(axis=0), whole, out=nothing, where=whole > 0)
        return {
            "predictions": float(self.parts.share[:n].sum()),
            "loss_first": float(share[self.first]),
            "loss_last": float(share[self.last]),
            "drop": float(self.share_of_drop[:n].sum()),
        }

    def to_table(self, names: NDArray[Any]) -> pa.Table:
        """Make an Arrow table with one row a part; `names` are those of the groups."""
        if len(names) != self.parts.n_groups:
            raise ValueError(
                f"names: {len(names)} found; {self.parts.n_groups} groups need one each"
            )
        named = [*map(str, names), *["rest"] * self.parts.has_rest]
        means = self.parts.level_means()
        columns: dict[str, Any] = {
            "part": named,
            "n_preds": self.parts.n_preds,
            "share": self.parts.share,
        }
        for x, loss in zip(self.parts.series.x, means.T, strict=True):
            columns[f"loss_at_{x:.10g}"] = loss
        found = ("drop", "share_of_drop", "seed_error", "pred_error")
        return pa.table(columns | {name: getattr(self, name) for name in found})


def make_parts(
    series: Series,
    group: NDArray[np.int64],
    *,
    whole: NDArray[np.floating[Any]] | None = None,
    n_whole: int | None = None,
) -> Parts:
    """Average predictions over groups; what is left of the whole is the rest.

    Parameters
    ----------
    series
        Losses of predictions [nat].
    group
        Group 0, 1, ... of each prediction, below 0 for none; axis ``pred``.
    whole
        Mean loss of all predictions under each column [nat]; None: the predictions are all.
    n_whole
        Number of all predictions; goes with `whole`.

    Raises
    ------
    ValueError
        If there is no group or one is empty, or `whole` and `n_whole` do not go together.
    DataError
        If the groups' losses exceed the whole: they are not part of it.

    Examples
    --------
    >>> series = Series(scale="n_params", x=np.array([1e5, 1e6]),
    ...                 losses=np.array([[4.0, 1.0], [2.0, 2.0], [3.0, 2.0]]),
    ...                 level=np.array([0, 1]), run=np.array([0, 1]))
    >>> parts = make_parts(series, np.array([0, 0, -1]))
    >>> parts.share.round(3).tolist(), parts.whole.round(3).tolist()
    ([0.667, 0.333], [3.0, 1.667])
    """
    if (whole is None) != (n_whole is None):
        raise ValueError("whole, n_whole: one given without the other; give both or neither")
    means = series.averaged(group)  # checks the groups
    held = group >= 0
    if not held.any():
        raise ValueError("group: no prediction is in a group; one or more are needed")
    n_preds = np.bincount(group[held], minlength=len(means.losses))
    total = len(series.losses) if n_whole is None else n_whole
    rest = total - int(n_preds.sum())
    if rest < 0:
        raise ValueError(f"n_whole: {total} found, below the {n_preds.sum()} predictions in groups")
    share, losses = n_preds / total, means.losses
    if rest:
        mean = series.losses.mean(axis=0, dtype=np.float64) if whole is None else whole
        left = (mean - share @ losses) * (total / rest)
        if (left < -_ROUNDING * np.abs(mean) * total / rest).any():
            raise DataError("whole: its loss is below that of the groups; are they part of it?")
        losses = np.concatenate([losses, np.maximum(left, 0.0)[None]])
        share, n_preds = np.append(share, rest / total), np.append(n_preds, rest)
    return Parts(
        series=replace(means, losses=losses),
        share=share,
        n_preds=n_preds,
        has_rest=rest > 0,
        n_whole=total,
        source=series,
        part=np.where(held, group, len(losses) - 1),
    )


def known_parts(series: Series, frequency: NDArray[np.floating[Any]]) -> Parts:
    """Take groups whose losses and frequencies of use are known, such as subtasks.

    Parameters
    ----------
    series
        Mean loss of each group [nat], axes ``group column``.
    frequency
        Of use, > 0; taken as shares of their sum.
    """
    share = np.asarray(frequency, dtype=np.float64)
    if share.shape != (len(series.losses),) or not (np.isfinite(share) & (share > 0)).all():
        raise ValueError("frequency: one finite number above 0 a group is needed")
    share = share / share.sum()
    none = np.zeros(len(share), dtype=np.int64)
    return Parts(series=series, share=share, n_preds=none, has_rest=False)


def decompose(parts: Parts, *, first: int = 0, last: int = -1) -> Decomposition:
    """Split the drop of the mean loss between two levels over parts.

    Parameters
    ----------
    parts
        Of the mean loss.
    first, last
        Places of two levels, counted from the end below 0.

    Returns
    -------
    Decomposition
        Intervals are those of a ratio, linearised: with ``r_k`` the share of part k and D the drop,
        the error of ``(drop_k - r_k D) / D`` between runs (Student's t; Welch's degrees of freedom
        across sizes, pairs of one run along steps), and between predictions.

    Raises
    ------
    ValueError
        If the levels are not there or are one.

    References
    ----------
    Welch 1947, doi:10.1093/biomet/34.1-2.28.

    Examples
    --------
    >>> series = Series(scale="n_params", x=np.array([1e5, 1e6]),
    ...                 losses=np.array([[4.0, 1.0], [2.0, 2.0]]),
    ...                 level=np.array([0, 1]), run=np.array([0, 1]))
    >>> found = decompose(make_parts(series, np.array([0, 1])))
    >>> found.drop.tolist(), found.share_of_drop.tolist()
    ([1.5, 0.0], [1.0, 0.0])
    """
    n_levels = len(parts.series.x)
    if not (-n_levels <= first < n_levels and -n_levels <= last < n_levels):
        raise ValueError(f"first, last: {first}, {last} found; there are {n_levels} levels")
    first, last = first % n_levels, last % n_levels
    if first == last:
        raise ValueError(f"first, last: both are level {first}; a drop needs two levels")
    means = parts.level_means()
    drop = parts.share * (means[:, first] - means[:, last])
    total = float(drop.sum())
    share = drop / total if total > 0 else np.full(len(drop), np.nan)
    return Decomposition(
        parts=parts,
        first=first,
        last=last,
        drop=drop,
        share_of_drop=share,
        seed_error=_between_runs(parts, first, last, share=share, total=total),
        pred_error=_between_preds(parts, first, last, share=share, total=total),
    )


def _between_runs(parts: Parts, first: int, last: int, *, share: Floats, total: float) -> Floats:
    """Give half-widths over seeds."""
    series = parts.series
    held = parts.share[:, None] * series.losses
    off = (held - np.nan_to_num(share)[:, None] * held.sum(axis=0)) / total if total else held * 0
    columns = [np.flatnonzero(series.level == level) for level in (first, last)]
    if series.tracked:
        before, after = (off[:, at[np.argsort(series.run[at])]] for at in columns)
        samples = [before - after] if before.shape == after.shape else []
    else:
        samples = [off[:, at] for at in columns]
    if not samples or min(each.shape[1] for each in samples) < 2 or not total > 0:
        return np.full(len(share), np.nan)
    variance = np.stack([each.var(axis=1, ddof=1) / each.shape[1] for each in samples])
    free = np.array([[each.shape[1] - 1] for each in samples])
    both = variance.sum(axis=0)
    weight = (variance**2 / free).sum(axis=0)
    dof = np.divide(both**2, weight, out=np.full(len(both), 1.0), where=weight > 0)
    return np.asarray(stats.t.ppf(0.5 + _CONFIDENCE / 2, dof) * np.sqrt(both))


def _between_preds(parts: Parts, first: int, last: int, *, share: Floats, total: float) -> Floats:
    """Give half-widths over predictions; those of the rest at hand stand for all of it."""
    if parts.source is None or parts.part is None or not total > 0:
        return np.full(len(share), np.nan)
    fall = fall_of_each(parts.source, first, last)
    n = np.bincount(parts.part, minlength=len(share))
    squares = np.bincount(parts.part, weights=fall**2, minlength=len(share))
    mean_square = parts.share * np.divide(squares, n, out=np.full(len(n), np.nan), where=n > 0)
    known = float(np.nansum(mean_square))
    variance = mean_square * (1 - 2 * share) + share**2 * known
    return np.asarray(_Z * np.sqrt(np.maximum(variance, 0) / parts.n_whole) / total)


def fall_of_each(source: Series, first: int, last: int) -> Floats:
    """Give how far each prediction falls between two levels in the mean over runs [nat]."""
    ends = (source.losses[:, source.level == level].mean(axis=1) for level in (first, last))
    before, after = ends
    return np.asarray(before - after, dtype=np.float64)
