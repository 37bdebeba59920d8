"""A fit drawn into axes that the caller made; matplotlib itself is never imported here."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.laws.law import Floats
from quantascope.laws.table import find_law

if TYPE_CHECKING:
    from quantascope.laws.data import Points
    from quantascope.laws.result import LawFit

__all__ = ["draw_fit"]

_BEYOND: Final = 10.0
"""The extrapolated part reaches this factor beyond the data."""
_N_LEVELS: Final = 5


def draw_fit(fit: "LawFit", ax: Any) -> Any:  # noqa: ANN401  (matplotlib axes)
    """Draw points, the fitted curve with its band, and the extrapolated part dashed.

    A law of several inputs is drawn against its first, one curve for each of at most five levels
    of the others (quantiles of the second input, the rest at their geometric mean).
    """
    if fit.points is None:
        raise ValueError("plot: this fit does not keep its points; fit the table again")
    law, points = find_law(fit.law), fit.points
    for level, rows in _levels(points):
        _draw_level(fit, ax, level=level, rows=rows)
    ax.set_xscale("log")
    ax.set_yscale("linear" if fit.objective_name == "lsq" else "log")
    name = law.inputs[0]
    ax.set_xlabel(f"{name} [{fit.meaning[name]}]" if fit.meaning.get(name) else name)
    ax.set_ylabel(f"{fit.response} [nat]" if fit.response == "loss" else fit.response)
    ax.set_title(law.formula if len(law.formula) < 60 else law.name, fontsize="medium")
    if len(law.inputs) > 1:
        ax.legend(title=law.inputs[1], fontsize="small")
    return ax


def _levels(points: "Points") -> list[tuple[Floats | None, NDArray[np.intp]]]:
    """Group points of like second input, with the inputs at which their curve is drawn."""
    if len(points.inputs) == 1:
        return [(None, np.arange(points.n))]
    second = np.log(points.inputs[1])
    edges = np.quantile(second, np.linspace(0, 1, _N_LEVELS + 1))[1:-1]
    bins = np.digitize(second, np.unique(edges))
    found = []
    for level in np.unique(bins):
        rows = np.flatnonzero(bins == level)
        found.append((np.exp(np.log(points.inputs[1:, rows]).mean(axis=1)), rows))
    return found


def _draw_level(fit: "LawFit", ax: Any, *, level: Floats | None, rows: NDArray[np.intp]) -> None:  # noqa: ANN401
    assert fit.points is not None  # draw_fit has looked
    law = find_law(fit.law)
    x = fit.points.inputs[0, rows]
    label = None if level is None else f"{level[0]:.3g}"
    (drawn,) = ax.plot(x, fit.points.response[rows], "o", markersize=3, label=label)
    colour = drawn.get_color()
    low, high = float(x.min()), float(x.max())
    for ends, style in (((low, high), "-"), ((high, high * _BEYOND), "--")):
        grid = np.geomspace(*ends, 60)
        others = (
            {}
            if level is None
            else {n: np.full(60, v) for n, v in zip(law.inputs[1:], level, strict=True)}
        )
        curve = fit.predict({law.inputs[0]: grid, **others}, interval=True)
        ax.plot(grid, curve.value, style, color=colour, linewidth=1)
        ax.fill_between(grid, curve.lo, curve.hi, color=colour, alpha=0.15, linewidth=0)
