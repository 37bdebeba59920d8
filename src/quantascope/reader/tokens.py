"""The one renderer of corpus text: escaped, white space visible, the target boxed.

Text from corpora is hostile: nothing here passes through unescaped, control and direction
characters are shown by their code, and every piece is bounded.
"""

import codecs
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from markupsafe import Markup, escape

__all__ = [
    "decode_tokens",
    "name_controls",
    "render_context",
    "render_text",
    "render_tokens",
    "render_words",
    "visible",
]

_SHOWN: Final = {"\n": "⏎\n", "\t": "→", " ": "·", "\r": "␍"}
_HIDDEN_CATEGORIES: Final = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
_MAX_CHARS: Final = 2000
_MAX_COMBINING: Final = 4  # marks stacked on one letter would grow over the lines above


def visible(text: str, *, max_chars: int = _MAX_CHARS) -> str:
    """Make white space and control characters visible.

    Parameters
    ----------
    text
        Any text.
    max_chars
        Longest output before an ellipsis [character].

    Returns
    -------
    str
        Spaces as ``·``, line ends as ``⏎`` and a break, tabs as ``→``; control, format and
        direction characters as ``⟨U+202E⟩``. Not escaped.
    """
    if len(text) <= max_chars and text.isascii() and text.isprintable():
        return text.replace(" ", "·")
    shown: list[str] = []
    combining = 0
    for character in text[:max_chars]:
        combining = combining + 1 if unicodedata.combining(character) else 0
        if combining > _MAX_COMBINING:
            continue
        shown.append(_SHOWN.get(character) or _named(character))
    return "".join(shown) + ("…" if len(text) > max_chars else "")


def name_controls(text: str) -> str:
    """Show control, format and direction characters by their code; spaces and lines stay."""
    if text.isprintable():
        return text
    return "".join(c if c in " \n\t" else _named(c) for c in text)


def decode_tokens(pieces: Sequence[bytes]) -> list[str]:
    """Decode tokens to text, one string a token.

    A character whose bytes are spread over tokens appears at the token that completes it; bytes
    that are no UTF-8 become the replacement character.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts = [decoder.decode(piece) for piece in pieces]
    rest = decoder.decode(b"", final=True)
    return [*texts[:-1], texts[-1] + rest] if texts else []


def render_text(text: str, *, max_chars: int = 120) -> Markup:
    """Render a short text on one line, escaped, white space visible."""
    return escape(visible(text, max_chars=max_chars).replace("\n", ""))


def render_words(text: str, *, max_chars: int = 5000) -> Markup:
    """Render words that a person wrote, or a sentence of ours: escaped, with plain spaces.

    Any white space is one space; control and direction characters are shown by their code, as in
    `visible`.

    Examples
    --------
    >>> print(render_words("verbs  <after> a noun"))
    verbs &lt;after&gt; a noun
    """
    plain = " ".join(text.split())
    return Markup(" ").join(escape(visible(word)) for word in plain[:max_chars].split()) + (
        "…" if len(plain) > max_chars else ""
    )


def render_context(pieces: Sequence[bytes], target: int, *, max_chars: int = 400) -> Markup:
    """Render the tokens around a prediction, the target boxed.

    Parameters
    ----------
    pieces
        Bytes of each token.
    target
        Index of the predicted token.
    max_chars
        Characters kept before and after the target.

    Returns
    -------
    Markup
        Safe HTML: text, and one ``<mark>`` around the target.
    """
    texts = decode_tokens(pieces)
    before = "".join(texts[:target])
    after = "".join(texts[target + 1 :])
    cut = "…" if len(before) > max_chars else ""
    return Markup("{}{}<mark>{}</mark>{}").format(
        cut,
        visible(before[-max_chars:] if max_chars else ""),
        visible(texts[target]) or "⟨part of a character⟩",
        visible(after, max_chars=max_chars),
    )


def render_tokens(pieces: Sequence[bytes], target: int, *, level: Sequence[int]) -> Markup:
    """Render tokens one by one, the target boxed, each with a class for its level.

    Parameters
    ----------
    pieces
        Bytes of each token.
    target
        Index of the predicted token.
    level
        Of each token, a small whole number: shown by the class ``l0``, ``l1`` and so on.

    Returns
    -------
    Markup
        Safe HTML: a ``<span>`` for each token, a ``<mark>`` for the target.
    """
    texts = decode_tokens(pieces)
    tags = ["span"] * len(texts)
    tags[target] = "mark"
    texts[target] = texts[target] or "⟨part of a character⟩"
    return Markup(
        "".join(
            f'<{tag} class="l{int(shade)}">{_shown(text)}</{tag}>'
            for tag, shade, text in zip(tags, level, texts, strict=True)
        )
    )


@lru_cache(1 << 16)
def _shown(text: str) -> Markup:
    """Escape a token; the same tokens come again and again."""
    return escape(visible(text))


def _named(character: str) -> str:
    category = unicodedata.category(character)
    if category in _HIDDEN_CATEGORIES or category == "Zs":
        return f"⟨U+{ord(character):04X}⟩"
    return character
