"""Readers: one function for each file format of the mixture, from bytes to texts."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from quantascope.core.errors import DataError
from quantascope.lm.cleaning import html_to_text, markup_body

__all__ = ["READERS"]

_MAIN: Final = re.compile(r"<main\b.*?</main>", re.DOTALL)
_RUST_SOURCE: Final = re.compile(r'<pre class="rust"[^>]*>.*?</pre>', re.DOTALL)
_GLOSS_LINE: Final = re.compile(r"^\d{8} \d\d ([nvasr]) ([0-9a-f]{2}) (.*?) \| (.*?)\s*$")
_PARTS_OF_SPEECH: Final = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}

Texts = Iterator[tuple[str, str]]
"""Pairs of a name below the file (empty for the file as a whole) and its text."""


def _read(path: Path) -> str:
    """Decode a file, unpacked if gzip or dictzip; bytes that are not UTF-8 are an error."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix in (".gz", ".dz") else data).decode()


def _text(path: Path) -> Texts:
    yield "", _read(path).replace("\r\n", "\n")


def _html(path: Path) -> Texts:
    html = _read(path)
    main = _MAIN.search(html)
    yield "", html_to_text(main.group() if main else html)


def _markup(path: Path) -> Texts:
    yield "", markup_body(_read(path))


def _rust_source(path: Path) -> Texts:
    source = _RUST_SOURCE.search(_read(path))
    yield "", html_to_text(source.group()) if source else ""


def _novels(path: Path) -> Texts:
    """R's lazy-load file: length-prefixed zlib blocks, one character vector each."""
    try:
        from rdata.conversion import convert
        from rdata.parser import parse_data
    except ImportError as error:
        raise DataError("the novels need the package rdata; run: pip install rdata") from error
    data, start = path.read_bytes(), 0
    while start < len(data):
        block = zlib.decompressobj()
        raw = block.decompress(data[start + 4 :])
        start = len(data) - len(block.unused_data)
        lines = [str(line) for line in convert(parse_data(raw, extension=".rds"))]
        title = re.sub(r"\W+", "_", lines[0].strip().lower())
        yield title, "\n".join(lines) + "\n"


def _verses(path: Path) -> Texts:
    """Bible in JSON lines: one text a book, a heading a chapter, a line a verse."""
    verses = [json.loads(line) for line in _read(path).splitlines()]
    for book, in_book in groupby(verses, key=lambda verse: verse["book"]):
        chapters = []
        for number, in_chapter in groupby(in_book, key=lambda verse: verse["chapter"]):
            lines = "".join(f"{verse['verse']} {verse['text']}\n" for verse in in_chapter)
            chapters.append(f"{book} {number}\n\n{lines}\n")
        yield re.sub(r"\W+", "_", book.lower()), "".join(chapters)


def _glosses(path: Path) -> Texts:
    """WordNet data files: ``word, word (noun): meaning; "example"``, one line a synonym set."""
    lines = []
    for line in _read(path).splitlines():
        found = _GLOSS_LINE.match(line)
        if found:
            kind, count, rest, gloss = found.groups()
            words = [word.replace("_", " ") for word in rest.split(" ")[: 2 * int(count, 16) : 2]]
            names = ", ".join(re.sub(r"\(\w+\)$", "", word) for word in words)
            lines.append(f"{names} ({_PARTS_OF_SPEECH[kind]}): {gloss}\n")
    yield "", "".join(lines)


READERS: Final[dict[str, Callable[[Path], Texts]]] = {
    "text": _text,
    "html": _html,
    "markup": _markup,
    "rust_source": _rust_source,
    "novels": _novels,
    "verses": _verses,
    "glosses": _glosses,
}
"""Readers by the name that `packages.PARTS` gives."""
