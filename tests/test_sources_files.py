"""Hostile input: every bad file and line is counted by its cause, and stops nothing."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantascope.core.errors import DataError
from quantascope.lm.config import CorpusConfig
from quantascope.lm.corpus import build_corpus
from quantascope.lm.documents import REJECT_CAUSES
from quantascope.lm.sources import open_source, open_sources
from quantascope.lm.sources.files import LONGEST_LINE
from quantascope.lm.tokenizer import train_bpe

GOOD = "A sentence that is long enough to be a document."


def read(spec: Path | str, **options) -> tuple[list, Counter]:
    """Read a source whole; return its documents and the counts of what was left out."""
    rejects: Counter[str] = Counter()
    return list(open_source(str(spec), rejects=rejects, **options)), rejects


def jsonl_lines() -> list[tuple[bytes, str | None]]:
    """Lines of a .jsonl file, each with the cause for which it is dropped."""
    return [
        (json.dumps({"text": "jsonl " + GOOD}).encode(), None),
        (b'{"text": "cut off', "broken_line"),
        (b'["text"]', "broken_line"),
        (b"[" * 100_000, "broken_line"),
        (b'{"text": ' + b"9" * 5000 + b"}", "broken_line"),  # more digits than Python converts
        (b'{"other": "x"}', "missing_column"),
        (b'{"text": 3}', "not_text"),
        (b'{"text": null}', "not_text"),
        (b'{"text": ""}', "too_short"),
        (b'{"text": "x"}', "too_short"),
        (b'{"text": "\xff\xfe"}', "not_utf8"),
        (b'{"text": "half a pair \\ud800"}', "not_utf8"),
        (b'{"text": "a\\u0000b"}', "nul_bytes"),
        (b'{"text": "a\0b"}', "nul_bytes"),
        (b"  ", None),
        (json.dumps({"text": "jsonl  " + GOOD}).encode(), "duplicate"),
        (b'{"text": "' + b"x" * LONGEST_LINE + b'"}', "long_line"),
        (json.dumps({"text": "behind the long line"}).encode(), None),
    ]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """Make a folder with everything that goes wrong; its last good text is in a subfolder."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "good.txt").write_text(GOOD + "\n")
    (folder / "again.txt").write_text(GOOD.replace(" ", "  "))
    (folder / "empty.txt").write_text("")
    (folder / "latin.txt").write_bytes("caf\u00e9 ".encode("latin-1") * 9)
    (folder / "cut_character.txt").write_bytes("caf\u00e9".encode()[:-1])
    (folder / "nul.txt").write_bytes(b"a\0b" * 100)
    (folder / "blank.md").write_text(" \n\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "lines.jsonl").write_bytes(b"\n".join(line for line, _ in jsonl_lines()))
    write_parquet_files(folder)
    below = folder / "below"
    below.mkdir()
    (below / "code.py").write_text("def f(x):\n    return x + 1\n")
    (below / "loop").symlink_to(folder, target_is_directory=True)
    (below / "nothing.txt").symlink_to(folder / "no such file")
    (below / "twice.txt").symlink_to(folder / "good.txt")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "config.txt").write_text("not for reading")
    os.mkfifo(folder / "pipe.txt")
    return folder


def write_parquet_files(folder: Path) -> None:
    pq.write_table(pa.table({"text": ["parquet " + GOOD, None, "y"]}), folder / "rows.parquet")
    pq.write_table(pa.table({"other": ["x"]}), folder / "column.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), folder / "numbers.parquet")
    whole = (folder / "rows.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "no.parquet").write_bytes(b"no parquet at all")


EXPECTED = Counter(cause for _, cause in jsonl_lines() if cause) + Counter(
    duplicate=1,  # again.txt; the link to good.txt is the same file and is read once
    empty_file=1,
    not_utf8=2,
    nul_bytes=1,
    unknown_suffix=1,
    missing_column=1,
    not_text=1 + 2,
    too_short=1 + 1,
    unreadable=2 + 1,  # two tables, and the pipe
    symlink=2,
)


def test_every_cause_is_counted_and_the_good_text_is_left(hostile):
    """The hostile folder: each count by cause, and exactly the good documents."""
    documents, rejects = read(hostile)
    assert +rejects == EXPECTED
    assert set(rejects) <= set(REJECT_CAUSES)
    assert sorted(" ".join(document.text.split()) for document in documents) == sorted(
        [
            GOOD,
            "jsonl " + GOOD,
            "parquet " + GOOD,
            "behind the long line",
            "def f(x): return x + 1",
        ]
    )


def test_counts_do_not_depend_on_the_order_of_reading(hostile):
    """Files one by one, in either order, give the same counts of all causes of content."""
    names = sorted(path.name for path in hostile.iterdir() if path.suffix and path.is_file())
    counts = []
    for order in (names, names[::-1]):
        rejects: Counter[str] = Counter()
        config = CorpusConfig(source=tuple(str(hostile / name) for name in order))
        texts = [" ".join(doc.text.split()) for doc in open_sources(config, rejects=rejects)]
        counts.append((sorted(texts), rejects))
    assert counts[0] == counts[1]
    assert counts[0][1]["duplicate"] == EXPECTED["duplicate"]


def test_documents_know_their_source_and_place(hostile):
    """Line of a .jsonl from 1, row of a table from 0, path of a file."""
    documents, _ = read(hostile)
    sources = {doc.source.removeprefix(hostile.as_posix() + "/") for doc in documents}
    assert {"lines.jsonl#1", "lines.jsonl#18", "rows.parquet#0", "below/code.py"} <= sources
    assert {doc.domain for doc in documents} == {"text", "python"}


def test_nothing_left_is_one_clear_error(tmp_path):
    """A folder of bad files ends in one line with every cause."""
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "nul.txt").write_bytes(b"\0")
    (tmp_path / "one.txt").write_text("!!")
    tokenizer = train_bpe(["!! !! !!"], vocab_size=258)
    config = CorpusConfig(source=(str(tmp_path),))
    rejects: Counter[str] = Counter()
    documents = open_sources(config, rejects=rejects)
    with pytest.raises(DataError, match="empty_file 1, nul_bytes 1, too_short 1") as caught:
        build_corpus(documents, tokenizer, config=config, max_length=8, rejects=rejects)
    assert str(tmp_path) in str(caught.value)


def test_a_long_line_of_text_is_cut_not_lost(tmp_path):
    """Five megabytes without a line break: pieces of the file, counted once."""
    letters = np.random.default_rng(0).integers(97, 123, 5_000_000, dtype=np.uint8)
    (tmp_path / "long.txt").write_bytes(letters.tobytes())
    documents, rejects = read(tmp_path / "long.txt")
    assert "".join(doc.text for doc in documents).encode() == letters.tobytes()
    assert max(len(doc.text) for doc in documents) == 4000
    assert rejects == {"long_line": 1}


def test_lines_below_the_limit_are_not_called_long(tmp_path):
    """The twin: the same text with a break every half megabyte."""
    (tmp_path / "lines.txt").write_text("\n".join("ab" * 250_000 for _ in range(8)))
    assert "long_line" not in read(tmp_path / "lines.txt")[1]


def test_the_cap_bounds_what_is_read(tmp_path):
    """`max_mb` counts UTF-8 bytes: what is read stays below it, and little is missing."""
    (tmp_path / "text.txt").write_text("".join(f"\u00e9 line {at}\n" for at in range(20_000)))
    documents, _ = read(tmp_path / "text.txt", max_mb=0.1)
    size = sum(len(doc.text.encode()) for doc in documents)
    assert 100_000 - 2 * 4000 < size <= 100_000


def test_a_byte_order_mark_is_no_text(tmp_path):
    """Files from other systems begin with one."""
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read(tmp_path / "bom.txt")[0][0].text == GOOD


def test_other_columns_hold_text_when_named(tmp_path):
    """`text_column` picks the column of .jsonl and .parquet, also of dictionary type."""
    (tmp_path / "a.jsonl").write_text('{"body": "from jsonl", "text": "no"}\n')
    values = pa.array(["from parquet"]).dictionary_encode()
    pq.write_table(pa.table({"body": values, "text": ["no"]}), tmp_path / "b.parquet")
    documents, _ = read(tmp_path, text_column="body")
    assert [doc.text for doc in documents] == ["from jsonl", "from parquet"]


def test_one_bad_value_does_not_spoil_a_table(tmp_path):
    """Bytes that are not UTF-8 in a text column drop their row alone."""
    bad = pa.array([b"good one", b"\xff\xff", b"good two"]).view(pa.string())
    pq.write_table(pa.table({"text": bad}), tmp_path / "a.parquet")
    documents, rejects = read(tmp_path / "a.parquet")
    assert [doc.text for doc in documents] == ["good one", "good two"]
    assert rejects == {"not_utf8": 1}


def test_pages_of_a_folder_are_read_as_text(tmp_path):
    """HTML is reduced to what a reader sees."""
    (tmp_path / "page.html").write_text("<p>Seen <script>hidden()</script>text.</p>")
    documents, _ = read(tmp_path)
    assert [(doc.text, doc.domain) for doc in documents] == [("Seen text.\n", "web")]


@pytest.mark.parametrize("spec", ["no/such/file.txt", "sampelr", "/dev/null", ""])
def test_a_source_that_is_not_there_is_refused_at_once(spec):
    """Before anything is read, one line names what was given and what is known."""
    if spec == "":
        with pytest.raises(ValueError, match="none given"):
            open_sources(CorpusConfig(source=()))
        return
    with pytest.raises(ValueError, match=r"is no file or folder.*sampler, local, debian"):
        open_source(spec)


def test_the_cap_must_be_positive():
    """A cap of nothing is a mistake."""
    with pytest.raises(ValueError, match="max_mb"):
        open_source("sampler", max_mb=0.0)
