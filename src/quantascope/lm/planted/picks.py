"""A silent world whose rules generalise: most answers are one of the operands, chosen by the cue.

Every block reads ``cue, fillers, a b c d = answer`` with distinct letters. There are so many
operands that no table of them can be learned: a skill that is learned is a way of looking, not a
list of entries, and held-out entries show it.
"""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Final, NamedTuple

from quantascope.core.rng import stream
from quantascope.lm.planted.silent import CUES
from quantascope.lm.planted.skill import Draws, Operands, Skill, Slot, answer, asked

__all__ = ["ALPHABET", "picks_skills"]

ALPHABET: Final = tuple("ABCDEFGHIJKLMNOP")
_N_OPERANDS: Final = 4
_PLACES: Final = ("first", "second", "third", "fourth")


class _Row(NamedTuple):
    """A rule gives the answer's letter; `used` names the operands that decide it."""

    name: str
    kind: str
    used: tuple[int, ...]
    rule: Callable[[Operands], str]


def picks_skills(law_seed: int) -> tuple[Skill, ...]:
    """List the skills of the world; cues come from `law_seed`."""
    cues = stream(law_seed, "planted", "cues").permutation(len(CUES))
    return tuple(
        Skill(
            name=row.name,
            kind=row.kind,
            cue=CUES[at],
            shape="letters",
            n_answers=1,
            draw=_draw,
            write=asked(partial(_solve, row)),
        )
        for row, at in zip(_rows(), cues, strict=False)
    )


def _rows() -> list[_Row]:
    all_used = tuple(range(_N_OPERANDS))
    rows = [
        _Row("lowest", "order", all_used, min),
        _Row("highest", "order", all_used, max),
        _Row("second-lowest", "order", all_used, lambda s: sorted(s)[1]),
        _Row("second-highest", "order", all_used, lambda s: sorted(s)[-2]),
    ]
    for at, place in enumerate(_PLACES):
        rows += [
            _Row(place, "place", (at,), partial(_shifted, at, 0)),
            _Row(f"after-{place}", "after", (at,), partial(_shifted, at, 1)),
            _Row(f"before-{place}", "before", (at,), partial(_shifted, at, -1)),
        ]
    for pair in combinations(range(_N_OPERANDS), 2):
        name = "-".join(_PLACES[at] for at in pair)
        rows += [
            _Row(f"lower-{name}", "lower", pair, partial(_of_pair, pair, min)),
            _Row(f"higher-{name}", "higher", pair, partial(_of_pair, pair, max)),
        ]
    return rows


def _shifted(at: int, step: int, operands: Operands) -> str:
    return ALPHABET[(ALPHABET.index(operands[at]) + step) % len(ALPHABET)]


def _of_pair(pair: tuple[int, ...], rule: Callable[..., str], operands: Operands) -> str:
    return rule(*(operands[at] for at in pair))


def _draw(draws: Draws) -> Operands:
    return draws.distinct(ALPHABET, _N_OPERANDS)


def _solve(row: _Row, operands: Operands) -> tuple[Slot]:
    """Answer; the case is the place of the answer among the operands, the entry the answer."""
    found = row.rule(operands)
    case = _PLACES[operands.index(found)] if len(row.used) > 1 else "all"
    asked_of = operands[row.used[0]] if len(row.used) == 1 else found
    return (answer(found, case, asked_of),)
