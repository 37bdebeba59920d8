"""Laws of a corpus: predictions keep their keys, pieces lead back to their text."""

from collections import Counter

import numpy as np
import pytest

from quantascope.core.errors import DataError
from quantascope.lm.config import CorpusConfig
from quantascope.lm.corpus import Corpus, build_corpus
from quantascope.lm.documents import Document
from quantascope.lm.sources.sampler import sampler_documents
from quantascope.lm.tokenizer import train_bpe

DOCUMENTS = [document for document, _ in zip(sampler_documents(), range(40), strict=False)]
BPE = train_bpe([document.text for document in DOCUMENTS], vocab_size=500)


def build(documents, *, max_length: int = 64, rejects=None, **config) -> Corpus:
    """Build a corpus with a short context."""
    return build_corpus(
        iter(documents), BPE, config=CorpusConfig(**config), max_length=max_length, rejects=rejects
    )


def piece_bytes(corpus: Corpus, doc: int) -> bytes:
    """Bytes of one piece, by way of the vocabulary table."""
    values = corpus.vocab["bytes"].to_pylist()
    ids = corpus.tokens[corpus.offsets[doc] : corpus.offsets[doc + 1]]
    return b"".join(values[at] for at in ids)


def test_every_piece_stands_in_its_source_where_the_table_says():
    """The bytes of a piece are those of its source from `source_offset` on.

    A token may begin inside a character of up to four bytes, and a piece with it.
    """
    corpus = build(DOCUMENTS)
    texts = {(doc.source, doc.offset): doc.text for doc in DOCUMENTS}
    for row in corpus.docs.to_pylist():
        at = row["source_offset"]
        source, start = max(key for key in texts if key[0] == row["source"] and key[1] <= at)
        below = texts[source, start][at - start :].encode()
        assert 0 <= below.find(piece_bytes(corpus, row["doc"])) < 4


def test_pieces_joined_are_the_documents():
    """Splitting loses nothing but a last single token, which is counted."""
    corpus = build(DOCUMENTS)
    joined = b"".join(piece_bytes(corpus, doc) for doc in range(len(corpus.docs)))
    n_lost = corpus.rejects.get("cut_rest", 0)
    whole = sum(len(BPE.encode(doc.text).ids) for doc in DOCUMENTS)
    assert len(corpus.tokens) == whole - n_lost
    assert n_lost or joined == "".join(doc.text for doc in DOCUMENTS).encode()


def test_shapes_and_types_are_those_of_the_run_folder():
    """int32 tokens, int64 offsets from 0 to the end, lengths within 2 and the context."""
    corpus = build(DOCUMENTS)
    assert (corpus.tokens.dtype, corpus.offsets.dtype) == (np.int32, np.int64)
    lengths = np.diff(corpus.offsets)
    assert (corpus.offsets[0], corpus.offsets[-1]) == (0, len(corpus.tokens))
    assert (lengths.min() >= 2, lengths.max()) == (True, 64)
    np.testing.assert_array_equal(corpus.docs["n_tokens"].to_numpy(), lengths)
    names = ["doc", "source", "domain", "source_offset", "n_tokens", "document_hash"]
    assert corpus.docs.column_names == names
    assert corpus.vocab.column_names == ["id", "bytes", "special"]


def test_more_documents_leave_every_prediction_its_key():
    """A corpus of more documents, or with a larger cap, begins with the smaller one."""
    small, large = build(DOCUMENTS[:20]), build(DOCUMENTS)
    n = len(small.tokens)
    np.testing.assert_array_equal(large.tokens[:n], small.tokens)
    assert large.docs.slice(0, len(small.docs)).equals(small.docs)
    capped = build(DOCUMENTS, n_tokens=1000)
    np.testing.assert_array_equal(large.tokens[: len(capped.tokens)], capped.tokens)


@pytest.mark.parametrize("n_tokens", [64, 65, 1000, 1023])
def test_the_cap_stops_at_the_last_boundary_at_or_below_it(n_tokens):
    """No document is cut by the cap, and the next one would not have fitted."""
    whole, capped = build(DOCUMENTS), build(DOCUMENTS, n_tokens=n_tokens)
    ends = whole.offsets[whole.offsets <= n_tokens]
    assert len(capped.tokens) == ends[-1]
    assert (capped.offsets == whole.offsets[: len(ends)]).all()


def test_truncation_keeps_the_first_piece_of_each_document():
    """As in the paper: one piece a document, the rest counted."""
    corpus = build(DOCUMENTS, cut="truncate")
    assert len(corpus.docs) == len(DOCUMENTS)
    assert corpus.rejects["cut_rest"] == sum(len(BPE.encode(d.text).ids) > 64 for d in DOCUMENTS)


def test_documents_of_one_token_are_counted():
    """Nothing is predicted in them."""
    documents = [Document("a", "s", 0, "d"), *DOCUMENTS[:1]]
    assert build(documents).rejects["too_short"] == 1


def test_an_empty_corpus_names_every_cause():
    """If nothing remains, one line says why, with what was counted while reading."""
    rejects = Counter(empty_file=2)
    with pytest.raises(DataError, match=r"empty_file 2, too_short 1") as caught:
        build([Document("a", "s", 0, "d")], rejects=rejects)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "max_length", "name"),
    [({"cut": "wrap"}, 64, "cut"), ({"n_tokens": 1}, 64, "n_tokens"), ({}, 1, "max_length")],
)
def test_arguments_out_of_range_are_named(config, max_length, name):
    """A wrong argument is a ValueError with its name."""
    with pytest.raises(ValueError, match=name):
        build(DOCUMENTS, max_length=max_length, **config)
