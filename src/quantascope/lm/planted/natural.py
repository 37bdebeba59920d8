"""The natural world: skills with the looks of what small models learn from text.

Counting lists, brackets and quotes, copying and other work on short strings, line wrapping, facts
about dates, units and words, key-value recall, arithmetic, bits, agreement, templates, alternation,
capitals. Every skill is announced by its own name.
"""
# ruff: noqa: SIM905  tables of words read better as text

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from quantascope.lm.planted.facts import FACTS, MONTHS, NUMBERS, WEEKDAYS
from quantascope.lm.planted.skill import (
    Draws,
    Operands,
    Skill,
    Slot,
    answer,
    asked,
    operand,
    syntax,
)

__all__ = ["LETTERS", "MODULUS", "natural_skills"]

MODULUS: Final = 7
"""Of the arithmetic on two digits."""
LETTERS: Final = tuple("abcdefghjklm")  # no i: it is a roman number
_DIGITS: Final = NUMBERS[:MODULUS]
_N_COUNTED: Final = 3

Build = Callable[[Operands], Sequence[Slot]]


def natural_skills() -> tuple[Skill, ...]:
    """List the skills of the natural world."""
    return (
        *_counting(),
        *_brackets(),
        *_strings(),
        *_wrapping(),
        *_facts(),
        *_recall(),
        *_arithmetic(),
        *_bits(),
        *_agreement(),
        *_templates(),
        *_alternation(),
        *_capitals(),
    )


def _skill(name: str, kind: str, shape: str, **parts: Any) -> Skill:
    return Skill(name=name, cue=name, kind=kind, shape=shape, **parts)


def _counting() -> list[Skill]:
    """Count on by a step: ``up 4 = 5 6 7``."""
    lists = {
        "up": (NUMBERS, 1),
        "down": (NUMBERS, -1),
        "by-two": (NUMBERS, 2),
        "by-three": (NUMBERS, 3),
        "by-five": (NUMBERS, 5),
        "letters": (LETTERS, 1),
        "letters-back": (LETTERS, -1),
        "days": (WEEKDAYS, 1),
        "days-back": (WEEKDAYS, -1),
        "months": (MONTHS, 1),
        "months-back": (MONTHS, -1),
    }

    def solve(items: Sequence[str], step: int, operands: Operands) -> list[Slot]:
        at = items.index(operands[0])
        places = [(at + step * k) % len(items) for k in range(_N_COUNTED + 1)]
        return [
            answer(items[there], "list", items[here])
            for here, there in zip(places, places[1:], strict=False)
        ]

    return [
        _skill(
            name,
            "counting",
            f"count-{items[1]}",
            n_answers=_N_COUNTED,
            draw=partial(Draws.words, items=items, n=1),
            write=asked(partial(solve, items, step)),
        )
        for name, (items, step) in lists.items()
    ]


_BRACKETS: Final = {
    "round": "()",
    "square": "[]",
    "curly": "{}",
    "angle": "<>",
    "quote": "“”",
    "guillemet": "«»",
}


def _brackets() -> list[Skill]:
    """Brackets in brackets: after a stop the innermost open one closes."""

    def draw(draws: Draws) -> Operands:
        return draws.words(LETTERS, 2 + draws.below(3))

    def write(marks: str, operands: Operands) -> tuple[Slot, ...]:
        head, *rest = map(operand, operands)
        opens, stop = syntax(marks[0]), syntax(".")
        inner = answer(marks[1], "inner", f"{len(rest)} inside")
        outer = answer(marks[1], "outer", f"{len(rest)} inside")
        return (opens, head, opens, *rest, stop, inner, stop, outer)

    return [
        _skill(
            name, "bracket", f"bracket-{name}", n_answers=2, draw=draw, write=partial(write, marks)
        )
        for name, marks in _BRACKETS.items()
    ]


def _strings() -> list[Skill]:
    """Work on a string of distinct letters; place is the case, letter the entry."""
    rules: dict[str, tuple[int, Callable[[Operands], Sequence[str]]]] = {
        "copy": (3, lambda s: s),
        "reverse": (3, lambda s: s[::-1]),
        "rotate": (3, lambda s: s[1:] + s[:1]),
        "unrotate": (3, lambda s: s[-1:] + s[:-1]),
        "sort": (3, sorted),
        "sort-down": (3, lambda s: sorted(s, reverse=True)),
        "first-of": (3, lambda s: s[:1]),
        "middle-of": (3, lambda s: s[1:2]),
        "last-of": (3, lambda s: s[-1:]),
        "lowest": (3, lambda s: [min(s)]),
        "highest": (3, lambda s: [max(s)]),
        "copy-four": (4, lambda s: s),
        "reverse-four": (4, lambda s: s[::-1]),
        "swap-halves": (4, lambda s: s[2:] + s[:2]),
    }

    def solve(rule: Callable[[Operands], Sequence[str]], operands: Operands) -> list[Slot]:
        return [answer(letter, f"place {at}", letter) for at, letter in enumerate(rule(operands))]

    return [
        _skill(
            name,
            "string",
            f"letters-{n}",
            n_answers=len(rule(LETTERS[:n])),
            draw=partial(Draws.distinct, items=LETTERS, n=n),
            write=asked(partial(solve, rule)),
        )
        for name, (n, rule) in rules.items()
    ]


_WRAPPED: Final = tuple("ba ku mo ri lano sede tipu varo kemona pitelu sadiro".split())


def _wrapping() -> list[Skill]:
    """Lines that end behind the word which reaches the column [character, blanks not counted]."""

    def draw(column: int, draws: Draws) -> Operands:
        words, lines, reached = [], 0, 0
        while lines < 2:
            words.append(draws.choice(_WRAPPED))
            reached += len(words[-1])
            if reached >= column:
                lines, reached = lines + 1, 0
        return tuple(words)

    def write(column: int, operands: Operands) -> tuple[Slot, ...]:
        slots, line = [], []
        for word in operands:
            slots.append(operand(word))
            line.append(word)
            if sum(map(len, line)) >= column:
                slots.append(answer("\n", f"{len(line)} words", ""))
                line = []
        return tuple(slots)

    return [
        _skill(
            f"wrap-{column}",
            "wrap",
            f"wrap-{column}",
            n_answers=2,
            draw=partial(draw, column),
            write=partial(write, column),
        )
        for column in (6, 8, 10)
    ]


def _facts() -> list[Skill]:
    """Tables: a word asks for its one answer."""

    def solve(table: dict[str, str], operands: Operands) -> list[Slot]:
        return [answer(table[operands[0]], "all", operands[0])]

    return [
        _skill(
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


def _recall() -> list[Skill]:
    """Key-value pairs, then one half of a pair asks for the other: ``a 4 c 9 / c = 9``."""

    def draw(n: int, draws: Draws) -> Operands:
        keys, values = draws.distinct(LETTERS, n), draws.distinct(NUMBERS[:12], n)
        return (
            *(word for pair in zip(keys, values, strict=True) for word in pair),
            str(draws.below(n)),
        )

    def write(by_value: bool, operands: Operands) -> tuple[Slot, ...]:
        *pairs, at = operands
        pair = pairs[2 * int(at) : 2 * int(at) + 2]
        asks, told = reversed(pair) if by_value else pair
        tail = (syntax("/"), operand(asks), syntax("="), answer(told, f"pair {at}", told))
        return (*map(operand, pairs), *tail)

    sizes = {"recall-two": (2, False), "recall-three": (3, False), "key-of": (2, True)}
    return [
        _skill(
            name,
            "recall",
            f"pairs-{n}-{by_value}",
            n_answers=1,
            draw=partial(draw, n),
            write=partial(write, by_value),
        )
        for name, (n, by_value) in sizes.items()
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
        _skill(
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
        _skill(
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
        _skill(
            f"agree-{name}",
            "agreement",
            "two-nouns",
            n_answers=1,
            draw=partial(Draws.words, items=nouns, n=2),
            write=partial(write, forms.split()),
        )
        for name, forms in _VERBS.items()
    ]


_NAMES: Final = tuple("ada ben cleo dan eve finn gus hana".split())
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
        _skill(
            name,
            "template",
            f"template-{name}",
            n_answers=sum(slot.role == "answer" for slot in write(text.split(), _NAMES[:1])),
            draw=partial(Draws.words, items=_NAMES, n=1),
            write=partial(write, text.split()),
        )
        for name, text in _TEMPLATES.items()
    ]


def _alternation() -> list[Skill]:
    """Letters that come again in turn: ``a b a b a``."""

    def write(operands: Operands) -> tuple[Slot, ...]:
        n = len(operands)
        again = (operands[at % n] for at in range(3))
        return (
            *map(operand, operands),
            *(answer(letter, f"place {at}", letter) for at, letter in enumerate(again)),
        )

    return [
        _skill(
            f"alternate-{n}",
            "alternation",
            f"alternate-{n}",
            n_answers=3,
            draw=partial(Draws.distinct, items=LETTERS, n=n),
            write=write,
        )
        for n in (2, 3)
    ]


def _capitals() -> list[Skill]:
    """Write a word again with a capital: asked for, or because a sentence begins with it."""

    def after_stop(operands: Operands) -> tuple[Slot, ...]:
        first, second = operands
        capital = answer(second.capitalize(), "after a stop", second)
        return (operand(first), operand(second), syntax("."), capital)

    def titled(operands: Operands) -> tuple[Slot, ...]:
        first, second = operands
        capitals = (answer(word.capitalize(), "title", word) for word in operands)
        return (operand(first), operand(second), syntax("="), *capitals)

    draw = partial(Draws.distinct, items=_NAMES, n=2)
    return [
        _skill("sentence", "capital", "names-2", n_answers=1, draw=draw, write=after_stop),
        _skill("title", "capital", "names-2", n_answers=2, draw=draw, write=titled),
    ]
