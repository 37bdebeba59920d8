"""Labels in words: what is hidden in them made visible, their spaces left, cut where long."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from quantascope.reader.tokens import render_text, visible

__all__ = ["SHADE_LEVELS", "chips", "plain_label", "spelled"]

SHADE_LEVELS: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
"""Losses [nat] above which the shading of a token changes."""
_MOST: Final = 80
_MOST_PIECE: Final = 40


def chips(parts: Sequence[tuple[str, str]]) -> Markup:
    """Render a label from counts: a word for each kind of feature, and its tokens set off.

    Parameters
    ----------
    parts
        As `quantascope.reader.run.Run.label_parts` gives them; none says that none was found.
    """
    if not parts:
        return Markup('<span class="dim">no telling tokens</span>')
    word = Markup("{} <code>{}</code>")
    return Markup("; ").join(
        word.format(kind, render_text(text, max_chars=_MOST_PIECE)) for kind, text in parts
    )


def spelled(parts: Sequence[tuple[str, str]], *, most: int = _MOST) -> str:
    r"""Write a label from counts as plain text, white space visible.

    Examples
    --------
    >>> spelled([("predicts", "\n"), ("after", " (")])
    'predicts ⏎; after ·('
    """
    text = "; ".join(f"{kind} {visible(piece).replace(chr(10), '')}" for kind, piece in parts)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plain_label(label: str, *, most: int = _MOST) -> str:
    r"""Make a label fit for a title, a cell or a canvas.

    Parameters
    ----------
    label
        A name that a person gave, or words from counts.
    most
        Characters kept.

    Examples
    --------
    >>> plain_label("verbs \u202eer", most=20)
    'verbs ⟨U+202E⟩er'
    """
    short = label if len(label) <= most else f"{label[:most]}…"
    return " ".join(visible(word) for word in short.split(" "))
