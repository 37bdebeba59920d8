"""Drawings of a cluster's curves, as SVG without a library."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from quantascope.explorer.marks import WORDS, Axis, Chart, short_number
from quantascope.families.series import Series

__all__ = ["draw_curve", "draw_members"]

_WIDTH, _HEIGHT = 460, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 104, 12, 44
_LEAST_LOSS: Final = 1e-3
"""Least loss [nat] that is told apart in the drawing, whose scale is logarithmic."""

Floats = NDArray[np.float64]


def draw_curve(series: Series, learned: tuple[float, float, float] | None) -> Markup:
    """Draw the mean loss of a cluster: every model, their mean, and when it was learned.

    Parameters
    ----------
    series
        One row, as `quantascope.explorer.scaling.cluster_series` gives it.
    learned
        Size or step at which it was learned and the ends of its interval; an end of 0 or
        infinity is open.
    """
    here = series.x > 0
    losses, means = np.asarray(series.losses[0], dtype=np.float64), series.level_means()[0]
    words = WORDS[series.scale]
    chart = Chart(
        title=f"Mean loss of the cluster against {words}",
        x=Axis.around(words, series.x[here], log=True),
        y=Axis.around("mean loss [nat]", np.append(losses, means), zero=True),
        width=_WIDTH,
        height=300,
    )
    if learned is not None and math.isfinite(learned[0]):
        at, lo, hi = learned
        chart.span(lo if lo > 0 else None, hi if math.isfinite(hi) else None)
        ends = np.array([chart.y.lo, chart.y.hi])
        chart.line(np.array([at, at]), ends, kind="fit", title="learned, with its interval")
    chart.line(series.x[here], means[here], title="mean over models")
    column = here[series.level]
    chart.dots(
        series.x[series.level][column], losses[column], place=0, area=30.0, title="one model"
    )
    return chart.svg()


def draw_members(
    found: dict[str, Any], *, learned: tuple[float, float, float] | None = None
) -> Markup:
    """Draw members' curves, their band and mean, and the mean of all predictions.

    Parameters
    ----------
    found
        As `quantascope.explorer.evidence.Evidence.over_sizes` gives it.
    learned
        Where the cluster was learned, and the ends of its interval.
    """
    x = np.log(np.array(found["n_params"], dtype=np.float64))
    across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x - x[0]) / (x[-1] - x[0])
    curves = [one["loss_nats"] for one in found["members"]]
    top = max(np.nanmax(np.array([*curves, found["of_all"], found["p90"]])), 10 * _LEAST_LOSS)

    def down(y: Sequence[float]) -> Floats:
        up = np.log(np.maximum(y, _LEAST_LOSS) / _LEAST_LOSS) / np.log(top / _LEAST_LOSS)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * up

    band = [*zip(across, down(found["p10"]), strict=True)]
    band += reversed([*zip(across, down(found["p90"]), strict=True)])
    parts = [
        *_learned(learned, x),
        Markup('<polygon class="within" points="{}"/>').format(_points(band)),
        *(_line("member", across, down(y)) for y in curves),
        _line("all", across, down(found["of_all"])),
        _line("mean", across, down(found["mean"])),
        *_axes(across, found["n_params"], top=top, down=down),
        *_names(found, down),
    ]
    said = (
        f"Loss over size: mean of the cluster from {found['mean'][0]:.3g} to "
        f"{found['mean'][-1]:.3g} nat, of all predictions from {found['of_all'][0]:.3g} to "
        f"{found['of_all'][-1]:.3g}; the band holds 8 of 10 members"
    )
    return Markup(
        '<svg class="curves" viewBox="0 0 {} {}" role="img"><title>{}</title>{}</svg>'
    ).format(_WIDTH, _HEIGHT, said, Markup("").join(parts))


def _learned(found: tuple[float, float, float] | None, x: Floats) -> list[Markup]:
    """Mark where a cluster was learned; what lies beyond the sizes ends at the frame."""
    if found is None:
        return []
    with np.errstate(divide="ignore"):
        place = np.clip((np.log(found) - x[0]) / (x[-1] - x[0]), 0, 1)
    at, lo, hi = (_LEFT + (_WIDTH - _LEFT - _RIGHT) * place).tolist()
    low = _HEIGHT - _BOTTOM
    span = Markup('<rect class="when" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>')
    line = Markup('<path class="learned" d="M{0:.1f} {1}V{2}"><title>learned at {3}</title></path>')
    return [
        span.format(lo, _TOP, hi - lo, low - _TOP),
        line.format(at, _TOP, low, short_number(found[0])),
    ]


def _points(places: Sequence[tuple[Any, Any]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in places if math.isfinite(b))


def _line(name: str, across: Floats, down: Floats) -> Markup:
    points = _points([*zip(across, down, strict=True)])
    return Markup('<polyline class="{}" points="{}"/>').format(name, points)


def _axes(
    across: Floats, sizes: Sequence[int], *, top: float, down: Callable[[Sequence[float]], Floats]
) -> list[Markup]:
    floor = _HEIGHT - _BOTTOM
    parts = [
        Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(
            _LEFT, _TOP, floor, _WIDTH - _RIGHT
        )
    ]
    for power in range(round(math.log10(_LEAST_LOSS)), math.floor(math.log10(top)) + 1):
        value = 10.0**power
        parts.append(_text(_LEFT - 6, down([value])[0] + 4, f"{value:g}", anchor="end"))
    last = -math.inf
    for at, size in zip(across.tolist(), sizes, strict=True):
        if at - last > 46:  # else the words would run into each other
            parts.append(_text(at, floor + 17, short_number(size), anchor="middle"))
            last = at
    said = "loss [nat] against non-embedding parameters"
    return [*parts, _text(_LEFT, _HEIGHT - 3, said, anchor="start")]


def _names(found: dict[str, Any], down: Callable[[Sequence[float]], Floats]) -> list[Markup]:
    """Name the two means at their right ends, one below the other where they meet."""
    a, b = down([found["mean"][-1]])[0], down([found["of_all"][-1]])[0]
    if abs(a - b) < 14:
        a, b = (a + 7, b - 7) if a >= b else (a - 7, b + 7)
    x = _WIDTH - _RIGHT + 6
    return [
        _text(x, a + 4, "cluster", anchor="start"),
        _text(x, b + 4, "all predictions", anchor="start"),
    ]


def _text(x: float, y: float, text: str, *, anchor: str) -> Markup:
    return Markup('<text x="{:.0f}" y="{:.0f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )
