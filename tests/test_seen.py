"""Laws of the check whether measured text was trained on."""

from quantascope.lm.documents import Document
from quantascope.lm.fingerprint import Fingerprint, document_hash
from quantascope.lm.models import ModelSource
from quantascope.lm.seen import SeenCounter, training_fingerprint

TRAINED = [f"Document {i} was part of the training text of these models.\n" * 3 for i in range(40)]
FRESH = [f"Nothing in text {i} has ever been shown to any of the models here.\n" for i in range(40)]


def documents(texts):
    return [Document(text=text, source="s", offset=0, domain="d") for text in texts]


def test_trained_documents_are_counted_and_fresh_ones_are_not():
    counter = SeenCounter(Fingerprint.from_texts(TRAINED))
    passed = list(counter.passing(documents(TRAINED[:10] + FRESH)))
    report = counter.report([document_hash(t) for t in TRAINED[:10] + FRESH])
    assert [document.text for document in passed] == TRAINED[:10] + FRESH
    assert (report["n_documents"], report["n_whole_documents"]) == (50, 10)
    fresh = SeenCounter(Fingerprint.from_texts(TRAINED))
    list(fresh.passing(documents(FRESH)))
    report = fresh.report([document_hash(t) for t in FRESH])
    assert report["n_whole_documents"] == report["n_seen_documents"] == 0


def test_what_cannot_be_known_is_not_reported_as_unseen():
    counter = SeenCounter(None)
    assert len(list(counter.passing(documents(FRESH)))) == 40
    assert counter.report([]) is None


def test_a_family_with_a_foreign_model_has_no_fingerprint():
    foreign = ModelSource(name="x", kind="folder", location="x")
    member = ModelSource(name="y", kind="suite", location="y")
    assert training_fingerprint([foreign]) is None
    assert training_fingerprint([member, foreign]) is None
