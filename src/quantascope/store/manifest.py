"""The manifest: what a stage's folder holds, from which config and parents; written last.

Enters: a finished folder and what is known of it. Leaves: `manifest.json`. Time, host and device
stand in its ``made`` block, outside the digest, so two runs of one config give one digest.
"""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from quantascope.core.errors import ArtefactError
from quantascope.store.digest import digest_file, digest_json
from quantascope.store.schema import check_schema, find_kind

__all__ = ["MANIFEST", "FileEntry", "Manifest", "read_manifest", "seal", "stage_key"]

MANIFEST: Final = "manifest.json"
_VERSIONS_OF: Final = (
    "quantascope",
    "numpy",
    "scipy",
    "scikit-learn",
    "graspologic-native",
    "pyarrow",
    "zarr",
)
_VERSIONS_OF_TORCH: Final = ("torch", "transformers", "tokenizers")
_TORCH_KINDS: Final = ("corpus", "losses", "sketch", "probes", "model_labels")


@dataclass(frozen=True)
class FileEntry:
    """Digest and size of one file."""

    sha256: str
    n_bytes: int


@dataclass(frozen=True)
class Manifest:
    """Everything that identifies one artefact.

    `config` and `parents` (kind to digest) make its `key`; `facts` are counts, flags and measured
    errors that a reader of the artefact needs; `files` are relative paths.
    """

    kind: str
    schema: str
    config: dict[str, Any]
    parents: dict[str, str]
    seed: int
    facts: dict[str, Any]
    axes: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, FileEntry]
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of config and parents: equal keys mean nothing has to be redone."""
        return stage_key(self.config, self.parents)

    @property
    def digest(self) -> str:
        """Digest of all but the ``made`` block."""
        content = asdict(self)
        del content["made"]
        return digest_json(content)

    @property
    def n_bytes(self) -> int:
        """Size of all files together [byte]."""
        return sum(entry.n_bytes for entry in self.files.values())


def stage_key(config: dict[str, Any], parents: dict[str, str]) -> str:
    """Digest a stage's config together with its parents' digests."""
    return digest_json({"config": config, "parents": parents})


def seal(
    folder: Path,
    kind: str,
    *,
    config: dict[str, Any],
    parents: dict[str, str],
    facts: dict[str, Any],
    device: str = "cpu",
) -> Manifest:
    """Hash all files below `folder` and write its manifest, atomically and last.

    Parameters
    ----------
    folder
        A stage's folder with every file in place; folders named ``shards`` are not part of it.
    kind
        One of ``KINDS`` or ``COLLECTIONS``.
    config
        The stage's resolved config, JSON-able; its ``seed``, if any, is recorded as the seed.
    parents
        Kind to manifest digest.
    facts
        Counts, flags, measured errors; JSON-able and the same for equal inputs.
    device
        Where it was computed; stands in the ``made`` block.

    Returns
    -------
    Manifest
        As written.
    """
    manifest = Manifest(
        kind=kind,
        schema=find_kind(kind).version,
        config=config,
        parents=parents,
        seed=int(config.get("seed", 0)),
        facts=facts,
        axes=_axes(kind),
        versions=_versions(kind),
        files={
            str(path.relative_to(folder)): FileEntry(digest_file(path), path.stat().st_size)
            for path in data_files(folder)
        },
        made={"time": time.time(), "host": platform.node(), "device": device},
    )
    content = asdict(manifest) | {"digest": manifest.digest}
    _write_atomically(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True))
    return manifest


def data_files(folder: Path) -> list[Path]:
    """List the files of an artefact, sorted: all but the manifest and unfinished shards."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != MANIFEST
        and path.relative_to(folder).parts[0] not in ("shards", "key")
    ]


def read_manifest(folder: Path) -> Manifest | None:
    """Read a stage's manifest; None when the stage has not finished.

    Raises
    ------
    ArtefactError
        If the manifest is damaged or of an unknown major schema.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("digest")
        entries = {name: FileEntry(**entry) for name, entry in content.pop("files").items()}
        manifest = Manifest(files=entries, **content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtefactError(
            f"{path}: damaged manifest ({error}); delete {folder} and run again"
        ) from error
    if manifest.digest != digest:
        raise ArtefactError(
            f"{path}: damaged manifest (its digest differs); delete {folder} and run again"
        )
    try:
        check_schema(manifest.kind, manifest.schema)
    except ValueError as error:
        raise ArtefactError(f"{path}: {error}") from error
    return manifest


def _axes(kind: str) -> dict[str, Any]:
    spec = find_kind(kind)
    arrays = {name: asdict(array) for name, array in spec.arrays.items()}
    for array in arrays.values():
        array["axes"] = list(array["axes"])
    return {"arrays": arrays, "tables": {n: dict(t.columns) for n, t in spec.tables.items()}}


def _versions(kind: str) -> dict[str, str]:
    found = {}
    for name in _VERSIONS_OF + (_VERSIONS_OF_TORCH if kind in _TORCH_KINDS else ()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
