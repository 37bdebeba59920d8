"""Families of models whose classes are set by construction, from the samplers of theory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import stream
from quantascope.families.curves import Checkpoints, make_curves
from quantascope.families.series import Series, over_sizes
from quantascope.theory.families import FamilyConfig, sample_family

SIZES = tuple(np.geomspace(3e4, 3e6, 7))
SEEDS = (0, 1, 2)
FLOOR = 5.0
"""Loss with all learned [nat]: so high that noise never makes a loss negative."""


@dataclass(frozen=True)
class World:
    """A family with its truth."""

    series: Series
    truth: NDArray[np.str_]
    """flat, gradual or sharp."""
    inner: NDArray[np.bool_]
    """Sharp, with two levels or more on either side."""


def make_world(
    *,
    n: int,
    seed: int,
    noise: float = 0.25,
    shared: float = 0.0,
    gain: float = 2.0,
    smooth: float = 0.3,
    seeds: tuple[int, ...] = SEEDS,
) -> World:
    """Mix predictions learned at once with a share `smooth` of predictions learned by and by.

    A share `shared` of the noise's variance is an effect of the run on all its predictions, of
    either sign and any size by prediction. Smooth learning moves with the run as well.
    """
    rng = stream(seed, "world")
    parts = []
    for learning, count in (("threshold", n - int(smooth * n)), ("smooth", int(smooth * n))):
        config = FamilyConfig(
            n_params=SIZES,
            seeds=seeds,
            n_quanta=1000,
            n_samples=count,
            learning=learning,
            width=1.0,
            run_shift=0.05 if learning == "smooth" else 0.0,
            a=FLOOR,
            gain=gain,
        )
        parts.append(sample_family(config, seed=seed))
    losses = np.concatenate([part.losses for part in parts]).astype(np.float64)
    models = parts[0].models
    effect = rng.standard_normal((n, 1)) * rng.standard_normal(losses.shape[1])
    own = rng.standard_normal(losses.shape)
    losses += noise * (np.sqrt(shared) * effect + np.sqrt(1 - shared) * own)
    step = parts[0].losses[:, :: len(seeds)]
    n_before = np.zeros(n, dtype=np.int64)
    n_before[: len(step)] = (step > FLOOR + gain / 2).sum(axis=1)
    n_before[: len(step)][step[:, -1] > FLOOR + gain / 2] = 0  # not learned by the largest
    truth = np.where(n_before > 0, "sharp", "flat").astype("<U7")
    truth[len(step) :] = "gradual"
    inner = (n_before >= 2) & (n_before <= len(SIZES) - 2)
    checkpoints = Checkpoints(
        name=np.array([f"model-{i}" for i in range(losses.shape[1])]),
        n_params=models["n_params"],
        step=np.full(losses.shape[1], 1000.0),
        n_tokens=np.full(losses.shape[1], 1e6),
        seed=models["seed"],
    )
    curves = make_curves(np.arange(n), losses, checkpoints=checkpoints)
    return World(series=over_sizes(curves), truth=truth, inner=inner)


def make_series(losses: NDArray[np.float64], *, n_runs: int, tracked: bool = False) -> Series:
    """Wrap losses with the axes ``pred level run`` (sizes) or ``pred run level`` (tracked)."""
    n, *axes = losses.shape
    n_levels = axes[1] if tracked else axes[0]
    place = np.arange(n_levels * n_runs)
    return Series(
        scale="step" if tracked else "n_params",
        x=np.geomspace(1e2, 1e5, n_levels),
        losses=losses.reshape(n, n_levels * n_runs),
        level=place % n_levels if tracked else place // n_runs,
        run=place // n_levels if tracked else place,
    )
