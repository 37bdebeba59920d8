"""Which toys there are at a place: kinds by the file that marks their folders, nothing else read.

A kind's page is imported when it is first asked for: lists are there at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from quantascope.core.errors import ArtefactError
from quantascope.reader.parity_settings import MARKER, read_settings

if TYPE_CHECKING:  # pages load slowly
    from quantascope.explorer.toys.kind import ToyKind

__all__ = ["TOYS", "ToyMark", "find_toys", "list_toys"]


@dataclass(frozen=True, kw_only=True)
class ToyMark:
    """How a kind of toy is known."""

    name: str
    marker: str
    """A file that such a folder has, and no other."""
    holds: Callable[[Path], str]
    """Say in a few words what a folder holds."""
    page: Callable[[], "ToyKind"]
    """Import what reads and shows it."""


def _parity_holds(path: Path) -> str:
    found = read_settings(path)
    many = "networks" if found.n_runs > 1 else "network"
    return f"{found.n_runs} {many}, {found.task.get('n_tasks')} subtasks"


def _parity_page() -> "ToyKind":
    from quantascope.explorer.toys.parity import PARITY  # noqa: PLC0415  pages load slowly

    return PARITY


TOYS: Final[tuple[ToyMark, ...]] = (
    ToyMark(name="multitask sparse parity", marker=MARKER, holds=_parity_holds, page=_parity_page),
)
"""All kinds of toys; one more is one entry."""


def find_toys(root: Path) -> dict[str, tuple[ToyMark, Path]]:
    """Give kind and place of each toy by its name: the folder itself, or those inside it."""
    if not root.is_dir():
        return {}
    folders = {root.resolve().name: root}
    folders |= {path.name: path for path in sorted(root.iterdir()) if path.is_dir()}
    return {
        name: (mark, path)
        for name, path in folders.items()
        for mark in TOYS
        if name.isprintable() and (path / mark.marker).is_file()
    }


def list_toys(root: Path) -> list[dict[str, Any]]:
    """Give a row a toy; one that cannot be read says so."""
    rows = []
    for name, (mark, path) in find_toys(root).items():
        row = {"toy": name, "kind": mark.name, "holds": "", "problem": ""}
        try:
            row["holds"] = mark.holds(path)
        except ArtefactError:
            row["problem"] = "cannot be read: damaged, or not finished"
        rows.append(row)
    return rows
