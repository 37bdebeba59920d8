"""Approach 2: runs of equal compute, a parabola of loss in log N, a power law through its lows.

A table of (N, D, loss) enters, slices of like ``C = 6 N D`` are found, and each slice's parabola
has its lowest point at ``N_opt(C)`` (Hoffmann et al. 2022, arXiv:2203.15556, section 3.2). Slices
need not be exact: one slope of the loss in log C, shared by all slices, takes out what is left of
the budget's spread within them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from quantascope.laws.fitting.data import Points, read_points
from quantascope.laws.forms.law import Floats, Ints
from quantascope.laws.forms.table import find_law
from quantascope.laws.planning.frontier import (
    FLOP_PER_PARAM_TOKEN,
    Frontier,
    check_positive,
    no_frontier,
    percentiles,
    weighted_lines,
)
from quantascope.laws.planning.parabolas import Parabolas, Slice

__all__ = ["IsoFlop", "Slice", "find_slices", "isoflop_profiles", "read_runs"]

_MAX_POINTS: Final = 5_000
_LEAST_SIZES: Final = 4
"""A parabola has three coefficients; one more size gives it an error."""
_WIDE: Final = 16.0
"""Beyond this span of sizes a slice is no parabola and its vertex is biased."""


@dataclass(frozen=True, kw_only=True)
class IsoFlop:
    """Slices, and the frontier through the vertices of the usable ones."""

    slices: tuple[Slice, ...]
    frontier: Frontier
    tolerance: float
    """Largest over smallest compute that a slice may hold."""
    n_left_out: int
    """Points in no slice."""
    drift: float
    """Slope of the loss in log C within slices [nat]."""
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain objects."""
        return {**asdict(self), "frontier": self.frontier.to_json()}


def isoflop_profiles(
    data: Mapping[str, ArrayLike],
    *,
    response: str = "loss",
    tolerance: float = 1.25,
    min_points: int = 5,
    n_replicates: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> IsoFlop:
    """Find ``N_opt = k C^a`` from the lowest points of isoFLOP profiles.

    Parameters
    ----------
    data
        Columns ``N`` [parameter], ``D`` [token], the response [nat], and optionally ``C``
        [FLOP], 6 N D where it is missing.
    response
        Name of the response's column.
    tolerance
        Largest over smallest compute within a slice, > 1.
    min_points
        Runs that make a slice, at least 4.
    n_replicates
        Of the bootstrap: residuals are drawn anew within each slice, enlarged for leverage.
    seed
        Of the bootstrap.
    confidence
        Of the interval.

    Returns
    -------
    IsoFlop
        A slice whose parabola opens downward, has its vertex outside its sizes, or bends by less
        than its error is kept with the reason; without two usable slices nothing is identified.

    Raises
    ------
    ValueError
        If a column is missing or an option is out of range.

    Notes
    -----
    Vertices count with the inverse of their variance. A parabola is a local approximation: wide
    or lopsided ranges of N bias it (arXiv:2603.22339), which no bootstrap shows.

    Examples
    --------
    >>> C, r = np.repeat([1e19, 1e20, 1e21], 7), np.tile(np.geomspace(0.4, 2.5, 7), 3)
    >>> N = r * np.sqrt(C / 120)
    >>> loss = 2 + C**-0.05 + 0.1 * np.log(r) ** 2
    >>> found = isoflop_profiles({"N": N, "D": C / 6 / N, "loss": loss})
    >>> round(found.frontier.exponent, 6), len(found.slices)
    (0.5, 3)
    """
    _check_options(tolerance, min_points, n_replicates, confidence)
    points, flop = read_runs(data, response=response)
    if points.n > _MAX_POINTS:
        raise ValueError(
            f"data: {points.n:,} points; allowed are {_MAX_POINTS:,}, the last one of each run"
        )
    labels = find_slices(flop, tolerance=tolerance, min_points=min_points)
    labels = _with_enough_sizes(labels, points.inputs[0])
    if labels.max(initial=-1) < 0:
        return _no_slices(points.n, tolerance=tolerance, confidence=confidence)
    kept = labels >= 0
    design = Parabolas(points.take(np.flatnonzero(kept)), flop[kept], labels[kept])
    slices = design.slices()
    frontier = _frontier(design, slices, n=n_replicates, seed=seed, confidence=confidence)
    left_out = int((~kept).sum())
    return IsoFlop(
        slices=slices,
        frontier=frontier,
        tolerance=tolerance,
        n_left_out=left_out,
        drift=float(design.solve(design.response[None])[0, -1]),
        warnings=_warnings(slices, left_out=left_out, n=points.n),
    )


def read_runs(data: Mapping[str, ArrayLike], *, response: str = "loss") -> tuple[Points, Floats]:
    """Check the columns N, D and response, and give the compute [FLOP], 6 N D without column C.

    Raises
    ------
    ValueError
        If a column is missing or holds what is not positive and finite.
    """
    if not hasattr(data, "keys"):
        raise ValueError(f"data: {type(data).__name__} found; allowed are columns by name")
    points = read_points(find_law("chinchilla"), data, response=response)
    if "C" not in data:
        return points, FLOP_PER_PARAM_TOKEN * points.inputs.prod(axis=0)
    flop = read_points(find_law("kaplan-C"), {**data}, response=response).inputs[0]
    if len(flop) != points.n:
        raise ValueError(f"C: {len(flop)} values for {points.n} points")
    return points, flop


def find_slices(flop: Floats, *, tolerance: float, min_points: int) -> Ints:
    """Label runs of like compute: the fullest window of width `tolerance`, then the next.

    Returns
    -------
    Ints
        Slice of each run, numbered by compute, -1 for none; axis ``point``.
    """
    log_flop = np.log(flop)
    labels = np.full(len(flop), -1)
    free = np.argsort(log_flop, kind="stable")
    found = 0
    while len(free):
        at = log_flop[free]
        ends = np.searchsorted(at, at + np.log(tolerance) + 1e-12, side="right")
        counts = ends - np.arange(len(at))
        first = int(np.argmax(counts))
        if counts[first] < min_points:
            break
        labels[free[first : ends[first]]] = found
        free = np.delete(free, slice(first, ends[first]))
        found += 1
    return _by_compute(labels, log_flop)


def _by_compute(labels: Ints, log_flop: Floats) -> Ints:
    names = np.unique(labels[labels >= 0])
    means = np.array([log_flop[labels == name].mean() for name in names])
    renamed = np.full(len(labels), -1)
    for new, name in enumerate(names[np.argsort(means)]):
        renamed[labels == name] = new
    return renamed


def _with_enough_sizes(labels: Ints, n_params: Floats) -> Ints:
    """Drop slices of fewer sizes than a parabola needs, and number the rest anew."""
    kept = labels.copy()
    for name in range(labels.max(initial=-1) + 1):
        if len(np.unique(n_params[labels == name])) < _LEAST_SIZES:
            kept[labels == name] = -1
    _, renamed = np.unique(np.append(kept, -1), return_inverse=True)
    return np.asarray(renamed[:-1] - 1)


def _frontier(
    design: Parabolas, slices: tuple[Slice, ...], *, n: int, seed: int, confidence: float
) -> Frontier:
    usable = np.array([one.usable for one in slices])
    if usable.sum() < 2:
        return no_frontier(
            "isoFLOP parabolas (approach 2)",
            f"{usable.sum()} of {len(slices)} slices have a minimum inside; two are needed",
            confidence=confidence,
        )
    errors = np.array([one.log_se for one in slices])[usable]
    weights = 1 / np.maximum(errors, max(1e-3 * float(errors.max()), 1e-12)) ** 2
    x = design.budgets[usable][None]
    at, _ = design.vertices(design.response[None])
    (a, log_k), *_ = weighted_lines(x, at[:, usable], weights[None])
    again, inside = design.vertices(design.resample(n=n, seed=seed))
    rows = weighted_lines(x, again[:, usable], weights * inside[:, usable])
    lo, hi = percentiles(rows[:, 0], confidence=confidence)
    return Frontier(
        approach="isoFLOP parabolas (approach 2)",
        exponent=float(a),
        interval=(lo, hi),
        log_k=float(log_k),
        replicates=rows,
        confidence=confidence,
        method=f"{n} bootstraps of residuals within slices, percentiles",
        flop_range=(float(np.exp(x.min())), float(np.exp(x.max()))),
        identified=bool(np.isfinite(lo)),
        reason="" if np.isfinite(lo) else "most bootstrap replicates have no two minima",
    )


def _no_slices(n: int, *, tolerance: float, confidence: float) -> IsoFlop:
    reason = (
        f"no slice: among {n} points no {_LEAST_SIZES} sizes share their compute within a "
        f"factor {tolerance:g}"
    )
    return IsoFlop(
        slices=(),
        frontier=no_frontier("isoFLOP parabolas (approach 2)", reason, confidence=confidence),
        tolerance=tolerance,
        n_left_out=n,
        drift=float("nan"),
        warnings=(),
    )


def _warnings(slices: tuple[Slice, ...], *, left_out: int, n: int) -> tuple[str, ...]:
    said = [f"slice at {s.flop:.3g} FLOP: {s.reason}" for s in slices if not s.usable]
    wide = [s for s in slices if s.n_params_range[1] > _WIDE * s.n_params_range[0]]
    if wide:
        said.append(
            f"{len(wide)} of {len(slices)} slices span more than a factor {_WIDE:g} in N, where "
            "the loss is no parabola: the vertex is biased (arXiv:2603.22339)"
        )
    if left_out > n / 4:
        said.append(f"{left_out} of {n} points are in no slice")
    return tuple(said)


def _check_options(tolerance: float, min_points: int, n: int, confidence: float) -> None:
    if not check_positive("tolerance", tolerance)[0] > 1:
        raise ValueError(f"tolerance: {tolerance:g}; allowed are numbers > 1, such as 1.25")
    if min_points < _LEAST_SIZES:
        raise ValueError(f"min_points: {min_points}; allowed are integers >= {_LEAST_SIZES}")
    if n < 100:
        raise ValueError(f"n_replicates: {n}; allowed are integers >= 100")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence}; allowed are numbers between 0 and 1")
