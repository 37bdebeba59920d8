"""Templates, and the plain forms of a page's data: JSON, CSV, Parquet."""

import hashlib
import json
import math
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from quantascope import __version__
from quantascope.core.numbers import plain
from quantascope.explorer.marks import glyph, short_number
from quantascope.explorer.menu import MENU
from quantascope.explorer.spark import bar
from quantascope.explorer.words import SHADE_LEVELS, plain_label
from quantascope.reader.tokens import name_controls, render_text, render_words

__all__ = ["STATIC", "as_json", "render"]

STATIC: Final = Path(__file__).with_name("static")


def render(template: str, values: dict[str, Any]) -> str:
    """Fill a template; all that is not Markup is escaped."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("quantascope.explorer"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": _number,
        "count": _count,
        "visible": render_text,
        "words": render_words,
        "plain": plain_label,
    }
    environment.filters["fix"] = _fixed
    environment.globals |= {
        "version": __version__, "asset": _asset, "bar": _bar, "swatch": _swatch, "inf": math.inf,
        "shade_levels": SHADE_LEVELS, "key_pages": [(key, word) for word, key in MENU.values()],
    }  # fmt: skip
    return environment


def _shown(value: Any) -> Any:
    """Name control and direction characters in whatever a template shows; escaping follows."""
    return name_controls(value) if type(value) is str else value


@cache
def _asset(name: str) -> str:
    """Give the address of a static file, with its digest so that browsers may keep it."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def as_json(data: Any) -> str:
    """Write plain values as JSON; what is not finite becomes null."""
    return json.dumps(plain(data), allow_nan=False, ensure_ascii=False)


def _bar(share: float, count: int) -> Markup:
    return bar(share, title=f"{count} predictions, {share:.1%}")


def _swatch(shape: str, place: int) -> Markup:
    """Draw the mark of a class, for a legend."""
    path = glyph(shape, 8, 8, area=90)
    return Markup(
        '<svg class="swatch" width="16" height="16" aria-hidden="true">'
        '<path class="mark m{}" d="{}"/></svg>'
    ).format(place, path)


def _number(value: Any, digits: int = 3) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 10**digits:
        return short_number(value)
    return f"{value:.{digits}g}".replace("-", "−", 1 if value < 0 else 0)


def _fixed(value: Any, digits: int = 2) -> str:
    """Write a number with so many decimals, for columns; what would vanish is said to be less."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return _number(value)
    least = 10.0**-digits
    if 0 < abs(value) < least / 2:
        return f"<{least:.{digits}f}" if value > 0 else f">−{least:.{digits}f}"
    return f"{value:.{digits}f}".replace("-", "−")


def _count(value: Any) -> str:
    return "–" if value is None or math.isnan(value) else f"{int(value):,}"
