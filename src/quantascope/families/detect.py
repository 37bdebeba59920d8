"""Rare shapes among loss curves: inverse scaling, U, bump, double descent, delayed drop.

The measurements that sort curves into classes (`quantascope.families.classes`) enter; leaves for
each curve a p-value of each shape, corrected for the number of curves. A class says what a curve is
on the whole; a shape here is a claim of its own, against every curve that does not have it:

inverse scaling   the loss rises, and ends higher than it began
U-shape           it falls, and later rises
bump              it rises, and later falls: what is called U-shaped scaling of a score
double descent    it falls, rises, and falls again
delayed drop      it stands still over half of the log range or more, and then falls: on the way it
                  lost or gained less than a quarter of what it loses behind

Grokking is a delayed drop (or a bump) of the test loss behind an early drop of the training loss.
From one curve the delay alone is seen; the training loss has to be looked at beside it.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from quantascope.core.rng import stream
from quantascope.families.classes import ORDERS, Correction, measure_claims
from quantascope.families.noise import Floor
from quantascope.families.series import Series
from quantascope.laws.shapes.null import p_value

__all__ = ["SHAPES", "ShapesFound", "detect_shapes"]

Floats = NDArray[np.float64]

SHAPES: Final = ("inverse scaling", "U-shape", "bump", "double descent", "delayed drop")

_PLATEAU: Final = 0.5
"""Share of the log range that a curve stands still before a delayed drop."""
_LOST: Final = 0.25
"""Most that it loses there, over what it loses behind."""
_N_NULL: Final = 20_000
_BLOCK: Final = 1 << 14


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapesFound:
    """Shapes of curves; arrays have the axis ``pred`` first."""

    p: Floats
    """P-values of `SHAPES`, axes ``pred shape``; NaN where levels allow no test."""
    p_adjusted: Floats
    """The same, corrected for the number of curves, each shape by itself."""
    at: Floats
    """Size or step of the least loss of a U, the highest of a bump, the peak of a double descent,
    the end of a plateau; NaN for inverse scaling. Axes ``pred shape``."""
    level: float
    correction: str
    method: str

    @property
    def claimed(self) -> NDArray[np.bool_]:
        """Tell which shapes are claimed, axes ``pred shape``."""
        return np.asarray(np.nan_to_num(self.p_adjusted, nan=1.0) <= self.level)

    @property
    def counts(self) -> dict[str, int]:
        """Count curves by shape; one curve may count in several."""
        return dict(zip(SHAPES, self.claimed.sum(axis=0).tolist(), strict=True))

    def first(self, shape: str, n: int) -> NDArray[np.int64]:
        """Give the places of at most n curves of a shape, the surest first.

        Raises
        ------
        ValueError
            If there is no such shape.
        """
        if shape not in SHAPES:
            raise ValueError(f"shape: {shape!r} found; allowed are {', '.join(SHAPES)}")
        column = SHAPES.index(shape)
        order = np.argsort(self.p[:, column], kind="stable")
        return order[self.claimed[order, column]][:n]

    def to_table(self) -> pa.Table:
        """Make an Arrow table with one row a curve."""
        columns: dict[str, Any] = {}
        for i, shape in enumerate(SHAPES):
            name = shape.replace(" ", "_").replace("-", "_")
            columns |= {name: self.claimed[:, i], f"p_{name}": self.p[:, i]}
        return pa.table(columns)


def detect_shapes(
    series: Series,
    *,
    level: float = 0.05,
    correction: Correction = "bh",
    n_shuffles: int | None = None,
    seed: int = 0,
) -> ShapesFound:
    """Find the curves that have a rare shape.

    Parameters
    ----------
    series
        Curves over sizes or steps.
    level, correction, n_shuffles, seed
        As `quantascope.families.classes.classify`.

    Returns
    -------
    ShapesFound
        Every shape counts only beside a change: its p-value is the larger of the two. That of a
        delayed drop is the largest over the levels of the plateau, for the best plateau; against
        simulated flat curves, of which the largest over all plateaus and levels is taken, so that
        it is a bound for every curve that moves by a quarter or more on the way.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    DataError
        If nothing could be tested; see `classify`.

    References
    ----------
    Inverse scaling and its U-shape: arXiv 2306.09479, 2211.02011. Double descent: arXiv 1912.02292.
    Grokking: arXiv 2201.02177. Tests that several hold at once: Berger 1982,
    doi:10.1080/00401706.1982.10487790.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> level = np.repeat(np.arange(9), 3)
    >>> shapes = np.stack([0 * level, 0.5 * level, -2.0 * (level > 6), np.abs(level - 4)])
    >>> series = Series(scale="n_params", x=np.geomspace(1e5, 1e9, 9), level=level,
    ...                 losses=5 + shapes + 0.1 * rng.standard_normal((4, 27)), run=np.arange(27))
    >>> detect_shapes(series).claimed.astype(int).tolist()
    [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]]
    """
    if not 0 < level < 1:
        raise ValueError(f"level: {level!r:.40} found; allowed are numbers between 0 and 1")
    if correction not in {"bh", "by"}:
        raise ValueError(f"correction: {correction!r} found; allowed are 'bh' and 'by'")
    measured = measure_claims(series, steps=False, n_shuffles=n_shuffles, seed=seed)
    change, orders = measured.p[:, 0], measured.p_orders
    floor = measured.floor
    noise = replace(floor, usual=None).draw(stream(seed, "detect", len(floor.level)), _N_NULL)
    p_delayed, plateau_end = _delayed(series, floor, noise)
    p = np.column_stack([orders, np.maximum(p_delayed, change)])
    rise = ORDERS.index("rise")
    p[:, rise] = np.maximum(orders[:, rise], _ends_higher(series, floor, noise))
    adjusted = np.full_like(p, np.nan)
    for shape, column in enumerate(p.T):
        if len(column) and np.isfinite(column).all():
            adjusted[:, shape] = false_discovery_control(column, method=correction)
    return ShapesFound(
        p=p,
        p_adjusted=adjusted,
        at=_places(series, floor, plateau_end),
        level=float(level),
        correction=correction,
        method=floor.method,
    )


@dataclass(frozen=True, kw_only=True)
class _Plateaus:
    """Contrasts that are all above 0 on a plateau with a drop behind it."""

    contrasts: Floats
    """Axes ``contrast level``."""
    window: NDArray[np.int64]
    """Plateau of each contrast."""
    end: NDArray[np.int64]
    """Last level of each plateau."""


def _lay_out(t: Floats) -> _Plateaus | None:
    """Lay out all plateaus of half the log range; None where none has a level behind it."""
    rows: list[Floats] = []
    window: list[int] = []
    ends: list[int] = []
    n, half = len(t), _PLATEAU * (t[-1] - t[0])
    for first in range(n):
        end = int(np.searchsorted(t, t[first] + half * (1 - 1e-9)))
        if end >= n - 1:
            break
        behind = np.zeros(n)
        behind[[end, -1]] = 1.0, -1.0  # what is lost behind the plateau
        for at, sign in itertools.product(range(first + 1, end + 1), (1.0, -1.0)):
            row = _LOST * behind  # a quarter of it is more than the plateau loses, or gains
            row[first] -= sign
            row[at] += sign
            rows.append(row)
        fall = np.zeros(n)
        fall[[first, -1]] = 1.0, -1.0  # it ends below the plateau
        rows.append(fall)
        window += [len(ends)] * (2 * (end - first) + 1)
        ends.append(end)
    if not rows:
        return None
    return _Plateaus(contrasts=np.array(rows), window=np.array(window), end=np.array(ends))


def _ends_higher(series: Series, floor: Floor, noise: Floats) -> Floats:
    """Give the p-value of a last level above the first."""
    ends = np.zeros((1, len(floor.design.t)))
    ends[0, [0, -1]] = -1.0, 1.0
    null = np.sort(_ratios(ends, replace(floor, usual=None), noise)[:, 0])
    parts = range(0, len(series.losses), _BLOCK)
    found = [_ratios(ends, floor, series.losses[i : i + _BLOCK])[:, 0] for i in parts]
    return p_value(null, np.concatenate([np.zeros(0), *found]))


def _delayed(series: Series, floor: Floor, noise: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Give the p-value of the best plateau with a drop behind, and the level where it ends."""
    layout = _lay_out(floor.design.t)
    n = len(series.losses)
    if layout is None:
        return np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    null = np.sort(_ratios(layout.contrasts, replace(floor, usual=None), noise).max(axis=1))
    p, end = np.ones(n), np.zeros(n, dtype=np.int64)
    first = np.flatnonzero(np.diff(layout.window, prepend=-1))
    for start in range(0, n, _BLOCK):
        part = slice(start, start + _BLOCK)
        ratios = _ratios(layout.contrasts, floor, series.losses[part])
        least = np.minimum.reduceat(ratios, first, axis=1)
        p[part] = p_value(null, least.max(axis=1))
        end[part] = layout.end[least.argmax(axis=1)]
    return p, end


def _ratios(contrasts: Floats, floor: Floor, losses: NDArray[np.floating[Any]]) -> Floats:
    """Give contrasts in units of their errors, axes ``curve contrast``."""
    means = floor.measure(losses)
    error = np.sqrt(means.error**2 @ (contrasts**2).T)
    return np.asarray(means.y @ contrasts.T / error)


def _places(series: Series, floor: Floor, plateau_end: NDArray[np.int64]) -> Floats:
    """Say where the turns are."""
    at = np.full((len(series.losses), len(SHAPES)), np.nan)
    for start in range(0, len(at), _BLOCK):
        part = slice(start, start + _BLOCK)
        y = floor.split(np.asarray(series.losses[part], dtype=np.float64))[0]
        dip = np.minimum.accumulate(y, axis=1)
        at[part, 1] = series.x[y.argmin(axis=1)]
        at[part, 2] = series.x[y.argmax(axis=1)]
        at[part, 3] = series.x[(y - dip).argmax(axis=1)]  # highest above what was reached before
        at[part, 4] = series.x[plateau_end[part]]
    return at
