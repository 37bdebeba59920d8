"""Arrays on disk: Zarr v3 with named axes; token ids and offsets as memory-mapped .npy."""

import os
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from quantascope.core.axes import check_axes
from quantascope.core.errors import ArtefactError
from quantascope.store.schema import KINDS, ArraySpec

__all__ = ["append_column", "create_array", "open_array", "write_array", "write_npy"]

_CHUNK_ROWS: Final = 65_536  # at most 0.5 GB in hand for a sketch of 4,096 half-precision numbers


def create_array(
    folder: Path, kind: str, *, name: str, shape: tuple[int, ...], chunk_rows: int = _CHUNK_ROWS
) -> zarr.Array[Any]:
    """Create an empty Zarr array of an artefact, to be filled by rows.

    Parameters
    ----------
    folder
        The stage's working folder.
    kind, name
        Artefact kind and file name, as in ``KINDS``: they give axes, dtype and unit.
    shape
        One length for each axis.
    chunk_rows
        Rows of one chunk; an axis ``model`` is chunked by single columns.

    Returns
    -------
    zarr.Array
        Open for writing.
    """
    spec = KINDS[kind].arrays[name]
    axes = check_axes(spec.axes)
    chunks = tuple(
        1 if axis == "model" else max(1, min(length, chunk_rows if i == 0 else length))
        for i, (axis, length) in enumerate(zip(axes, shape, strict=True))
    )
    return zarr.create_array(
        store=str(folder / name),
        shape=shape,
        dtype=spec.dtype,
        chunks=chunks,
        dimension_names=axes,
        attributes={"unit": spec.unit},
        compressors=BloscCodec(cname="zstd", clevel=3),
        overwrite=True,
        fill_value=0,
    )


def write_array(folder: Path, kind: str, *, name: str, values: NDArray[Any]) -> None:
    """Write a whole array of an artefact; dtype as in the schema."""
    array = create_array(folder, kind, name=name, shape=values.shape)
    array[...] = values.astype(KINDS[kind].arrays[name].dtype)


def append_column(
    before: Path, folder: Path, kind: str, *, name: str, column: NDArray[Any]
) -> None:
    """Copy an array of an artefact and put a column behind its last one.

    Only the column is written: columns of an axis ``model`` have chunks of their own, and those
    that stand are linked (copied where the file system has no links).

    Parameters
    ----------
    before, folder
        Folder of the artefact as it stands, and the stage's working folder.
    kind, name
        Artefact kind and file name, as in ``KINDS``; the last axis is ``model``.
    column
        Values, one a row.
    """
    shutil.copytree(before / name, folder / name, copy_function=_link)
    array = zarr.open_array(store=str(folder / name), mode="r+")
    n_rows, n_columns = array.shape
    array.resize((n_rows, n_columns + 1))
    array[:, n_columns] = column.astype(KINDS[kind].arrays[name].dtype)


def _link(source: str, target: str) -> None:
    """Link a chunk; what describes the array is copied, for it changes."""
    if Path(source).name != "zarr.json":
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copy2(source, target)


def write_npy(folder: Path, kind: str, *, name: str, values: NDArray[Any]) -> None:
    """Write an array that is memory-mapped when read (token ids, offsets)."""
    np.save(folder / name, values.astype(KINDS[kind].arrays[name].dtype), allow_pickle=False)


def open_array(folder: Path, kind: str, *, name: str) -> Any:
    """Open an array of an artefact, lazily; slicing reads only what is asked for.

    Returns
    -------
    zarr.Array or numpy.memmap
        With the axes and dtype of the schema.

    Raises
    ------
    ArtefactError
        If it is missing, damaged, or its axes or dtype differ from the schema.
    """
    path, spec = folder / name, KINDS[kind].arrays[name]
    if not path.exists():
        raise ArtefactError(f"{path}: missing; redo with --overwrite {kind}")
    try:
        if name.endswith(".npy"):
            array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
            axes: tuple[str, ...] | None = spec.axes if array.ndim == len(spec.axes) else None
        else:
            array = zarr.open_array(store=str(path), mode="r")
            axes = tuple(array.metadata.dimension_names or ())
    except (ValueError, OSError, KeyError, TypeError, EOFError, zarr.errors.BaseZarrError) as error:
        raise ArtefactError(f"{path}: damaged ({error}); redo with --overwrite {kind}") from error
    _check(path, array, axes=axes, spec=spec)
    return array


def _check(path: Path, array: Any, *, axes: tuple[str, ...] | None, spec: ArraySpec) -> None:
    if axes != spec.axes or array.dtype != np.dtype(spec.dtype):
        raise ArtefactError(
            f"{path}: axes {axes} of {array.dtype} found, {spec.axes} of {spec.dtype} expected; "
            "redo the stage"
        )
