"""The run folder: where each stage's artefact lives, how one is made, resumed and replaced.

A stage is built in ``.work/KIND`` and moved to ``KIND`` when its manifest is sealed, so a stage
folder is whole or absent, and a stale artefact stays readable until its successor is done.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import ArtefactError
from quantascope.store.manifest import MANIFEST, Manifest, read_manifest, seal, stage_key
from quantascope.store.schema import KINDS

__all__ = ["CONFIG", "RunFolder", "Shards", "Workspace"]

CONFIG: Final = "run.toml"
_WORK: Final = ".work"


@dataclass(frozen=True)
class Shards:
    """Finished pieces of an unfinished stage: one .npy each, whole or absent."""

    folder: Path

    def has(self, name: str) -> bool:
        """Say whether a shard is done."""
        return self._path(name).is_file()

    def save(self, name: str, values: NDArray[Any]) -> None:
        """Write a shard atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self._path(name).with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.save(file, values, allow_pickle=False)
        temporary.replace(self._path(name))

    def load(self, name: str) -> NDArray[Any]:
        """Read a shard."""
        values: NDArray[Any] = np.load(self._path(name), allow_pickle=False)
        return values

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"


@dataclass(frozen=True)
class Workspace:
    """The folder in which one stage is being made."""

    path: Path
    kind: str
    config: dict[str, Any]
    parents: dict[str, str]
    final: Path

    @property
    def shards(self) -> Shards:
        """The stage's finished pieces."""
        return Shards(self.path / "shards")

    def finish(self, facts: dict[str, Any], *, device: str = "cpu") -> Manifest:
        """Seal the artefact and put it in place."""
        manifest = seal(
            self.path,
            self.kind,
            config=self.config,
            parents=self.parents,
            facts=facts,
            device=device,
        )
        self.put_in_place()
        return manifest

    def put_in_place(self) -> None:
        """Replace the stage's folder by this sealed one; safe to repeat after a kill."""
        shutil.rmtree(self.path / "shards", ignore_errors=True)
        (self.path / "key").unlink(missing_ok=True)
        old = self.path.with_name(self.kind + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.final.exists():
            self.final.rename(old)
        self.path.rename(self.final)
        shutil.rmtree(old, ignore_errors=True)


@dataclass(frozen=True)
class RunFolder:
    """A run on disk."""

    root: Path

    def stage(self, kind: str) -> Path:
        """Path of a stage's artefact."""
        if kind not in KINDS:
            raise ValueError(f"stage {kind!r} is unknown; known are {list(KINDS)}")
        return self.root / kind

    @property
    def config_path(self) -> Path:
        """Path of the resolved config."""
        return self.root / CONFIG

    def manifest(self, kind: str) -> Manifest | None:
        """Manifest of a stage, None when it has not finished."""
        return read_manifest(self.stage(kind))

    def require(self, kind: str) -> Manifest:
        """Manifest of a stage that must have finished.

        Raises
        ------
        ArtefactError
            If it has not.
        """
        manifest = self.manifest(kind)
        if manifest is None:
            raise ArtefactError(
                f"{self.stage(kind)}: stage {kind!r} has not finished; "
                f"run `quantascope run {self.root}`"
            )
        return manifest

    def parent_digests(self, kind: str) -> dict[str, str]:
        """Digests of the parents of a stage, all of which must have finished."""
        return {parent: self.require(parent).digest for parent in KINDS[kind].parents}

    def in_work(self, kind: str) -> bool:
        """Say whether an unfinished attempt at a stage lies in the work folder."""
        return (self.root / _WORK / kind).is_dir()

    def open_workspace(self, kind: str, config: dict[str, Any]) -> Workspace:
        """Open the working folder of a stage; shards of an attempt with the same key are kept."""
        parents = self.parent_digests(kind)
        path = self.root / _WORK / kind
        key = stage_key(config, parents)
        marker = path / "key"
        same = marker.is_file() and marker.read_text(encoding="utf-8") == key
        if path.is_dir() and not same:
            shutil.rmtree(path)
        path.mkdir(parents=True, exist_ok=True)
        for left_over in path.iterdir():  # a half-written file is never mistaken for a whole one
            if left_over.name not in ("shards", "key"):
                _remove(left_over)
        if not same:
            temporary = marker.with_name("key.tmp")
            temporary.write_text(key, encoding="utf-8")
            temporary.replace(marker)
        return Workspace(path, kind, config, parents, self.stage(kind))

    def recover(self) -> None:
        """Put in place what was sealed but not yet moved when a process was killed."""
        for kind in KINDS:
            path = self.root / _WORK / kind
            manifest = read_manifest(path) if (path / MANIFEST).is_file() else None
            old = path.with_name(kind + ".old")
            if manifest is not None:
                Workspace(
                    path, kind, manifest.config, manifest.parents, self.stage(kind)
                ).put_in_place()
            elif old.is_dir() and not self.stage(kind).exists():
                old.rename(self.stage(kind))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for writing; a second writer is told so at once.

        Raises
        ------
        ArtefactError
            If another process is working on this run.
        """
        work = self.root / _WORK
        work.mkdir(parents=True, exist_ok=True)
        with (work / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ArtefactError(
                    f"{self.root}: another process is working on this run; wait for it or stop it"
                ) from error
            yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
