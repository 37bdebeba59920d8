"""Whether a curve depends on size at all: an exact test by shuffling training runs.

If size does not matter for a prediction, its losses under all runs could as well stand in any
other order. So the largest of a few contrasts (two levels with the change at each gap, a line and
a parabola in log x) is compared with what it becomes when runs are shuffled over the levels. The
p-value is exact whatever the distribution of the noise; all it assumes is that the runs of a flat
curve are exchangeable. Seed effects shared by all curves of a run do no harm: runs are what is
shuffled. With one run a size the test stays exact but says little: of seven runs in two groups of
three and four, two orders in 35 make a step, so no step there has a p-value below .057.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.progress import Advance, ignore_progress
from quantascope.core.rng import stream
from quantascope.families.series import Series

__all__ = ["shuffle_test"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_ENOUGH: Final = 20
"""Shuffles that reach the observed value after which a curve is settled (Besag and Clifford)."""
_BATCH: Final = 100  # shuffles at once
_ROWS: Final = 1000  # curves at once: values of one contrast then stay in the cache
_TIE: Final = np.float32(1e-5)
"""Relative difference below which two values are equal: single precision sums in any order."""


def shuffle_test(
    series: Series,
    *,
    n_shuffles: int = 2000,
    seed: int = 0,
    advance: Advance = ignore_progress,
) -> Floats:
    """Test each curve for any dependence on size.

    Parameters
    ----------
    series
        Curves over sizes, each column a training run of its own.
    n_shuffles
        Most shuffles a curve; the smallest p-value is ``1 / (n_shuffles + 1)``.
    seed
        Of the shuffles.
    advance
        Called with the number of curves just done.

    Returns
    -------
    NDArray[np.float64]
        P-values, axis ``pred``: valid at every level, ``P(p <= t) <= t``, for each flat curve.

    Raises
    ------
    ValueError
        If runs pass through several levels: their checkpoints cannot be shuffled.

    Notes
    -----
    A curve leaves as soon as 20 shuffles reach its value, which keeps p exact: flat curves cost a
    few dozen shuffles, and only those that do change all of them.

    References
    ----------
    Besag and Clifford 1991, doi:10.1093/biomet/78.2.301 (sequential Monte Carlo p-values).
    """
    _check(series, n_shuffles)
    contrasts = _contrasts(series)
    batches = list(_draw_shuffles(contrasts, n_shuffles, seed))
    p = np.empty(len(series.losses))
    for start in range(0, len(p), _ROWS):
        part = slice(start, start + _ROWS)
        p[part] = _test_rows(_prepare(series.losses[part]), contrasts, batches)
        advance(len(p[part]))
    return p


def _check(series: Series, n_shuffles: int) -> None:
    if series.tracked:
        raise ValueError(
            "series: runs with several checkpoints found; allowed are curves over sizes, as "
            "checkpoints of a run cannot be shuffled"
        )
    if n_shuffles < 1:
        raise ValueError(f"n_shuffles: {n_shuffles} found; allowed are whole numbers from 1")


def _contrasts(series: Series) -> Floats:
    """Give contrasts of length 1 and sum 0, axes ``contrast column``."""
    t = np.log(series.x)[series.level]
    line = t - t.mean()
    parabola = line**2 - (line**2).mean()
    parabola -= line * (parabola @ line) / (line @ line)
    steps = [(series.level >= k).astype(np.float64) for k in range(1, len(series.x))]
    rows = np.stack([line, parabola, *steps])
    rows -= rows.mean(axis=1, keepdims=True)
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows[size[:, 0] > 1e-9] / size[size[:, 0] > 1e-9])  # no parabola in two sizes


def _draw_shuffles(contrasts: Floats, n: int, seed: int) -> Iterator[Singles]:
    """Give shuffled contrasts in batches, axes ``contrast column shuffle``."""
    rng = stream(seed, "shuffle", contrasts.shape[1])
    for start in range(0, n, _BATCH):
        order = rng.permuted(
            np.tile(np.arange(contrasts.shape[1]), (min(_BATCH, n - start), 1)), axis=1
        )
        yield np.ascontiguousarray(contrasts[:, order].transpose(0, 2, 1), dtype=np.float32)


def _prepare(losses: NDArray[np.floating[Any]]) -> Singles:
    """Centre curves and divide by their largest deviation, so that single precision is enough."""
    y = losses.astype(np.float64)
    y -= y.mean(axis=1, keepdims=True)
    size = np.abs(y).max(axis=1, keepdims=True)
    return np.divide(y, size, out=np.zeros_like(y), where=size > 0).astype(np.float32)


def _largest(y: Singles, shuffled: Singles) -> Singles:
    """Give the largest absolute contrast, axes ``curve shuffle``."""
    best = np.abs(y @ shuffled[0])
    for contrast in shuffled[1:]:
        value = y @ contrast
        np.abs(value, out=value)
        np.maximum(best, value, out=best)
    return best


def _test_rows(y: Singles, contrasts: Floats, batches: list[Singles]) -> Floats:
    observed = _largest(y, contrasts.astype(np.float32)[:, :, None])[:, 0] * (1 - _TIE) - _TIE
    p = np.full(len(y), np.nan)
    reached = np.zeros(len(y), dtype=np.int64)
    left, done = np.arange(len(y)), 0
    for batch in batches:
        hits = _largest(y[left], batch) >= observed[left, None]
        total = reached[left] + hits.sum(axis=1)
        over = np.flatnonzero(total >= _ENOUGH)
        running = reached[left[over], None] + np.cumsum(hits[over], axis=1)
        p[left[over]] = _ENOUGH / (done + 1 + (running >= _ENOUGH).argmax(axis=1))
        reached[left] = total
        left, done = np.delete(left, over), done + batch.shape[2]
        if not len(left):
            break
    p[left] = (reached[left] + 1) / (done + 1)
    return p
