"""What residuals say against a fit: a pattern along an input, and points far from the curve."""

from typing import Final

import numpy as np

from quantascope.laws.fitting.data import Points
from quantascope.laws.forms.law import Floats, Law

__all__ = ["misfits"]

_MIN_POINTS: Final = 12
_PATTERN: Final = -3.7
"""Standard score of the number of runs below which signs are no chance: one in 10,000."""
_FAR: Final = 8.0
"""Typical residuals; beyond it a normal error lies once in 1e15."""
_ROUNDING: Final = 1e-9


def misfits(law: Law, points: Points, residual: Floats) -> list[str]:
    """Say where residuals contradict the law or single points contradict all others.

    Parameters
    ----------
    law, points
        The fit.
    residual
        Its residuals, axis ``point``.

    Returns
    -------
    list[str]
        One line each. Patterns are told by Wald and Wolfowitz's test of the number of runs of
        one sign (1940, doi:10.1214/aoms/1177731909) along each input; far points by the median
        absolute residual.
    """
    if points.n < _MIN_POINTS or np.abs(residual).max() < _ROUNDING:
        return []
    said = []
    typical = 1.4826 * np.median(np.abs(residual))
    far = np.flatnonzero(np.abs(residual) > _FAR * max(typical, _ROUNDING))
    if len(far):
        worst = int(np.argmax(np.abs(residual)))
        said.append(
            f"{len(far)} of {points.n} points lie more than {_FAR:g} typical residuals "
            f"({typical:.2g}) from the curve; the farthest is point {worst + 1}"
        )
    if points.groups is not None:  # points of one run share its error: runs of signs are no sign
        return said
    for name, column in zip(law.inputs, points.inputs, strict=True):
        found, expected, score = _runs(residual[np.argsort(column, kind="stable")])
        if score < _PATTERN:
            said.append(
                f"residuals follow a pattern along {name} ({found} runs of one sign, "
                f"{expected:.0f} expected): the data do not have the shape of this law, or points "
                "share errors (group)"
            )
    return said


def _runs(residual: Floats) -> tuple[int, float, float]:
    """Count runs of one sign, its expectation by chance, and its standard score."""
    sign = residual[residual != 0] > 0
    above, below, n = int(sign.sum()), int((~sign).sum()), len(sign)
    if min(above, below) < 3:
        return 0, 0.0, 0.0
    found = 1 + int((sign[1:] != sign[:-1]).sum())
    expected = 1 + 2 * above * below / n
    variance = (expected - 1) * (expected - 2) / (n - 1)
    return found, expected, float((found - expected) / np.sqrt(variance))
