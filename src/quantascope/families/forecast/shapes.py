"""The dictionary of shapes a group's curve may have: smooth steps, powers, and no change.

A shape is the share of the fall that is left at x, 1 at the first level seen:
``f(t) = F(t) / F(t_1)`` with ``t = ln x`` and

step   ``F = 1 / (1 + exp((t - m) / w))``, position m, width w
power  ``F = exp(-a t)``: a power law of exponent a with a floor
flat   ``F = 1``

The curve is then ``floor + (start - floor) f``. The far side of a step is a power law with exponent
1/w, so one dictionary holds what is learned at once and what is learned by and by.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantascope.families.forecast.seen import Floats

__all__ = ["Shapes", "make_shapes"]

_CELLS_A_GAP: Final = 2
_MOST_CELLS: Final = 36
_N_WIDTHS: Final = 5
_SHARPEST: Final = 0.12  # widths in gaps between levels: 90 % of the fall within half a gap
_N_POWERS: Final = 6
_POWERS: Final = (0.3, 6.0)
"""Exponents times the log range seen: from a fall of a quarter to all but one in four hundred."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shapes:
    """A list of shapes: steps (positions by widths), then powers, then flat."""

    edges: Floats
    """Between cells of positions, ascending; the first and last cell are open. Axis ``cell`` - 1"""
    position: Floats
    """Middle of each cell, axis ``cell``."""
    width: Floats
    """Widths of steps [ln x], axis ``width``."""
    exponent: Floats
    """Of powers."""
    origin: float
    """ln x of the first level."""

    @property
    def n_types(self) -> int:
        """Count the kinds of shapes, positions apart."""
        return len(self.width) + len(self.exponent) + 1

    @property
    def type_of(self) -> NDArray[np.int64]:
        """Kind of each shape, axis ``shape``."""
        n_steps, n = len(self.width), self.n_types
        steps = np.tile(np.arange(n_steps), len(self.position))
        return np.concatenate([steps, np.arange(n_steps, n)])

    @property
    def n_steps(self) -> int:
        """Count the steps, which stand first."""
        return len(self.position) * len(self.width)

    def left(self, t: Floats) -> Floats:
        """Give the share of the fall that is left at ln x, axes ``shape point``."""
        m = np.repeat(self.position, len(self.width))[:, None]
        w = np.tile(self.width, len(self.position))[:, None]
        steps = np.logaddexp(0, (self.origin - m) / w) - np.logaddexp(0, (t - m) / w)
        powers = -self.exponent[:, None] * (t - self.origin)
        return np.exp(np.concatenate([steps, powers, np.zeros((1, len(t)))]))


def make_shapes(t: Floats, *, end: float) -> Shapes:
    """Lay out shapes for levels seen and a horizon.

    Parameters
    ----------
    t
        ln x of the levels seen, ascending, axis ``level``.
    end
        Largest ln x that is asked for.
    """
    gap, span = float(np.median(np.diff(t))), float(t[-1] - t[0])
    first, last = t[0] - gap / 2, end + gap / 2
    n_cells = int(np.clip(np.ceil((last - first) / gap * _CELLS_A_GAP), 4, _MOST_CELLS))
    inner = np.linspace(first, last, n_cells + 1)
    cell = inner[1] - inner[0]
    middle = (inner[:-1] + inner[1:]) / 2
    beyond = last + max(4 * gap, 2 * cell)  # so far that nothing of the fall shows
    return Shapes(
        edges=inner,
        position=np.concatenate([[first - gap / 2], middle, [beyond]]),
        width=np.geomspace(_SHARPEST * gap, max(span / 3, gap), _N_WIDTHS),
        exponent=np.geomspace(_POWERS[0] / span, _POWERS[1] / span, _N_POWERS),
        origin=float(t[0]),
    )
