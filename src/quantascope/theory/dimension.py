"""Intrinsic dimension: from a scaling exponent, and from the distances between points.

Exponents or points enter, a dimension with its standard error and interval leaves. Two estimators
read the dimension off ratios of nearest-neighbour distances: TwoNN from the first two, and the
maximum-likelihood estimator from the first k.

Bias: both take the density as constant out to the farthest neighbour used. Curvature and edges of
the manifold break that, and both then read low; the more so the larger the dimension and the fewer
the points (10,000 points of a 12-cube, bent: 9.6 and 9.2). `extrapolate_dimension` subsamples to
see the trend in n, and says where it leads.

Errors: neighbouring points share distances, so the errors that independence would give are too
small. They come instead from the spread of the estimate over disjoint random parts of the points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial import KDTree

from quantascope.core.rng import stream
from quantascope.theory.approximation import Cells, approximation_exponent

__all__ = [
    "DimensionEstimate",
    "DimensionTrend",
    "dimension_from_exponent",
    "extrapolate_dimension",
    "knn_dimension",
    "two_nn_dimension",
]

_PARTS: Final = (
    10  # disjoint parts behind a standard error; the interval is Student's with 9 d.o.f.
)
_T_975: Final = float(stats.t.ppf(0.975, _PARTS - 1))
_HALVINGS: Final = 3
_ROUNDING: Final = 1e-9  # a mean log ratio below this is rounding of equal distances
_MAX_POINTS: Final = 1_000_000

_Estimator = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True, kw_only=True)
class DimensionEstimate:
    """A dimension with its 95 % interval (sampling error alone, not bias), or why there is none."""

    dim: float
    stderr: float
    lo: float
    hi: float
    n_points: int
    """Distinct points used."""
    n_duplicates: int
    """Points left out because they repeat another one."""
    method: str
    identified: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class DimensionTrend:
    """Estimates at n, n/2, n/4 and n/8 points, and where they lead as n grows."""

    n_points: NDArray[np.int64]
    """Points in a part, largest first."""
    dim: NDArray[np.float64]
    """Mean estimate over the disjoint parts of that size."""
    stderr: NDArray[np.float64]
    limit: float
    """Limit of ``dim + slope * n ** (-1 / limit)``; NaN where the trend does not settle."""
    limit_stderr: float
    identified: bool
    reason: str = ""


def dimension_from_exponent(
    alpha: ArrayLike, *, cells: Cells = "linear", power: float = 2.0
) -> NDArray[np.float64]:
    """Give the intrinsic dimension that a scaling exponent implies, ``d = p * order / alpha``.

    4/alpha for a piecewise linear model under squared error or cross-entropy, 2/alpha for a
    piecewise constant one. Ends of an interval may be passed through; they change places.

    Parameters
    ----------
    alpha
        Exponent of the loss in the number of parameters, ``L ~ N ** -alpha``, positive, any shape.
    cells
        ``"constant"`` or ``"linear"``.
    power
        The p of the norm whose p-th power is the loss.

    References
    ----------
    arXiv:2004.10802, section 2 (alpha about 4/d, a lower bound of alpha for structured targets).

    Examples
    --------
    >>> float(dimension_from_exponent(0.5)), float(dimension_from_exponent(0.5, cells="constant"))
    (8.0, 4.0)
    """
    exponent = np.asarray(alpha, dtype=np.float64)
    if not (exponent > 0).all():
        raise ValueError("alpha: a value that is not above 0; give decay exponents, L ~ N**-alpha")
    # alpha = (p * order) / d is its own inverse in alpha and d
    return approximation_exponent(exponent, cells=cells, power=power)


def two_nn_dimension(
    points: ArrayLike, *, discard: float = 0.1, seed: int = 0
) -> DimensionEstimate:
    """Estimate the intrinsic dimension from the ratio of the first two neighbour distances.

    ``mu = r_2 / r_1`` has density ``d mu ** -(d + 1)``. With the largest share `discard` of n
    ratios known only to exceed the m-th, maximum likelihood gives
    ``d = m / (sum_{i<=m} ln mu_i + (n - m) ln mu_m)``.

    Parameters
    ----------
    points
        Points, shape ``(n, ambient)``, at least 40 distinct ones, at most 1,000,000.
    discard
        Share of the largest ratios, 0 to below 1, that are only counted: they are the ones that
        curvature and edges spoil.
    seed
        Seed of the split behind the standard error.

    Returns
    -------
    DimensionEstimate
        See the module for its bias.

    References
    ----------
    Facco et al. 2017, doi:10.1038/s41598-017-11873-y, which discards a tenth and fits a line
    through the origin; the censored likelihood uses the same ratios without binning error.
    """
    if not 0 <= discard < 1:
        raise ValueError(f"discard: {discard} found; allowed are shares from 0 to below 1")
    return _estimate(
        points,
        estimator=partial(_two_nn, discard=discard),
        n_neighbours=2,
        seed=seed,
        method=f"TwoNN, censored likelihood, largest {discard:.0%} counted only",
    )


def knn_dimension(points: ArrayLike, *, n_neighbours: int = 10, seed: int = 0) -> DimensionEstimate:
    """Estimate the intrinsic dimension by maximum likelihood from k neighbour distances.

    ``1 / d = mean_i 1/(k-1) sum_{j<k} ln(T_k(i) / T_j(i))``: the inverses are averaged over
    points, not the dimensions.

    Parameters
    ----------
    points
        Points, shape ``(n, ambient)``.
    n_neighbours
        Neighbours k, at least 2; larger is less noisy and more biased.
    seed
        Seed of the split behind the standard error.

    References
    ----------
    Levina and Bickel 2004, NIPS 17 (the likelihood); MacKay and Ghahramani 2005, comments on it
    (the average of inverses).
    """
    if n_neighbours < 2:
        raise ValueError(f"n_neighbours: {n_neighbours} found; allowed are integers from 2")
    return _estimate(
        points,
        estimator=partial(_knn, k=n_neighbours),
        n_neighbours=n_neighbours,
        seed=seed,
        method=f"{n_neighbours}-NN likelihood, inverses averaged",
    )


def extrapolate_dimension(
    points: ArrayLike,
    *,
    method: Literal["two_nn", "knn"] = "two_nn",
    n_neighbours: int = 10,
    seed: int = 0,
) -> DimensionTrend:
    """Follow the estimate from n/8 points to n, and extrapolate to infinitely many.

    Edges bias the estimate by the share of points within a neighbour distance of them, which
    falls as ``n ** (-1/d)``. The limit is the fixed point of a line in ``n ** (-1/limit)``.

    Parameters
    ----------
    points
        Points, shape ``(n, ambient)``.
    method
        ``"two_nn"`` or ``"knn"``.
    n_neighbours
        Neighbours of the k-NN method.
    seed
        Seed of the subsampling.

    Returns
    -------
    DimensionTrend
        A guide to the size of the bias; its error holds where edges are the cause.
    """
    if method not in ("two_nn", "knn"):
        raise ValueError(f"method: {method!r} found; allowed are 'two_nn' and 'knn'")
    k = n_neighbours if method == "knn" else 2
    estimator: _Estimator = partial(_knn, k=k) if method == "knn" else partial(_two_nn, discard=0.1)
    distinct = _distinct(points)[0]
    shuffled = stream(seed, "dimension", "trend").permutation(distinct)
    if len(distinct) < 2**_HALVINGS * _least(k):
        return _no_trend(f"{len(distinct)} distinct points, {2**_HALVINGS * _least(k)} are needed")
    whole = _estimate(distinct, estimator=estimator, n_neighbours=k, seed=seed, method=method)
    counts, dims, errors = [len(distinct)], [whole.dim], [whole.stderr]
    for halving in range(1, _HALVINGS + 1):
        parts = np.array([estimator(p) for p in np.array_split(shuffled, 2**halving)])
        counts.append(len(distinct) // 2**halving)
        dims.append(float(parts.mean()))
        # every level uses all points, and the variance goes as 1/n: one error serves them all
        errors.append(whole.stderr)
    return _limit(np.array(counts), np.array(dims), np.array(errors))


def _two_nn(points: NDArray[np.float64], *, discard: float) -> float:
    distances = _distances(points, 2)
    logs = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    m = max(1, int(np.ceil(len(logs) * (1 - discard))))
    total = logs[:m].sum() + (len(logs) - m) * logs[m - 1]
    return float(m / total) if total > _ROUNDING * m else float("nan")


def _knn(points: NDArray[np.float64], *, k: int) -> float:
    logs = np.log(_distances(points, k))
    total, n_logs = (logs[:, -1:] - logs[:, :-1]).sum(), len(points) * (k - 1)
    return float(n_logs / total) if total > _ROUNDING * n_logs else float("nan")


def _distances(points: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    distances, _ = KDTree(points).query(points, k=k + 1)
    others = np.asarray(distances, dtype=np.float64)[:, 1:]  # the nearest one is the point itself
    # distinct points may be zero apart to rounding
    return np.maximum(others, np.finfo(np.float64).tiny)


def _estimate(
    points: ArrayLike, *, estimator: _Estimator, n_neighbours: int, seed: int, method: str
) -> DimensionEstimate:
    distinct, n_duplicates = _distinct(points)
    nan, needed = float("nan"), _PARTS * _least(n_neighbours)
    dim = stderr = nan
    reason = "" if len(distinct) >= needed else f"{len(distinct)} distinct points, {needed} needed"
    if not reason:
        dim = estimator(distinct)
        shuffled = stream(seed, "dimension", "parts").permutation(distinct)
        parts = [estimator(part) for part in np.array_split(shuffled, _PARTS)]
        stderr = float(np.std(parts, ddof=1) / np.sqrt(_PARTS))
        reason = "" if np.isfinite(stderr + dim) else "all neighbours are equally far (a lattice)"
    return DimensionEstimate(
        dim=dim,
        stderr=stderr,
        lo=dim - _T_975 * stderr,
        hi=dim + _T_975 * stderr,
        n_points=len(distinct),
        n_duplicates=n_duplicates,
        method=method,
        identified=not reason,
        reason=reason,
    )


def _limit(
    counts: NDArray[np.int64], dims: NDArray[np.float64], errors: NDArray[np.float64]
) -> DimensionTrend:
    limit, error = float(dims[0]), float("nan")
    reason = "the extrapolated dimension does not settle"
    for _ in range(200):
        regressor = counts ** (-1.0 / limit)
        spread = regressor - regressor.mean()
        weights = 1.0 / len(counts) - regressor.mean() * spread / (spread @ spread)
        proposed = float(weights @ dims)
        error = float(np.sqrt((weights**2) @ errors**2))
        if not 0 < proposed < 1e3:
            break
        if abs(proposed - limit) < 1e-10 * limit:
            reason = ""
            break
        limit = 0.5 * (limit + proposed)
    return DimensionTrend(
        n_points=counts,
        dim=dims,
        stderr=errors,
        limit=float("nan") if reason else limit,
        limit_stderr=float("nan") if reason else error,
        identified=not reason,
        reason=reason,
    )


def _no_trend(reason: str) -> DimensionTrend:
    nan, empty = float("nan"), np.empty(0)
    return DimensionTrend(
        n_points=np.empty(0, np.int64),
        dim=empty,
        stderr=empty,
        limit=nan,
        limit_stderr=nan,
        identified=False,
        reason=reason,
    )


def _least(n_neighbours: int) -> int:
    """Give the points that a part must hold: each with its neighbours, twice over."""
    return 2 * (n_neighbours + 1)


def _distinct(points: ArrayLike) -> tuple[NDArray[np.float64], int]:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.size == 0 or len(array) > _MAX_POINTS:
        raise ValueError(
            f"points: shape {array.shape} found; allowed are 1 to {_MAX_POINTS:,} rows of "
            "coordinates; subsample or reshape"
        )
    if not np.isfinite(array).all():
        raise ValueError("points: a coordinate that is not finite; drop or fill such rows first")
    distinct = np.unique(array, axis=0)
    spread = np.ptp(distinct, axis=0).max()  # ratios know no unit; squares of tiny ones underflow
    scaled = (distinct - distinct.mean(axis=0)) / (spread if spread > 0 else 1.0)
    return scaled, len(array) - len(distinct)
