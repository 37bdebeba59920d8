"""Validation of a run folder: what is damaged, and which stages do not belong together."""

from quantascope.core.errors import QuantascopeError
from quantascope.store.arrays import open_array
from quantascope.store.collection import collection_damage
from quantascope.store.digest import digest_file
from quantascope.store.folder import RunFolder
from quantascope.store.invariants import INVARIANTS
from quantascope.store.manifest import MANIFEST, data_files
from quantascope.store.schema import COLLECTIONS, KINDS
from quantascope.store.status import why_stale
from quantascope.store.tables import read_table
from quantascope.store.truth import TRUTH_FILE, check_truth, read_truth

__all__ = ["file_damage", "validate_run"]


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
        if whole and not why_stale(run, run.require(kind), {}):
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
