"""What a skill is: how it draws its operands, and how it writes and answers them.

A block of planted text is ``cue, fillers, body``. The cue names the skill; the body is written by
the skill from operands that chance drew. A slot of the body is either given (an operand, or a word
that every block of its shape has) or an answer, which the skill alone decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from numpy.random import Generator

__all__ = [
    "EQUALS",
    "Draws",
    "Operands",
    "Skill",
    "Slot",
    "answer",
    "asked",
    "named_by_cue",
    "operand",
    "syntax",
]

T = TypeVar("T")

Operands = tuple[str, ...]
EQUALS: Final = "="
_DRAWN_AT_ONCE: Final = 256


class Slot(NamedTuple):
    """One word of a block's body; `role` is ``operand``, ``syntax`` or ``answer``."""

    text: str
    role: str
    sub_skill: str = ""
    entry: str = ""


@dataclass(frozen=True, kw_only=True)
class Skill:
    """A rule that decides the answers of its blocks.

    Attributes
    ----------
    name, kind
        Unique name; family of rules that it belongs to.
    cue
        Word that announces it, the cue of no other skill.
    shape
        Skills of one shape take the same operands and answer with as many words, so that their
        cues can be exchanged: that makes counterfactual pairs and predictions ruled by two skills.
    n_answers
        Answers of every block.
    draw
        Draws operands.
    write
        Writes the body for operands; the same operands give the same body.
    generalises
        Whether a rule stands behind the answers, so that entries never seen can be got right; a
        table of facts has none.
    """

    name: str
    kind: str
    cue: str
    shape: str
    n_answers: int
    draw: Callable[["Draws"], Operands]
    write: Callable[[Operands], tuple[Slot, ...]]
    generalises: bool = True


class Draws:
    """Single draws from a random stream, taken from it in batches: ten times as fast."""

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        self._left: list[float] = []

    def uniform(self) -> float:
        """Draw a number from 0 to 1."""
        if not self._left:
            self._left = self._rng.random(_DRAWN_AT_ONCE).tolist()
        return self._left.pop()

    def below(self, n: int) -> int:
        """Draw a whole number from 0 to n - 1."""
        return int(self.uniform() * n)

    def choice(self, items: Sequence[T]) -> T:
        """Draw one of some items."""
        return items[self.below(len(items))]

    def words(self, items: Sequence[str], n: int) -> Operands:
        """Draw n words, with repetition."""
        return tuple(self.choice(items) for _ in range(n))

    def distinct(self, items: Sequence[str], n: int) -> Operands:
        """Draw n words of which no two are equal, in random order."""
        left = list(items)
        return tuple(left.pop(self.below(len(left))) for _ in range(n))


def operand(text: str) -> Slot:
    """Make a word that chance has drawn."""
    return Slot(text, "operand")


def syntax(text: str) -> Slot:
    """Make a word that stands in every block of the shape."""
    return Slot(text, "syntax")


def answer(text: object, sub_skill: object, entry: object) -> Slot:
    """Make a word that the skill decides, with the case of the rule and the entry used."""
    return Slot(str(text), "answer", str(sub_skill), str(entry))


def named_by_cue(name: str, kind: str, shape: str, **parts: Any) -> Skill:
    """Make a skill that is announced by its own name."""
    return Skill(name=name, cue=name, kind=kind, shape=shape, **parts)


def asked(
    solve: Callable[[Operands], Sequence[Slot]],
) -> Callable[[Operands], tuple[Slot, ...]]:
    """Make the body ``operands = answers`` from a function that gives the answers."""

    def write(operands: Operands) -> tuple[Slot, ...]:
        return (*map(operand, operands), syntax(EQUALS), *solve(operands))

    return write
