"""Which prediction is in which cluster, as two arrays: a million rows take 12 MB."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["Membership", "read_membership"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Membership:
    """Members of the default clustering."""

    names: list[str]
    """Ids of clusters."""
    preds: NDArray[np.int64]
    """Clustered predictions, ascending."""
    code: NDArray[np.int32]
    """Place in `names` of the cluster of each; axis as of `preds`."""

    def parts(self) -> dict[str, NDArray[np.int64]]:
        """Give the members of each cluster, ascending."""
        order = np.argsort(self.code, kind="stable")
        n = np.bincount(self.code, minlength=len(self.names))
        parts = np.split(self.preds[order], np.cumsum(n)[:-1])
        return {name: part for name, part in zip(self.names, parts, strict=True) if len(part)}

    def code_of(self, preds: NDArray[np.int64]) -> NDArray[np.int32]:
        """Give the place in `names` of the clusters of any predictions, -1 for none."""
        if not len(self.preds):
            return np.full(len(preds), -1, dtype=np.int32)
        at = np.minimum(np.searchsorted(self.preds, preds), len(self.preds) - 1)
        return np.where(self.preds[at] == preds, self.code[at], np.int32(-1))


def read_membership(run: RunFolder) -> Membership:
    """Read the members of a run's default clustering.

    Raises
    ------
    ArtefactError
        If the run has no clusters, or their table is damaged.
    """
    default = run.require("clusters").facts["default"]
    table = read_table(run.stage("clusters"), "members.parquet")
    which, clusterings = _codes(table["clustering"])
    kept = which == (clusterings.index(default) if default in clusterings else -1)
    code, names = _codes(table["cluster"])
    preds, code = table["pred"].to_numpy()[kept], code[kept]
    order = np.argsort(preds, kind="stable")
    return Membership(names=names, preds=preds[order], code=code[order])


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    """Give a column of words as places in the list of its words."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    return whole.indices.to_numpy(), [str(name) for name in whole.dictionary.to_pylist()]
