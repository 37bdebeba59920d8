"""Labels as plain text: what is hidden in them made visible, their spaces left, cut where long."""

from typing import Final

from quantascope.reader.tokens import visible

__all__ = ["plain_label"]

_MOST: Final = 80


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
