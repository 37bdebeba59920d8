"""Suites of one small model for planted text, and the settings found for them."""

from dataclasses import replace
from typing import Final

from quantascope.lm.planted.config import PlantedSource, format_source
from quantascope.lm.planted.source import planted_words
from quantascope.lm.suites import Size, Suite

__all__ = ["planted_suite"]

_N_SPECIAL: Final = 2
_SIZE: Final = Size(name="0.22M", n_layers=2, width=96, n_heads=4, learning_rate=2e-3)


def planted_suite(
    source: PlantedSource, *, seed: int = 0, n_tokens: int | None = None, size: Size = _SIZE
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
    size
        The model.
    """
    words = planted_words(source.config.world, law_seed=source.config.law_seed)
    return Suite(
        name=f"planted-{source.name}",
        sizes=(size,),
        n_tokens=n_tokens or 8_000_000,
        seeds=(seed,),
        corpus=format_source(replace(source, split="test")),
        n_chars=9_000_000,
        vocab_size=len(words) + _N_SPECIAL,
        context_length=128,
        batch_tokens=4096,
        validation_tokens=16_384,
        weight_decay=0.1,
        betas=(0.9, 0.98),
        data_seed=seed,
    )
