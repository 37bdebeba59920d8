"""Probe sets: JSON lines with a skill, a context, right answers and perhaps wrong ones.

A file or the name of a bundled set enters, checked items leave; no torch here. Text is data: its
length is bounded, and what a line may not hold is named with the number of the line.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from quantascope.core.errors import DataError

__all__ = ["BUNDLED", "ProbeItem", "ProbeSet", "digest", "open_probes", "parse_probes"]

BUNDLED: Final = (
    "agreement",
    "arithmetic",
    "brackets",
    "copying",
    "counting",
    "dates",
    "traps",
)
"""Sets that ship with the package; ``scripts/build_probes.py`` writes them."""

_ALLOWED: Final = ("skill", "context", "answers", "wrong")
_MAX_BYTES: Final = 64 << 20
_MAX_LINE: Final = 1 << 18
_MAX_ITEMS: Final = 100_000
_MAX_SKILLS: Final = 1000
_MAX_OPTIONS: Final = 64
_MAX_CHARS: Final = {"skill": 80, "context": 40_000, "answer": 2000}


@dataclass(frozen=True, kw_only=True)
class ProbeItem:
    """One question."""

    skill: str
    context: str
    answers: tuple[str, ...]
    """Right continuations of the context, one or more."""
    wrong: tuple[str, ...] = ()
    """Wrong ones; with them the item is a choice as well."""
    line: int = 0
    """Line it stands in, from 1."""


@dataclass(frozen=True, kw_only=True)
class ProbeSet:
    """The questions of one file."""

    name: str
    items: tuple[ProbeItem, ...]
    sha256: str
    """Of the file's bytes."""


def open_probes(source: str) -> ProbeSet:
    """Open a bundled set by its name, or a file.

    Raises
    ------
    ValueError
        If it is neither.
    DataError
        If the file cannot be read, or a line is not an item; with the line's number.
    """
    if source in BUNDLED:
        path = Path(str(files("quantascope"))) / "data" / "probes" / f"{source}.jsonl"
        return parse_probes(path.read_bytes(), name=source)
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"probes: {source!r} is neither a file nor one of {', '.join(BUNDLED)}")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: more than {_MAX_BYTES >> 20} MB; cut the set into several")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_probes(content, name=str(path))


def parse_probes(content: bytes, *, name: str) -> ProbeSet:
    r"""Read the items of a set.

    Parameters
    ----------
    content
        JSON lines in UTF-8; blank lines are passed over.
    name
        Of the set, for errors.

    Raises
    ------
    DataError
        With the number of the first line that is not an item.

    Examples
    --------
    >>> line = b'{"skill": "sums", "context": "1 + 1 =", "answers": [" 2"], "wrong": [" 3"]}'
    >>> parse_probes(line, name="mine").items[0].answers
    (' 2',)
    """
    items = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            try:
                items.append(_item(_decoded(line), number))
            except _FaultError as fault:
                raise DataError(f"{name}, line {number}: {fault}") from None
        if len(items) > _MAX_ITEMS:
            raise DataError(f"{name}, line {number}: more than {_MAX_ITEMS:,} items; cut the set")
    if not items:
        raise DataError(f"{name}: no items; give a JSON object a line with {', '.join(_ALLOWED)}")
    if len({item.skill for item in items}) > _MAX_SKILLS:
        raise DataError(f"{name}: more than {_MAX_SKILLS} skills; name kinds of items, not items")
    return ProbeSet(name=name, items=tuple(items), sha256=hashlib.sha256(content).hexdigest())


class _FaultError(Exception):
    """What is wrong with a line."""


def _decoded(line: bytes) -> Any:
    if len(line) > _MAX_LINE:
        raise _FaultError(f"longer than {_MAX_LINE:,} bytes")
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _FaultError(f"not a JSON object in UTF-8 ({str(error)[:80]})") from None


def _item(value: Any, number: int) -> ProbeItem:
    if not isinstance(value, dict):
        raise _FaultError(f"{type(value).__name__} found; give a JSON object")
    if unknown := [key for key in value if key not in _ALLOWED]:
        raise _FaultError(f"key {unknown[0][:40]!r} unknown; allowed are {', '.join(_ALLOWED)}")
    skill, context = _text(value, "skill"), _text(value, "context")
    if not skill.isprintable() or skill != skill.strip():
        raise _FaultError(f"skill {skill[:40]!r}; give a name in printable characters")
    answers = _texts(value.get("answers"), "answers")
    wrong = _texts(value.get("wrong", []), "wrong", least=0)
    if twice := set(answers) & set(wrong):
        raise _FaultError(f"{sorted(twice)[0][:40]!r} is right and wrong")
    return ProbeItem(skill=skill, context=context, answers=answers, wrong=wrong, line=number)


def _text(value: dict[str, Any], key: str) -> str:
    text = value.get(key)
    if text is None:
        raise _FaultError(f"{key} missing; needed are skill, context and answers")
    return _checked(text, key, most=_MAX_CHARS[key])


def _texts(values: Any, key: str, *, least: int = 1) -> tuple[str, ...]:
    if not isinstance(values, list) or not least <= len(values) <= _MAX_OPTIONS:
        raise _FaultError(f"{key}: give a list of {least} to {_MAX_OPTIONS} texts")
    texts = tuple(_checked(text, key, most=_MAX_CHARS["answer"]) for text in values)
    if len(set(texts)) < len(texts):
        raise _FaultError(f"{key}: a text stands there twice")
    return texts


def _checked(text: Any, key: str, *, most: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise _FaultError(f"{key}: {repr(text)[:40]} found; give a text that is not blank")
    if len(text) > most:
        raise _FaultError(f"{key}: {len(text):,} characters; at most {most:,} are allowed")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _FaultError(f"{key}: half of a surrogate pair, which is no character")
    return text


def digest(sets: Sequence[ProbeSet]) -> str:
    """Hash what several sets hold, in their order."""
    return hashlib.sha256("".join(f"{s.name}\n{s.sha256}\n" for s in sets).encode()).hexdigest()
