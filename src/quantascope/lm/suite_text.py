"""The text a suite is trained on: documents to tokenizer, tokens, fingerprint.

Documents are joined by ``<|endoftext|>``. Text on which losses and discovery run by default (the
sampler) is left out, and so is the validation text.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from quantascope.core.errors import DataError
from quantascope.lm.documents import Document
from quantascope.lm.fingerprint import Fingerprint
from quantascope.lm.sources.local import local_documents
from quantascope.lm.sources.mixture import CORPUS_FOLDER, training_documents
from quantascope.lm.sources.sampler import sampler_fingerprint
from quantascope.lm.suites import Suite
from quantascope.lm.tokenizer import END_OF_TEXT, plain, train_bpe

__all__ = ["SuiteText", "join_documents", "named_suite_text", "suite_text"]

_CHARS_PER_TOKEN: Final = 4  # more than any of our vocabularies reaches, so validation suffices
_DOCUMENTS_AT_ONCE: Final = 1024
_HELD_OUT_LINE_SHARE: Final = 0.2  # as in the mixture


@dataclass(frozen=True, kw_only=True)
class SuiteText:
    """Text ready for training."""

    tokenizer: Tokenizer
    tokens: NDArray[np.uint16]
    """Training documents, each behind the separator, axis ``token``."""
    validation: NDArray[np.uint16]
    """Held-out documents in the same form, axis ``token``."""
    fingerprint: Fingerprint
    """Of the training documents."""
    facts: dict[str, Any]
    """Counts and the digest of the tokens, for the recipe."""


def suite_text(suite: Suite, texts: Iterable[str]) -> SuiteText:
    """Make the text of a suite from documents in random order.

    Parameters
    ----------
    suite
        Gives the size of the vocabulary and of the validation text.
    texts
        Documents; the first ones become the validation text.

    Raises
    ------
    DataError
        If there is not enough text for both parts.
    """
    wanted = iter(texts)
    held_out = list(_take_chars(wanted, suite.validation_tokens * _CHARS_PER_TOKEN))
    training = list(wanted)
    if not training:
        raise DataError(f"suite {suite.name}: the text is used up by validation; give more")
    tokenizer = train_bpe(training, vocab_size=suite.vocab_size)
    tokens = join_documents(tokenizer, training)
    validation = join_documents(tokenizer, held_out)[: suite.validation_tokens + 1]
    facts = {
        "corpus": suite.corpus,
        "n_documents": len(training),
        "n_chars": sum(map(len, training)),
        "n_tokens": len(tokens),
        "n_validation_tokens": len(validation),
        "epochs": round(suite.n_tokens / len(tokens), 3),
        "sha256": hashlib.sha256(tokens.tobytes()).hexdigest(),
    }
    fingerprint = Fingerprint.from_texts(training)
    return SuiteText(
        tokenizer=tokenizer,
        tokens=tokens,
        validation=validation,
        fingerprint=fingerprint,
        facts=facts,
    )


def named_suite_text(suite: Suite, *, folder: Path = CORPUS_FOLDER) -> SuiteText:
    """Read the corpus that the recipe names, and make the suite's text of it.

    Parameters
    ----------
    suite
        The recipe.
    folder
        Where the documentation packages of the mixture are unpacked.

    Raises
    ------
    DataError
        If the corpus is not installed.
    """
    documents = _DOCUMENTS[suite.corpus](suite, folder)
    return suite_text(suite, (document.text for document in documents))


def join_documents(tokenizer: Tokenizer, texts: list[str]) -> NDArray[np.uint16]:
    """Encode documents, each behind the separator, axis ``token``."""
    encoder = plain(tokenizer)
    separator = [tokenizer.token_to_id(END_OF_TEXT)]
    parts: list[NDArray[np.uint16]] = []
    for start in range(0, len(texts), _DOCUMENTS_AT_ONCE):
        batch = encoder.encode_batch_fast(texts[start : start + _DOCUMENTS_AT_ONCE])
        parts.extend(np.array(separator + one.ids, dtype=np.uint16) for one in batch)
    return np.concatenate(parts)


def _take_chars(texts: Iterator[str], n_chars: int) -> Iterator[str]:
    taken = 0
    for text in texts:
        yield text
        taken += len(text)
        if taken >= n_chars:
            return


def _mixture(suite: Suite, folder: Path) -> Iterator[Document]:
    return training_documents(
        n_chars=suite.n_chars,
        seed=suite.data_seed,
        held_out=sampler_fingerprint(),
        folder=folder,
    )


def _local(suite: Suite, folder: Path) -> Iterator[Document]:
    """Python source that is on every machine, without what the sampler took of it."""
    del folder
    held_out, n_chars = sampler_fingerprint(), 0
    for document in local_documents(seed=suite.data_seed, rejects=Counter()):
        if not held_out.shares_text(document.text, line_share=_HELD_OUT_LINE_SHARE):
            n_chars += len(document.text)
            if n_chars > suite.n_chars:
                return
            yield document


_DOCUMENTS: Final = {"mixture": _mixture, "local": _local}
