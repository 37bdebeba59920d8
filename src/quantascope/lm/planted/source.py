"""Planted documents as a source of text, and the tokenizer whose tokens are their words."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from quantascope.core.rng import stream
from quantascope.lm.documents import Document
from quantascope.lm.planted.config import PlantedSource, format_source, parse_source
from quantascope.lm.planted.language import NOISE_WORDS, OR, Language, world_skills
from quantascope.lm.planted.skill import Draws
from quantascope.lm.tokenizer import END_OF_TEXT

__all__ = [
    "N_DOCUMENTS",
    "UNKNOWN",
    "language_of",
    "planted_documents",
    "planted_tokenizer",
    "planted_words",
]

N_DOCUMENTS: Final = 10_000
"""Documents that a source gives at most; a run takes fewer by ``corpus.n_tokens``."""
UNKNOWN: Final = "<|unknown|>"
# every word of a skill has a chance of at least 1/40 in one block: (39/40)^2000 = 1e-22
_BLOCKS_READ: Final = 2000


@lru_cache(maxsize=4)
def language_of(spec: str) -> tuple[PlantedSource, Language]:
    """Read a source's line and build its language; kept, for building takes a quarter second."""
    source = parse_source(spec)
    return source, Language(source.config)


def planted_documents(
    spec: str, *, seed: int, n_documents: int = N_DOCUMENTS
) -> Iterator[Document]:
    """Yield the documents of a planted source.

    Parameters
    ----------
    spec
        As `config.parse_source` reads it.
    seed
        Seed of the documents; the language has its own, ``law_seed``.
    n_documents
        How many; at least 1.

    Raises
    ------
    ValueError
        If the source is not understood or `n_documents` is below 1.
    """
    if n_documents < 1:
        raise ValueError(f"n_documents: {n_documents} found; give at least 1")
    source, language = language_of(spec)
    name = format_source(source)
    return (
        Document(language.document(seed, i, split=source.split).text, f"{name}#{i}", 0, "planted")
        for i in range(n_documents)
    )


@lru_cache(maxsize=4)
def planted_words(world: str, *, law_seed: int = 0) -> tuple[str, ...]:
    """List every word that documents of a world can hold, sorted."""
    draws = Draws(stream(law_seed, "planted", "words"))
    words = {OR, *NOISE_WORDS}
    for skill in world_skills(world, law_seed):
        words.add(skill.cue)
        for _ in range(_BLOCKS_READ):
            words |= {slot.text for slot in skill.write(skill.draw(draws))}
    return tuple(sorted(words))


def planted_tokenizer(world: str, *, law_seed: int = 0) -> Tokenizer:
    """Build the tokenizer of a world: each word with the blank before it is one token.

    `END_OF_TEXT` has id 0, `UNKNOWN` id 1.
    """
    words = [
        END_OF_TEXT,
        UNKNOWN,
        *(f" {word}" for word in planted_words(world, law_seed=law_seed)),
    ]
    vocabulary = {word: at for at, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(" "), behavior="merged_with_next")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in words[:2]])
    return tokenizer
