"""Artefacts of which a run holds many: each in a folder named by its content, never replaced.

Below ``RUN/KIND`` stands a folder an item, with tables and a manifest. Its name is the first eight
digits of the manifest's digest, so that equal content is one item and a changed file shows.
"""

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa

from quantascope.core.errors import ArtefactError, QuantascopeError
from quantascope.store.digest import digest_file
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import MANIFEST, Manifest, data_files, read_manifest, seal
from quantascope.store.schema import COLLECTIONS
from quantascope.store.tables import write_table

__all__ = ["add_item", "collection_damage", "item_path", "list_items", "require_item"]


def item_path(run: RunFolder, kind: str, item: str) -> Path:
    """Path of an item."""
    return run.root / kind / item


def list_items(run: RunFolder, kind: str) -> list[str]:
    """List the items of a collection, by name."""
    folder = run.root / kind
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def add_item(
    run: RunFolder,
    kind: str,
    tables: dict[str, pa.Table],
    *,
    config: dict[str, Any],
    parents: dict[str, str],
    facts: dict[str, Any],
) -> tuple[str, Manifest, bool]:
    """Write an item whole or not at all; one of equal content is left as it stands.

    Parameters
    ----------
    run
        The run; hold its lock.
    kind
        One of ``COLLECTIONS``.
    tables
        By file name, as the schema says.
    config, parents, facts
        As `quantascope.store.manifest.seal`.

    Returns
    -------
    tuple[str, Manifest, bool]
        Its name, its manifest, and whether it is new.
    """
    folder = run.root / kind
    folder.mkdir(parents=True, exist_ok=True)
    work = run.root / ".work"
    work.mkdir(exist_ok=True)
    new = Path(mkdtemp(prefix=f"{kind}.", dir=work))
    try:
        for name, table in tables.items():
            write_table(new, kind, name=name, table=table)
        manifest = seal(new, kind, config=config, parents=parents, facts=facts)
        item = kind[0] + manifest.digest[:8]
        there = folder / item
        if there.exists():
            return item, require_item(run, kind, item), False
        new.chmod(folder.stat().st_mode)  # a temporary folder is its owner's alone
        new.rename(there)
        return item, manifest, True
    finally:
        shutil.rmtree(new, ignore_errors=True)


def require_item(run: RunFolder, kind: str, item: str) -> Manifest:
    """Read the manifest of an item, and check its files against it.

    Raises
    ------
    ArtefactError
        If there is none, or anything of it was changed.
    """
    if item not in list_items(run, kind):
        known = ", ".join(list_items(run, kind)[:8]) or "none"
        raise ArtefactError(f"{run.root / kind}: no {item!r}; there are: {known}")
    damage = _item_damage(run, kind, item)
    if damage:
        raise ArtefactError(damage[0])
    manifest = read_manifest(item_path(run, kind, item))
    assert manifest is not None  # its damage was looked for
    return manifest


def collection_damage(run: RunFolder, kind: str) -> list[str]:
    """Say what was changed in a collection, a line each."""
    return [line for item in list_items(run, kind) for line in _item_damage(run, kind, item)]


def _item_damage(run: RunFolder, kind: str, item: str) -> list[str]:
    folder = item_path(run, kind, item)
    try:
        manifest = read_manifest(folder)
    except QuantascopeError as error:
        return [str(error)]
    if manifest is None:
        return [f"{folder / MANIFEST}: missing; delete {folder}"]
    if item != kind[0] + manifest.digest[:8]:
        return [f"{folder}: its content has another name, {kind[0]}{manifest.digest[:8]}"]
    present = {str(path.relative_to(folder)) for path in data_files(folder)}
    wanted = set(manifest.files) | set(COLLECTIONS[kind].tables)
    damage = [f"{folder / name}: missing" for name in sorted(wanted - present)]
    damage += [f"{folder / name}: not of this artefact" for name in sorted(present - wanted)]
    for name in sorted(present & set(manifest.files)):
        if digest_file(folder / name) != manifest.files[name].sha256:
            damage.append(f"{folder / name}: changed after it was written (wrong hash)")
    return damage
