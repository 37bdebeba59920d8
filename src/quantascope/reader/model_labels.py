"""Labels of a run's clusters by language models: those made for the clusters as they are now."""

import pandas as pd

from quantascope.core.errors import ArtefactError
from quantascope.store.collection import item_path, list_items, require_item
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["read_model_labels"]

_KIND = "model_labels"
_COLUMNS = (
    "model", "item", "score", "cluster", "label",
    "auc", "auc_lo", "auc_hi", "other_auc", "other_auc_lo", "other_auc_hi",
    "rule_auc", "rule_auc_lo", "rule_auc_hi", "n_shown", "n_members", "n_others",
)  # fmt: skip


def read_model_labels(run: RunFolder) -> pd.DataFrame:
    """Read the last labels of each model.

    Parameters
    ----------
    run
        A run with clusters.

    Returns
    -------
    pandas.DataFrame
        A row a model and cluster, models by when they labelled, the last first: ``model``, ``item``
        of the collection, ``score`` (how labels were held against texts), ``cluster``, ``label``;
        ``auc`` of the label for members against other predictions, both held out, with ``_lo`` and
        ``_hi`` of its 95 % interval; ``other_auc``, of another cluster's label on the same
        predictions; ``rule_auc``, of the best feature from counts; numbers of predictions.

    Raises
    ------
    ArtefactError
        If an item was changed.
    """
    clusters = run.manifest("clusters")
    if clusters is None:
        return pd.DataFrame(columns=list(_COLUMNS))
    found = {item: require_item(run, _KIND, item) for item in list_items(run, _KIND)}
    current = {
        item: made for item, made in found.items() if made.parents["clusters"] == clusters.digest
    }
    last: dict[str, str] = {}
    by_time = sorted(current, key=lambda item: (float(current[item].made["time"]), item))
    for item in reversed(by_time):
        last.setdefault(str(current[item].config["model"]), item)
    tables = []
    for model, item in last.items():
        table = read_table(item_path(run, _KIND, item), "labels.parquet").to_pandas()
        if not set(_COLUMNS[3:]) <= set(table.columns):
            raise ArtefactError(f"{item_path(run, _KIND, item)}: columns missing; delete it")
        how = str(current[item].config.get("score", ""))
        tables.append(table.assign(model=model, item=item, score=how)[list(_COLUMNS)])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(_COLUMNS))
