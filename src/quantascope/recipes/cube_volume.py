"""Volume against side of a d-cube: the slope in logarithms must be d.

Source: elementary, ``V = side ** d``. The simplest recipe, and the pattern for a new one.
Command: ``quantascope reproduce cube-volume`` (``--quick`` is the same), 0.1 CPU-s.
Expected: slope d, to rounding for exact volumes, and within 5 standard errors for volumes counted
on a lattice (propagated from the closed form: .011 for d = 1 to .031 for d = 8).
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from quantascope.core.rng import stream
from quantascope.laws.powerlaw import fit_power_law
from quantascope.plots.recipes import plot_power_laws
from quantascope.recipes.result import Check, RecipeResult
from quantascope.theory.volume import cube_volume, lattice_volume, lattice_volume_stderr

__all__ = ["QUICK", "Config", "run"]

_STANDARD_ERRORS: Final = 5.0  # a false alarm in 2e6 slopes


@dataclass(frozen=True, kw_only=True)
class Config:
    """Dimensions, sides and lattice."""

    dims: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    side_lo: float = 1.03
    side_hi: float = 9.7
    n_sides: int = 12
    spacing: float = 0.1


QUICK: Final = Config()


def run(config: Config, *, seed: int) -> RecipeResult:
    """Fit the exponent of exact and of counted volumes in each dimension."""
    sides = np.geomspace(config.side_lo, config.side_hi, config.n_sides)
    centred = np.log(sides) - np.log(sides).mean()
    checks, rows = [], []
    for dim in config.dims:
        rng = stream(seed, "cube-volume", dim)
        exact = cube_volume(sides, dim=dim)
        counted = lattice_volume(sides, dim=dim, spacing=config.spacing, rng=rng)
        relative = lattice_volume_stderr(sides, dim=dim, spacing=config.spacing) / exact
        error = float(np.sqrt((centred**2) @ relative**2) / (centred @ centred))
        for kind, volumes, tolerance, bound in (
            ("exact", exact, 1e-9, "rounding of logarithms"),
            ("counted", counted, _STANDARD_ERRORS * error, "5 standard errors, closed form"),
        ):
            checks.append(
                Check(
                    name=f"slope, {kind}, d = {dim}",
                    expected=dim,
                    obtained=fit_power_law(sides, volumes).exponent,
                    tolerance=tolerance,
                    bound=bound,
                    source="V = side^d",
                )
            )
        rows.append((np.full(len(sides), dim), sides, exact, counted, relative * exact))
    names = ("dim", "side", "volume", "counted", "stderr")
    table = dict(zip(names, map(np.concatenate, zip(*rows, strict=True)), strict=True))
    return RecipeResult(
        name="cube-volume",
        config=config,
        seed=seed,
        checks=tuple(checks),
        tables={"volumes": table},
        draw=partial(
            plot_power_laws,
            table,
            x=("side", "side of the cube [length]"),
            y=("counted", "volume [length^d]"),
            line="volume",
            group="dim",
        ),
    )
