"""Which runs there are, each opened once and again whenever one of its stages changed."""

from pathlib import Path
from typing import Final

from quantascope.explorer.view import View
from quantascope.reader.run import load
from quantascope.store.manifest import MANIFEST
from quantascope.store.schema import KINDS

__all__ = ["Runs"]

_CONFIG: Final = "run.toml"
_ANNOTATIONS: Final = "annotations.jsonl"


class Runs:
    """The run folders at a place: the folder itself, or those inside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[str, tuple[tuple[int, ...], View]] = {}

    def names(self) -> list[str]:
        """Names of the runs, those that changed last first."""
        return sorted(self._paths(), key=lambda name: (-_changed(self._paths()[name]), name))

    def view(self, name: str) -> View:
        """Give a run; names are looked up, never joined to a path.

        Raises
        ------
        KeyError
            If there is no run of this name.
        ArtefactError
            If the folder cannot be read.
        """
        path = self._paths()[name]
        stamp = _stamp(path)
        known = self._open.get(name)
        if known is None or known[0] != stamp:
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
        return {path.name: path for path in self.root.iterdir() if (path / _CONFIG).is_file()}


def _stamp(path: Path) -> tuple[int, ...]:
    """Tell the state of a run by the times of its manifests."""
    stages = [path / kind / MANIFEST for kind in KINDS]
    files = [path / _ANNOTATIONS, path / _CONFIG, *stages]
    return tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)


def _changed(path: Path) -> int:
    return max(_stamp(path))
