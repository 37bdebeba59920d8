"""Which runs there are, each opened once and again whenever one of its stages changed."""

import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from quantascope.core.errors import ArtefactError
from quantascope.explorer.kept import Kept
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import MANIFEST
from quantascope.store.schema import COLLECTIONS, KINDS

if TYPE_CHECKING:  # what reads runs loads slowly, and their list does without it
    from quantascope.explorer.view import View

__all__ = ["Runs", "check_links"]

_CONFIG: Final = "run.toml"
_ANNOTATIONS: Final = "annotations.jsonl"


class Runs:
    """The run folders at a place: the folder itself, or those inside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[str, tuple[tuple[int, ...], View]] = {}
        self._states: dict[str, tuple[tuple[int, ...], Kept]] = {}
        self._lock = Lock()

    def names(self) -> list[str]:
        """Names of the runs, those that changed last first."""
        paths = self._paths()
        return sorted(paths, key=lambda name: (-_changed(paths[name]), name))

    def folder(self, name: str) -> RunFolder:
        """Give the folder of a run, of which nothing is read.

        Raises
        ------
        KeyError
            If there is no run of this name.
        ArtefactError
            If the folder cannot be read, or a link leads out of it.
        """
        path = self._path(name)
        self.state(name).get("links", lambda: check_links(path, within=self.root))
        return RunFolder(path)

    def state(self, name: str) -> Kept:
        """Give a place for what holds as long as no stage of a run changes."""
        stamp = _stamp(self._path(name))
        known = self._states.get(name)
        if known is None or known[0] != stamp:
            self._states[name] = known = stamp, Kept()
        return known[1]

    def view(self, name: str) -> "View":
        """Give a run; names are looked up, never joined to a path.

        Raises
        ------
        KeyError
            If there is no run of this name.
        ArtefactError
            If the folder cannot be read, or a link leads out of it.
        """
        path = self._path(name)
        with self._lock:  # so that many who ask at once open it once
            return self._opened(name, path)

    def without_paths(self, said: str) -> str:
        """Take the place of the runs out of a message: what is shown names files within a run."""
        for root in (self.root, self.root.absolute(), self.root.resolve()):
            said = said.replace(f"{root}/", "").replace(str(root), "this folder")
        return said

    def _path(self, name: str) -> Path:
        path = self._paths().get(name)
        if path is None:
            raise KeyError("there is no such run")
        return path

    def _opened(self, name: str, path: Path) -> "View":
        from quantascope.explorer.view import View  # noqa: PLC0415 -- see above
        from quantascope.reader.run import load  # noqa: PLC0415

        stamp = _stamp(path)
        known = self._open.get(name)
        if known is None or known[0] != stamp:
            self.state(name).get("links", lambda: check_links(path, within=self.root))
            same = known is not None and known[0][1:] == stamp[1:]  # but for the annotations
            run, of_run = (known[1].run, known[1].of_run) if known and same else (load(path), None)
            known = stamp, View(run, of_run)
            self._open[name] = known
        return known[1]

    def _paths(self) -> dict[str, Path]:
        if (self.root / _CONFIG).is_file():
            return {self.root.resolve().name: self.root}
        if not self.root.is_dir():
            return {}
        return {
            path.name: path
            for path in self.root.iterdir()
            if path.name.isprintable() and (path / _CONFIG).is_file()
        }


def _stamp(path: Path) -> tuple[int, ...]:
    """Tell the state of a run by the times of its manifests."""
    stages = [path / kind / MANIFEST for kind in KINDS]
    items = [path / kind for kind in COLLECTIONS]  # a folder changes when an item comes
    places = [path / _ANNOTATIONS, path / _CONFIG, *stages, *items]
    return tuple(place.stat().st_mtime_ns if place.exists() else 0 for place in places)


def check_links(path: Path, *, within: Path) -> None:
    """Refuse links that lead out of the folder: a run from elsewhere shows nothing but itself."""
    inside = path.resolve()
    if not inside.is_relative_to(within.resolve()):
        raise ArtefactError(f"{path}: a link out of this folder; explore the run at its own place")
    for folder, folders, files in os.walk(inside):
        for name in (*folders, *files):
            here = Path(folder) / name
            if here.is_symlink() and not here.resolve().is_relative_to(inside):
                raise ArtefactError(f"{here}: a link out of the run; put a copy in its place")


def _changed(path: Path) -> int:
    return max(_stamp(path))
