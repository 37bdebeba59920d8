"""Vectors that a user gives, in the place of sketched gradients."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.pipeline.context import StageContext
from quantascope.store.arrays import create_array, write_array
from quantascope.store.digest import digest_file
from quantascope.store.tables import read_table

__all__ = ["sketch_from_file"]

_ROWS: Final = 4096


def sketch_from_file(context: StageContext) -> dict[str, Any]:
    """Take a file of vectors, scaled to length 1, as the sketches of a run.

    Returns
    -------
    dict[str, Any]
        Facts of the manifest.

    Raises
    ------
    DataError
        If the file is missing, is no array of numbers ``(pred, number)``, has not a row for each
        selected prediction, or holds what is not finite.
    """
    path = Path(context.config.sketch.vectors)
    n_preds = read_table(context.run.stage("selection"), "preds.parquet").num_rows
    vectors = _open(path, n_preds=n_preds)
    norms = np.empty(n_preds, dtype=np.float32)
    folder = context.workspace.path
    array = create_array(folder, "sketch", name="sketch.zarr", shape=vectors.shape)
    with context.track("sketch", n_preds, unit="predictions") as advance:
        for lo in range(0, n_preds, _ROWS):
            rows = np.asarray(vectors[lo : lo + _ROWS], dtype=np.float32)
            length = np.linalg.norm(rows, axis=1)
            if not np.isfinite(length).all():
                bad = lo + int(np.flatnonzero(~np.isfinite(length))[0])
                raise DataError(f"{path}: row {bad} is not finite; give numbers in all rows")
            array[lo : lo + _ROWS] = rows / np.where(length > 0, length, 1)[:, None]
            norms[lo : lo + _ROWS] = length
            advance(len(rows))
    write_array(folder, "sketch", name="norms.zarr", values=norms)
    return {
        "model": "",
        "vectors": path.name,
        "vectors_sha256": digest_file(path),
        "n_preds": n_preds,
        "n_zero": int((norms == 0).sum()),
        "n_moment_preds": 0,
        "dim": vectors.shape[1],
        "n_components": vectors.shape[1],
        "exact": True,
        "fidelity": None,
        "engine_agreement": None,
    }


def _open(path: Path, *, n_preds: int) -> NDArray[Any]:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"sketch.vectors: {path}: no such file") from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"sketch.vectors: {path}: no .npy file of numbers ({error})") from error
    is_numbers = isinstance(vectors, np.ndarray) and vectors.dtype.kind in "fiu"
    if not is_numbers or vectors.ndim != 2 or not vectors.shape[1]:
        found = getattr(vectors, "shape", type(vectors).__name__)
        raise DataError(
            f"sketch.vectors: {path}: {found} found; allowed are numbers (pred, number)"
        )
    if len(vectors) != n_preds:
        raise DataError(
            f"sketch.vectors: {path}: {len(vectors):,} rows for {n_preds:,} selected predictions; "
            "give a row for each row of selection/preds.parquet"
        )
    return vectors
