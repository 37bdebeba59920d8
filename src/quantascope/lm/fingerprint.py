"""Fingerprints: what text a model has seen, kept as hashes of documents and of long lines."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantascope.core.errors import DataError

__all__ = [
    "LONG_LINE_CHARS",
    "Fingerprint",
    "SeenReport",
    "document_hash",
    "line_hashes",
    "report_seen",
]

LONG_LINE_CHARS: Final = 40
"""Shorter lines recur by chance and say nothing about where a text comes from [character]."""

_KEPT_ONE_IN: Final = 16
_SEEN_SHARE: Final = 0.5
_DOCUMENT, _LINE = "document", "line"


def document_hash(text: str) -> int:
    """Hash a text up to its white space.

    Returns
    -------
    int
        Unsigned 64-bit BLAKE2b of the words joined by single blanks.
    """
    return _hash(" ".join(text.split()))


def line_hashes(text: str, *, keep_one_in: int = _KEPT_ONE_IN) -> NDArray[np.uint64]:
    """Hash the long lines of a text.

    Parameters
    ----------
    text
        Any text.
    keep_one_in
        Keep the hashes divisible by this: the same lines are kept in every text that has them.

    Returns
    -------
    NDArray[np.uint64]
        One hash for each kept line of at least `LONG_LINE_CHARS` characters, in order.
    """
    lines = (" ".join(line.split()) for line in text.splitlines())
    hashes = (_hash(line) for line in lines if len(line) >= LONG_LINE_CHARS)
    return np.fromiter((h for h in hashes if h % keep_one_in == 0), dtype=np.uint64)


def _hash(words: str) -> int:
    digest = hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@dataclass(frozen=True)
class SeenReport:
    """How much of some texts a fingerprint knows.

    Attributes
    ----------
    n_documents
        Texts looked at.
    n_whole_documents
        Texts known whole.
    n_seen_documents
        Texts known whole, or of whose compared lines at least half are known.
    n_lines
        Lines compared.
    share_of_lines_seen
        Share of all compared lines that are known, 0 to 1.
    """

    n_documents: int
    n_whole_documents: int
    n_seen_documents: int
    n_lines: int
    share_of_lines_seen: float


def report_seen(counts: Sequence[tuple[bool, int, int]]) -> SeenReport:
    """Sum up what `Fingerprint.shared` said of some texts."""
    n_lines = sum(n for _, n, _ in counts)
    n_known = sum(known for _, _, known in counts)
    return SeenReport(
        n_documents=len(counts),
        n_whole_documents=sum(whole for whole, _, _ in counts),
        n_seen_documents=sum(
            whole or (known >= _SEEN_SHARE * n and known > 0) for whole, n, known in counts
        ),
        n_lines=n_lines,
        share_of_lines_seen=n_known / n_lines if n_lines else 0.0,
    )


@dataclass(frozen=True)
class Fingerprint:
    """Sorted hashes of documents and of their long lines.

    Attributes
    ----------
    documents
        Hashes of whole documents, sorted, unique.
    lines
        Hashes of long lines, sorted, unique.
    keep_one_in
        Which lines were kept: those whose hash this divides; 1 keeps all.
    """

    documents: NDArray[np.uint64]
    lines: NDArray[np.uint64]
    keep_one_in: int = _KEPT_ONE_IN

    @classmethod
    def from_texts(cls, texts: Iterable[str], *, keep_one_in: int = _KEPT_ONE_IN) -> "Fingerprint":
        """Take the fingerprint of some texts."""
        documents: list[int] = []
        lines = [np.empty(0, dtype=np.uint64)]
        for text in texts:
            documents.append(document_hash(text))
            lines.append(line_hashes(text, keep_one_in=keep_one_in))
        return cls(
            documents=np.unique(np.array(documents, dtype=np.uint64)),
            lines=np.unique(np.concatenate(lines)),
            keep_one_in=keep_one_in,
        )

    def shared(self, text: str) -> tuple[bool, int, int]:
        """Compare one text.

        Returns
        -------
        tuple[bool, int, int]
            Whether it is known whole; compared lines; known lines among them.
        """
        hashes = line_hashes(text, keep_one_in=self.keep_one_in)
        whole = _is_in(np.array([document_hash(text)], dtype=np.uint64), self.documents)
        return bool(whole[0]), len(hashes), int(_is_in(hashes, self.lines).sum())

    def shares_text(self, text: str, *, line_share: float) -> bool:
        """Tell whether a text is known whole or at least `line_share` of its compared lines is."""
        whole, n_lines, n_known = self.shared(text)
        return whole or (n_known > 0 and n_known >= line_share * n_lines)

    def overlap(self, texts: Iterable[str]) -> SeenReport:
        """Report how much of some texts is known, however they were cut."""
        return report_seen([self.shared(text) for text in texts])

    def save(self, path: Path) -> None:
        """Write one .parquet file: columns ``kind`` and ``hash``."""
        kinds = [_DOCUMENT] * len(self.documents) + [_LINE] * len(self.lines)
        table = pa.table(
            {
                "kind": pa.array(kinds).dictionary_encode(),
                "hash": np.concatenate([self.documents, self.lines]),
            }
        ).replace_schema_metadata({"keep_one_in": str(self.keep_one_in)})
        pq.write_table(table, path, compression="zstd", use_dictionary=["kind"])

    @classmethod
    def load(cls, path: Path) -> "Fingerprint":
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is missing or is no fingerprint.
        """
        try:
            table = pq.read_table(path)
            kinds = np.asarray(table["kind"].cast(pa.string()).to_pylist(), dtype=object)
            hashes = table["hash"].to_numpy()
            keep_one_in = int(table.schema.metadata[b"keep_one_in"])
        except (OSError, pa.ArrowException, KeyError, TypeError) as error:
            raise DataError(f"{path}: no fingerprint can be read from it ({error})") from error
        return cls(hashes[kinds == _DOCUMENT], hashes[kinds == _LINE], keep_one_in)


def _is_in(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Membership in a sorted array."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.asarray(known[at] == values)
