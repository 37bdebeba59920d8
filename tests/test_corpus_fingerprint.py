"""Laws of fingerprints: what was seen is known again however it is cut, what was not is not."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.lm.documents import cut_stream
from quantascope.lm.fingerprint import Fingerprint, document_hash, line_hashes


def prose(seed: int, n_lines: int = 600) -> str:
    """Lines of random words, none of them shared between seeds."""
    rng = stream(seed, "prose")
    words = ["".join(rng.choice(list("abcdefghij"), 7)) for _ in range(8 * n_lines)]
    return "".join(" ".join(words[8 * at : 8 * at + 8]) + "\n" for at in range(n_lines))


def pieces(text: str, max_chars: int) -> list[str]:
    return [piece for _, piece in cut_stream([text], max_chars=max_chars)]


def test_hashes_do_not_see_white_space():
    """Rewrapped and reindented text hashes alike; another word does not."""
    assert document_hash("a b\n c") == document_hash(" a\tb c ")
    assert document_hash("a b c") != document_hash("ab c")
    line = "    " + "word " * 10
    assert line_hashes(line, keep_one_in=1) == line_hashes(line.strip(), keep_one_in=1)


def test_short_lines_are_not_compared():
    """A line of 39 characters is too common to tell anything, one of 40 counts."""
    assert len(line_hashes("x" * 39, keep_one_in=1)) == 0
    assert len(line_hashes("x" * 40, keep_one_in=1)) == 1


def test_sampled_lines_are_a_sixteenth_of_all_lines():
    """Sampling keeps the same lines everywhere, a sixteenth within 5 sigma of the binomial."""
    text = prose(0, 4000)
    every, sampled = line_hashes(text, keep_one_in=1), line_hashes(text)
    assert set(sampled) <= set(every)
    sigma = np.sqrt(4000 / 16 * 15 / 16)
    assert abs(len(sampled) - 250) < 5 * sigma


def test_text_cut_differently_is_known_again():
    """Other piece lengths change every document hash but not the lines; new text is unknown."""
    seen, unseen = prose(1), prose(2)
    fingerprint = Fingerprint.from_texts(pieces(seen, 4000))
    report = fingerprint.overlap(pieces(seen, 3000))
    assert report.share_of_lines_seen > 0.9  # all but the few lines that a cut splits
    comparable = [piece for piece in pieces(seen, 3000) if len(line_hashes(piece))]
    assert report.n_seen_documents == len(comparable) > 0.5 * report.n_documents
    clean = fingerprint.overlap(pieces(unseen, 3000))
    assert (clean.n_seen_documents, clean.share_of_lines_seen) == (0, 0.0)
    half = fingerprint.overlap(pieces(seen, 3000) + pieces(unseen, 3000))
    assert half.n_seen_documents == report.n_seen_documents


def test_a_document_without_long_lines_is_known_by_its_hash():
    """Lists and tables of short lines fall back on the whole document."""
    fingerprint = Fingerprint.from_texts(["a\nb\nc\n"])
    assert fingerprint.overlap(["a b c"]).n_seen_documents == 1
    assert fingerprint.overlap(["a b d"]).n_seen_documents == 0


def test_sharing_a_fifth_of_the_lines_is_sharing_text():
    """The threshold of the training filter: 2 known lines of 10 suffice, 1 does not."""
    lines = prose(3, 12).splitlines()
    fingerprint = Fingerprint.from_texts(["\n".join(lines[:2])], keep_one_in=1)
    assert fingerprint.shares_text("\n".join(lines[:10]), line_share=0.2)
    assert not fingerprint.shares_text("\n".join(lines[1:11]), line_share=0.2)


def test_fingerprints_survive_the_disk(tmp_path):
    """Saving and loading is the identity; other files are refused with their name."""
    fingerprint = Fingerprint.from_texts(pieces(prose(4), 500))
    fingerprint.save(tmp_path / "seen.parquet")
    loaded = Fingerprint.load(tmp_path / "seen.parquet")
    np.testing.assert_array_equal(loaded.documents, fingerprint.documents)
    np.testing.assert_array_equal(loaded.lines, fingerprint.lines)
    assert loaded.keep_one_in == 16
    (tmp_path / "text").write_text("no table")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    for name in ("missing", "text", "other.parquet"):
        with pytest.raises(DataError, match=name):
            Fingerprint.load(tmp_path / name)
