"""Tokenizers: train our own byte-level BPE, encode plainly, and give every token its bytes."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tokenizers import Encoding, Tokenizer, decoders, models, pre_tokenizers, trainers

from quantascope.core.errors import DataError

__all__ = ["END_OF_TEXT", "encode", "load_tokenizer", "plain", "train_bpe", "vocabulary"]

END_OF_TEXT: Final = "<|endoftext|>"
_SPIECE_BLANK: Final = "\u2581"
_FEWEST: Final = 257  # the bytes and the special token


def train_bpe(texts: Iterable[str], *, vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE in the way of GPT-NeoX, with digits split singly.

    Parameters
    ----------
    texts
        Training text; the same texts give the same tokenizer.
    vocab_size
        Number of tokens, at least 257.

    Returns
    -------
    Tokenizer
        Its one special token `END_OF_TEXT` has id 0.

    Raises
    ------
    ValueError
        If `vocab_size` has no room for the 256 bytes.
    """
    if vocab_size < _FEWEST:
        raise ValueError(f"vocab_size: {vocab_size} is below the 256 bytes and {END_OF_TEXT}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Load a ``tokenizer.json``, or the one in a folder.

    Raises
    ------
    DataError
        If there is none or it cannot be read.
    """
    path = Path(path)
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: no tokenizer; expected a tokenizer.json or a folder with one")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception
        raise DataError(f"{file}: not a tokenizer ({error})") from error


def plain(tokenizer: Any) -> Tokenizer:
    """Copy a tokenizer so that it encodes text and nothing else.

    The copy adds no special tokens, neither truncates nor pads, and reads the string of a special
    token in the text as ordinary characters.

    Parameters
    ----------
    tokenizer
        A `tokenizers.Tokenizer`, or a fast tokenizer of transformers.

    Raises
    ------
    ValueError
        If it is neither.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(backend, Tokenizer):
        found = type(tokenizer).__name__
        raise ValueError(f"tokenizer: {found} has no fast backend; give a tokenizers.Tokenizer")
    description = json.loads(backend.to_str())
    description.update(post_processor=None, truncation=None, padding=None)
    copy = Tokenizer.from_str(json.dumps(description))
    copy.encode_special_tokens = True
    return copy


def encode(tokenizer: Any, text: str) -> list[int]:
    """Encode one text without special tokens; to encode many, keep what `plain` gives."""
    encoding: Encoding = plain(tokenizer).encode(text, add_special_tokens=False)
    return list(encoding.ids)


def vocabulary(tokenizer: Any) -> list[tuple[int, bytes, bool]]:
    """List every token with the bytes it stands for.

    Parameters
    ----------
    tokenizer
        As in `plain`.

    Returns
    -------
    list[tuple[int, bytes, bool]]
        Id, bytes, whether it is special; by id. The bytes of a token that is part of a character
        are not UTF-8.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    description = json.loads(backend.to_str())
    added = {token["id"]: token for token in description["added_tokens"]}
    to_bytes = _token_bytes(
        _kinds(description.get("decoder")) | _kinds(description["pre_tokenizer"])
    )
    rows = []
    for token, at in backend.get_vocab(with_added_tokens=True).items():
        if at in added:
            rows.append((at, added[at]["content"].encode(), bool(added[at]["special"])))
        else:
            rows.append((at, to_bytes(token), False))
    return sorted(rows)


def _kinds(part: Any) -> set[str]:
    """Collect the type names in a (nested) tokenizer description."""
    if isinstance(part, dict):
        return {part.get("type", "")}.union(*map(_kinds, part.values()))
    if isinstance(part, Sequence) and not isinstance(part, str):
        return set().union(*map(_kinds, part))
    return set()


def _token_bytes(kinds: set[str]) -> Any:
    if "ByteLevel" in kinds:
        return _from_byte_level
    if kinds & {"Metaspace", "ByteFallback"}:
        return _from_sentencepiece
    return str.encode


def _from_byte_level(token: str) -> bytes:
    return b"".join(_BYTE_OF.get(char, char.encode()) for char in token)


def _from_sentencepiece(token: str) -> bytes:
    """``<0x0A>`` is one byte; the low block stands for a blank."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace(_SPIECE_BLANK, " ").encode()


def _byte_characters() -> dict[str, bytes]:
    """Character that GPT-2's byte-level BPE writes for each byte.

    Printable Latin-1 bytes stand for themselves, the others for U+0100 onwards in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    shown = {chr(byte): bytes([byte]) for byte in printable}
    return shown | {chr(0x100 + at): bytes([byte]) for at, byte in enumerate(others)}


_BYTE_OF: Final = _byte_characters()
