"""What people wrote about clusters: an append-only log, read back and replayed.

`annotations.jsonl` in a run's folder has one operation a line; nothing in it is ever changed. What
holds is what replaying the lines in the order of their times gives, so that two people's files
merge by joining their lines. Every operation keeps a sketch of the members that it was about (the
lowest 64 hashes of their preds), by which it finds them again after the text was clustered anew.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.rng import hash_order

__all__ = ["FILE", "OPERATIONS", "Annotation", "Group", "member_sketch", "read_log", "replay"]

FILE: Final = "annotations.jsonl"
OPERATIONS: Final = (
    "rename", "tag", "untag", "note", "hide", "show", "merge", "split", "undo",
)  # fmt: skip

_SKETCH: Final = 64
_LEAST_OVERLAP: Final = 0.5
"""Jaccard overlap below which an annotation is not carried over, as for ids of clusters."""
_MOST_LINE: Final = 200_000
_MOST_TEXT: Final = 5_000


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One line of the log."""

    id: str
    """Sixteen hex digits, distinct."""
    time: str
    """ISO 8601 with its zone."""
    author: str
    op: str
    """One of `OPERATIONS`."""
    clusters: tuple[str, ...] = ()
    """Ids that it is about; one, or more to merge."""
    text: str = ""
    """Name, tag or note."""
    preds: tuple[int, ...] = ()
    """Predictions that a split takes out."""
    of: str = ""
    """Id of the operation that an undo takes back."""
    sketches: tuple[tuple[int, ...], ...] = ()
    """Of the members of each cluster, see `member_sketch`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """A cluster as people left it."""

    id: str
    preds: NDArray[np.int64]
    """Members, ascending."""
    parents: tuple[str, ...] = ()
    """Clusters it was merged of or split from; empty for one of the clustering itself."""
    name: str = ""
    tags: tuple[str, ...] = ()
    notes: tuple[Annotation, ...] = ()
    hidden: bool = False
    overlap: float = 1.0
    """Least overlap of the members now with those that annotations were about, estimated."""


@dataclass
class _State:
    groups: dict[str, Group]
    lost: list[Annotation] = field(default_factory=list)


def member_sketch(preds: NDArray[np.int64]) -> tuple[int, ...]:
    """Give the members with the lowest 64 hashes: enough to estimate overlaps to .06 or so."""
    order = np.argsort(hash_order(preds, seed=0), kind="stable")[:_SKETCH]
    return tuple(int(pred) for pred in preds[order])


def read_log(path: Path) -> tuple[list[Annotation], int]:
    """Read a log.

    Parameters
    ----------
    path
        Of ``annotations.jsonl``; a missing file is an empty log.

    Returns
    -------
    tuple[list[Annotation], int]
        Annotations by time, each once; and how many lines could not be read (a line cut short by
        a crash, a conflict mark of git).
    """
    if not path.is_file():
        return [], 0
    found: dict[str, Annotation] = {}
    n_bad = 0
    with path.open("rb") as file:
        while line := file.readline(_MOST_LINE):
            if line.strip():
                one = _parse(line)
                n_bad += one is None
                if one is not None:
                    found.setdefault(one.id, one)
    return sorted(found.values(), key=lambda one: (datetime.fromisoformat(one.time), one.id)), n_bad


def _parse(line: bytes) -> Annotation | None:
    try:
        raw = json.loads(line)
        one = Annotation(
            id=_text(raw["id"], 64),
            time=_text(raw["time"], 64),
            author=_text(raw.get("author", ""), 100),
            op=_text(raw["op"], 64),
            clusters=tuple(_text(each, 64) for each in raw.get("clusters", ())),
            text=_text(raw.get("text", ""), _MOST_TEXT),
            preds=tuple(int(each) for each in raw.get("preds", ())),
            of=_text(raw.get("of", ""), 64),
            sketches=tuple(tuple(int(p) for p in each) for each in raw.get("sketches", ())),
        )
        if datetime.fromisoformat(one.time).tzinfo is None or one.op not in OPERATIONS:
            return None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return one


def _text(found: Any, most: int) -> str:
    """Give a text of at most `most` characters that can be written as UTF-8."""
    return str(found)[:most].encode(errors="replace").decode()


def replay(
    annotations: Iterable[Annotation], members: Mapping[str, NDArray[np.int64]]
) -> tuple[dict[str, Group], list[Annotation]]:
    """Apply annotations to a clustering.

    Parameters
    ----------
    annotations
        In the order of their times.
    members
        Predictions of each cluster of the clustering, ascending.

    Returns
    -------
    tuple[dict[str, Group], list[Annotation]]
        Groups by id, merged and split ones too; and the annotations that nothing in this
        clustering is close enough to.
    """
    known = list(annotations)
    undone = _undone(known)
    state = _State({name: Group(id=name, preds=preds) for name, preds in members.items()})
    for one in known:
        if one.id not in undone and one.op != "undo":
            _apply(state, one)
    return state.groups, state.lost


def _undone(known: list[Annotation]) -> set[str]:
    """Ids that are taken back; an undo that is itself undone counts no more."""
    undone: set[str] = set()
    for one in reversed([each for each in known if each.op == "undo"]):
        if one.id not in undone:
            undone.add(one.of)
    return undone


def _apply(state: _State, one: Annotation) -> None:
    found = [_find(state, name, sketch) for name, sketch in _about(one)]
    groups = [group for group, _ in found if group is not None]
    if not groups or len(groups) < len(found) or (one.op == "merge" and len(groups) < 2):
        state.lost.append(one)
        return
    overlap = min(overlap for _, overlap in found)
    if one.op in ("merge", "split"):
        _regroup(state, one, groups, overlap)
        return
    state.groups[groups[0].id] = _marked(groups[0], one, overlap)


def _about(one: Annotation) -> list[tuple[str, tuple[int, ...]]]:
    sketches = one.sketches + ((),) * (len(one.clusters) - len(one.sketches))
    return list(zip(one.clusters, sketches, strict=False))


def _find(state: _State, name: str, sketch: tuple[int, ...]) -> tuple[Group | None, float]:
    """Find what an annotation was about: by its id, or by its members among what is shown."""
    group = state.groups.get(name)
    if group is not None:
        return group, _overlap(sketch, group.preds) if sketch else 1.0
    best, overlap = None, 0.0
    for other in state.groups.values() if sketch else ():
        here = _overlap(sketch, other.preds)
        if here > overlap:
            best, overlap = other, here
    return (best, overlap) if overlap >= _LEAST_OVERLAP else (None, 0.0)


def _overlap(sketch: tuple[int, ...], preds: NDArray[np.int64]) -> float:
    """Estimate the Jaccard overlap of two sets: the share of both among the lowest of the union."""
    mine, theirs = set(sketch), set(member_sketch(preds))
    both = np.array(sorted(mine | theirs), dtype=np.int64)
    lowest = both[np.argsort(hash_order(both, seed=0), kind="stable")[:_SKETCH]]
    return len([p for p in lowest.tolist() if p in mine and p in theirs]) / len(lowest)


def _marked(group: Group, one: Annotation, overlap: float) -> Group:
    overlap = min(group.overlap, overlap)
    if one.op == "rename":
        return replace(group, name=one.text, overlap=overlap)
    if one.op == "tag":
        return replace(group, tags=tuple(dict.fromkeys((*group.tags, one.text))), overlap=overlap)
    if one.op == "untag":
        return replace(group, tags=tuple(tag for tag in group.tags if tag != one.text))
    if one.op == "note":
        return replace(group, notes=(*group.notes, one), overlap=overlap)
    return replace(group, hidden=one.op == "hide")


def _regroup(state: _State, one: Annotation, groups: list[Group], overlap: float) -> None:
    """Put new groups in the place of those that are merged or split."""
    parents = tuple(group.id for group in groups)
    preds = np.unique(np.concatenate([group.preds for group in groups]))
    parts = [preds]
    if one.op == "split":
        out = np.isin(preds, np.array(one.preds, dtype=np.int64))
        parts = [preds[out], preds[~out]]
    if not all(len(part) for part in parts):
        state.lost.append(one)
        return
    for group in groups:
        del state.groups[group.id]
    for place, part in enumerate(parts):
        first = groups[0]
        made = Group(
            id=_mint(one.id, place), preds=part, parents=parents, overlap=overlap,
            name=first.name, tags=tuple(dict.fromkeys(t for g in groups for t in g.tags)),
            notes=tuple(note for g in groups for note in g.notes),
        )  # fmt: skip
        state.groups[made.id] = made


def _mint(operation: str, place: int) -> str:
    """Name a new group by the operation that made it: the same at every replay."""
    return "c" + sha256(f"{operation}/{place}".encode()).hexdigest()[:8]
