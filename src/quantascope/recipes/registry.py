"""The list of recipes: every experiment that one command reproduces.

A recipe is a module with a frozen dataclass ``Config`` whose defaults are the source's setting, a
value ``QUICK`` of it for a short run, and ``run(config, *, seed) -> RecipeResult``. Modules are
imported when they run, so the list stays light.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Final

from quantascope.recipes.result import RecipeResult

__all__ = ["FULL", "QUICK", "RECIPES", "Recipe", "run_recipe"]

FULL: Final = "full"
QUICK: Final = "quick"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One line of the list."""

    module: str
    """Module of this package."""
    shows: str
    """What it reproduces, in one line."""
    source: str
    """Paper and figure."""
    cpu_s: tuple[float, float]
    """Measured cost of the quick and of the full run [CPU-s], one thread; where the full one takes
    hours, extrapolated from its steps."""


RECIPES: Final[dict[str, Recipe]] = {
    "cube-volume": Recipe(
        module="cube_volume",
        shows="volume against side of a d-cube: an exponent that is known exactly",
        source="elementary",
        cpu_s=(0.1, 0.1),
    ),
    "approximation": Recipe(
        module="approximation",
        shows="error of piecewise models falls as N^-4/d and N^-2/d",
        source="arXiv:2004.10802, section 2",
        cpu_s=(0.7, 2.6),
    ),
    "intrinsic-dimension": Recipe(
        module="intrinsic_dimension",
        shows="nearest-neighbour estimators of dimension read low from d = 8 on",
        source="doi:10.1038/s41598-017-11873-y",
        cpu_s=(1.6, 12.0),
    ),
    "metric-artefact": Recipe(
        module="metric_artefact",
        shows="a smooth loss looks like sudden emergence under exact match",
        source="arXiv:2304.15004, figure 2",
        cpu_s=(0.1, 0.1),
    ),
    "zipf-exponent": Recipe(
        module="zipf_exponent",
        shows="likelihood recovers a Zipf exponent that rank-size regression misses",
        source="arXiv:0706.1062, section 3",
        cpu_s=(0.3, 0.3),
    ),
    "toy-clusters": Recipe(
        module="toy_clusters",
        shows="on known power-law groups the envelope's slope is not theirs",
        source="arXiv:2303.13506, figures A10 and A11",
        cpu_s=(10.0, 400.0),
    ),
    "slope-table": Recipe(
        module="slope_table",
        shows="planted worlds calibrate the slope, with signs and without: intervals that cover",
        source="arXiv:2303.13506, figures A9 to A11",
        cpu_s=(15.0, 2000.0),
    ),
    "parity-discovery": Recipe(
        module="parity_discovery",
        shows="discovery against known subtasks: published cosines and the default method",
        source="arXiv:2303.13506, figure A9",
        cpu_s=(16.0, 14_000.0),
    ),
    "exponent-scatter": Recipe(
        module="exponent_scatter",
        shows="published (alpha_N, alpha_D) pairs against the Quantization Model",
        source="arXiv:2303.13506, figure A12",
        cpu_s=(0.1, 0.1),
    ),
    "log-correction": Recipe(
        module="log_correction",
        shows="a power law with a logarithm, where unlearned samples cost -ln p_k",
        source="arXiv:2303.13506, figure A1",
        cpu_s=(0.1, 0.1),
    ),
    "parity-convergence": Recipe(
        module="parity_convergence",
        shows="subtasks fall one after another, in order of use, while the mean falls smoothly",
        source="arXiv:2303.13506, figures A2 and A3",
        cpu_s=(7.5, 13_000.0),
    ),
    "parity-scaling": Recipe(
        module="parity_scaling",
        shows="loss of parity networks over parameters, steps, samples; --form narrow: 1.4 h",
        source="arXiv:2303.13506, figure 2",
        cpu_s=(30.0, 110_000.0),
    ),
    "parity-exponents": Recipe(
        module="parity_exponents",
        shows="exponents over alpha against theory with and without an end; --form reduced: 16 min",
        source="arXiv:2303.13506, figure A4",
        cpu_s=(25.0, 700_000.0),
    ),
    "compositional-parity": Recipe(
        module="compositional_parity",
        shows="a parity over many bits is learned with its parts, and not without them",
        source="arXiv:2505.15811, section 2",
        cpu_s=(26.0, 90_000.0),
    ),
    "skill-curves": Recipe(
        module="skill_curves",
        shows="skills of the solvable model meet its solution; those of a network come earlier",
        source="arXiv:2404.17563, section 4",
        cpu_s=(3.0, 60.0),
    ),
    "parity-finite-tasks": Recipe(
        module="parity_finite_tasks",
        shows="500 tasks, not infinitely many, and one capacity: published exponents over alpha",
        source="arXiv:2303.13506, figure A4",
        cpu_s=(0.7, 0.7),
    ),
    "chinchilla-refit": Recipe(
        module="chinchilla_refit",
        shows="Chinchilla's law at its minimum, its intervals, and the early stops that missed it",
        source="arXiv:2404.10102, table 1",
        cpu_s=(0.4, 0.8),
    ),
    "pythia-scaling": Recipe(
        module="pythia_scaling",
        shows="mean loss of Pythia over size; --quick: the published means, full: needs a hub",
        source="arXiv:2303.13506, figures 3, 4, A5 and A6",
        cpu_s=(0.1, 2_500_000.0),
    ),
}


def run_recipe(
    name: str, *, form: str = FULL, seed: int = 0, work: Path | None = None
) -> RecipeResult:
    """Run one recipe at the source's setting, or at a shorter one.

    Parameters
    ----------
    name
        A key of `RECIPES`.
    form
        ``full``, ``quick``, or another that the recipe has in its ``FORMS``.
    seed
        Seed of all its randomness.
    work
        Folder in which a recipe that trains for long keeps what is needed to go on; None, and
        recipes that need none, leave nothing behind.

    Raises
    ------
    ValueError
        If there is no such recipe or form; the message lists them.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe: {name!r} unknown; allowed are {', '.join(RECIPES)}")
    module = import_module(f"quantascope.recipes.{RECIPES[name].module}")
    run: Callable[..., RecipeResult] = module.run
    forms = {FULL: module.Config(), QUICK: module.QUICK, **getattr(module, "FORMS", {})}
    if form not in forms:
        raise ValueError(f"form: {form!r} unknown for {name}; allowed are {', '.join(forms)}")
    config: Any = forms[form]
    if "work" in signature(run).parameters:
        return run(config, seed=seed, work=work)
    return run(config, seed=seed)
