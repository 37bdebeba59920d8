"""Laws of tokenizers: deterministic, byte-exact, blind to special strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from quantascope.core.errors import DataError
from quantascope.lm.sources.sampler import sampler_documents
from quantascope.lm.tokenizer import (
    END_OF_TEXT,
    encode,
    load_tokenizer,
    plain,
    train_bpe,
    vocabulary,
)

TEXTS = [document.text for document, _ in zip(sampler_documents(), range(60), strict=False)]
BPE = train_bpe(TEXTS, vocab_size=600)
BYTES = {at: value for at, value, _ in vocabulary(BPE)}
PLAIN = plain(BPE)


def sentencepiece_tokenizer() -> Tokenizer:
    """Build a tokenizer in Llama's manner: blanks as low blocks, unknown bytes as <0xNN>."""
    words = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "\u2581",
        "h",
        "i",
    ]
    vocab = {word: at for at, word in enumerate([*words, "hi", "\u2581hi"])}
    merges = [("h", "i"), ("\u2581", "hi")]
    model = models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def test_equal_texts_train_equal_tokenizers():
    """Training is a function of its texts, and of nothing else."""
    assert train_bpe(iter(TEXTS), vocab_size=600).to_str() == BPE.to_str()
    assert train_bpe(TEXTS[1:], vocab_size=600).to_str() != BPE.to_str()


def test_the_vocabulary_has_the_size_asked_for_and_one_special_token():
    """Id 0 is the end of text, all bytes are there, ids are dense."""
    rows = vocabulary(BPE)
    assert [at for at, _, _ in rows] == list(range(600))
    assert [(at, value) for at, value, special in rows if special] == [(0, END_OF_TEXT.encode())]
    assert {bytes([byte]) for byte in range(256)} <= {value for _, value, _ in rows}


def test_a_vocabulary_below_the_bytes_is_refused():
    """Every text must be encodable."""
    with pytest.raises(ValueError, match="vocab_size: 256"):
        train_bpe(TEXTS, vocab_size=256)


@given(st.text(max_size=60))
def test_token_bytes_joined_are_the_text(text):
    """No character is lost, added or replaced, of any script."""
    ids = PLAIN.encode(text, add_special_tokens=False).ids
    assert b"".join(BYTES[at] for at in ids) == text.encode()


def test_digits_are_single_tokens():
    """Numbers are not chopped at random."""
    assert [BYTES[at] for at in encode(BPE, "12345")] == [b"1", b"2", b"3", b"4", b"5"]


def test_a_special_string_in_the_text_is_text():
    """The string of the special token is encoded by its characters; unguarded it becomes id 0."""
    ids = encode(BPE, f"a{END_OF_TEXT}b")
    assert 0 not in ids
    assert b"".join(BYTES[at] for at in ids) == f"a{END_OF_TEXT}b".encode()
    assert 0 in BPE.encode(f"a{END_OF_TEXT}b").ids


def test_a_plain_copy_leaves_the_tokenizer_as_it_was():
    """Encoding for a corpus must not change how the model's own tokenizer works."""
    before = BPE.to_str()
    plain(BPE)
    assert BPE.to_str() == before
    assert not BPE.encode_special_tokens


def test_sentencepiece_tokens_have_their_true_bytes():
    """Low blocks are blanks and <0xNN> one byte."""
    tokenizer = sentencepiece_tokenizer()
    values = {at: value for at, value, _ in vocabulary(tokenizer)}
    text = "hi hi\n\u00e9</s>"
    ids = encode(tokenizer, text)
    assert b"".join(values[at] for at in ids) == text.encode()
    assert {value for _, value, special in vocabulary(tokenizer) if special} == {b"<s>", b"</s>"}


def test_transformers_tokenizers_count_as_what_they_wrap():
    """A fast tokenizer gives the ids and bytes of its backend, without its beginning token."""
    wrapped = PreTrainedTokenizerFast(tokenizer_object=BPE, bos_token=END_OF_TEXT)
    assert encode(wrapped, TEXTS[0]) == encode(BPE, TEXTS[0])
    assert vocabulary(wrapped) == vocabulary(BPE)
    with pytest.raises(ValueError, match="no fast backend"):
        plain(object())


def test_tokenizers_load_from_file_and_folder(tmp_path):
    """A folder holds tokenizer.json; anything else is refused with its name."""
    BPE.save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert load_tokenizer(path).to_str() == BPE.to_str()
    (tmp_path / "bad.json").write_text("{}")
    for name in ("bad.json", "missing"):
        with pytest.raises(DataError, match=name):
            load_tokenizer(tmp_path / name)
