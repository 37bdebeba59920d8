"""Find text in a run's corpus: literal, by regular expression, by token ids.

The corpus is searched as the bytes of its tokens. A literal is found by a scan of these bytes, a
sequence of ids by comparing arrays. Regular expressions go through RE2 (in pyarrow), whose time is
linear in the text whatever the expression; they are matched line by line, the first match of each.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from quantascope.explorer.query import BadQueryError

__all__ = ["Hits", "TextIndex"]

_MOST: Final = 20_000
"""Matches after which a search stops; it then says so."""
_MOST_IDS: Final = 32

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Where something was found."""

    first: Ints
    """First token of each match."""
    last: Ints
    """Last token of each match."""
    complete: bool
    """Whether all matches are here."""

    def __len__(self) -> int:
        """Count the matches."""
        return len(self.first)


class TextIndex:
    """A corpus as bytes, with the place of every token in them."""

    def __init__(self, tokens: NDArray[np.int32], offsets: Ints, vocab: dict[int, bytes]) -> None:
        self._tokens, self._offsets, self._vocab = tokens, offsets, vocab

    @cached_property
    def _starts(self) -> Ints:
        """Byte at which each token starts, and the end."""
        length = np.zeros(max(self._vocab, default=0) + 1, dtype=np.int64)
        for token, piece in self._vocab.items():
            length[token] = len(piece)
        return np.concatenate([[0], np.cumsum(length[np.asarray(self._tokens)])])

    @cached_property
    def _text(self) -> bytes:
        return b"".join(self._vocab.get(token, b"") for token in self._tokens.tolist())

    def literal(self, words: str) -> Hits:
        """Find a text as it stands, large and small letters distinct."""
        found: list[int] = []
        wanted, at = words.encode(), -1
        while len(found) <= _MOST and (at := self._text.find(wanted, at + 1)) >= 0:
            found.append(at)
        return self._hits(np.array(found, dtype=np.int64), len(wanted))

    def ids(self, words: str) -> Hits:
        """Find a sequence of token ids, written with spaces or commas between them."""
        parts = words.replace(",", " ").split()
        good = all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)
        if not (good and 0 < len(parts) <= _MOST_IDS):
            raise BadQueryError(f"q: give 1 to {_MOST_IDS} token ids between spaces")
        tokens, n = np.asarray(self._tokens), len(parts)
        found = np.ones(max(len(tokens) - n + 1, 0), dtype=bool)
        for place, part in enumerate(parts):
            found &= tokens[place : place + len(found)] == int(part)
        first = np.flatnonzero(found)
        return self._within(first[:_MOST], first[:_MOST] + n - 1, complete=len(first) <= _MOST)

    def regex(self, pattern: str) -> Hits:
        """Find a regular expression in RE2's syntax, the first match of each line."""
        lines, starts = self._lines
        try:
            at = pc.find_substring_regex(lines, pattern=pattern).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid as error:
            said = str(error).split("\n")[0][:200]
            raise BadQueryError(f"q: no regular expression that RE2 reads ({said})") from error
        rows = np.flatnonzero(at >= 0)
        kept = rows[: _MOST + 1]
        return self._hits(starts[kept] + at[kept], 1)

    @cached_property
    def _lines(self) -> tuple[pa.Array, Ints]:
        text = np.frombuffer(self._text, dtype=np.uint8)
        breaks = np.flatnonzero(text == ord("\n"))
        documents = self._starts[self._offsets[1:-1]]
        starts = np.unique(np.concatenate([[0], breaks + 1, documents]))
        starts = starts[starts < len(text)]
        bounds = pa.py_buffer(np.append(starts, len(text)).astype(np.int64).tobytes())
        lines = pa.Array.from_buffers(
            pa.large_binary(), len(starts), [None, bounds, pa.py_buffer(self._text)]
        )
        return lines, starts

    def _hits(self, at: Ints, length: int) -> Hits:
        complete = len(at) <= _MOST
        at = at[:_MOST]
        first = np.searchsorted(self._starts, at, side="right") - 1
        last = np.searchsorted(self._starts, at + max(length, 1) - 1, side="right") - 1
        return self._within(first, last, complete=complete)

    def _within(self, first: Ints, last: Ints, *, complete: bool) -> Hits:
        """Keep the matches that lie in one document."""
        doc = np.searchsorted(self._offsets, first, side="right")
        kept = doc == np.searchsorted(self._offsets, last, side="right")
        return Hits(first=first[kept], last=last[kept], complete=complete)
