"""Suites of one small model for planted text: their recipe and their text."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Final

from quantascope.lm.fingerprint import Fingerprint
from quantascope.lm.planted.config import PlantedSource, format_source
from quantascope.lm.planted.source import language_of, planted_tokenizer, planted_words
from quantascope.lm.suite_text import SuiteText, join_documents
from quantascope.lm.suites import Size, Suite

__all__ = ["planted_suite", "planted_suite_text"]

_N_SPECIAL: Final = 2
_CHARS_PER_TOKEN: Final = 8  # more than planted words have, so that text suffices
_SIZE: Final = Size(name="0.086M", n_layers=2, width=60, n_heads=3, learning_rate=4e-3)
_N_TOKENS: Final = {"silent": 6_000_000, "picks": 6_000_000, "planted": 8_000_000}
_N_CHARS: Final = 6_000_000
_CONTEXTS: Final = {"silent": 64, "picks": 64, "planted": 128}


def planted_suite(
    source: PlantedSource,
    *,
    seed: int = 0,
    n_tokens: int | None = None,
    n_chars: int | None = None,
    size: Size = _SIZE,
) -> Suite:
    """Give the recipe of one model trained on a planted language.

    Parameters
    ----------
    source
        The language; its split does not matter.
    seed
        Seed of the weights, of the documents and of their order: other seeds are other texts
        under the same law.
    n_tokens
        Tokens of training; none takes the setting found for the world (docs/planted.md).
    n_chars
        Text to train on [character], repeated as often as training must; none takes 6 M, or less
        where so few tokens are read.
    size
        The model.
    """
    world = source.config.world
    n_tokens = n_tokens or _N_TOKENS[world]
    words = planted_words(world, law_seed=source.config.law_seed)
    return Suite(
        name=f"planted-{source.name}",
        sizes=(size,),
        n_tokens=n_tokens,
        seeds=(seed,),
        corpus=format_source(replace(source, split="test")),
        n_chars=n_chars or min(_N_CHARS, n_tokens * _CHARS_PER_TOKEN),
        vocab_size=len(words) + _N_SPECIAL,
        context_length=_CONTEXTS[world],
        batch_tokens=1024,
        validation_tokens=16_384,
        weight_decay=0.1,
        betas=(0.9, 0.98),
        data_seed=seed,
    )


def planted_suite_text(suite: Suite) -> SuiteText:
    """Make the text of a suite whose corpus is a planted source.

    Training documents come from the split ``train`` (no held-out entries), validation documents
    from the same split, behind them; both by the suite's ``data_seed``.
    """
    source, language = language_of(suite.corpus)
    tokenizer = planted_tokenizer(source.config.world, law_seed=source.config.law_seed)
    texts = (language.document(suite.data_seed, i, split="train").text for i in count())
    training = _of_length(texts, suite.n_chars)
    held_out = _of_length(texts, suite.validation_tokens * _CHARS_PER_TOKEN)
    tokens = join_documents(tokenizer, training)
    facts = {
        "corpus": suite.corpus,
        "n_documents": len(training),
        "n_chars": sum(map(len, training)),
        "n_tokens": len(tokens),
        "epochs": round(suite.n_tokens / len(tokens), 3),
        "rarest_frequency": float(language.frequencies[-1]),
        "sha256": hashlib.sha256(tokens.tobytes()).hexdigest(),
    }
    return SuiteText(
        tokenizer=tokenizer,
        tokens=tokens,
        validation=join_documents(tokenizer, held_out)[: suite.validation_tokens + 1],
        fingerprint=Fingerprint.from_texts(training),
        facts=facts,
    )


def _of_length(texts: Iterator[str], n_chars: int) -> list[str]:
    """Take texts until they hold so many characters."""
    taken, total = [], 0
    for text in texts:
        taken.append(text)
        total += len(text)
        if total >= n_chars:
            break
    return taken
