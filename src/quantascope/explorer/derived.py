"""Results that take seconds on large runs, kept beside the run in `.derived`: numbers, no code.

A file is named by its result and a digest of all that the result rests on: the manifests of its
stages, and the sources of what computes it. What cannot be read is computed again; a folder that
cannot be written to is left as it is.
"""

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from quantascope.explorer.graph import Joined
from quantascope.families.breakdown import Breakdown
from quantascope.families.classes import ClassTable
from quantascope.families.concentration import Concentration
from quantascope.families.decompose import Decomposition, Parts
from quantascope.families.detect import ShapesFound
from quantascope.families.emergence import Emergence
from quantascope.families.exponents import Measured, Predicted, UseExponent, WithFloor
from quantascope.families.genicity import Genicity
from quantascope.families.series import Series
from quantascope.reader.families import Emerged
from quantascope.reader.genicity import GenicityReport
from quantascope.store.folder import RunFolder

__all__ = ["FOLDER", "keep"]

FOLDER: Final = ".derived"
_LEAST_S: Final = 0.2
"""CPU time of the process from which a result is worth a file."""
_CLASSES: Final = {
    one.__name__: one
    for one in (
        Breakdown, ClassTable, Concentration, Decomposition, Emerged, Emergence, Genicity,
        GenicityReport, Joined, Measured, Parts, Predicted, Series, ShapesFound, UseExponent,
        WithFloor,
    )
}  # fmt: skip
_SOURCES: Final = ("core", "explorer", "families", "laws", "reader")
_BROKEN: Final = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)

T = TypeVar("T")


def keep(run: RunFolder, name: str, kinds: tuple[str, ...], make: Callable[[], T]) -> T:
    """Give a result from its file, or make it and write the file.

    Parameters
    ----------
    run
        The run.
    name
        Of the result, fit for a file name.
    kinds
        Stages it rests on; it is not kept where one is missing.
    make
        Makes it: arrays, plain values, and the frozen results of `quantascope.families`.
    """
    manifests = [run.manifest(kind) for kind in kinds]
    rests = [manifest.digest for manifest in manifests if manifest is not None]
    if len(rests) < len(kinds):
        return make()
    key = hashlib.sha256(json.dumps([name, _code(), rests]).encode()).hexdigest()[:32]
    path = run.root / FOLDER / f"{name}-{key}.npz"
    with suppress(*_BROKEN):
        found: T = _read(path)
        return found
    begun = time.process_time()
    made = make()
    if time.process_time() - begun >= _LEAST_S:
        with suppress(*_BROKEN):
            _write(path, name, made)
    return made


@cache
def _code() -> str:
    """Digest the sources of what computes results: those of other code are not read."""
    digest = hashlib.sha256()
    for package in _SOURCES:
        for path in sorted((Path(__file__).parents[1] / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(path: Path, name: str, value: Any) -> None:
    """Write a result whole or not at all, in the place of earlier ones of its name."""
    arrays: dict[str, Any] = {}
    plan = json.dumps(_packed(value, arrays))
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, plan=np.array(plan), **arrays)
    for old in path.parent.glob(f"{name}-*.npz"):
        old.unlink(missing_ok=True)
    temporary.replace(path)


def _read(path: Path) -> Any:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return _unpacked(json.loads(str(arrays["plan"])), arrays)


def _packed(value: Any, arrays: dict[str, Any]) -> Any:
    """Turn a value into what JSON holds, arrays set apart.

    Raises
    ------
    TypeError
        If something in it is neither plain nor one of the classes that are kept.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("arrays of objects are not kept")
        arrays[f"a{len(arrays)}"] = value
        return {"array": f"a{len(arrays) - 1}"}
    if is_dataclass(value) and type(value).__name__ in _CLASSES:
        parts = {one.name: _packed(getattr(value, one.name), arrays) for one in fields(value)}
        return {"class": type(value).__name__, "parts": parts}
    if isinstance(value, dict):
        return {"pairs": [[_packed(k, arrays), _packed(v, arrays)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_packed(each, arrays) for each in value]}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__}: not kept")


def _unpacked(plan: Any, arrays: Mapping[str, Any]) -> Any:
    if not isinstance(plan, dict):
        return plan
    if "array" in plan:
        return arrays[plan["array"]]
    if "class" in plan:
        parts = {name: _unpacked(part, arrays) for name, part in plan["parts"].items()}
        return _CLASSES[plan["class"]](**parts)
    if "pairs" in plan:
        return {_unpacked(k, arrays): _unpacked(v, arrays) for k, v in plan["pairs"]}
    items = [_unpacked(each, arrays) for each in plan["list" if "list" in plan else "tuple"]]
    return items if "list" in plan else tuple(items)
