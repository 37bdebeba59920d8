"""Animations that lie in a toy's folder: found by name, handed out as GIFs and nothing else."""

from pathlib import Path
from typing import Final

__all__ = ["pictures_of", "read_picture"]

_MOST_BYTES: Final = 20_000_000
_MOST: Final = 8
_BEGINNINGS: Final = (b"GIF87a", b"GIF89a")


def pictures_of(folder: Path) -> list[str]:
    """Name the animations of a folder."""
    found = sorted(path.name for path in folder.glob("*.gif") if _is_shown(path))
    return found[:_MOST]


def read_picture(folder: Path, name: str) -> bytes:
    """Read an animation that `pictures_of` names.

    Raises
    ------
    KeyError
        If there is none of this name, or it is no GIF.
    """
    if name not in pictures_of(folder):
        raise KeyError(f"{name[:40]!r}: no such animation in this folder")
    content = (folder / name).read_bytes()
    if not content.startswith(_BEGINNINGS):
        raise KeyError(f"{name[:40]!r}: not a GIF")
    return content


def _is_shown(path: Path) -> bool:
    plain = path.name.isprintable() and path.is_file() and not path.is_symlink()
    return plain and path.stat().st_size <= _MOST_BYTES
