"""Status and validation of a run folder: what stands, what is stale and why, what is damaged."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantascope.core.errors import QuantascopeError
from quantascope.store.arrays import open_array
from quantascope.store.collection import collection_damage
from quantascope.store.digest import digest_file
from quantascope.store.folder import RunFolder
from quantascope.store.invariants import INVARIANTS
from quantascope.store.manifest import MANIFEST, Manifest, data_files
from quantascope.store.schema import COLLECTIONS, KINDS
from quantascope.store.tables import read_table
from quantascope.store.truth import TRUTH_FILE, check_truth, read_truth

__all__ = ["Configs", "StageStatus", "file_damage", "stage_status", "validate_run"]


@dataclass(frozen=True)
class StageStatus:
    """State of one stage.

    `state` is ``done``, ``stale``, ``partial``, ``missing`` or ``damaged``; `why` says more.
    """

    kind: str
    state: str
    n_bytes: int
    age_s: float | None
    why: str


Configs = Mapping[str, dict[str, Any]]
"""By stage, the config as the run's ``run.toml`` resolves it."""


def stage_status(run: RunFolder, kind: str, configs: Configs) -> StageStatus:
    """Say how a stage stands against the config the run has now.

    Parameters
    ----------
    run
        The run.
    kind
        One of ``KINDS``.
    configs
        Configs now in force; for stages that are not in it, parents alone are compared.

    Returns
    -------
    StageStatus
        With the reason where the stage would be redone.
    """
    try:
        manifest = run.manifest(kind)
    except QuantascopeError as error:
        return StageStatus(kind, "damaged", 0, None, str(error))
    if manifest is None:
        state = "partial" if run.in_work(kind) else "missing"
        why = "stopped midway; run resumes it" if state == "partial" else ""
        return StageStatus(kind, state, 0, None, why)
    why = _why_stale(run, manifest, configs)
    age = time.time() - float(manifest.made.get("time", 0.0))
    return StageStatus(kind, "stale" if why else "done", manifest.n_bytes, age, why)


def validate_run(run: RunFolder) -> list[str]:
    """Check every artefact of a run: hashes, axes, columns, invariants between stages.

    Returns
    -------
    list[str]
        One line for each damage, beginning with the file's path; empty when all is well.
    """
    damage: list[str] = []
    sound: set[str] = set()
    for kind, spec in KINDS.items():
        if not run.stage(kind).exists():
            continue
        found = list(_stage_damage(run, kind))
        whole = not found and all(parent in sound for parent in spec.parents)
        # a stale artefact is sound in itself, but its parents are no longer those it came from
        if whole and not _why_stale(run, run.require(kind), {}):
            found = [f"{run.stage(kind) / name}: {text}" for name, text in INVARIANTS[kind](run)]
            sound |= {kind} if not found else set()
        damage += found
    damage += [line for kind in COLLECTIONS for line in collection_damage(run, kind)]
    return damage + _truth_damage(run, sound)


def _truth_damage(run: RunFolder, sound: set[str]) -> list[str]:
    """Check ``truth.parquet`` where there is one: its hash if the corpus knows it, its rows."""
    path = run.root / TRUTH_FILE
    corpus = run.require("corpus") if "corpus" in sound else None
    wanted = corpus.facts.get("truth_sha256") if corpus else None
    if not path.is_file():
        return [f"{path}: missing; redo with --overwrite corpus"] if wanted else []
    if wanted and digest_file(path) != wanted:
        return [f"{path}: wrong hash; redo with --overwrite corpus"]
    n_tokens = None
    if corpus:
        n_tokens = len(open_array(run.stage("corpus"), "corpus", name="tokens.npy"))
    try:
        return [f"{path}: {text}" for text in check_truth(read_truth(run.root), n_tokens=n_tokens)]
    except QuantascopeError as error:
        return [str(error)]


def _why_stale(run: RunFolder, manifest: Manifest, configs: Configs) -> str:
    config = configs.get(manifest.kind)
    if config is not None and config != manifest.config:
        changed = sorted(
            key
            for key in config.keys() | manifest.config.keys()
            if config.get(key) != manifest.config.get(key)
        )
        return "config changed: " + ", ".join(changed)
    for parent, digest in manifest.parents.items():
        try:
            now = run.manifest(parent)
        except QuantascopeError:
            return f"parent {parent} is damaged"
        if now is None:
            return f"parent {parent} is missing"
        if now.digest != digest:
            return f"parent {parent} changed"
        if why := _why_stale(run, now, configs):
            return f"parent {parent} is stale ({why})"
    return ""


def _stage_damage(run: RunFolder, kind: str) -> list[str]:
    folder = run.stage(kind)
    try:
        manifest = run.manifest(kind)
    except QuantascopeError as error:
        return [str(error)]
    if manifest is None:
        return [f"{folder / MANIFEST}: missing; delete {folder} and run again"]
    return file_damage(run, kind) or _unreadable(run, kind)


def file_damage(run: RunFolder, kind: str) -> list[str]:
    """Compare the files of a finished stage with its manifest: missing, altered, unlisted ones."""
    folder, manifest = run.stage(kind), run.require(kind)
    damage = []
    present = {str(path.relative_to(folder)) for path in data_files(folder)}
    for name in sorted(present - set(manifest.files)):
        damage.append(f"{folder / name}: not listed in the manifest; delete it")
    for name, entry in manifest.files.items():
        if name not in present:
            damage.append(f"{folder / name}: missing; redo with --overwrite {kind}")
        elif digest_file(folder / name) != entry.sha256:
            damage.append(f"{folder / name}: wrong hash; redo with --overwrite {kind}")
    return damage


def _unreadable(run: RunFolder, kind: str) -> list[str]:
    damage = []
    folder, spec = run.stage(kind), KINDS[kind]
    try:
        for name in spec.arrays:
            open_array(folder, kind, name=name)
        for name, table in spec.tables.items():
            found = read_table(folder, name).column_names
            wanted = [c for c in table.columns if c in found or c not in table.later]
            if found != wanted:
                damage.append(f"{folder / name}: columns {found}, expected {wanted}")
    except QuantascopeError as error:
        damage.append(str(error))
    return damage
