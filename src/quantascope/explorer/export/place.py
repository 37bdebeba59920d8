"""Where an export goes: whole or not at all, and never over what no export made."""

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["GENERATOR", "MARK", "check_file", "check_folder", "new_folder", "put_file", "write"]

MARK: Final = "quantascope-export.json"
"""File that lists what an export put into its folder."""
GENERATOR: Final = '<meta name="generator" content="Quantascope export">'
"""By this a file is known for an export."""
_HEAD_BYTES: Final = 4096


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything but an export.

    Raises
    ------
    ValueError
        With what is in the way.
    """
    _check_parent(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"out: {out} is a file; name a folder")
    if out.is_dir() and (foreign := _foreign(out)):
        raise ValueError(f"out: {out} holds {foreign}, which no export made; name another folder")


def check_file(out: Path) -> None:
    """Refuse a file that is no export.

    Raises
    ------
    ValueError
        With what is in the way.
    """
    _check_parent(out)
    if out.is_dir():
        raise ValueError(f"out: {out} is a folder; name a file, as {out.name}.html")
    if out.exists():
        with out.open("rb") as file:
            ours = GENERATOR.encode() in file.read(_HEAD_BYTES)
        if not ours:
            raise ValueError(f"out: {out} is there and no export made it; name another file")


@contextmanager
def new_folder(out: Path, facts: dict[str, Any]) -> Iterator[Path]:
    """Give a folder to fill; it takes the place of `out` when all went well.

    Parameters
    ----------
    out
        As `check_folder` allows.
    facts
        Kept in the export's list of its files.
    """
    new = _beside(out)
    new.mkdir()
    try:
        yield new
        files = sorted(str(path.relative_to(new)) for path in new.rglob("*") if path.is_file())
        write(new / MARK, json.dumps(facts | {"files": files}, indent=1).encode())
        old = _beside(out)
        if out.exists():
            check_folder(out)  # someone may have put a file there meanwhile
            out.rename(old)
        new.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def put_file(out: Path, content: bytes) -> None:
    """Write a file that takes the place of `out` when it is whole."""
    new = _beside(out)
    try:
        new.write_bytes(content)
        check_file(out)
        new.replace(out)
    finally:
        new.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Write a file of a new folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _check_parent(out: Path) -> None:
    if not out.parent.is_dir():
        raise ValueError(f"out: folder {out.parent} does not exist; make it first")
    if out.is_symlink():
        raise ValueError(f"out: {out} is a link; name a place of its own")


def _beside(out: Path) -> Path:
    return out.with_name(f".{out.name}.{secrets.token_hex(4)}")


def _foreign(out: Path) -> str:
    """Name a file in a folder that no export put there; empty if there is none."""
    here = {str(path.relative_to(out)) for path in out.rglob("*") if not path.is_dir()}
    try:
        known = {MARK, *json.loads((out / MARK).read_bytes())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    return min(here - known, default="")
