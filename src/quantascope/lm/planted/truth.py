"""The truth of a corpus made from planted text: for each prediction the skills that rule it.

Documents are drawn anew from the name that each carries; tokens are matched to words by their
bytes, so any tokenizer will do whose tokens join to the text.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.lm.planted.config import PREFIX, PlantedConfig, PlantedSource
from quantascope.lm.planted.language import Label, Language, PlantedDocument
from quantascope.lm.planted.source import language_of

__all__ = ["labelled_documents", "planted_truth", "skill_table"]

_INSIDE_CHARACTER: Final = 3  # a piece may begin inside a character [byte]


def planted_truth(
    tokens: NDArray[np.integer[Any]],
    offsets: NDArray[np.integer[Any]],
    *,
    docs: pa.Table,
    vocab: pa.Table,
    seed: int,
) -> pa.Table | None:
    """Label every prediction in the planted documents of a corpus.

    Parameters
    ----------
    tokens, offsets
        Flat token ids; bounds of the documents.
    docs, vocab
        Tables of the corpus: where each document comes from, the bytes of each token.
    seed
        Seed that the documents were drawn with (``corpus.seed``).

    Returns
    -------
    pa.Table or None
        Columns ``pred``, ``skill``, ``sub_skill``, ``entry``, ``weight``, ``held_out``; one row
        for each prediction and skill. None if no document is planted.

    Raises
    ------
    DataError
        If the tokens of a document do not join to its text.
    """
    sources, starts = (docs.column(name).to_pylist() for name in ("source", "source_offset"))
    spelled = dict(zip(*(vocab.column(name).to_pylist() for name in ("id", "bytes")), strict=True))
    planted = [at for at, source in enumerate(sources) if source.startswith(PREFIX)]
    if not planted:
        return None
    preds: list[int] = []
    labels: list[Label] = []
    for at in planted:
        spec, _, number = sources[at].rpartition("#")
        source, language = language_of(spec)
        document = language.document(seed, int(number), split=source.split)
        first, end = int(offsets[at]), int(offsets[at + 1])
        pieces = [spelled[token] for token in tokens[first:end].tolist()]
        words = _word_of_each(pieces, document, start=starts[at], name=sources[at])
        for pred, word in zip(range(first + 1, end), words[1:], strict=True):
            found = document.words[word].labels
            preds += [pred] * len(found)
            labels += found
    columns = {
        name: pa.array(values)
        for name, values in zip(Label._fields, zip(*labels, strict=True), strict=True)
    }
    return pa.table({"pred": pa.array(preds, pa.int64())} | columns)


def labelled_documents(
    source: PlantedSource, *, seed: int, n_documents: int, advance: Advance = ignore_progress
) -> tuple[list[str], pa.Table]:
    """Draw documents with the label of every word.

    Returns
    -------
    tuple[list[str], pa.Table]
        Texts; a row for each word and skill that rules it: ``document``, ``word``, ``text`` and
        the columns of the truth.
    """
    language = Language(source.config)
    texts: list[str] = []
    rows: list[tuple[Any, ...]] = []
    for number in range(n_documents):
        document = language.document(seed, number, split=source.split)
        texts.append(document.text)
        rows += [
            (number, place, word.text, *label)
            for place, word in enumerate(document.words)
            for label in word.labels
        ]
        advance(1)
    names = ("document", "word", "text", *Label._fields)
    return texts, pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def skill_table(config: PlantedConfig) -> pa.Table:
    """List the skills of a language by falling frequency.

    Returns
    -------
    pa.Table
        ``rank`` from 1, ``skill``, ``kind``, ``cue``, ``shape``, ``n_answers`` of a block,
        ``frequency`` among answers ruled by one skill, ``generalises``.
    """
    language = Language(config)
    return pa.Table.from_pylist(
        [
            {
                "rank": rank,
                "skill": skill.name,
                "kind": skill.kind,
                "cue": skill.cue,
                "shape": skill.shape,
                "n_answers": skill.n_answers,
                "frequency": float(language.frequencies[rank - 1]),
                "generalises": skill.generalises,
            }
            for rank, skill in enumerate(language.skills, start=1)
        ]
    )


def _word_of_each(
    pieces: list[bytes], document: PlantedDocument, *, start: int, name: str
) -> list[int]:
    """Find the word that each token begins in."""
    whole, joined = document.text.encode(), b"".join(pieces)
    skipped = len(document.text[:start].encode())
    at = whole.find(joined, skipped, skipped + len(joined) + _INSIDE_CHARACTER)
    if at < 0:
        raise DataError(
            f"{name}: its tokens do not join to its text, so that no truth can be written; use a "
            "tokenizer that keeps every byte, such as that of the planted suite"
        )
    begins = at + np.cumsum([0, *map(len, pieces)])[:-1]
    word_begins = np.cumsum([0, *(len(word.text.encode()) + 1 for word in document.words)])
    found: list[int] = (np.searchsorted(word_begins, begins, side="right") - 1).tolist()
    return found
