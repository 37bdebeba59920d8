"""The world whose surface is silent: skills told apart by a cue alone, at a varying distance.

Every block reads ``cue, fillers, a b = answer`` with digits 0 to 6 for operands and answer. So
the word before the answer is always the same, each digit is the answer of many skills, and each
skill has many answers.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from quantascope.core.rng import stream
from quantascope.lm.planted.skill import Draws, Operands, Skill, Slot, answer, asked

__all__ = ["CUES", "MODULUS", "silent_skills"]

MODULUS: Final = 7
_DIGITS: Final = tuple(map(str, range(MODULUS)))
CUES: Final = tuple(consonant + vowel for vowel in "aeiou" for consonant in "bdfgklmnprstvz")

Rule = Callable[[int, int], int]
Case = Callable[[int, int], object]


def _whole(_a: int, _b: int) -> str:
    """Name the one case of a rule without cases."""
    return "all"


class _Row(NamedTuple):
    """A rule, which operands decide its answer, and the case that it is in."""

    name: str
    kind: str
    used: str
    rule: Rule
    case: Case = _whole
    generalises: bool = True


_ROWS: Final = (
    _Row("first", "pick", "a", lambda a, _b: a),
    _Row("second", "pick", "b", lambda _a, b: b),
    _Row("first+1", "shift", "a", lambda a, _b: a + 1),
    _Row("first+2", "shift", "a", lambda a, _b: a + 2),
    _Row("first-1", "shift", "a", lambda a, _b: a - 1),
    _Row("second+1", "shift", "b", lambda _a, b: b + 1),
    _Row("second+3", "shift", "b", lambda _a, b: b + 3),
    _Row("6-first", "mirror", "a", lambda a, _b: 6 - a),
    _Row("6-second", "mirror", "b", lambda _a, b: 6 - b),
    _Row("2*first", "affine", "a", lambda a, _b: 2 * a),
    _Row("3*second+1", "affine", "b", lambda _a, b: 3 * b + 1),
    _Row("5*first+2", "affine", "a", lambda a, _b: 5 * a + 2),
    _Row("first+second", "linear", "ab", lambda a, b: a + b, lambda a, _b: a),
    _Row("first-second", "linear", "ab", lambda a, b: a - b, lambda a, _b: a),
    _Row("larger", "extreme", "ab", max, lambda a, b: a < b),
    _Row("smaller", "extreme", "ab", min, lambda a, b: a < b),
    _Row("distance", "extreme", "ab", lambda a, b: abs(a - b), lambda a, b: a < b),
    _Row("parity", "parity", "a", lambda a, _b: a % 2),
    _Row("parity-both", "parity", "ab", lambda a, b: (a + b) % 2, lambda a, _b: a % 2),
    _Row("n-odd", "parity", "ab", lambda a, b: 2 + a % 2 + b % 2, lambda a, _b: a % 2),
    _Row("rises", "compare", "ab", lambda a, b: 3 * (a < b), lambda a, b: a < b),
    _Row("equals", "compare", "ab", lambda a, b: 5 if a == b else 2, lambda a, b: a == b),
    _Row("high", "compare", "b", lambda _a, b: 6 if b > 3 else 4, lambda _a, b: b > 3),
    _Row("even-branch", "branch", "ab", lambda a, b: a if a % 2 else b, lambda a, _b: a % 2),
    _Row("high-branch", "branch", "ab", lambda a, b: a if b > 3 else 6 - a, lambda _a, b: b > 3),
)
_TABLES: Final = (("table-first", "a"), ("code-first", "a"), ("table-second", "b"), ("table", "ab"))


def silent_skills(law_seed: int) -> tuple[Skill, ...]:
    """List the skills of the silent world; random tables come from `law_seed`."""
    rows = (*_ROWS, *(_table(name, used, law_seed) for name, used in _TABLES))
    cues = stream(law_seed, "planted", "cues").permutation(len(CUES))
    return tuple(
        Skill(
            name=row.name,
            kind=row.kind,
            cue=CUES[at],
            shape="digits",
            n_answers=1,
            draw=_draw,
            write=asked(partial(_solve, row)),
            generalises=row.generalises,
        )
        for row, at in zip(rows, cues, strict=False)
    )


def _draw(draws: Draws) -> Operands:
    return draws.words(_DIGITS, 2)


def _solve(row: _Row, operands: Operands) -> tuple[Slot]:
    a, b = map(int, operands)
    named = dict(zip("ab", operands, strict=True))
    entry = ",".join(named[letter] for letter in row.used)
    return (answer(row.rule(a, b) % MODULUS, row.case(a, b), entry),)


def _table(name: str, used: str, law_seed: int) -> _Row:
    """Make a random table: a permutation for each value of the other operand, if it is used."""
    rng = stream(law_seed, "planted", name)
    rows = [rng.permutation(MODULUS).tolist() for _ in range(MODULUS)]
    first, second = used[0], used[-1]
    if first == second:
        at = "ab".index(first)
        return _Row(name, "table", used, lambda *ab: rows[0][ab[at]], generalises=False)
    return _Row(name, "table", used, lambda a, b: rows[a][b], lambda a, _b: a, generalises=False)
