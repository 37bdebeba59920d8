"""Charts made as SVG on the server: axes, lines, bands, and marks that lead somewhere.

Only attributes are set, never a style: looks stand in the sheet, by class. Every text is escaped.
A mark has a shape for its class, not a colour alone, and a title that says what it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

__all__ = ["SHAPES", "WORDS", "Axis", "Chart", "glyph", "short_number"]

Floats = NDArray[np.floating[Any]]

WORDS: Final = {
    "n_params": "size [non-embedding parameters]",
    "step": "training step",
    "n_unique": "distinct training tokens",
}
"""Words for a scale, with its unit."""

SHAPES: Final = ("circle", "square", "triangle", "diamond", "cross")
_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 82, 16, 14, 50
_UNIT: Final = {  # corners of a shape of area 1
    "square": ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)),
    "triangle": ((0, -0.88), (0.76, 0.44), (-0.76, 0.44)),
    "diamond": ((0, -0.71), (0.71, 0), (0, 0.71), (-0.71, 0)),
    "cross": (
        (-0.2, -0.7), (0.2, -0.7), (0.2, -0.2), (0.7, -0.2), (0.7, 0.2), (0.2, 0.2),
        (0.2, 0.7), (-0.2, 0.7), (-0.2, 0.2), (-0.7, 0.2), (-0.7, -0.2), (-0.2, -0.2),
    ),
}  # fmt: skip
_FEW_DECADES: Final = 1.7
_LETTER, _LINE = 6.8, 15
"""Room for a letter, and for a line of words [pixel]."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: its words and unit, and the range shown."""

    label: str
    lo: float
    hi: float
    log: bool = False

    @staticmethod
    def around(label: str, values: Floats, *, log: bool = False, zero: bool = False) -> "Axis":
        """Fit an axis to values with a margin; to what is finite (and above 0) of them."""
        good = values[np.isfinite(values) & ((values > 0) | (not log))]
        lo, hi = (float(good.min()), float(good.max())) if good.size else (1.0, 2.0)
        if log:
            margin = max((hi / lo) ** 0.06, 1.08)
            return Axis(label=label, lo=lo / margin, hi=hi * margin, log=True)
        margin = 0.06 * (hi - lo) or 0.5 * abs(hi) or 0.5
        return Axis(label=label, lo=min(lo, 0.0) if zero else lo - margin, hi=hi + margin)

    def place(self, values: Floats) -> Floats:
        """Give places from 0 to 1 along the axis."""
        at = np.asarray(values, dtype=np.float64)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.log(at / self.lo) / np.log(self.hi / self.lo)
        return (at - self.lo) / (self.hi - self.lo)

    def ticks(self) -> list[tuple[float, str]]:
        """Give values to mark, with their words."""
        found = _log_ticks(self.lo, self.hi) if self.log else _even_ticks(self.lo, self.hi)
        return [(value, short_number(value)) for value in found if self.lo <= value <= self.hi]


@dataclass(kw_only=True)
class Chart:
    """A chart that grows part by part."""

    title: str
    x: Axis
    y: Axis
    brush: bool = False
    """Whether a range of x can be chosen with the mouse."""
    width: int = _WIDTH
    height: int = _HEIGHT
    parts: list[Markup] = field(default_factory=list)

    def line(self, x: Floats, y: Floats, *, kind: str = "line", title: str = "") -> None:
        """Add a line through points; what is not finite breaks it."""
        at = self._at(x, y)
        good: Any = np.isfinite(at).all(axis=1).tolist()
        path = "".join(
            f"{'L' if i and good[i - 1] else 'M'}{a:.1f} {b:.1f}"
            for i, (a, b) in enumerate(at.tolist())
            if good[i]
        )
        self._add('<path class="{}" d="{}"><title>{}</title></path>', kind, path, title)

    def band(self, x: Floats, lo: Floats, hi: Floats, *, kind: str = "band") -> None:
        """Add a band between two curves."""
        ends = [self._at(x, lo), self._at(x[::-1], hi[::-1])]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in np.concatenate(ends).tolist())
        self._add('<path class="{}" d="M{}Z"/>', kind, path)

    def span(self, lo: float | None, hi: float | None) -> None:
        """Mark a range of x; an open end reaches to the frame."""
        ends = np.array([self.x.lo if lo is None else lo, self.x.hi if hi is None else hi])
        a, b = (_LEFT + (self.width - _LEFT - _RIGHT) * np.clip(self.x.place(ends), 0, 1)).tolist()
        self._add(
            '<rect class="span" x="{}" y="{}" width="{}" height="{}"/>',
            f"{a:.1f}", _TOP, f"{max(b - a, 0):.1f}", self.height - _TOP - _BOTTOM,
        )  # fmt: skip

    def errors(self, x: Floats, lo: Floats, hi: Floats) -> None:
        """Add upright bars from lo to hi."""
        ends = zip(self._at(x, lo).tolist(), self._at(x, hi).tolist(), strict=True)
        path = "".join(f"M{a:.1f} {b:.1f}V{d:.1f}" for (a, b), (_, d) in ends)
        self._add('<path class="line" d="{}"/>', path)

    def dots(
        self, x: Floats, y: Floats, *, place: int, area: Floats | float = 16.0, title: str = ""
    ) -> None:
        """Add marks of one class as one shape, without links: fit for thousands."""
        shape, sizes = SHAPES[place % len(SHAPES)], np.broadcast_to(area, x.shape)
        rows = zip(self._at(x, y).tolist(), sizes.tolist(), strict=True)
        path = "".join(glyph(shape, *at, area=size) for at, size in rows)
        self._add('<path class="mark m{}" d="{}"><title>{}</title></path>', place, path, title)

    def links(
        self,
        x: Floats,
        y: Floats,
        *,
        place: Sequence[int],
        area: Floats,
        to: Sequence[str],
        titles: Sequence[str],
    ) -> None:
        """Add marks that are links: class, area [square pixel], address and title of each."""
        rows = zip(self._at(x, y).tolist(), area.tolist(), place, to, titles, strict=True)
        form = Markup(
            '<a href="{}" tabindex="-1" aria-label="{}"><path class="mark m{}" d="{}">'
            "<title>{}</title></path></a>"
        )
        for at, size, k, href, title in rows:
            path = glyph(SHAPES[k % len(SHAPES)], *at, area=size)
            self.parts.append(form.format(href, title, k, path, title))

    def levels(self, x: Floats) -> None:
        """Mark places along x by dotted lines."""
        inside = np.asarray(x)[(np.asarray(x) >= self.x.lo) & (np.asarray(x) <= self.x.hi)]
        at = self._at(inside, np.full(len(inside), self.y.lo))[:, 0].tolist()
        path = "".join(f"M{a:.1f} {_TOP}V{self.height - _BOTTOM}" for a in at)
        self._add('<path class="level" d="{}"/>', path)

    def names(
        self, x: Floats, y: Floats, *, texts: Sequence[str], area: Floats | float = 16.0
    ) -> None:
        """Write words beside marks, first come first: those that would cover others are left out.

        Parameters
        ----------
        x, y
            Places of all marks.
        texts
            Words of the first ones; empty for none.
        area
            Areas of the marks [square pixel].
        """
        at = self._at(x, y)
        reach = np.sqrt(np.broadcast_to(area, x.shape) / np.pi)
        boxes = np.column_stack([at - reach[:, None], at + reach[:, None]])
        for i, text in [(i, text) for i, text in enumerate(texts) if text]:
            wide = _LETTER * len(text)
            off, (a, b) = reach[i] + 4, at[i]
            beside = ((a + off, b), (a - off - wide, b))
            for left, middle in (*beside, (a - wide / 2, b - off - 4), (a - wide / 2, b + off + 4)):
                low = middle + _LINE / 2
                mine = np.array([left, low - _LINE, left + wide, low])
                over = (boxes[:, :2] < mine[2:]) & (boxes[:, 2:] > mine[:2])
                if left > _LEFT and mine[2] < _WIDTH - _RIGHT and not over.all(axis=1).any():
                    boxes = np.vstack([boxes, mine])
                    form = '<text x="{:.0f}" y="{:.0f}" class="name">{}</text>'
                    self._add(form, left, middle + 4, text)
                    break

    def svg(self) -> Markup:
        """Give the chart as an element."""
        brush = Markup("")
        if self.brush:
            values = (_LEFT, self.width - _RIGHT, self.x.lo, self.x.hi, int(self.x.log))
            brush = Markup(' data-brush="{}"').format(" ".join(f"{v:.10g}" for v in values))
        head = Markup(
            '<svg class="chart" viewBox="0 0 {} {}" role="group" aria-label="{}"{}>'
        ).format(self.width, self.height, self.title, brush)
        return head + self._frame() + Markup("").join(self.parts) + Markup("</svg>")

    def _add(self, form: str, *values: Any) -> None:
        self.parts.append(Markup(form).format(*values))  # noqa: S704 -- forms are ours

    def _at(self, x: Floats, y: Floats) -> Floats:
        across = _LEFT + (self.width - _LEFT - _RIGHT) * np.clip(self.x.place(x), -0.1, 1.1)
        up = (
            self.height
            - _BOTTOM
            - (self.height - _TOP - _BOTTOM) * np.clip(self.y.place(y), -0.1, 1.1)
        )
        return np.stack([across, up], axis=1)

    def _frame(self) -> Markup:
        low, right = self.height - _BOTTOM, self.width - _RIGHT
        parts = [Markup('<path class="frame" d="M{} {}V{}H{}"/>').format(_LEFT, _TOP, low, right)]
        for value, words in self.x.ticks():
            a = f"{self._at(np.array([value]), np.array([self.y.lo]))[0, 0]:.1f}"
            text = '<path class="grid" d="M{} {}V{}"/><text x="{}" y="{}" class="tx">{}</text>'
            parts.append(Markup(text).format(a, _TOP, low, a, low + 17, words))
        for value, words in self.y.ticks():
            b = float(self._at(np.array([self.x.lo]), np.array([value]))[0, 1])
            text = (
                '<path class="grid" d="M{} {:.1f}H{}"/><text x="{}" y="{:.1f}" class="ty">{}</text>'
            )
            parts.append(Markup(text).format(_LEFT, b, right, _LEFT - 7, b + 4, words))
        named = Markup(
            '<text x="{}" y="{}" class="tx">{}</text>'
            '<text transform="translate(16 {}) rotate(-90)" class="tx">{}</text>'
        )
        middle = (_LEFT + right) // 2, (_TOP + low) // 2
        parts.append(
            named.format(middle[0], self.height - 10, self.x.label, middle[1], self.y.label)
        )
        return Markup("").join(parts)


def glyph(shape: str, x: float, y: float, *, area: float) -> str:
    """Give the path of a shape with its middle at a place."""
    if shape == "circle":
        r = (area / np.pi) ** 0.5
        half = f"a{r:.1f} {r:.1f} 0 1 0"
        return f"M{x - r:.1f} {y:.1f}{half} {2 * r:.1f} 0{half} {-2 * r:.1f} 0Z"
    side = area**0.5
    return "M" + "L".join(f"{x + a * side:.1f} {y + b * side:.1f}" for a, b in _UNIT[shape]) + "Z"


def _log_ticks(lo: float, hi: float) -> list[float]:
    decades = np.arange(np.floor(np.log10(lo)), np.ceil(np.log10(hi)) + 1)
    few = np.log10(hi / lo) < _FEW_DECADES
    found = [float(f"{m}e{int(d)}") for d in decades for m in ((1, 2, 5) if few else (1,))]
    inside = [value for value in found if lo <= value <= hi]
    return inside if len(inside) > 1 else _even_ticks(lo, hi)


def _even_ticks(lo: float, hi: float) -> list[float]:
    raw = (hi - lo) / 5
    unit = 10.0 ** np.floor(np.log10(raw))
    step = unit * min((1, 2, 5, 10), key=lambda m: abs(m * unit - raw))
    n = np.arange(np.ceil(lo / step), np.floor(hi / step) + 1)
    return [float(f"{value:.10g}") for value in n * step]


def short_number(value: float) -> str:
    """Write a number shortly: thousands as k, millions as M, billions as B."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value + 0.0:.3g}".replace("-", "−")  # no minus before 0
