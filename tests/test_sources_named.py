"""Sources that need nothing from the user: what ships, what is held out, what is permissive."""

import gzip
import json
import re
import sys
import zlib
from collections import Counter
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from quantascope.core.errors import DataError
from quantascope.lm.documents import DOCUMENT_CHARS
from quantascope.lm.fingerprint import Fingerprint
from quantascope.lm.sources import NAMED_SOURCES, mixture, open_source
from quantascope.lm.sources.local import is_permissive
from quantascope.lm.sources.mixture import mixture_documents, training_documents
from quantascope.lm.sources.packages import PARTS
from quantascope.lm.sources.readers import READERS
from quantascope.lm.sources.sampler import sampler_documents, sampler_fingerprint

SAMPLER = Path(str(files("quantascope"))) / "data" / "sampler"


def test_the_sampler_is_small_and_every_text_has_its_licence():
    """At most 2 MB in the wheel; the manifest names each file, with a licence that is there."""
    on_disk = [path for path in SAMPLER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in on_disk) <= 2_000_000
    rows = json.loads((SAMPLER / "manifest.json").read_text())["files"]
    texts = {path.relative_to(SAMPLER).as_posix() for path in on_disk if path.suffix == ".txt"}
    assert {row["file"] for row in rows} == {t for t in texts if not t.startswith("LICENSES/")}
    licences = {row["licence"] for row in rows} - {"verbatim"}
    assert {f"LICENSES/{name}.txt" for name in licences} <= texts


def test_no_copyleft_text_is_in_the_sampler():
    """No file grants itself under a GPL or the GFDL."""
    grant = re.compile(r"(under the terms of|covered by) (the|version \d.*) GNU", re.I)
    texts = [path for path in SAMPLER.rglob("*.txt") if path.parent.name not in ("licences",)]
    assert not [path for path in texts if grant.search(path.read_text())]


def test_any_beginning_of_the_sampler_mixes_its_domains():
    """The first 200 documents hold every domain, none more than half, and seeds differ."""
    documents = list(sampler_documents())
    counts = Counter(document.domain for document in documents[:200])
    assert set(counts) == {document.domain for document in documents}
    assert max(counts.values()) < 100
    assert documents == list(sampler_documents())
    assert documents != list(sampler_documents(seed=1))


def test_sampler_documents_stand_in_their_files():
    """Source and offset lead to the text."""
    for document in sampler_documents():
        text = (SAMPLER / document.source.removeprefix("sampler/")).read_bytes().decode()
        assert text[document.offset :].startswith(document.text)
        assert len(document.text) <= DOCUMENT_CHARS


@pytest.mark.parametrize(
    ("licence", "permissive"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib", True),
        ("License :: OSI Approved :: Apache Software License", True),
        ("License :: OSI Approved :: Python Software Foundation License", True),
        ("MPL-2.0 AND MIT", False),
        ("MIT OR GPL-2.0-only", False),
        ("LGPLv3", False),
        ("Proprietary", False),
        ("", False),
        ("LIMITED", False),
    ],
)
def test_licences_are_judged_by_what_the_metadata_say(licence, permissive):
    """MIT, BSD, Apache, PSF pass; copyleft beside them, or nothing said, does not."""
    assert is_permissive(licence) is permissive


def test_local_text_is_the_same_twice_and_capped():
    """Files in seeded order: a smaller cap is a beginning of a larger one."""
    small = [doc.source for doc in open_source("local", max_mb=0.3)]
    large = [doc.source for doc in open_source("local", max_mb=0.6)]
    assert large[: len(small)] == small
    assert len(large) > len(small) > 10
    assert all(source.startswith("local/") for source in small)
    assert small != [doc.source for doc in open_source("local", max_mb=0.3, seed=1)]


def page(part, at: int) -> str:
    """Lines that differ between parts and files."""
    lines = (f"{part.package} {part.folder} {part.reader} file {at} line {n}\n" for n in range(120))
    return "".join(f"<p>{line}</p>" if "html" in part.pattern else line for line in lines)


@pytest.fixture
def corpus_folder(tmp_path, monkeypatch) -> Path:
    """Make a small corpus folder with two files for each part of the mixture."""
    monkeypatch.setitem(READERS, "novels", READERS["text"])
    monkeypatch.setitem(READERS, "verses", READERS["text"])
    monkeypatch.setitem(READERS, "glosses", READERS["text"])
    monkeypatch.setitem(READERS, "rust_source", READERS["text"])
    for part in PARTS:
        if part.package != "python3":
            for at in range(2):
                path = tmp_path / part.folder / re.sub(r"\[.-(.)\]", r"\1", part.pattern)
                path = Path(str(path).replace("**", f"f{at}").replace("*", f"g{at}"))
                path.parent.mkdir(parents=True, exist_ok=True)
                data = page(part, at).encode()
                path.write_bytes(gzip.compress(data) if path.suffix in (".gz", ".dz") else data)
    stdlib = [part for part in PARTS if part.package == "python3"]
    small = [part for part in PARTS if part not in stdlib]
    monkeypatch.setattr(mixture, "PARTS", tuple(small))
    return tmp_path


def test_training_text_holds_every_domain_and_none_of_what_is_measured(corpus_folder):
    """Removing one document's fingerprint removes all that shares its lines, nothing else."""
    everything = list(mixture_documents(seed=0, folder=corpus_folder))
    assert {doc.domain for doc in everything} == {part.domain for part in mixture.PARTS}
    measured = everything[0]
    held_out = Fingerprint.from_texts([measured.text], keep_one_in=1)
    rejects: Counter[str] = Counter()
    options = {"n_chars": 10**9, "seed": 0, "folder": corpus_folder}
    training = list(training_documents(**options, held_out=held_out, rejects=rejects))
    assert rejects["held_out"] == 1
    known = set(measured.text.splitlines())
    assert not any(known & set(doc.text.splitlines()) for doc in training)
    twin = list(training_documents(**options, held_out=None))
    assert {doc.source for doc in twin} - {doc.source for doc in training} <= {measured.source}
    assert measured in twin


def test_training_text_is_capped_and_shuffled_by_seed(corpus_folder):
    """The cap takes a beginning; another seed gives another order of the same."""
    options = {"held_out": None, "folder": corpus_folder}
    whole = list(training_documents(n_chars=10**9, seed=0, **options))
    part = list(training_documents(n_chars=50_000, seed=0, **options))
    assert part == whole[: len(part)]
    assert sum(len(doc.text) for doc in part) <= 50_000
    other = list(training_documents(n_chars=10**9, seed=1, **options))
    assert other != whole
    assert set(other) == set(whole)


def test_a_missing_package_stops_training_but_not_reading(corpus_folder):
    """Training text is the same everywhere or not at all; `debian` reads what is there."""
    for path in (corpus_folder / "usr/share/wordnet").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"wordnet-base not in .*make system-corpus"):
        list(training_documents(n_chars=1, seed=0, held_out=None, folder=corpus_folder))
    assert list(mixture_documents(seed=0, folder=corpus_folder))


def test_an_absent_corpus_says_how_to_get_it(tmp_path):
    """Neither the folder nor one package: one line with the command."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="make system-corpus"):
        list(mixture_documents(seed=0, folder=tmp_path / "empty"))


def test_readers_give_each_format_its_text(tmp_path):
    """Glosses, verses, Rust pages: one line a meaning, one line a verse, code as written."""
    gloss = '00001740 03 n 02 a_thing 0 entity(p) 0 001 ~ 00001930 n 0000 | what is; "it is"  \n'
    (tmp_path / "data.noun").write_text("  licence line\n" + gloss)
    assert dict(READERS["glosses"](tmp_path / "data.noun")) == {
        "": 'a thing, entity (noun): what is; "it is"\n'
    }
    verse = {"book": "1 John", "chapter": 2, "verse": 3, "text": "And so."}
    (tmp_path / "kjv.jsonl").write_text(json.dumps(verse))
    assert dict(READERS["verses"](tmp_path / "kjv.jsonl")) == {
        "1_john": "1 John 2\n\n3 And so.\n\n"
    }
    rust = '<pre class="src-line-numbers">1\n</pre><pre class="rust"><code>'
    rust += "fn a() {\n    b &lt; c\n}</code></pre>"
    (tmp_path / "a.rs.html").write_text(rust)
    assert dict(READERS["rust_source"](tmp_path / "a.rs.html")) == {"": "fn a() {\n    b < c\n}\n"}


def test_novels_are_read_from_the_lazy_load_file_of_r(tmp_path):
    """Blocks of a length and a zlib stream, each an R character vector."""

    def block(lines: list[str]) -> bytes:
        head = b"X\n" + b"".join(
            n.to_bytes(4, "big") for n in (2, 0x30600, 0x20300, 16, len(lines))
        )
        rows = (
            (0x40009).to_bytes(4, "big") + len(line).to_bytes(4, "big") + line.encode()
            for line in lines
        )
        data = head + b"".join(rows)
        return len(data).to_bytes(4, "big") + zlib.compress(data)

    (tmp_path / "a.rdb").write_bytes(block(["A TITLE", "", "One."]) + block(["B", "Two."]))
    assert dict(READERS["novels"](tmp_path / "a.rdb")) == {
        "a_title": "A TITLE\n\nOne.\n",
        "b": "B\nTwo.\n",
    }


def fake_hub(monkeypatch, load_dataset) -> None:
    """Stand in for the hub's client, the one thing that tests may not reach."""
    module = ModuleType("datasets")
    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_hub_rows_become_documents(monkeypatch):
    """Row numbers are sources; rows without text are counted."""
    rows = [{"text": "from the hub"}, {"other": 1}, {"text": 2}]
    asked = []
    fake_hub(monkeypatch, lambda *names, **options: asked.append((names, options)) or rows)
    rejects: Counter[str] = Counter()
    documents = list(open_source("hf:owner/name@v1", rejects=rejects))
    assert [(doc.text, doc.source) for doc in documents] == [("from the hub", "hf:owner/name@v1#0")]
    assert rejects == {"missing_column": 1, "not_text": 1}
    assert (asked[0][0], asked[0][1]["revision"]) == (("owner/name",), "v1")


def test_a_hub_that_does_not_answer_is_one_line(monkeypatch):
    """Neither a missing package nor a missing network ends in a traceback of the client."""

    def fails(*_: object, **__: object) -> None:
        raise type("ClientError", (Exception,), {})("no route\nto host")

    fake_hub(monkeypatch, fails)
    with pytest.raises(DataError, match=r"^hf:a/b cannot be read from the hub: no route$"):
        list(open_source("hf:a/b"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="pip install datasets"):
        list(open_source("hf:a/b"))


def test_the_training_filter_knows_the_whole_sampler():
    """Every sampler document is recognised; the twin, its words reversed, is not."""
    held_out = sampler_fingerprint()
    documents = list(sampler_documents())[:50]
    assert all(held_out.shares_text(doc.text, line_share=0.2) for doc in documents)
    turned = [" ".join(reversed(doc.text.split())) for doc in documents]
    assert not any(held_out.shares_text(text, line_share=0.2) for text in turned)
    assert set(NAMED_SOURCES) == {"sampler", "local", "debian"}
