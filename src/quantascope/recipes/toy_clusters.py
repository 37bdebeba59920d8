"""Power-law groups on the sphere, found by spectral clustering: the envelope misreads their slope.

Source: arXiv:2303.13506, figures A10 and A11: N groups of ``n_i = floor(A / i^s)`` points
``N(m_i, sigma^2 I_d)`` with ``m_i ~ N(0, I_d)``, similarity 1 + cosine, spectral clustering at
several numbers of clusters, slope of the envelope. (The figures' alpha is the slope s.)
Command: ``quantascope reproduce toy-clusters``, some 400 CPU-s (the slopes 60, the grid
extrapolated); ``--quick`` is N = A = 200, two worlds a slope, 10 CPU-s.
Expected: the envelope's slope is off by about .2 (figure A11, N = A = 1,000). Measured there for
1.0 to 1.5, one world each: 1.46, 1.54, 1.53, 1.55, 1.45, 1.40; mean error .27, above the truth by
.05 to .46 up to 1.4, below it at 1.5. In the quick form it reads .97, .94, 1.11, 1.10 for .8, 1,
1.2, 1.4 (an earlier computation .88, .97, 1.05, 1.11): above the truth at .8 and below it from 1
on, not rising at every step. The adjusted Rand index of the finest clustering falls from .50 over
.20 and .07 to .03. Figure A10's grid of dimensions and noises (at s = 1) is a table, without a
published number to check.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from quantascope.core.rng import derive_seed
from quantascope.laws.powerlaw import fit_power_law
from quantascope.plots.calibrate import plot_read_slopes
from quantascope.qdg.agreement import adjusted_rand
from quantascope.qdg.calibrate.table import columns
from quantascope.qdg.ranks import envelope, rank_sizes
from quantascope.qdg.spectral import spectral_embedding
from quantascope.qdg.worlds import World, floor_sizes, planted_world, within_of_noise
from quantascope.recipes.result import Check, RecipeResult, Table

__all__ = ["QUICK", "Config", "run"]

_PILOT: Final = "measured here, another computation"


@dataclass(frozen=True, kw_only=True)
class Config:
    """The paper's setting; ranks as of the reduced one, scaled."""

    n_groups: int = 1000
    largest: int = 1000
    """A, the size of the first group."""
    slopes: tuple[float, ...] = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
    dim: int = 1000
    sigma: float = 2.0
    n_clusters: tuple[int, ...] = (100, 200, 500)
    n_init: int = 1
    ranks: tuple[int, int] = (30, 500)
    grid_dims: tuple[int, ...] = (30, 100, 1000)
    grid_sigmas: tuple[float, ...] = (0.05, 0.5, 2.0)
    """.05 stands for the figure's 0, where equal points make eigenvalues coincide."""
    n_worlds: int = 1
    read: tuple[float, ...] = ()
    """Slopes to be read; empty to check the size of the error alone."""
    rand: tuple[float, ...] = ()


QUICK: Final = Config(
    n_groups=200,
    largest=200,
    slopes=(0.8, 1.0, 1.2, 1.4),
    n_clusters=(20, 50, 100, 150),
    n_init=5,
    n_worlds=2,
    grid_dims=(30, 1000),
    grid_sigmas=(0.5, 2.0),
    ranks=(6, 100),
    read=(0.88, 0.97, 1.05, 1.11),
    rand=(0.50, 0.19, 0.07, 0.03),
)


def run(config: Config, *, seed: int) -> RecipeResult:
    """Plant, cluster and read a world for each slope, and for each dimension and noise."""
    rows = [
        {"slope": slope, "world": world, **_read(config, slope, seed=derive_seed(seed, world))}
        for slope in config.slopes
        for world in range(config.n_worlds)
    ]
    grid = [
        {"dim": d, "sigma": sigma, **_read(replace(config, dim=d, sigma=sigma), 1.0, seed=seed)}
        for d in config.grid_dims
        for sigma in config.grid_sigmas
    ]
    slopes = columns(rows)
    return RecipeResult(
        name="toy-clusters",
        config=config,
        seed=seed,
        checks=tuple(_checks(config, slopes)),
        tables={"slopes": slopes, "grid": columns(grid)},
        draw=partial(plot_read_slopes, slopes),
    )


def _read(config: Config, slope: float, *, seed: int) -> dict[str, float]:
    sizes = floor_sizes(slope, scale=config.largest, n_groups=config.n_groups)
    at = derive_seed(seed, "toy-clusters", f"{slope:g}", f"{config.sigma:g}", config.dim)
    world = planted_world(sizes, dim=config.dim, within=within_of_noise(config.sigma), seed=at)
    found = _clusterings(world, config, seed=at)
    lo, hi = config.ranks
    size, _ = envelope({k: rank_sizes(labels) for k, labels in found.items()})
    rank = np.arange(1, len(size) + 1)[lo - 1 : hi]
    return {
        "n_points": len(world.labels),
        "envelope": -fit_power_law(rank, size[lo - 1 : hi]).exponent,
        "adjusted_rand": adjusted_rand(world.labels, found[max(found)]),
    }


def _clusterings(world: World, config: Config, *, seed: int) -> dict[int, NDArray[np.int64]]:
    counts = [k for k in config.n_clusters if k < len(world.labels)]
    embedding = spectral_embedding(world.vectors, counts[-1], similarity=lambda cosine: 1 + cosine)
    start = derive_seed(seed, "k-means", bits=31)
    return {
        k: KMeans(k, n_init=config.n_init, random_state=start).fit_predict(embedding[:, :k].copy())
        for k in counts
    }


def _checks(config: Config, slopes: Table) -> Iterator[Check]:
    """Check means over worlds: against the earlier readings, or the size of the error alone."""
    shape = (len(config.slopes), config.n_worlds)
    read, rand = (slopes[k].reshape(shape).mean(axis=1) for k in ("envelope", "adjusted_rand"))
    if not config.read:
        yield Check(
            name="mean error of the envelope's slope",
            expected=0.2,
            obtained=float(np.abs(read - config.slopes).mean()),
            tolerance=0.1,
            bound="'about .2', half of it; .27 was measured here, .24 with other seeds",
            source="arXiv:2303.13506, figure A11",
        )
    found = {"envelope's slope": (config.read, read), "adjusted Rand index": (config.rand, rand)}
    for name, (expected, obtained) in found.items():
        for slope, before, now in zip(config.slopes, expected, obtained, strict=False):
            yield Check(
                name=f"{name}, truth {slope:g}",
                expected=before,
                obtained=float(now),
                tolerance=0.1,
                bound="one world then, a mean of worlds now; they differ by .03 to .08",
                source=_PILOT,
            )
