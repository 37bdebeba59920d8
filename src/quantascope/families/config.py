"""Config of the stage that gathers curves."""

from dataclasses import dataclass

__all__ = ["CurvesConfig"]


@dataclass(frozen=True, kw_only=True)
class CurvesConfig:
    """Which predictions have curves, beside those that are selected."""

    n_sample: int = 1_000_000
    """Size of the random sample of all predictions; a smaller sample is part of a larger one."""
    seed: int = 0
