"""Text from files: plain text and source code, .jsonl, .parquet, and folders of them.

Nothing here holds more than one line, one row batch, or one HTML page in memory, and no single
bad file or line stops the reading: each is skipped and counted by cause.
"""

import codecs
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from quantascope.lm.cleaning import html_to_text
from quantascope.lm.documents import Document, Rejects, cut_stream

__all__ = ["LONGEST_LINE", "file_documents", "folder_documents", "text_documents"]

LONGEST_LINE: Final = 16 << 20
"""Longest .jsonl line that is parsed [byte]."""

_LONG_TEXT_LINE: Final = 1 << 20  # counted, and cut like any other text [character]
_CHUNK: Final = 1 << 20
_CHUNKS_LOOKED_AT: Final = 1 << 10  # before reading; a larger file is for reading only in part
_LARGEST_HTML: Final = 16 << 20  # a larger page is read as plain text [byte]
_ROWS: Final = 256

# Suffixes that a folder is searched for, and the domain of what they hold.
_DOMAINS: Final = {
    "": "text",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".rst": "text",
    ".tex": "tex",
    ".html": "web",
    ".htm": "web",
    ".xml": "markup",
    ".svg": "markup",
    ".css": "css",
    ".jsonl": "text",
    ".parquet": "text",
    ".json": "data",
    ".yaml": "data",
    ".yml": "data",
    ".toml": "data",
    ".csv": "data",
    ".py": "python",
    ".pyi": "python",
    ".ipynb": "data",
    ".c": "c",
    ".h": "c",
    ".cc": "c",
    ".cpp": "c",
    ".hpp": "c",
    ".cu": "c",
    ".go": "go",
    ".rs": "rust",
    ".java": "java",
    ".kt": "java",
    ".scala": "java",
    ".js": "javascript",
    ".ts": "javascript",
    ".tsx": "javascript",
    ".r": "r",
    ".jl": "julia",
    ".rb": "ruby",
    ".pl": "perl",
    ".sh": "shell",
    ".sql": "sql",
    ".hs": "haskell",
    ".ml": "ocaml",
    ".lua": "lua",
    ".swift": "swift",
    ".vim": "vim",
}


def folder_documents(
    folder: Path, *, text_column: str, rejects: Rejects[str]
) -> Iterator[Document]:
    """Read every text and source file below a folder, by sorted path.

    Hidden files are passed over, links to folders are not followed, and a file that is reached
    twice is read once.
    """
    seen: set[str] = set()
    for path in _walk(folder, rejects):
        real = os.path.realpath(path)
        if not Path(real).is_file():
            rejects["symlink" if path.is_symlink() else "unreadable"] += 1
        elif path.suffix.lower() not in _DOMAINS:
            rejects["unknown_suffix"] += 1
        elif real not in seen:
            seen.add(real)
            yield from file_documents(path, text_column=text_column, rejects=rejects)


def _walk(folder: Path, rejects: Rejects[str]) -> Iterator[Path]:
    def unreadable(_: OSError) -> None:
        rejects["unreadable"] += 1

    for base, folders, names in os.walk(folder, onerror=unreadable, followlinks=False):
        rejects.update("symlink" for name in folders if Path(base, name).is_symlink())
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(base, name) for name in sorted(names) if not name.startswith("."))


def file_documents(path: Path, *, text_column: str, rejects: Rejects[str]) -> Iterator[Document]:
    """Read one file by its suffix: .jsonl, .parquet, .html, and anything else as plain text."""
    suffix = path.suffix.lower()
    try:
        if path.stat().st_size == 0:
            rejects["empty_file"] += 1
        elif suffix == ".jsonl":
            yield from _jsonl(path, text_column, rejects)
        elif suffix == ".parquet":
            yield from _parquet(path, text_column, rejects)
        else:
            domain = _DOMAINS.get(suffix, "text")
            yield from text_documents(path, source=_name(path), domain=domain, rejects=rejects)
    except OSError:
        rejects["unreadable"] += 1


def text_documents(
    path: Path, *, source: str, domain: str, rejects: Rejects[str]
) -> Iterator[Document]:
    """Read one text file in chunks; a file with NUL bytes or invalid UTF-8 is left out whole."""
    cause = _what_is_wrong(path)
    if cause:
        rejects[cause] += 1
        return
    chunks = _chunks(path)
    if path.suffix.lower() in (".html", ".htm") and path.stat().st_size <= _LARGEST_HTML:
        chunks = iter([html_to_text("".join(chunks))])
    try:
        for offset, piece in cut_stream(_count_long_lines(chunks, rejects)):
            yield Document(piece, source, offset, domain)
    except UnicodeDecodeError:  # beyond what was looked at beforehand
        rejects["not_utf8"] += 1


def _what_is_wrong(path: Path) -> str | None:
    try:
        if any("\0" in chunk for chunk in islice(_chunks(path), _CHUNKS_LOOKED_AT)):
            return "nul_bytes"
    except UnicodeDecodeError:
        return "not_utf8"
    return None


def _chunks(path: Path) -> Iterator[str]:
    """Decode a file piece by piece, without its byte order mark."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


def _count_long_lines(chunks: Iterator[str], rejects: Rejects[str]) -> Iterator[str]:
    length = 0  # of the line that goes on into the next chunk
    for chunk in chunks:
        first, *others = map(len, chunk.split("\n"))
        lengths = [length + first, *others]
        length = lengths.pop()
        rejects.update("long_line" for n in lengths if n > _LONG_TEXT_LINE)
        yield chunk
    if length > _LONG_TEXT_LINE:
        rejects["long_line"] += 1


def _jsonl(path: Path, text_column: str, rejects: Rejects[str]) -> Iterator[Document]:
    with path.open("rb") as file:
        for number, line in enumerate(_bounded_lines(file), start=1):
            if line is None:
                rejects["long_line"] += 1
            elif line.strip():
                text = _line_text(line, text_column, rejects)
                yield from _row(text, f"{_name(path)}#{number}")


def _bounded_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield lines; None for one that is too long, which is read over without being held."""
    while line := file.readline(LONGEST_LINE):
        if line.endswith(b"\n") or len(line) < LONGEST_LINE:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(_CHUNK)
        yield None


def _line_text(line: bytes, text_column: str, rejects: Rejects[str]) -> str:
    """Text of one line, or nothing and a count of why."""
    record = _record(line)
    if isinstance(record, str):
        rejects[record] += 1
        return ""
    if text_column not in record:
        rejects["missing_column"] += 1
        return ""
    return checked_text(record[text_column], rejects)


def _record(line: bytes) -> dict[str, Any] | str:
    """Parse one line into its object, or name what is wrong with it."""
    if b"\0" in line:
        return "nul_bytes"
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "not_utf8"
    except (ValueError, RecursionError):
        return "broken_line"
    return record if isinstance(record, dict) else "broken_line"


def _parquet(path: Path, text_column: str, rejects: Rejects[str]) -> Iterator[Document]:
    try:
        file = pq.ParquetFile(path)
        if text_column not in file.schema_arrow.names:
            rejects["missing_column"] += 1
            return
        row = 0
        for batch in file.iter_batches(batch_size=_ROWS, columns=[text_column]):
            for value in _values(batch.column(0)):
                yield from _row(checked_text(value, rejects), f"{_name(path)}#{row}")
                row += 1
    except pa.ArrowException:
        rejects["unreadable"] += 1


def _values(column: pa.Array) -> list[Any]:
    """Values of a column; text as bytes, so that one bad value does not spoil a batch."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.large_binary())
    return list(column.to_pylist())


def checked_text(value: Any, rejects: Rejects[str]) -> str:
    """Return text that UTF-8 can hold, or nothing and a count of why."""
    try:
        text = value.decode() if isinstance(value, bytes) else value
        if not isinstance(text, str):
            rejects["not_text"] += 1
            return ""
        text.encode()  # JSON may escape half of a surrogate pair
    except UnicodeError:
        rejects["not_utf8"] += 1
        return ""
    if "\0" in text:
        rejects["nul_bytes"] += 1
        return ""
    if not text:
        rejects["too_short"] += 1
    return text


def _row(text: str, source: str) -> Iterator[Document]:
    for offset, piece in cut_stream([text]):
        yield Document(piece, source, offset, "text")


def _name(path: Path) -> str:
    """Path as given; names that are not UTF-8 are shown with replacement characters."""
    return os.fsencode(path.as_posix()).decode(errors="replace")
