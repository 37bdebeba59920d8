"""What a forecast rests on: mean losses of groups at the levels seen, and how often each is used.

A series of group means enters with use frequencies; `Seen` leaves: means over the runs of a level,
what each run lies off them, and where in the order of use each group stands. `upto` hides the last
levels, which is all that a backtest does.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantascope.families.series import Scale, Series

__all__ = ["Floats", "Seen", "check_targets", "see"]

Floats = NDArray[np.float64]

_FEWEST_LEVELS = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Losses of groups at the levels seen."""

    series: Series
    """Mean loss of each group [nat], axes ``group column``."""
    frequency: Floats
    """Share of the predictions that fall to each group, axis ``group``; need not sum to 1."""
    n_preds: NDArray[np.int64]
    """Predictions behind each mean, axis ``group``."""

    @cached_property
    def losses(self) -> Floats:
        """Mean over the runs of each level [nat], axes ``group level``."""
        y = self.series.losses.astype(np.float64)
        level = self.series.level
        return np.stack([y[:, level == i].mean(axis=1) for i in range(len(self.series.x))], axis=1)

    @property
    def x(self) -> Floats:
        """Sizes or steps, ascending, axis ``level``."""
        return self.series.x

    @cached_property
    def t(self) -> Floats:
        """Logarithm of `x`."""
        return np.log(self.series.x)

    @property
    def scale(self) -> Scale:
        """Whether levels are sizes or steps."""
        return self.series.scale

    @property
    def n_runs(self) -> int:
        """Runs behind the last level: what is forecast is the mean over as many."""
        return int(self.series.n_runs[-1])

    @cached_property
    def use(self) -> Floats:
        """What ln x of learning should grow with, at slope 1, by the Quantization Model.

        Over sizes quantum k takes ``C k`` parameters: ln of the rank by use. Over steps it takes
        ``T / p_k``: minus ln of the frequency. Centred.
        """
        if self.scale == "n_params":
            order = np.argsort(-self.frequency, kind="stable")
            rank = np.empty(len(order))
            rank[order] = np.arange(1, len(order) + 1)
            use = np.log(rank)
        else:
            use = -np.log(np.maximum(self.frequency, self.frequency.max() * 1e-9))
        return use - use.mean()

    @cached_property
    def share(self) -> Floats:
        """Weight of each group in the mean loss, axis ``group``; sums to 1."""
        return self.frequency / self.frequency.sum()

    def upto(self, n_levels: int) -> "Seen":
        """Hide all but the first levels."""
        return self.levels(np.arange(n_levels))

    def levels(self, kept: NDArray[np.int64]) -> "Seen":
        """Take some of the levels, given by their places, ascending."""
        s = self.series
        columns = np.isin(s.level, kept)
        series = Series(
            scale=s.scale,
            x=s.x[kept],
            losses=s.losses[:, columns],
            level=np.searchsorted(kept, s.level[columns]),
            run=s.run[columns],
        )
        return Seen(series=series, frequency=self.frequency, n_preds=self.n_preds)

    def rows(self, part: NDArray[np.int64]) -> "Seen":
        """Take some of the groups."""
        return Seen(
            series=self.series.rows(part),
            frequency=self.frequency[part],
            n_preds=self.n_preds[part],
        )

    def __len__(self) -> int:
        """Count groups."""
        return len(self.frequency)


def see(
    series: Series, *, frequency: ArrayLike | None = None, n_preds: ArrayLike | None = None
) -> Seen:
    """Check what a forecast shall rest on.

    Parameters
    ----------
    series
        Mean losses of groups [nat], for example of `Series.averaged`; two levels or more.
    frequency
        How often each group is used, above 0, axis ``group``; None takes `n_preds`.
    n_preds
        Predictions behind each mean, from 1; None counts each as one.

    Raises
    ------
    ValueError
        If counts differ, or a number is out of its range.

    Examples
    --------
    >>> series = Series(scale="n_params", x=np.array([1e5, 1e6]), losses=np.array([[3.0, 1.0]]),
    ...                 level=np.array([0, 1]), run=np.array([0, 1]))
    >>> see(series, frequency=[0.5]).losses.tolist()
    [[3.0, 1.0]]
    """
    n = len(series.losses)
    counts = np.ones(n) if n_preds is None else np.asarray(n_preds, dtype=np.float64)
    use = counts if frequency is None else np.asarray(frequency, dtype=np.float64)
    for name, values in (("n_preds", counts), ("frequency", use)):
        if values.shape != (n,):
            raise ValueError(
                f"{name}: shape {values.shape} found; allowed is one number a group, ({n},)"
            )
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"{name}: a value of 0, below or not finite found; allowed: above 0")
    if n < 1 or len(series.x) < _FEWEST_LEVELS:
        raise ValueError(
            f"series: {n} groups at {len(series.x)} levels found; allowed: one group or more at "
            f"{_FEWEST_LEVELS} levels or more"
        )
    if not np.isfinite(series.losses).all():
        raise ValueError("series: a loss that is not finite found; leave such groups out")
    return Seen(series=series, frequency=use, n_preds=counts.astype(np.int64))


def check_targets(seen: Seen, targets: ArrayLike) -> Floats:
    """Return targets as ascending floats.

    Raises
    ------
    ValueError
        If one is not beyond the last level seen.
    """
    wanted = np.unique(np.atleast_1d(np.asarray(targets, dtype=np.float64)))
    last = seen.x[-1]
    bad = wanted[~(np.isfinite(wanted) & (wanted > last))]
    if len(bad) or not len(wanted):
        found = f"{bad[0]:g}" if len(bad) else "none"
        raise ValueError(
            f"targets: {found} found; allowed: beyond the last seen, {last:g}, for a forecast "
            "looks ahead; hide levels to look at those that are known"
        )
    return wanted
