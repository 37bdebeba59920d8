"""Tests of planted text as a source: tokenizer, truth joined to the corpus, run, commands."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from quantascope.cli.planted import make
from quantascope.core.errors import ArtefactError, DataError
from quantascope.lm.config import CorpusConfig
from quantascope.lm.corpus import build_corpus
from quantascope.lm.planted.config import CONFIGS
from quantascope.lm.planted.source import planted_documents, planted_tokenizer
from quantascope.lm.planted.truth import planted_truth
from quantascope.lm.sources import open_sources
from quantascope.lm.tokenizer import END_OF_TEXT, encode, train_bpe, vocabulary
from quantascope.store.schema import TRUTH
from quantascope.store.truth import TRUTH_FILE, read_truth, write_truth
from tests.test_cli import assert_one_line_error, call

SEED = 4


def corpus_of(source, tokenizer, *, n_tokens=2000, max_length=128):
    config = CorpusConfig(source=source, n_tokens=n_tokens, seed=SEED)
    return build_corpus(open_sources(config), tokenizer, config=config, max_length=max_length)


def truth_of(corpus, **changes):
    parts = {"docs": corpus.docs, "vocab": corpus.vocab, "seed": SEED} | changes
    return planted_truth(corpus.tokens, corpus.offsets, **parts)


@pytest.fixture(scope="module", params=CONFIGS)
def world(request):
    name = request.param
    return f"planted:{name}", planted_tokenizer(name, law_seed=CONFIGS[name].law_seed)


def test_every_word_is_one_token_and_the_tokens_join_to_the_text(world):
    spec, tokenizer = world
    spelled = {at: value for at, value, _ in vocabulary(tokenizer)}
    for document in planted_documents(spec, seed=0, n_documents=50):
        ids = encode(tokenizer, document.text)
        assert len(ids) == document.text.count(" ")
        assert b"".join(spelled[at] for at in ids).decode() == document.text
        assert min(ids) >= 2, "no word is unknown, none is special"
    assert tokenizer.token_to_id(END_OF_TEXT) == 0


@pytest.mark.parametrize("max_length", [128, 17])
def test_the_token_at_pred_is_the_labelled_target(world, max_length):
    """The entry of a syntax or noise word is the word itself: it must be the token at pred."""
    spec, tokenizer = world
    corpus = corpus_of((spec,), tokenizer, max_length=max_length)
    truth = truth_of(corpus)
    spelled = {at: value for at, value, _ in vocabulary(tokenizer)}
    plain = truth.filter(pc.is_in(truth["skill"], pa.array(["noise", "syntax"])))
    for row in plain.to_pylist():
        assert spelled[corpus.tokens[row["pred"]]].decode() == f" {row['entry']}"
    everywhere = np.setdiff1d(np.arange(len(corpus.tokens)), corpus.offsets[:-1])
    assert np.array_equal(np.unique(truth["pred"].to_numpy()), everywhere)


def test_labels_of_other_documents_are_refused(world):
    """The twin of the above: documents of another seed."""
    spec, tokenizer = world
    corpus = corpus_of((spec,), tokenizer)
    with pytest.raises(DataError, match="do not join to its text"):
        truth_of(corpus, seed=SEED + 1)


@pytest.mark.parametrize("max_length", [128, 2])
def test_a_tokenizer_of_other_pieces_gets_the_labels_of_its_words(max_length):
    """Cut at every second token, so that pieces begin inside quotes of three bytes too."""
    documents = planted_documents("planted:planted", seed=9, n_documents=200)
    texts = [document.text for document in documents]
    tokenizer = train_bpe(texts, vocab_size=300)
    corpus = corpus_of(("planted:planted",), tokenizer, max_length=max_length)
    truth = truth_of(corpus)
    spelled = {at: value for at, value, _ in vocabulary(tokenizer)}
    rows = truth.filter(pc.equal(truth["sub_skill"], "cue")).to_pylist()
    assert len(rows) > 100
    for row in rows:
        assert spelled[corpus.tokens[row["pred"]]].decode().strip() in row["entry"]


def test_other_text_beside_planted_text_has_no_truth(tmp_path):
    (tmp_path / "own.txt").write_text("some text of my own", encoding="utf-8")
    tokenizer = train_bpe(["some text of my own ba be bi = 0 1 2 3"], vocab_size=300)
    mixed = corpus_of((str(tmp_path / "own.txt"), "planted:silent"), tokenizer, n_tokens=400)
    assert truth_of(mixed)["pred"].to_numpy().min() > mixed.offsets[1]
    alone = corpus_of((str(tmp_path / "own.txt"),), tokenizer)
    assert truth_of(alone) is None


def _truth(**changes):
    columns = {
        "pred": [1, 2, 2],
        "skill": ["copy", "up", "down"],
        "sub_skill": ["", "", ""],
        "entry": ["a", "b", "c"],
        "weight": [1.0, 0.5, 0.5],
        "held_out": [False, True, False],
    }
    return pa.table(columns | changes)


def test_a_truth_is_read_as_written_and_hashes_alike(tmp_path):
    first = write_truth(tmp_path, _truth())
    assert read_truth(tmp_path).to_pylist() == _truth().to_pylist()
    assert read_truth(tmp_path).column_names == list(TRUTH.columns)
    assert write_truth(tmp_path, _truth()) == first
    assert write_truth(tmp_path, _truth(entry=["a", "b", "d"])) != first


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (_truth(weight=[1.0, 0.5, 0.4]), "sum to 1"),
        (_truth(weight=[1.0, 1.5, -0.5]), "above 0"),
        (_truth(pred=[-1, 2, 2]), "pred"),
        (_truth(skill=["", "up", "down"]), "no name"),
        (_truth().drop_columns("entry"), "entry"),
        (_truth(colour=[1, 2, 3]), "colour"),
    ],
)
def test_a_truth_that_cannot_be_one_is_refused(tmp_path, table, word):
    with pytest.raises(ValueError, match=word):
        write_truth(tmp_path, table)
    assert not (tmp_path / TRUTH_FILE).exists()


def test_a_missing_or_damaged_truth_is_one_clear_error(tmp_path):
    with pytest.raises(ArtefactError, match="missing"):
        read_truth(tmp_path)
    (tmp_path / TRUTH_FILE).write_bytes(b"PAR1 no more")
    with pytest.raises(ArtefactError, match="damaged"):
        read_truth(tmp_path)


def test_make_writes_documents_with_labels_that_fit(tmp_path):
    folder = str(tmp_path / "text")
    result = call("planted", "make", folder, "--config", "silent", "--n-documents", "12")
    assert (result.returncode, result.stdout.splitlines()[-1:]) == (0, [folder]), result.stderr
    lines = (tmp_path / "text" / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    labels = pq.read_table(tmp_path / "text" / "labels.parquet").to_pylist()
    assert len(texts) == 12
    for row in labels:
        assert texts[row["document"]].split(" ")[row["word"] + 1] == row["text"]
    skills = pq.read_table(tmp_path / "text" / "skills.parquet")
    assert sum(skills["frequency"].to_pylist()) == pytest.approx(1.0)


@pytest.mark.parametrize("arguments", [["--config", "silent,n_skills=1"], ["--n-documents", "0"]])
def test_bad_input_to_make_is_one_line(tmp_path, arguments):
    result = call("planted", "make", str(tmp_path / "text"), *arguments)
    assert_one_line_error(result, 2)
    assert not (tmp_path / "text").exists()


def test_a_folder_keeps_one_text_and_is_made_whole_again(tmp_path):
    """A kill between two renames leaves the record and some files; the same call mends them."""
    out = tmp_path / "text"
    make(out, config="silent", n_documents=3)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "labels.parquet").unlink()
    (out / ".partial").mkdir()
    make(out, config="silent", n_documents=3)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    for other in ({"config": "picks"}, {"seed": 1}, {"n_documents": 4}):
        with pytest.raises(ValueError, match="another folder"):
            make(out, **{"config": "silent", "n_documents": 3} | other)
    (out / "planted.json").unlink()
    with pytest.raises(ValueError, match="unknown origin"):
        make(out, config="silent", n_documents=3)
    assert (out / "documents.jsonl").read_bytes() == before["documents.jsonl"]
