"""Losses for others: the curves of a run leave as plain tables that `losses import` reads.

What is written suffices to repeat every reading of the curves on the same text without the
models: their losses, what is known of them, and the clusters of the run where it has some.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.rng import derive_seed, hash_order
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["GROUPS_FILE", "LOSSES_FILE", "MODELS_FILE", "export_losses"]

LOSSES_FILE: Final = "losses.parquet"
MODELS_FILE: Final = "models.csv"
GROUPS_FILE: Final = "clusters.parquet"

_PREDS_AT_ONCE: Final = 1 << 13
_CARD: Final = (
    "n_params", "n_params_total", "step", "n_tokens", "n_unique", "seed", "context_length"
)  # fmt: skip


def export_losses(
    run: RunFolder,
    out: Path,
    *,
    n: int | None = None,
    steps: Sequence[int] = (),
    half: bool = False,
    labels: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Write the losses of a run's curves, its models and its clusters as tables.

    Parameters
    ----------
    run
        A run whose curves stand.
    out
        Folder to write; made if missing. ``losses.parquet`` has ``pred``, ``token``, ``model``,
        ``loss`` [nat]; ``models.csv`` a row a model; ``clusters.parquet`` ``pred``, ``group`` and
        ``label`` where the run has clusters.
    n
        Keep this many of the randomly sampled predictions, the first in the seeded order of the
        sample; all that were selected are kept. None keeps all curves.
    steps
        Keep checkpoints of these steps, and the last of every run; none given keeps all.
    half
        Write losses in half precision: off by 1/2000 or less of their value, half the size.
    labels
        Of clusters, by their id, to be written beside it.

    Returns
    -------
    dict[str, int]
        How many predictions, models and clusters were written.

    Raises
    ------
    ArtefactError
        If there are no curves.
    DataError
        If no checkpoint is left.
    """
    if n is not None and n < 1:
        raise ValueError(f"n: {n} found; allowed are whole numbers from 1")
    seed = derive_seed(run.require("curves").config["seed"], "curves")
    preds = read_table(run.stage("curves"), "preds.parquet").to_pandas()
    kept = np.flatnonzero(_kept(preds, n, seed=seed))
    pred, models = preds["pred"].to_numpy()[kept], _models(run, steps)
    out.mkdir(parents=True, exist_ok=True)
    _write_losses(
        run, models, pred, kept=kept, kind=pa.float16() if half else pa.float32(), out=out
    )
    _write_models(models, out / MODELS_FILE)
    return {
        "n_preds": len(pred),
        "n_models": len(models),
        "n_clusters": _write_groups(run, pred, labels or {}, path=out / GROUPS_FILE),
    }


def _write_losses(
    run: RunFolder,
    models: list[dict[str, Any]],
    pred: NDArray[np.int64],
    *,
    kept: NDArray[np.int64],
    kind: pa.DataType,
    out: Path,
) -> None:
    losses = open_array(run.stage("curves"), "curves", name="curves.zarr")
    tokens = open_array(run.stage("corpus"), "corpus", name="tokens.npy")
    columns, names = [row["model"] for row in models], [row["name"] for row in models]
    fields = [("pred", pa.int64()), ("token", pa.int32()), ("model", pa.string()), ("loss", kind)]
    schema, new = pa.schema(fields), out / f".{LOSSES_FILE}.new"
    with pq.ParquetWriter(
        new,
        schema,
        compression="zstd",
        compression_level=19,
        use_dictionary=["pred", "token", "model"],  # all models of a prediction stand together
        use_byte_stream_split=["loss"],
    ) as file:
        for start in range(0, len(pred), _PREDS_AT_ONCE):
            part = slice(start, start + _PREDS_AT_ONCE)
            block = np.asarray(losses.oindex[kept[part], :])[:, columns]
            n = len(block)
            rows = [
                pa.array(np.repeat(pred[part], len(names))),
                pa.array(np.repeat(tokens[pred[part]], len(names))),
                pa.array(names * n),
                pa.array(block.ravel()).cast(kind),
            ]
            file.write_table(pa.table(rows, schema=schema), row_group_size=block.size)
    new.replace(out / LOSSES_FILE)


def _kept(preds: Any, n: int | None, *, seed: int) -> NDArray[np.bool_]:
    if n is None:
        return np.ones(len(preds), dtype=bool)
    sampled = np.flatnonzero(preds["sampled"].to_numpy())
    order = hash_order(preds["pred"].to_numpy()[sampled], seed=seed)
    kept = preds["selected"].to_numpy().copy()
    kept[sampled[np.argsort(order, kind="stable")[:n]]] = True
    return np.asarray(kept)


def _models(run: RunFolder, steps: Sequence[int]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(run.stage("losses"), "models.parquet").to_pylist()
    last: dict[tuple[Any, ...], int] = {}
    for row in rows:
        key = (row["n_params"], row.get("n_unique"), row["seed"])
        last[key] = max(last.get(key, -1), row["step"] or 0)

    def is_kept(row: dict[str, Any]) -> bool:
        is_last = (row["step"] or 0) == last[row["n_params"], row.get("n_unique"), row["seed"]]
        return not steps or is_last or row["step"] in steps

    unknown = sorted(set(steps) - {row["step"] for row in rows})
    if unknown:
        raise DataError(
            f"{run.root}: no checkpoint at step {unknown[0]}; models.parquet lists them"
        )
    return [row for row in rows if is_kept(row)]


def _write_models(models: list[dict[str, Any]], path: Path) -> None:
    columns = {"model": [row["name"] for row in models]}
    columns |= {name: [row.get(name) for row in models] for name in _CARD}
    columns["weights_sha256"] = [row["weights_sha256"] for row in models]
    known = {name: values for name, values in columns.items() if any(v is not None for v in values)}
    new = path.with_name(f".{path.name}.new")
    pyarrow.csv.write_csv(pa.table(known), new)
    new.replace(path)


def _write_groups(
    run: RunFolder, pred: NDArray[np.int64], labels: Mapping[str, str], *, path: Path
) -> int:
    """Write the default clustering's members among `pred`; give the number of clusters."""
    if run.manifest("clusters") is None:
        return 0
    default = run.require("clusters").facts["default"]
    members = read_table(run.stage("clusters"), "members.parquet").to_pandas()
    members = members[(members["clustering"] == default) & members["pred"].isin(pred)]
    group = members["cluster"].astype(str)
    columns = {
        "pred": pa.array(members["pred"].to_numpy()),
        "group": pa.array(group.tolist()),
        "label": pa.array([labels.get(name, "") for name in group]),
    }
    new = path.with_name(f".{path.name}.new")
    pq.write_table(pa.table(columns), new, compression="zstd")
    new.replace(path)
    return int(group.nunique())
