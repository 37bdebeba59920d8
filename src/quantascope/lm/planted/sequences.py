"""Skills on sequences: counts, brackets, strings of letters, lines, recall, alternation, capitals.

Part of the natural world; every skill is announced by its own name.
"""
# ruff: noqa: SIM905  tables of words read better as text

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from quantascope.lm.planted.facts import MONTHS, NAMES, NUMBERS, WEEKDAYS
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

__all__ = ["LETTERS", "sequence_skills"]

LETTERS: Final = tuple("abcdefghjklm")  # no i: it is a roman number
_N_COUNTED: Final = 3


def sequence_skills() -> tuple[Skill, ...]:
    """List the skills on sequences."""
    return (
        *_counting(),
        *_brackets(),
        *_strings(),
        *_wrapping(),
        *_recall(),
        *_alternation(),
        *_capitals(),
    )


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
        named_by_cue(
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
        named_by_cue(
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
        named_by_cue(
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
        named_by_cue(
            f"wrap-{column}",
            "wrap",
            f"wrap-{column}",
            n_answers=2,
            draw=partial(draw, column),
            write=partial(write, column),
        )
        for column in (6, 8, 10)
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
        named_by_cue(
            name,
            "recall",
            f"pairs-{n}-{by_value}",
            n_answers=1,
            draw=partial(draw, n),
            write=partial(write, by_value),
        )
        for name, (n, by_value) in sizes.items()
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
        named_by_cue(
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

    draw = partial(Draws.distinct, items=NAMES, n=2)
    return [
        named_by_cue("sentence", "capital", "names-2", n_answers=1, draw=draw, write=after_stop),
        named_by_cue("title", "capital", "names-2", n_answers=2, draw=draw, write=titled),
    ]
