"""A planted language: skills with Zipf frequencies, and documents whose every word is labelled.

Blocks are drawn so that the answers of skill k, not its blocks, have the frequency
p_k ~ k^-(alpha + 1) (arXiv 2303.13506, section 2: frequency of use of a quantum). Words that
chance drew are labelled ``noise``, words that every block has ``syntax``.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import derive_seed, stream
from quantascope.lm.planted.config import PlantedConfig
from quantascope.lm.planted.natural import natural_skills
from quantascope.lm.planted.picks import picks_skills
from quantascope.lm.planted.silent import silent_skills
from quantascope.lm.planted.skill import Draws, Operands, Skill, Slot

__all__ = [
    "NOISE",
    "NOISE_WORDS",
    "OR",
    "SYNTAX",
    "Label",
    "Language",
    "PlantedDocument",
    "Word",
    "world_skills",
]

NOISE: Final = "noise"
SYNTAX: Final = "syntax"
OR: Final = "or"
"""Stands between the cues of two skills that rule an answer together."""
NOISE_WORDS: Final = tuple(vowel + end for end in ("x", "sh", "ng", "th") for vowel in "aeiou")

_BODIES_KEPT: Final = 1 << 16
_BLOCKS_TRIED: Final = 100
_MOST_REDRAWS: Final = 1000


def world_skills(world: str, law_seed: int) -> tuple[Skill, ...]:
    """List all skills of a world, in no order of frequency."""
    if world == "planted":
        return natural_skills()
    return silent_skills(law_seed) if world == "silent" else picks_skills(law_seed)


class Label(NamedTuple):
    """One skill that rules a word, with its weight among those that do.

    `held_out` says that the block uses an entry which training text never shows: not only the
    answer of that entry is new then, but the block with its operands.
    """

    skill: str
    sub_skill: str
    entry: str
    weight: float = 1.0
    held_out: bool = False


class Word(NamedTuple):
    """A word of a document with the skills that rule it; weights sum to 1.

    `ambiguous` says that two skills rule it and call for different words.
    """

    text: str
    labels: tuple[Label, ...]
    ambiguous: bool = False


@dataclass(frozen=True)
class PlantedDocument:
    """Labelled words; the text has a blank before every word."""

    words: tuple[Word, ...]

    @cached_property
    def text(self) -> str:
        """The document as plain text."""
        return "".join(f" {word.text}" for word in self.words)


class Language:
    """The law of a planted text.

    Parameters
    ----------
    config
        See `PlantedConfig`.

    Raises
    ------
    ValueError
        If more skills are wanted than the world has, or blocks of two skills where no two take
        the same operands.
    """

    def __init__(self, config: PlantedConfig) -> None:
        world = world_skills(config.world, config.law_seed)
        n_skills = config.n_skills or len(world)
        if n_skills > len(world):
            raise ValueError(
                f"n_skills: {n_skills} found; {config.world} has {len(world)}, give at most that"
            )
        ranks = stream(config.law_seed, "planted", "ranks").permutation(len(world))
        self.config = config
        self.skills: tuple[Skill, ...] = tuple(world[at] for at in ranks[:n_skills])
        """Skills by falling frequency."""
        self.frequencies = _zipf(n_skills, config.zipf_exponent)
        """Share of each skill in the answers ruled by one skill, axis ``rank``."""
        self._partners = _partners(self.skills)
        blocks = self.frequencies / [skill.n_answers for skill in self.skills]
        alone = [len(self._partners[skill.shape, skill.n_answers]) < 2 for skill in self.skills]
        self._blocks, self._shareable = np.cumsum(blocks), np.cumsum(np.where(alone, 0.0, blocks))
        if config.polygenic_share and not self._shareable[-1]:
            raise ValueError(
                f"polygenic_share: {config.polygenic_share} found, but no two of the {n_skills} "
                "skills take the same operands; give polygenic_share=0 or more skills"
            )
        self._least = {skill.name: self._least_entry(skill) for skill in self.skills}
        self._body = lru_cache(_BODIES_KEPT)(self._make_body)

    def document(self, seed: int, number: int, *, split: str) -> PlantedDocument:
        """Draw one document; the same address gives the same document.

        Parameters
        ----------
        seed
            Seed of the documents.
        number
            Place in the stream of documents; of ``pairs``, 2i and 2i + 1 differ in the last
            block's cue and answers alone.
        split
            ``test``, ``train`` (no answer uses a held-out entry) or ``pairs``.
        """
        if split == "pairs":
            return self._paired(seed, number)
        draws = Draws(stream(seed, "planted", split, number))
        words: list[Word] = []
        for _ in range(self.config.blocks_per_document):
            words += self._block(draws, training=split == "train")
        return PlantedDocument(tuple(words))

    def is_held_out(self, skill: Skill, slot: Slot) -> bool:
        """Tell whether training text never shows this entry of a skill; at least one is so.

        An answer without an entry (a fixed word of a template) is never held out.
        """
        share = self.config.held_out_share
        if share == 0 or not slot.entry:
            return False
        drawn = self._drawn(skill, slot)
        return drawn < share or drawn == self._least[skill.name]

    def _drawn(self, skill: Skill, slot: Slot) -> float:
        """Give an entry its number from 0 to 1; those below the share are held out."""
        address = ("held out", skill.name, slot.sub_skill, slot.entry)
        return derive_seed(self.config.law_seed, *address) / 2.0**63

    def _least_entry(self, skill: Skill) -> float:
        draws = Draws(stream(self.config.law_seed, "planted", "entries", skill.name))
        bodies = (skill.write(skill.draw(draws)) for _ in range(_BLOCKS_TRIED))
        return min(
            (self._drawn(skill, slot) for body in bodies for slot in body if slot.entry),
            default=0.0,
        )

    def _block(self, draws: Draws, *, training: bool) -> list[Word]:
        if self._shareable[-1] and draws.uniform() < self.config.polygenic_share:
            words = self._shared(draws, training=training)
        else:
            skill = self._drawn_skill(draws, self._blocks)
            operands = self._operands((skill,), draws, training=training)
            words = self._written(skill, operands, self._fillers(draws))
        return words + self._noise(draws, len(words))

    def _drawn_skill(self, draws: Draws, cumulated: NDArray[np.float64]) -> Skill:
        at = np.searchsorted(cumulated, draws.uniform() * cumulated[-1], side="right")
        return self.skills[min(int(at), len(self.skills) - 1)]

    def _written(self, skill: Skill, operands: Operands, fillers: list[Word]) -> list[Word]:
        return [_noise_word(skill.cue, "cue"), *fillers, *self._body(skill, operands)]

    def _make_body(self, skill: Skill, operands: Operands) -> tuple[Word, ...]:
        slots = skill.write(operands)
        held_out = any(self.is_held_out(skill, slot) for slot in slots)
        return tuple(_word(skill, slot, held_out=held_out) for slot in slots)

    def _shared(self, draws: Draws, *, training: bool) -> list[Word]:
        """Write a block with two cues; each answer is the one's or the other's with even odds."""
        first = self._drawn_skill(draws, self._shareable)
        second = self._other(first, draws)
        operands = self._operands((first, second), draws, training=training)
        cues = [
            _noise_word(first.cue, "cue"),
            _noise_word(OR, "or"),
            _noise_word(second.cue, "cue"),
        ]
        words = cues + self._fillers(draws)
        for one, other in zip(
            self._body(first, operands), self._body(second, operands), strict=True
        ):
            shared = one
            if one.labels[0].skill == first.name:
                labels = (label._replace(weight=0.5) for label in (*one.labels, *other.labels))
                text = (one, other)[draws.below(2)].text
                shared = Word(text, tuple(labels), ambiguous=one.text != other.text)
            words.append(shared)
        return words

    def _other(self, first: Skill, draws: Draws) -> Skill:
        group = self._partners[first.shape, first.n_answers]
        return draws.choice([skill for skill in group if skill is not first])

    def _operands(self, skills: tuple[Skill, ...], draws: Draws, *, training: bool) -> Operands:
        """Draw operands; for training, until no answer uses a held-out entry."""
        for _ in range(_MOST_REDRAWS):
            operands = skills[0].draw(draws)
            if not training or not any(self._uses_held_out(skill, operands) for skill in skills):
                return operands
        raise ValueError(
            f"held_out_share: {self.config.held_out_share} leaves {skills[0].name} no entries to "
            "train on; give a smaller share"
        )

    def _uses_held_out(self, skill: Skill, operands: Operands) -> bool:
        return any(label.held_out for word in self._body(skill, operands) for label in word.labels)

    def _fillers(self, draws: Draws) -> list[Word]:
        n_fillers = draws.below(self.config.max_fillers + 1)
        return [_noise_word(draws.choice(NOISE_WORDS), "filler") for _ in range(n_fillers)]

    def _noise(self, draws: Draws, n_words: int) -> list[Word]:
        """Draw noise words so that they make up their share of all words on average."""
        share = self.config.noise_share
        n_noise = int(n_words * share / (1 - share) + draws.uniform())
        return [_noise_word(draws.choice(NOISE_WORDS), "plain") for _ in range(n_noise)]

    def _paired(self, seed: int, number: int) -> PlantedDocument:
        """Take a test document, and put a block behind it whose skill differs within the pair."""
        draws = Draws(stream(seed, "planted", "pairs", number // 2))
        words: list[Word] = []
        for _ in range(self.config.blocks_per_document - 1):
            words += self._block(draws, training=False)
        pairs = [group for group in self._partners.values() if len(group) > 1]
        if not pairs:
            raise ValueError("split=pairs: no two of the skills take the same operands; use more")
        first = draws.choice([skill for group in pairs for skill in group])
        second = self._other(first, draws)
        operands = first.draw(draws)
        skill = (first, second)[number % 2]
        return PlantedDocument((*words, *self._written(skill, operands, self._fillers(draws))))


def _word(skill: Skill, slot: Slot, *, held_out: bool) -> Word:
    if slot.role == "operand":
        return _noise_word(slot.text, slot.role)
    if slot.role == "syntax":
        return Word(slot.text, (Label(SYNTAX, skill.shape, slot.text),))
    return Word(slot.text, (Label(skill.name, slot.sub_skill, slot.entry, held_out=held_out),))


def _noise_word(text: str, sub_skill: str) -> Word:
    return Word(text, (Label(NOISE, sub_skill, text),))


def _partners(skills: tuple[Skill, ...]) -> dict[tuple[str, int], list[Skill]]:
    """Group skills whose cues can be exchanged."""
    groups: dict[tuple[str, int], list[Skill]] = {}
    for skill in skills:
        groups.setdefault((skill.shape, skill.n_answers), []).append(skill)
    return groups


def _zipf(n_skills: int, exponent: float) -> NDArray[np.float64]:
    weights = np.arange(1, n_skills + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()
