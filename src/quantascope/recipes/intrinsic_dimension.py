"""Intrinsic dimension of points on a bent d-dimensional sheet in 20 dimensions.

Source: the estimators are Facco et al. 2017 (doi:10.1038/s41598-017-11873-y) and Levina and Bickel
2004 with the average of MacKay and Ghahramani 2005; the numbers were measured here. Points are
``tanh(z W / sqrt(d))``, z uniform in ``[-1, 1]^d``, W normal, d by 20.
Command: ``quantascope reproduce intrinsic-dimension``, 12 CPU-s; ``--quick`` (2,000 points) 2.
Expected: 10,000 points: TwoNN 2.00, 3.86, 7.08, 9.54 and 10-NN 1.99, 3.78, 6.83, 9.18 for
d = 2, 4, 8, 12: low from d = 8 on. Tolerance: 5 standard deviations between seeds.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np

from quantascope.core.rng import stream
from quantascope.plots.recipes import plot_dimensions
from quantascope.recipes.result import Check, RecipeResult
from quantascope.theory.dimension import (
    extrapolate_dimension,
    knn_dimension,
    two_nn_dimension,
)

__all__ = ["QUICK", "Config", "run"]

_Method = Literal["two_nn", "knn"]

_STANDARD_DEVIATIONS: Final = 5.0
_SOURCE: Final = "measured here: mean of 10 other seeds"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Points, and what ten seeds of them gave, mean and standard deviation by dimension."""

    dims: tuple[int, ...] = (2, 4, 8, 12)
    n_points: int = 10_000
    ambient: int = 20
    bend: float = 1.0
    """Scale of the map before the tanh: larger bends the sheet more."""
    n_neighbours: int = 10
    two_nn: tuple[float, ...] = (1.996, 3.862, 7.082, 9.540)
    two_nn_sd: tuple[float, ...] = (0.037, 0.046, 0.081, 0.141)
    knn: tuple[float, ...] = (1.986, 3.775, 6.829, 9.182)
    knn_sd: tuple[float, ...] = (0.007, 0.014, 0.040, 0.138)


QUICK: Final = Config(
    n_points=2_000,
    two_nn=(2.007, 3.735, 6.760, 9.063),
    two_nn_sd=(0.063, 0.119, 0.157, 0.204),
    knn=(1.962, 3.646, 6.482, 8.621),
    knn_sd=(0.013, 0.035, 0.096, 0.171),
)


def run(config: Config, *, seed: int) -> RecipeResult:
    """Estimate the dimension of each sheet with both estimators, and follow the bias in n."""
    k = config.n_neighbours
    reference: dict[_Method, tuple[tuple[float, ...], tuple[float, ...]]] = {
        "two_nn": (config.two_nn, config.two_nn_sd),
        "knn": (config.knn, config.knn_sd),
    }
    checks, rows = [], []
    for i, dim in enumerate(config.dims):
        points = _sheet(dim, config=config, seed=seed)
        estimates = {
            "two_nn": two_nn_dimension(points, seed=seed),
            "knn": knn_dimension(points, n_neighbours=k, seed=seed),
        }
        for method, (expected, sd) in reference.items():
            found = estimates[method]
            trend = extrapolate_dimension(points, method=method, n_neighbours=k, seed=seed)
            limit = (trend.limit, trend.limit_stderr)
            rows.append((method, dim, found.dim, found.stderr, found.lo, found.hi, *limit))
            checks.append(
                Check(
                    name=f"{method}, d = {dim}",
                    expected=expected[i],
                    obtained=found.dim,
                    tolerance=_STANDARD_DEVIATIONS * sd[i],
                    bound="5 standard deviations between seeds",
                    source=_SOURCE,
                )
            )
    names = ("method", "dim", "estimate", "stderr", "lo", "hi", "limit", "limit_stderr")
    columns = (np.array(column) for column in zip(*rows, strict=True))
    table = dict(zip(names, columns, strict=True))
    return RecipeResult(
        name="intrinsic-dimension",
        config=config,
        seed=seed,
        checks=tuple(checks),
        tables={"dimensions": table},
        draw=partial(plot_dimensions, table),
    )


def _sheet(dim: int, *, config: Config, seed: int) -> np.ndarray:
    rng = stream(seed, "intrinsic-dimension", dim)
    latent = rng.uniform(-1.0, 1.0, (config.n_points, dim))
    weights = rng.standard_normal((dim, config.ambient))
    return np.tanh(config.bend * latent @ weights / np.sqrt(dim))
