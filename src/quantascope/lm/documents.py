"""Documents: pieces of text that know where they came from, and how long text is cut."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from quantascope.lm.fingerprint import document_hash

__all__ = [
    "DOCUMENT_CHARS",
    "REJECT_CAUSES",
    "Document",
    "Rejects",
    "cut_stream",
    "describe_rejects",
]

DOCUMENT_CHARS: Final = 4000
"""Longest document [character]; about 1,600 tokens of a small vocabulary."""

REJECT_CAUSES: Final = {
    "empty_file": "files without a byte",
    "not_utf8": "files or lines that are not UTF-8",
    "nul_bytes": "files or lines with NUL bytes (binary data)",
    "unreadable": "files that could not be opened or parsed",
    "symlink": "links to folders, and links to nothing",
    "unknown_suffix": "files of a folder that are neither text nor source code",
    "broken_line": "lines that are not JSON objects",
    "missing_column": "files or lines without the text column",
    "not_text": "values of the text column that are not text",
    "long_line": "lines too long to hold: cut into pieces in plain text, dropped in .jsonl",
    "too_short": "documents of fewer than two characters or tokens",
    "duplicate": "documents read before, up to white space",
    "over_max_mb": "sources whose text beyond max_mb was not read",
    "held_out": "documents that share text with what is measured",
    "cut_rest": "ends of long documents dropped by cut='truncate', or of a single token",
}
"""What can go wrong with input text, by cause; keys of every `Rejects` counter."""

Rejects = Counter
"""Counts by cause; keys are those of `REJECT_CAUSES`."""

_BREAKS: Final = tuple(re.compile(pattern) for pattern in (r"(?:\n[ \t\r]*)+\n", r"\n", r"\s"))


@dataclass(frozen=True)
class Document:
    """A piece of text of at most `DOCUMENT_CHARS` characters.

    Attributes
    ----------
    text
        The text.
    source
        Traceable name: ``sampler/prose/persuasion.txt``, a path, ``file.jsonl#17``, ``hf:ID#17``.
    offset
        Where the text starts in the source's text [character].
    domain
        Kind of text, one word.
    """

    text: str
    source: str
    offset: int
    domain: str


def cut_stream(
    chunks: Iterable[str], *, max_chars: int = DOCUMENT_CHARS
) -> Iterator[tuple[int, str]]:
    """Cut text that arrives in chunks into pieces, holding one chunk at a time.

    A piece ends at the last paragraph in its second half, else at the last line, else at the
    last white space, else at `max_chars`. The pieces joined are the text.

    Parameters
    ----------
    chunks
        The text; where it is divided into chunks does not change the pieces.
    max_chars
        Longest piece [character], at least 2.

    Yields
    ------
    tuple[int, str]
        Offset [character] and piece.
    """
    rest, offset = "", 0
    for chunk in chunks:
        rest, start = rest + chunk, 0
        while len(rest) - start > max_chars:
            end = start + _cut_at(rest[start : start + max_chars])
            yield offset + start, rest[start:end]
            start = end
        rest, offset = rest[start:], offset + start
    if rest:
        yield offset, rest


def _cut_at(window: str) -> int:
    """Length of the piece to take from a full window; lone breaks early in it are ignored."""
    half = len(window) // 2
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(window, half)]
        if ends:
            return ends[-1]
    return len(window)


def describe_rejects(rejects: Rejects[str]) -> str:
    """Write counts by cause in one line, most frequent first.

    Examples
    --------
    >>> describe_rejects(Counter(duplicate=3, empty_file=1))
    'duplicate 3, empty_file 1'
    """
    found = sorted(rejects.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{cause} {count:,}" for cause, count in found if count) or "none"


def unique_documents(documents: Iterable[Document], *, rejects: Rejects[str]) -> Iterator[Document]:
    """Drop documents read before, up to white space, and those of fewer than two characters."""
    seen: set[int] = set()
    for document in documents:
        key = document_hash(document.text)
        if len(document.text.strip()) < 2:
            rejects["too_short"] += 1
        elif key in seen:
            rejects["duplicate"] += 1
        else:
            seen.add(key)
            yield document
