"""The world whose surface is silent: skills told apart by a cue alone, at a varying distance.

Every block reads ``cue, fillers, a b c = answer`` with digits 0 to 6 for operands and answer. So
the word before the answer is always the same, each digit is the answer of many skills, and each
skill has many answers.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from quantascope.core.rng import stream
from quantascope.lm.planted.skill import Draws, Operands, Skill, Slot, answer, asked

__all__ = ["MODULUS", "silent_skills"]

MODULUS: Final = 7
_DIGITS: Final = tuple(map(str, range(MODULUS)))
_CUES: Final = tuple(consonant + vowel for vowel in "aeiou" for consonant in "bdfgklmnprstvz")

Rule = Callable[[int, int, int], int]


class _Row(NamedTuple):
    """A rule, which operands decide its answer, and (if it has cases) the case it is in."""

    name: str
    kind: str
    used: str
    rule: Rule
    case: Callable[[int, int, int], object] = lambda _a, _b, _c: "all"
    generalises: bool = True


def _argmax(a: int, b: int, c: int) -> str:
    return "abc"[(a, b, c).index(max(a, b, c))]


def _argmin(a: int, b: int, c: int) -> str:
    return "abc"[(a, b, c).index(min(a, b, c))]


_ROWS: Final = (
    _Row("first", "pick", "a", lambda a, _b, _c: a),
    _Row("second", "pick", "b", lambda _a, b, _c: b),
    _Row("third", "pick", "c", lambda _a, _b, c: c),
    _Row("first+1", "shift", "a", lambda a, _b, _c: a + 1),
    _Row("first+2", "shift", "a", lambda a, _b, _c: a + 2),
    _Row("second+1", "shift", "b", lambda _a, b, _c: b + 1),
    _Row("second+3", "shift", "b", lambda _a, b, _c: b + 3),
    _Row("third-1", "shift", "c", lambda _a, _b, c: c - 1),
    _Row("third-2", "shift", "c", lambda _a, _b, c: c - 2),
    _Row("6-first", "mirror", "a", lambda a, _b, _c: 6 - a),
    _Row("6-second", "mirror", "b", lambda _a, b, _c: 6 - b),
    _Row("6-third", "mirror", "c", lambda _a, _b, c: 6 - c),
    _Row("2*first", "affine", "a", lambda a, _b, _c: 2 * a),
    _Row("3*second+1", "affine", "b", lambda _a, b, _c: 3 * b + 1),
    _Row("5*third+2", "affine", "c", lambda _a, _b, c: 5 * c + 2),
    _Row("first+second", "linear", "ab", lambda a, b, _c: a + b, lambda a, _b, _c: a),
    _Row("second-third", "linear", "bc", lambda _a, b, c: b - c, lambda _a, b, _c: b),
    _Row("largest", "extreme", "abc", max, _argmax),
    _Row("smallest", "extreme", "abc", min, _argmin),
    _Row("middle", "extreme", "abc", lambda a, b, c: sorted((a, b, c))[1]),
    _Row("larger", "extreme", "ab", lambda a, b, _c: max(a, b), lambda a, b, _c: a < b),
    _Row("smaller", "extreme", "bc", lambda _a, b, c: min(b, c), lambda _a, b, c: b < c),
    _Row("parity", "parity", "a", lambda a, _b, _c: a % 2),
    _Row("parity2", "parity", "bc", lambda _a, b, c: (b + c) % 2, lambda _a, b, _c: b % 2),
    _Row("rises", "compare", "ab", lambda a, b, _c: 3 * (a < b), lambda a, b, _c: a < b),
    _Row("equals", "compare", "bc", lambda _a, b, c: 5 if b == c else 2, lambda _a, b, c: b == c),
    _Row("low-high", "compare", "c", lambda _a, _b, c: 6 if c > 3 else 4, lambda _a, _b, c: c > 3),
    _Row("n-odd", "count", "abc", lambda a, b, c: a % 2 + b % 2 + c % 2),
    _Row("n-distinct", "count", "abc", lambda a, b, c: 3 + len({a, b, c})),
    _Row(
        "branch-even", "branch", "abc", lambda a, b, c: c if a % 2 else b, lambda a, _b, _c: a % 2
    ),
    _Row(
        "branch-high", "branch", "abc", lambda a, b, c: a if c > 3 else b, lambda _a, _b, c: c > 3
    ),
)
_TABLES: Final = (("table-first", "a"), ("table-second", "b"), ("table-third", "c"))
_TABLES_OF_TWO: Final = (("table-both", "ab"), ("table-ends", "ac"))


def silent_skills(law_seed: int) -> tuple[Skill, ...]:
    """List the skills of the silent world; random tables come from `law_seed`."""
    rows = (*_ROWS, *(_table(name, used, law_seed) for name, used in (*_TABLES, *_TABLES_OF_TWO)))
    cues = stream(law_seed, "planted", "cues").permutation(len(_CUES))
    return tuple(
        Skill(
            name=row.name,
            kind=row.kind,
            cue=_CUES[at],
            shape="digits3",
            n_answers=1,
            draw=_draw,
            write=asked(partial(_solve, row)),
            generalises=row.generalises,
        )
        for row, at in zip(rows, cues, strict=False)
    )


def _draw(draws: Draws) -> Operands:
    return draws.words(_DIGITS, 3)


def _solve(row: _Row, operands: Operands) -> tuple[Slot]:
    a, b, c = map(int, operands)
    named = dict(zip("abc", operands, strict=True))
    entry = ",".join(named[letter] for letter in row.used)
    return (answer(row.rule(a, b, c) % MODULUS, row.case(a, b, c), entry),)


def _table(name: str, used: str, law_seed: int) -> _Row:
    """Make a random table; one of a single operand is a permutation, so that no answer rules."""
    rng = stream(law_seed, "planted", name)
    if len(used) == 1:
        column, at = rng.permutation(MODULUS).tolist(), "abc".index(used)
        return _Row(name, "table", used, lambda *abc: column[abc[at]], generalises=False)
    rows = [rng.permutation(MODULUS).tolist() for _ in range(MODULUS)]
    first, second = map("abc".index, used)

    return _Row(
        name,
        "table",
        used,
        lambda *abc: rows[abc[first]][abc[second]],
        lambda *abc: abc[first],
        generalises=False,
    )
