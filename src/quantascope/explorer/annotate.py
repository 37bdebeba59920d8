"""Write annotations: checked, appended, on the disk before they are acknowledged."""

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from quantascope.explorer.query import BadQueryError
from quantascope.reader.annotations import OPERATIONS, Annotation, Group, member_sketch

__all__ = ["append", "make_annotation"]

_MOST: Final = {"rename": 200, "tag": 60, "untag": 60, "note": 5_000}
"""Longest text of an operation [character]."""
_MOST_CLUSTERS: Final = 100
_MOST_PREDS: Final = 5_000


def make_annotation(
    form: Mapping[str, str], groups: Mapping[str, Group], *, known: frozenset[str]
) -> Annotation:
    """Make an annotation of what a form sent.

    Parameters
    ----------
    form
        ``op``, ``clusters`` (ids between commas), ``text``, ``preds``, ``of``, ``author``.
    groups
        Clusters as they stand now.
    known
        Ids of the annotations so far.

    Raises
    ------
    BadQueryError
        If a field is missing, too long, or names what is not there.
    """
    op, text = form.get("op", ""), form.get("text", "").strip()
    if op not in OPERATIONS:
        raise BadQueryError(f"op: {op[:40]!r} found; allowed are {', '.join(OPERATIONS)}")
    if op in _MOST and not 0 < len(text) <= _MOST[op]:
        raise BadQueryError(f"text: {len(text)} characters found; allowed are 1 to {_MOST[op]}")
    of = form.get("of", "")
    if op == "undo" and of not in known:
        raise BadQueryError("of: no annotation of that id; reload the page")
    clusters = tuple(name for name in form.get("clusters", "").split(",") if name)
    preds = _preds(form.get("preds", "")) if op == "split" else ()
    if op != "undo":
        _check_clusters(clusters, groups, at_least=2 if op == "merge" else 1)
    if op == "split" and not 0 < sum(p in preds for p in groups[clusters[0]].preds.tolist()) < len(
        groups[clusters[0]].preds
    ):
        raise BadQueryError("preds: give some, not all, of the cluster's predictions")
    return Annotation(
        id=secrets.token_hex(8),
        time=datetime.now(UTC).isoformat(),
        author=form.get("author", "")[:100],
        op=op,
        clusters=clusters if op != "undo" else (),
        text=text if op in _MOST else "",
        preds=preds,
        of=of if op == "undo" else "",
        sketches=tuple(member_sketch(groups[name].preds) for name in clusters if op != "undo"),
    )


def _check_clusters(
    clusters: tuple[str, ...], groups: Mapping[str, Group], *, at_least: int
) -> None:
    most = _MOST_CLUSTERS if at_least > 1 else 1
    if not at_least <= len(set(clusters)) == len(clusters) <= most:
        raise BadQueryError(
            f"clusters: {len(clusters)} found; give {at_least}"
            + (f" to {most} different ones" if most > 1 else "")
        )
    for name in clusters:
        if name not in groups:
            raise BadQueryError(f"clusters: no cluster {name[:40]!r}; reload the page")


def _preds(text: str) -> tuple[int, ...]:
    words = [word for word in text.replace(",", " ").split() if word]
    if len(words) > _MOST_PREDS or not all(
        w.isascii() and w.isdigit() and len(w) < 16 for w in words
    ):
        raise BadQueryError(f"preds: give at most {_MOST_PREDS} whole numbers between commas")
    return tuple(int(word) for word in words)


def append(path: Path, one: Annotation) -> None:
    """Add one line to a log and wait until the disk has it.

    A line that an earlier crash cut short is closed first, so that it spoils no other.
    """
    line = (json.dumps(asdict(one), ensure_ascii=False) + "\n").encode()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        written = os.write(descriptor, line)
        if written != len(line):
            raise OSError(f"{path}: the disk took {written} of {len(line)} bytes")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
