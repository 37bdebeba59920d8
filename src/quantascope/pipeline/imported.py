"""Losses computed elsewhere: a Parquet file enters, the losses artefact of a run leaves.

The file has a row for each prediction and model: ``pred``, or ``doc`` and ``pos``; ``model``;
``loss`` [nat]; perhaps ``token``, the id of the predicted token, which is then checked. What is
known of the models stands in the same file or in one of their own. It is read in batches into a
scratch file, so that neither file nor artefact need fit into memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.numbers import is_number
from quantascope.pipeline.context import CorpusArrays, StageContext
from quantascope.pipeline.loss_columns import check_cards, write_losses

__all__ = ["import_losses"]

_ROWS_AT_ONCE: Final = 1 << 20
_BELOW_ZERO: Final = -1e-5  # rounding of a cross-entropy in single precision [nat]
_NUMBERS: Final = (
    "n_params",
    "n_params_total",
    "step",
    "n_tokens",
    "n_unique",
    "seed",
    "context_length",
)
_CARD: Final = (*_NUMBERS, "weights_sha256")


def import_losses(context: StageContext, corpus: CorpusArrays) -> dict[str, Any]:
    """Read the file that ``losses.source`` names and write its losses.

    Raises
    ------
    DataError
        If the file or a column is missing; a prediction is not one of the corpus; a loss is NaN,
        infinite or negative; a prediction has two losses of one model, or lacks one that it has
        of another; a model is given twice or its size is not known.
    """
    config = context.config.losses
    path, described = Path(config.source), Path(config.models_table or config.source)
    file = _open(path)
    place = ("pred",) if "pred" in file.schema_arrow.names else ("doc", "pos")
    columns_read = (*place, "model", "loss")
    _check_columns(path, file.schema_arrow.names, columns_read)
    columns_read += ("token",) if "token" in file.schema_arrow.names else ()
    cards = _cards(path, described)
    scratch = context.workspace.path / "import.scratch"
    shape = (len(cards), len(corpus.tokens))
    columns: NDArray[np.float32] = np.memmap(scratch, dtype=np.float32, mode="w+", shape=shape)
    columns[:] = np.nan
    filled = _Columns(path, columns, names=[card["name"] for card in cards])
    with context.track("import", file.metadata.num_rows, unit="rows") as advance:
        for batch in _batches(file, columns_read, path):
            filled.add(_preds(batch, corpus, path), batch["model"], batch["loss"])
            advance(batch.num_rows)
    filled.check_whole()
    facts = write_losses(context.workspace.path, columns, cards=cards, n_tokens=shape[1])
    scratch.unlink()
    return facts | {"imported_from": path.name}


@dataclass
class _Columns:
    """Losses by model and token, filled batch by batch."""

    path: Path
    values: NDArray[np.float32]
    names: list[str]
    _place: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._place = {name: j for j, name in enumerate(self.names)}

    def add(self, pred: NDArray[np.int64], model: pa.Array, loss: pa.Array) -> None:
        coded = model.dictionary_encode()
        names = [str(name) for name in coded.dictionary.to_pylist()]
        if unknown := [name for name in names if name not in self._place]:
            raise DataError(f"{self.path}: model {unknown[0]} has losses but is not described")
        column = np.array([self._place[name] for name in names])[coded.indices.to_numpy()]
        values = self._losses(loss, pred, column)
        order = np.lexsort((pred, column))
        twice = (np.diff(pred[order]) == 0) & (np.diff(column[order]) == 0)
        again = ~np.isnan(self.values[column, pred])
        if twice.any() or again.any():
            row = int(again.argmax()) if again.any() else int(order[:-1][twice][0])
            raise DataError(
                f"{self.path}: two losses of model {self.names[column[row]]} for pred {pred[row]}; "
                "give one a prediction and model"
            )
        self.values[column, pred] = values

    def _losses(
        self, loss: pa.Array, pred: NDArray[np.int64], column: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        values = loss.to_numpy(zero_copy_only=False).astype(np.float32)
        bad = ~(np.isfinite(values) & (values >= _BELOW_ZERO))
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"{self.path}: loss {values[row]:g} of model {self.names[column[row]]} for pred "
                f"{pred[row]}; losses are finite and not negative [nat]"
            )
        return np.maximum(values, np.float32(0))

    def check_whole(self) -> None:
        """Refuse models that do not have the same predictions."""
        first = ~np.isnan(self.values[0])
        for name, values in zip(self.names, self.values, strict=True):
            here = ~np.isnan(values)
            if not here.any():
                raise DataError(f"{self.path}: model {name} is described but has no losses")
            if n_other := int((here != first).sum()):
                raise DataError(
                    f"{self.path}: {n_other} predictions have a loss of only one of the models "
                    f"{self.names[0]} and {name}; give all models the same predictions"
                )


def _open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise DataError(f"{path}: no such file; losses.source names the Parquet file to import")
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not readable as Parquet ({error})") from error


def _batches(file: pq.ParquetFile, columns: tuple[str, ...], path: Path) -> Iterator[Any]:
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(columns)):
        for name in columns:
            column = batch[name]
            if column.null_count:
                raise DataError(f"{path}: column {name} has empty cells; fill or drop these rows")
            if name == "loss" and not pa.types.is_floating(column.type):
                raise DataError(f"{path}: column loss is {column.type}; give floats [nat]")
            if name not in ("loss", "model") and not pa.types.is_integer(column.type):
                raise DataError(f"{path}: column {name} is {column.type}; give whole numbers")
        yield batch


def _preds(batch: Any, corpus: CorpusArrays, path: Path) -> NDArray[np.int64]:
    """Index of each predicted token; all must be predictions of the corpus."""
    if "pred" in batch.schema.names:
        pred = batch["pred"].to_numpy().astype(np.int64)
        known = (pred >= 0) & (pred < corpus.offsets[-1])
        known[known] = ~np.isin(pred[known], corpus.offsets)
        shown = [f"pred {value}" for value in pred[~known][:1]]
    else:
        doc, pos = (batch[name].to_numpy().astype(np.int64) for name in ("doc", "pos"))
        known = (doc >= 0) & (doc < len(corpus.offsets) - 1)
        inside = np.where(known, doc, 0)
        known &= (pos >= 1) & (pos < np.diff(corpus.offsets)[inside])
        pred = corpus.offsets[inside] + pos
        shown = [f"doc {d}, pos {p}" for d, p in zip(doc[~known][:1], pos[~known][:1], strict=True)]
    if shown:
        raise DataError(
            f"{path}: {shown[0]} is no prediction of this run's corpus (other text or another "
            f"tokenizer? it has {len(corpus.offsets) - 1} documents, {len(corpus.tokens)} tokens; "
            "the first token of a document is not predicted)"
        )
    if "token" in batch.schema.names:
        _check_tokens(batch["token"].to_numpy(), pred, corpus, path)
    return pred


def _check_tokens(
    token: NDArray[np.integer[Any]], pred: NDArray[np.int64], corpus: CorpusArrays, path: Path
) -> None:
    """Hold the tokens that the file says were predicted against those of the corpus."""
    ours = corpus.tokens[pred]
    if n_other := int((token != ours).sum()):
        row = int((token != ours).argmax())
        raise DataError(
            f"{path}: pred {pred[row]} is of token {token[row]} there and {ours[row]} in this "
            f"run's corpus ({n_other} rows differ): other text or another tokenizer"
        )


def _cards(path: Path, described: Path) -> list[dict[str, Any]]:
    """Describe the models, by size, seed, step and name."""
    table = _described(described) if described != path else _distinct(path)
    _check_columns(described, table.column_names, ("model", "n_params"))
    cards = [_card(row, described) for row in table.to_pylist()]
    check_cards(cards)
    return sorted(cards, key=lambda c: (c["n_params"], c["seed"] or 0, c["step"] or 0, c["name"]))


def _described(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(f"{path}: no such file; it should describe the models")
    try:
        return pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: readable neither as CSV nor as Parquet ({error})") from error


def _distinct(path: Path) -> pa.Table:
    """Give the distinct descriptions of models in the file of losses."""
    file = _open(path)
    names = [name for name in ("model", *_CARD) if name in file.schema_arrow.names]
    parts = [
        pa.Table.from_batches([batch]).group_by(names).aggregate([])
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names)
    ]
    if not parts:
        raise DataError(f"{path}: no losses; give a row for each prediction and model")
    return pa.concat_tables(parts).group_by(names, use_threads=False).aggregate([])


def _card(row: dict[str, Any], path: Path) -> dict[str, Any]:
    if row["model"] is None:
        raise DataError(f"{path}: column model has empty cells; fill or drop these rows")
    name = str(row["model"])
    card: dict[str, Any] = {"name": name}
    for column in _NUMBERS:
        value = row.get(column)
        if value is not None and not (is_number(value) and value == int(value)):
            raise DataError(f"{path}: {column} of model {name} is {value!r}; give a whole number")
        card[column] = None if value is None else int(value)
    if card["n_params"] is None or card["n_params"] < 1:
        raise DataError(
            f"{path}: n_params of model {name} is {card['n_params']}; give its number of "
            "non-embedding parameters"
        )
    card["n_params_total"] = card["n_params_total"] or card["n_params"]
    card["weights_sha256"] = row.get("weights_sha256") or None
    return card


def _check_columns(path: Path, found: list[str], needed: tuple[str, ...]) -> None:
    if missing := [name for name in needed if name not in found]:
        raise DataError(
            f"{path}: column {', '.join(missing)} missing; needed are pred (or doc and pos), "
            "model and loss [nat], and for each model n_params, here or in --models"
        )
