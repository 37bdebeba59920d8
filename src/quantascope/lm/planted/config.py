"""Which planted text: a frozen config, named ones, and the line in which a source is given."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Final

__all__ = [
    "CONFIGS",
    "PREFIX",
    "SPLITS",
    "PlantedConfig",
    "PlantedSource",
    "format_source",
    "parse_source",
]

PREFIX: Final = "planted:"
SPLITS: Final = ("test", "train", "pairs")
"""Documents to measure on; to train on, without the held-out entries; counterfactual pairs."""

_WORLDS: Final = ("planted", "silent", "picks")
_FEWEST_SKILLS: Final = 2
# blocks have some 10 words of 3 to 6 characters: documents of at most a few thousand characters
_COUNTS: Final = {"blocks_per_document": (1, 64), "max_fillers": (0, 16)}


@dataclass(frozen=True, kw_only=True)
class PlantedConfig:
    """What decides a planted language; documents are drawn from it by a seed of their own."""

    world: str = "planted"
    """``planted`` (a natural mixture); told apart by the cue alone: ``silent`` (small tables) and
    ``picks`` (skills that pick one of their operands, or its neighbour)."""
    n_skills: int = 0
    """How many skills, the most frequent first; 0 takes all of the world."""
    alpha: float = 0.4
    """Frequencies fall as rank^-(alpha + 1); above 0."""
    polygenic_share: float = 0.05
    """Share of the blocks whose answers are ruled by two skills."""
    noise_share: float = 0.05
    """Share of the words that are plain noise between blocks."""
    held_out_share: float = 0.1
    """Share of each rule's entries that training text never shows."""
    blocks_per_document: int = 12
    max_fillers: int = 3
    """Between cue and body stand 0 to this many noise words."""
    law_seed: int = 0
    """Seed of cues, tables, ranks and held-out entries; documents have a seed of their own."""

    def __post_init__(self) -> None:
        """Refuse what makes no language."""
        if self.world not in _WORLDS:
            raise ValueError(f"world: {self.world!r} unknown; choose {', '.join(_WORLDS)}")
        if self.n_skills and self.n_skills < _FEWEST_SKILLS:
            raise ValueError(f"n_skills: {self.n_skills} found; give at least 2, or 0 for all")
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha: {self.alpha} found; it must be a number above 0")
        for name in ("polygenic_share", "noise_share", "held_out_share"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise ValueError(f"{name}: {share} found; a share here is at least 0 and below 1")
        for name, (least, most) in _COUNTS.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: {getattr(self, name)} found; give {least} to {most}")

    @property
    def zipf_exponent(self) -> float:
        """Exponent of frequency against rank, alpha + 1."""
        return self.alpha + 1.0


CONFIGS: Final[dict[str, PlantedConfig]] = {
    "planted": PlantedConfig(world="planted", blocks_per_document=10, max_fillers=1),
    "silent": PlantedConfig(world="silent", n_skills=24, blocks_per_document=7, law_seed=5),
    "picks": PlantedConfig(world="picks", n_skills=24, blocks_per_document=6, law_seed=4),
}
"""Planted languages by name."""


@dataclass(frozen=True, kw_only=True)
class PlantedSource:
    """A planted language and which of its documents are wanted."""

    name: str
    config: PlantedConfig
    split: str = "test"


def parse_source(spec: str) -> PlantedSource:
    """Read ``planted:NAME`` with optional ``,key=value`` behind it.

    Parameters
    ----------
    spec
        Keys are the fields of `PlantedConfig`, and ``split``: ``test``, ``train`` or ``pairs``.

    Raises
    ------
    ValueError
        If a name, a key or a value is not understood.

    Examples
    --------
    >>> parse_source("planted:silent,alpha=0.8,split=train").config.zipf_exponent
    1.8
    """
    name, *assignments = spec.removeprefix(PREFIX).split(",")
    if name not in CONFIGS:
        raise ValueError(f"{spec!r}: no planted language {name!r}; choose {', '.join(CONFIGS)}")
    given = dict(_assignment(part, spec) for part in assignments)
    split = given.pop("split", "test")
    if split not in SPLITS:
        raise ValueError(f"{spec!r}: split {split!r} unknown; choose {', '.join(SPLITS)}")
    known = {field.name: field.type for field in fields(PlantedConfig)}
    values = {key: _value(key, text, spec=spec, known=known) for key, text in given.items()}
    return PlantedSource(name=name, config=replace(CONFIGS[name], **values), split=split)


def format_source(source: PlantedSource) -> str:
    """Write a source in the form that `parse_source` reads, without what is as named.

    Examples
    --------
    >>> format_source(parse_source("planted:silent,alpha=0.4,split=pairs"))
    'planted:silent,split=pairs'
    """
    named = CONFIGS[source.name]
    changed = {
        field.name: getattr(source.config, field.name)
        for field in fields(PlantedConfig)
        if getattr(source.config, field.name) != getattr(named, field.name)
    }
    if source.split != "test":
        changed["split"] = source.split
    return PREFIX + ",".join([source.name, *(f"{key}={value}" for key, value in changed.items())])


def _assignment(part: str, spec: str) -> tuple[str, str]:
    key, equals, text = part.partition("=")
    if not equals:
        raise ValueError(f"{spec!r}: {part!r} found where key=value is expected")
    return key.strip(), text.strip()


def _value(key: str, text: str, *, spec: str, known: dict[str, Any]) -> Any:
    if key not in known:
        raise ValueError(f"{spec!r}: unknown key {key!r}; allowed are {', '.join(known)}, split")
    try:
        return known[key](text)
    except ValueError:
        kind = known[key].__name__
        raise ValueError(f"{spec!r}: {key}={text} found, {kind} expected") from None
