"""Approach 1: the lower envelope of training curves, and the sizes that lie on it.

Losses of runs along their training enter. At every budget C some run has the lowest loss; over C
the sizes of those runs climb a staircase, and ``N_opt = k C^a`` goes through the middle of its
steps (Hoffmann et al. 2022, arXiv:2203.15556, section 3.1). A line through all points of the
stairs, as there, has a slope that is too small by a share of 1/K^2 for K equal steps.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantascope.core.rng import stream
from quantascope.laws.forms.law import Bools, Floats, Ints
from quantascope.laws.planning.frontier import Frontier, no_frontier, percentiles, weighted_lines
from quantascope.laws.planning.isoflop import read_runs

__all__ = ["Envelope", "Step", "training_envelope"]

_APPROACH: Final = "envelope of training curves (approach 1)"
_MAX_RUNS: Final = 2_000
_FEW: Final = 5


@dataclass(frozen=True, kw_only=True)
class Step:
    """One size on the envelope, and the budgets at which it is best."""

    n_params: float
    flop_lo: float
    flop_hi: float
    flop_middle: float
    """Geometric mean of the budgets at which this size is the best [FLOP]."""
    whole: bool
    """Overtaken from a smaller size and by a larger one within the data: only whole steps count."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """The sizes on the lower envelope, and the frontier through them."""

    steps: tuple[Step, ...]
    frontier: Frontier
    n_runs: int
    n_sizes: int
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return {**asdict(self), "frontier": self.frontier.to_json()}


@dataclass(frozen=True)
class _Curves:
    """Training curves on one grid of budgets, runs ordered by size."""

    log_loss: Floats
    """Axes ``run step``; infinite outside the run's own budgets."""
    size: Ints
    """Size of each run, as an index."""
    log_n: Floats
    """Axis ``size``."""
    log_flop: Floats
    """Axis ``step``."""


def training_envelope(
    data: Mapping[str, ArrayLike],
    *,
    run: ArrayLike,
    response: str = "loss",
    n_budgets: int = 1500,
    n_replicates: int = 500,
    seed: int = 0,
    confidence: float = 0.95,
) -> Envelope:
    """Find ``N_opt = k C^a`` from the runs of lowest loss at each budget.

    Parameters
    ----------
    data
        Columns ``N`` [parameter], ``D`` [token seen so far], the response [nat], and optionally
        ``C`` [FLOP], 6 N D where it is missing; one row a checkpoint. Noisy losses are smoothed
        first, or the envelope follows the noise.
    run
        Run of each row, any labels.
    response
        Name of the response's column.
    n_budgets
        Log-spaced budgets at which runs are compared; 1,500 in the source.
    n_replicates
        Of the bootstrap, which draws runs.
    seed
        Of the bootstrap.
    confidence
        Of the interval.

    Returns
    -------
    Envelope
        A size counts where it was behind at a smaller budget and is overtaken at a larger one
        that it reached itself; a size that is best because others have ended, or not begun, does
        not. Fewer than two such sizes identify nothing.

    Raises
    ------
    ValueError
        If a column is missing, a run has two sizes, or there are more than 2,000 runs.

    Notes
    -----
    A checkpoint amid a learning-rate schedule is worse than a run that ended there; the source
    trained each size with four schedules for that reason.

    Examples
    --------
    >>> size = np.repeat(np.geomspace(1e7, 1e9, 9), 40)
    >>> tokens = np.tile(np.geomspace(1e7, 1e12, 40), 9)
    >>> loss = 1 + 60 * size**-0.3 + 60 * tokens**-0.3
    >>> found = training_envelope({"N": size, "D": tokens, "loss": loss}, run=size)
    >>> round(found.frontier.exponent, 2)
    0.5
    """
    _check_options(n_budgets, n_replicates, confidence)
    curves = _read(data, run, response=response, n_budgets=n_budgets)
    everything = np.ones(len(curves.size), dtype=np.bool_)
    best, middles, whole = _stairs(curves, everything)
    n_sizes, n_whole = len(curves.log_n), int(whole.sum())
    if n_whole < 2:
        frontier = no_frontier(
            _APPROACH,
            f"{n_whole} of {n_sizes} sizes are best between two others; two are needed",
            confidence=confidence,
        )
    else:
        frontier = _frontier(curves, middles, whole, n=n_replicates, seed=seed, level=confidence)
    return Envelope(
        steps=_steps(curves, best, middles, whole),
        frontier=frontier,
        n_runs=len(curves.size),
        n_sizes=n_sizes,
        warnings=_warnings(n_whole, n_sizes, best),
    )


def _read(
    data: Mapping[str, ArrayLike], run: ArrayLike, *, response: str, n_budgets: int
) -> _Curves:
    points, flop = read_runs(data, response=response)
    labels = np.asarray(run).ravel().astype(str)
    if len(labels) != points.n:
        raise ValueError(f"run: {len(labels)} labels for {points.n} points")
    if not points.n:
        raise ValueError("data: no rows; at least one is needed")
    names, group = np.unique(labels, return_inverse=True)
    if len(names) > _MAX_RUNS:
        raise ValueError(f"run: {len(names):,} runs; allowed are {_MAX_RUNS:,}")
    log_flop, log_loss = np.log(flop), np.log(points.response)
    grid = np.linspace(log_flop.min(), log_flop.max(), n_budgets)
    curves, sizes = [], []
    for index, name in enumerate(names):
        mine = np.flatnonzero(group == index)
        if np.ptp(np.log(points.inputs[0, mine])) > 1e-6:
            raise ValueError(f"run: {str(name)[:40]} has two sizes N; one run has one size")
        order = mine[np.argsort(log_flop[mine], kind="stable")]
        sizes.append(float(points.inputs[0, order[0]]))
        curves.append(np.interp(grid, log_flop[order], log_loss[order], left=np.inf, right=np.inf))
    first = np.argsort(sizes, kind="stable")
    values, size = np.unique(np.array(sizes)[first], return_inverse=True)
    return _Curves(np.array(curves)[first], size, np.log(values), grid)


def _stairs(curves: _Curves, drawn: Bools) -> tuple[Ints, Floats, Bools]:
    """Best size at each budget (-1: none), middle of each size's budgets, and the whole steps."""
    first = np.flatnonzero(np.diff(curves.size, prepend=-1))
    rows = np.where(drawn[:, None], curves.log_loss, np.inf)
    by_size = np.minimum.reduceat(rows, first, axis=0)
    present = np.isfinite(by_size)
    best = np.where(present.any(axis=0), by_size.argmin(axis=0), -1)
    middles = np.full(len(by_size), np.nan)
    whole = np.zeros(len(by_size), dtype=np.bool_)
    for size in np.unique(best[best >= 0]):
        mine = np.flatnonzero(best == size)
        middles[size] = curves.log_flop[mine].mean()
        before, after = mine[0] - 1, mine[-1] + 1
        inside = before >= 0 and after < len(best)
        whole[size] = inside and present[size, before] and present[size, after]
    return best, middles, whole


def _frontier(
    curves: _Curves, middles: Floats, whole: Bools, *, n: int, seed: int, level: float
) -> Frontier:
    line = weighted_lines(middles[None], curves.log_n[None], whole[None].astype(np.float64))[0]
    draw = stream(seed, "envelope", "bootstrap")
    n_runs = len(curves.size)
    found = []
    for _ in range(n):
        drawn = np.zeros(n_runs, dtype=np.bool_)
        drawn[draw.integers(0, n_runs, n_runs)] = True
        found.append(_stairs(curves, drawn)[1:])
    rows = weighted_lines(
        np.array([middle for middle, _ in found]),
        np.repeat(curves.log_n[None], n, axis=0),
        np.array([one for _, one in found], dtype=np.float64),
    )
    lo, hi = percentiles(rows[:, 0], confidence=level)
    return Frontier(
        approach=_APPROACH,
        exponent=float(line[0]),
        interval=(lo, hi),
        log_k=float(line[1]),
        replicates=rows,
        confidence=level,
        method=f"{n} bootstraps of runs, percentiles",
        flop_range=(
            float(np.exp(middles[whole].min())),
            float(np.exp(middles[whole].max())),
        ),
        identified=bool(np.isfinite(lo)),
        reason="" if np.isfinite(lo) else "most draws of runs leave no two sizes on the envelope",
    )


def _steps(curves: _Curves, best: Ints, middles: Floats, whole: Bools) -> tuple[Step, ...]:
    found = []
    for size in np.unique(best[best >= 0]):
        mine = curves.log_flop[best == size]
        found.append(
            Step(
                n_params=float(np.exp(curves.log_n[size])),
                flop_lo=float(np.exp(mine[0])),
                flop_hi=float(np.exp(mine[-1])),
                flop_middle=float(np.exp(middles[size])),
                whole=bool(whole[size]),
            )
        )
    return tuple(found)


def _warnings(n_whole: int, n_sizes: int, best: NDArray[np.int64]) -> tuple[str, ...]:
    said = []
    if n_whole < _FEW:
        said.append(
            f"only {n_whole} of {n_sizes} sizes lie whole on the envelope: the exponent depends "
            "on which sizes were trained; add sizes in between and beyond"
        )
    owners = best[best >= 0]
    turns = np.diff(owners[np.flatnonzero(np.diff(owners, prepend=-1))])
    if (turns < 0).any():
        said.append(
            f"the best size falls {int((turns < 0).sum())} times as the budget grows: smooth the "
            "losses first, the envelope follows their noise"
        )
    return tuple(said)


def _check_options(n_budgets: int, n: int, confidence: float) -> None:
    if not 10 <= n_budgets <= 10_000:
        raise ValueError(f"n_budgets: {n_budgets}; allowed are integers from 10 to 10,000")
    if n < 100:
        raise ValueError(f"n_replicates: {n}; allowed are integers >= 100")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence}; allowed are numbers between 0 and 1")
