"""What all groups of a run share: how far it has come beside what its size or steps say.

A lucky run is ahead in everything, so errors of groups come together: were they taken as
independent, the mean loss would seem known to a hair. In a backtest the shift in ln x that makes
the forecast of a hidden level most likely, all groups together, measures this, extrapolation's own
error included.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from quantascope.families.forecast.hierarchy import Ensemble
from quantascope.families.forecast.mixture import Mixture, join
from quantascope.families.forecast.seen import Floats

__all__ = ["Shifts", "find_shift", "predict_shifted"]

_GRID: Final = np.linspace(-2.0, 2.0, 9)
"""In gaps between levels."""
_USUAL: Final = 0.35
"""Prior standard deviation of a shift, in gaps between levels."""
_PSEUDO: Final = 2.0
"""Measured shifts that the prior counts as."""
_N_NODES: Final = 5
_TEMPER: Final = 30.0
"""Groups that a family counts as where it must be weighed against a prior: they err together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shifts:
    """What was measured in a backtest; axis ``pair``."""

    found: Floats
    """Shifts [ln x]."""
    gap: float
    """Between levels [ln x]; shifts scale with it."""
    square: Floats
    """Mean square of standardised errors of groups once runs may be shifted; 1 if all is well."""

    def widening(self, *, without: int | None = None) -> float:
        """Give the factor by which forecasts must be wider to be right; arguments as `nodes`."""
        known = self.square if without is None else np.delete(self.square, without)
        return float(np.sqrt((_PSEUDO + known.sum()) / (_PSEUDO + len(known))))

    def nodes(self, *, without: int | None = None) -> Floats:
        """Give equally likely shifts of a run to come: quantiles of Student's t.

        Parameters
        ----------
        without
            Leave this one of the measured shifts out, to test on what it came from.
        """
        known = self.found if without is None else np.delete(self.found, without)
        square = _PSEUDO * (_USUAL * self.gap) ** 2 + (known**2).sum()
        dof = _PSEUDO + len(known)
        at = stats.t.ppf((np.arange(_N_NODES) + 0.5) / _N_NODES, dof)
        return np.asarray(at * np.sqrt(square / dof))


def find_shift(found: Ensemble, target: float, losses: Floats) -> float:
    """Find the shift in ln x at which the losses of all groups are most likely.

    Parameters
    ----------
    found
        Fitted to levels before the target.
    target
        Size or step.
    losses
        What came, axis ``group`` [nat].
    """
    gap = float(np.median(np.diff(found.seen.t)))
    weight = min(1.0, _TEMPER / len(losses))
    fit = np.array([found.predict(target, shift=g * gap).log_density(losses).sum() for g in _GRID])
    score = weight * fit - 0.5 * (_GRID / 1.0) ** 2
    at = int(np.argmax(score))
    return float(_GRID[at] + _refine(score, at)) * gap


def _refine(score: Floats, at: int) -> float:
    """Give the top of the parabola through three points."""
    if at in (0, len(score) - 1):
        return 0.0
    low, top, high = score[at - 1 : at + 2]
    bend = low - 2 * top + high
    step = _GRID[1] - _GRID[0]
    return float(0.5 * (low - high) / bend * step) if bend < 0 else 0.0


def predict_shifted(
    found: Ensemble, target: float, *, nodes: Floats, widening: float = 1.0
) -> tuple[Mixture, list[Mixture]]:
    """Give the forecast over all shifts, and that at each."""
    parts = [found.predict(target, shift=float(node)).widened(widening) for node in nodes]
    return join(parts, np.full(len(nodes), 1 / len(nodes))).compact(), parts
