"""The losses artefact: every way in (computed, imported, logged) writes it here.

Columns of losses, one a model, and a card for each enter; `losses.zarr` and `models.parquet` leave.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.lm.models import equal_weights
from quantascope.store.arrays import append_column, create_array
from quantascope.store.tables import read_table, write_table

__all__ = ["TRACKER", "Card", "append_losses", "check_cards", "write_losses"]

Card = Mapping[str, Any]
"""What is known of a model: the columns of ``models.parquet`` but ``model`` and the mean loss."""

TRACKER: Final = "tracker"
"""Value of ``losses.source`` where a training loop logs the losses."""


def write_losses(
    folder: Path, columns: Iterable[NDArray[np.float32]], *, cards: Sequence[Card], n_tokens: int
) -> dict[str, Any]:
    """Write the losses of all models, column by column.

    Parameters
    ----------
    folder
        The stage's working folder.
    columns
        Loss [nat] under each model, axis ``token``; NaN where there is no prediction.
    cards
        One a column.
    n_tokens
        Length of a column.

    Returns
    -------
    dict[str, Any]
        Facts of the manifest.
    """
    array = create_array(folder, "losses", name="losses.zarr", shape=(n_tokens, len(cards)))
    rows, n_preds = [], 0
    for j, (card, column) in enumerate(zip(cards, columns, strict=True)):
        array[:, j] = column
        rows.append(_row(j, card, column))
        n_preds = int((~np.isnan(column)).sum())
    write_table(folder, "losses", name="models.parquet", table=pa.Table.from_pylist(rows))
    return {"n_models": len(cards), "n_predictions": n_preds}


def append_losses(
    before: Path, folder: Path, column: NDArray[np.float32], *, card: Card
) -> dict[str, Any]:
    """Write the losses that stand and, behind them, those of one more model.

    Parameters
    ----------
    before, folder
        The losses as they stand, and the stage's working folder.
    column, card
        Of the new model, as for `write_losses`.

    Returns
    -------
    dict[str, Any]
        Facts of the manifest.
    """
    rows = [{"n_unique": None} | row for row in read_table(before, "models.parquet").to_pylist()]
    rows.append(_row(len(rows), card, column))
    append_column(before, folder, "losses", name="losses.zarr", column=column)
    write_table(folder, "losses", name="models.parquet", table=pa.Table.from_pylist(rows))
    return {"n_models": len(rows), "n_predictions": int((~np.isnan(column)).sum())}


def check_cards(cards: Sequence[Card]) -> None:
    """Refuse two models of one name, or of equal weights where weights are known.

    Raises
    ------
    DataError
        With the names.
    """
    names: dict[str, str] = {}
    for card in cards:
        if card["name"] in names.values():
            raise DataError(f"model {card['name']}: given twice; give each model once")
        key = card["weights_sha256"] or f"name {card['name']}"
        if key in names:
            raise DataError(equal_weights(names[key], card["name"]))
        names[key] = card["name"]


def _row(j: int, card: Card, column: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "model": j,
        "n_unique": None,
        **card,
        "mean_loss_nats": float(np.nanmean(column, dtype=np.float64)),
    }
