"""Corpora: documents become one flat token array whose indices are the keys of predictions."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Encoding

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.lm.config import CorpusConfig
from quantascope.lm.documents import Document, Rejects, describe_rejects
from quantascope.lm.fingerprint import document_hash
from quantascope.lm.tokenizer import plain, vocabulary

__all__ = ["Corpus", "build_corpus"]

_DOCUMENTS_AT_ONCE: Final = 256
_CUTS: Final = ("split", "truncate")


@dataclass(frozen=True)
class Corpus:
    """Text as tokens, with the way back to where each piece came from.

    Attributes
    ----------
    tokens
        Token ids of all documents one after the other, axis ``token``. A prediction ``pred`` is
        the index of the predicted token here; the first token of a document is never predicted.
    offsets
        Document d is ``tokens[offsets[d] : offsets[d + 1]]``, one entry more than axis ``doc``.
    docs
        One row a document: ``doc``, ``source``, ``domain``, ``source_offset`` [character],
        ``n_tokens``, ``document_hash`` (of the whole document that it is a piece of).
    vocab
        One row a token: ``id``, ``bytes``, ``special``.
    rejects
        What was left out, by cause.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    docs: pa.Table
    vocab: pa.Table
    rejects: dict[str, int]


@dataclass(frozen=True)
class _Piece:
    """A part of a document that fits the models' context."""

    ids: NDArray[np.int32]
    source: str
    domain: str
    source_offset: int
    document_hash: int


def build_corpus(
    documents: Iterable[Document],
    tokenizer: Any,
    *,
    config: CorpusConfig,
    max_length: int,
    rejects: Rejects[str] | None = None,
    advance: Advance = ignore_progress,
) -> Corpus:
    """Encode documents, cut them to the context length, and lay them end to end.

    Documents are read as they come and only as far as needed, so more of them, or a larger
    ``n_tokens``, give a corpus that begins with this one.

    Parameters
    ----------
    documents
        Documents, in the order of the corpus.
    tokenizer
        A `tokenizers.Tokenizer` or a fast tokenizer of transformers.
    config
        Uses ``cut`` and ``n_tokens``: stops at the last document that ends at or below it.
    max_length
        Longest document [token], at least 2.
    rejects
        Counts what was left out, by cause; may hold counts from reading.
    advance
        Told the number of new tokens.

    Raises
    ------
    ValueError
        If an argument is out of range.
    DataError
        If no document is left.
    """
    _check(config, max_length)
    rejects = Counter() if rejects is None else rejects
    pieces: list[_Piece] = []
    n_tokens = 0
    for piece in _pieces(documents, plain(tokenizer), config.cut, max_length, rejects):
        if config.n_tokens is not None and n_tokens + len(piece.ids) > config.n_tokens:
            _check_first(piece, config.n_tokens, any_kept=bool(pieces))
            break
        n_tokens += len(piece.ids)
        pieces.append(piece)
        advance(len(piece.ids))
    if not pieces:
        raise DataError(
            f"corpus: no document of at least 2 tokens is left from {', '.join(config.source)} "
            f"(left out: {describe_rejects(rejects)})"
        )
    return _assemble(pieces, vocabulary(tokenizer), rejects)


def _check_first(piece: _Piece, n_tokens: int, *, any_kept: bool) -> None:
    if not any_kept:
        raise ValueError(
            f"corpus.n_tokens: {n_tokens} is less than the first document, {len(piece.ids)} tokens "
            f"of {piece.source}; allow more, or lower max_length"
        )


def _check(config: CorpusConfig, max_length: int) -> None:
    if max_length < 2:
        raise ValueError(f"max_length: {max_length} is below 2, nothing would be predicted")
    if config.cut not in _CUTS:
        raise ValueError(f"corpus.cut: {config.cut!r} unknown; allowed are {', '.join(_CUTS)}")
    if config.n_tokens is not None and config.n_tokens < 2:
        raise ValueError(f"corpus.n_tokens: {config.n_tokens} is below 2")


def _pieces(
    documents: Iterable[Document],
    encoder: Any,
    cut: str,
    max_length: int,
    rejects: Rejects[str],
) -> Iterator[_Piece]:
    iterator = iter(documents)
    while batch := list(islice(iterator, _DOCUMENTS_AT_ONCE)):
        encodings = encoder.encode_batch([doc.text for doc in batch], add_special_tokens=False)
        for document, encoding in zip(batch, encodings, strict=True):
            yield from _cut(document, encoding, cut=cut, max_length=max_length, rejects=rejects)


def _cut(
    document: Document, encoding: Encoding, *, cut: str, max_length: int, rejects: Rejects[str]
) -> Iterator[_Piece]:
    ids = np.array(encoding.ids, dtype=np.int32)
    if len(ids) < 2:
        rejects["too_short"] += 1
        return
    starts = range(0, len(ids), max_length)
    if cut == "truncate" and len(starts) > 1:
        rejects["cut_rest"] += 1
        starts = starts[:1]
    key = document_hash(document.text)
    for start in starts:
        part = ids[start : start + max_length]
        if len(part) < 2:
            rejects["cut_rest"] += 1
        else:
            first, _ = encoding.token_to_chars(start) or (0, 0)
            offset = document.offset + first
            yield _Piece(part, document.source, document.domain, offset, key)


def _assemble(
    pieces: list[_Piece], vocab: list[tuple[int, bytes, bool]], rejects: Rejects[str]
) -> Corpus:
    lengths = np.array([len(piece.ids) for piece in pieces], dtype=np.int64)
    docs = {
        "doc": pa.array(range(len(pieces)), pa.int64()),
        "source": pa.array([piece.source for piece in pieces], pa.string()),
        "domain": pa.array([piece.domain for piece in pieces], pa.string()),
        "source_offset": pa.array([piece.source_offset for piece in pieces], pa.int64()),
        "n_tokens": pa.array(lengths),
        "document_hash": pa.array([piece.document_hash for piece in pieces], pa.uint64()),
    }
    ids, values, special = zip(*vocab, strict=True)
    return Corpus(
        tokens=np.concatenate([piece.ids for piece in pieces]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        docs=pa.table(docs),
        vocab=pa.table(
            {
                "id": pa.array(ids, pa.int32()),
                "bytes": pa.array(values, pa.binary()),
                "special": pa.array(special, pa.bool_()),
            }
        ),
        rejects={cause: count for cause, count in sorted(rejects.items()) if count},
    )
