"""Small drawings inside tables, made as SVG without a library: a line, a bar."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

__all__ = ["bar", "sparkline"]

_WIDTH, _HEIGHT = 80, 20


def sparkline(y: NDArray[np.float64], *, title: str) -> Markup:
    """Draw a curve from 0 to its largest value; gaps where it is not finite.

    Parameters
    ----------
    y
        Values, equally spaced.
    title
        What it shows, for readers that do not see it.
    """
    good = np.isfinite(y)
    top = float(y[good].max()) if good.any() else 1.0
    x = np.linspace(2, _WIDTH - 2, max(len(y), 2))[: len(y)]
    height = _HEIGHT - 2 - (_HEIGHT - 4) * np.where(good, y, 0) / (top or 1.0)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[good], height[good], strict=True))
    return Markup(
        '<svg class="spark" width="{}" height="{}" role="img"><title>{}</title>'
        '<polyline points="{}"/></svg>'
    ).format(_WIDTH, _HEIGHT, title, points)


def bar(share: float, *, title: str) -> Markup:
    """Draw a share from 0 to 1 as a bar."""
    width = _WIDTH * min(max(share, 0.0), 1.0)
    return Markup(
        '<svg class="bar" width="{}" height="10" role="img"><title>{}</title>'
        '<rect width="{:.1f}" height="10"/></svg>'
    ).format(_WIDTH, title, width)
