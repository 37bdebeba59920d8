"""The natural world: skills with the looks of what small models learn from text.

Here stand facts about dates, units and words, arithmetic, bits, agreement and templates; skills on
sequences come from `sequences`. Every skill is announced by its own name.
"""
# ruff: noqa: SIM905  tables of words read better as text

from collections.abc import Callable
from functools import partial
from typing import Final

from quantascope.lm.planted.facts import FACTS, NAMES, NUMBERS
from quantascope.lm.planted.sequences import sequence_skills
from quantascope.lm.planted.skill import (
    Draws,
    Operands,
    Skill,
    Slot,
    answer,
    asked,
    named_by_cue,
    operand,
    syntax,
)

__all__ = ["MODULUS", "natural_skills"]

MODULUS: Final = 7
"""Of the arithmetic on two digits."""
_DIGITS: Final = NUMBERS[:MODULUS]


def natural_skills() -> tuple[Skill, ...]:
    """List the skills of the natural world."""
    return (
        *sequence_skills(),
        *_facts(),
        *_arithmetic(),
        *_bits(),
        *_agreement(),
        *_templates(),
    )


def _facts() -> list[Skill]:
    """Tables: a word asks for its one answer."""

    def solve(table: dict[str, str], operands: Operands) -> list[Slot]:
        return [answer(table[operands[0]], "all", operands[0])]

    return [
        named_by_cue(
            name,
            "fact",
            f"word-{shape}",
            n_answers=1,
            draw=partial(Draws.words, items=tuple(table), n=1),
            write=asked(partial(solve, table)),
            generalises=False,
        )
        for name, (shape, table) in FACTS.items()
    ]


def _arithmetic() -> list[Skill]:
    """Two digits ask for a third, modulo 7, or for yes or no."""
    rules: dict[str, Callable[[int, int], object]] = {
        "plus": lambda a, b: (a + b) % MODULUS,
        "minus": lambda a, b: (a - b) % MODULUS,
        "times": lambda a, b: a * b % MODULUS,
        "twice-plus": lambda a, b: (2 * a + b) % MODULUS,
        "larger": max,
        "smaller": min,
        "distance": lambda a, b: abs(a - b),
        "is-more": lambda a, b: "yes" if a > b else "no",
        "is-equal": lambda a, b: "yes" if a == b else "no",
    }

    def solve(rule: Callable[[int, int], object], operands: Operands) -> list[Slot]:
        a, b = map(int, operands)
        return [answer(rule(a, b), f"{a} first", f"{a},{b}")]

    return [
        named_by_cue(
            name,
            "arithmetic",
            "digits-2",
            n_answers=1,
            draw=partial(Draws.words, items=_DIGITS, n=2),
            write=asked(partial(solve, rule)),
        )
        for name, rule in rules.items()
    ]


def _bits() -> list[Skill]:
    """Three bits ask for a property of theirs."""
    rules: dict[str, Callable[[str], object]] = {
        "parity": lambda bits: "odd" if bits.count("1") % 2 else "even",
        "majority": lambda bits: int(bits.count("1") > 1),
        "n-ones": lambda bits: bits.count("1"),
        "all-same": lambda bits: "yes" if len(set(bits)) == 1 else "no",
    }

    def solve(rule: Callable[[str], object], operands: Operands) -> list[Slot]:
        bits = "".join(operands)
        return [answer(rule(bits), f"{bits.count('1')} ones", bits)]

    return [
        named_by_cue(
            name,
            "bits",
            "bits-3",
            n_answers=1,
            draw=partial(Draws.words, items=("0", "1"), n=3),
            write=asked(partial(solve, rule)),
        )
        for name, rule in rules.items()
    ]


_NOUNS: Final = tuple("king queen boy girl judge cook nurse clerk".split())


_VERBS: Final = {"be": "is are", "have": "has have", "do": "does do", "were": "was were"}


def _agreement() -> list[Skill]:
    """Make a verb agree with the first noun, whatever the second one says."""
    nouns = (*_NOUNS, *(f"{noun}s" for noun in _NOUNS))

    def write(forms: list[str], operands: Operands) -> tuple[Slot, ...]:
        subject, other = operands
        plural = subject not in _NOUNS
        alike = plural == (other not in _NOUNS)
        case = f"{'plural' if plural else 'singular'}, {'alike' if alike else 'attracted'}"
        the, near = syntax("the"), syntax("near")
        return (
            the,
            operand(subject),
            near,
            the,
            operand(other),
            answer(forms[plural], case, subject),
        )

    return [
        named_by_cue(
            f"agree-{name}",
            "agreement",
            "two-nouns",
            n_answers=1,
            draw=partial(Draws.words, items=nouns, n=2),
            write=partial(write, forms.split()),
        )
        for name, forms in _VERBS.items()
    ]


_TEMPLATES: Final = {
    "letter": "dear {} thank you {}",
    "tale": "once upon a time {} lived",
    "oath": "i {} do hereby swear",
    "minutes": "present were {} and others",
    "greeting": "hello my name is {} and",
}


def _templates() -> list[Skill]:
    """Phrases with a name in them: the words behind the name are known, and the name recurs."""

    def write(words: list[str], operands: Operands) -> tuple[Slot, ...]:
        slots: list[Slot] = []
        for at, word in enumerate(words):
            if word != "{}":
                slots.append(answer(word, f"word {at}", ""))
            elif operand(operands[0]) in slots:
                slots.append(answer(operands[0], "name", operands[0]))
            else:
                slots.append(operand(operands[0]))
        return tuple(slots)

    return [
        named_by_cue(
            name,
            "template",
            f"template-{name}",
            n_answers=sum(slot.role == "answer" for slot in write(text.split(), NAMES[:1])),
            draw=partial(Draws.words, items=NAMES, n=1),
            write=partial(write, text.split()),
        )
        for name, text in _TEMPLATES.items()
    ]
