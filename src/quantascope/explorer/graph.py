"""Clusters joined by the edges between their predictions, counted once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantascope.reader.run import Run
from quantascope.store.tables import table_batches

__all__ = ["Joined", "count_edges"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """Edges between groups of predictions."""

    names: list[str]
    """Ids of the groups."""
    start: NDArray[np.int32]
    """Where the others of each group begin in `other`, and the end."""
    other: NDArray[np.int32]
    """Place in `names` of those that edges lead to."""
    n_edges: NDArray[np.int32]
    """Edges that lead there."""

    @property
    def counts(self) -> sparse.csr_array:
        """Edges from a group to another one; axes ``group group``, zero on the diagonal."""
        n = len(self.names)
        return sparse.csr_array((self.n_edges, self.other, self.start), shape=(n, n))

    @cached_property
    def places(self) -> dict[str, int]:
        """Place of each group in `names`."""
        return {name: i for i, name in enumerate(self.names)}

    def near(self, name: str) -> list[tuple[str, int]]:
        """List the groups that edges of one lead to with their number, most first."""
        row = self.places[name]
        part = slice(self.start[row], self.start[row + 1])
        others, n = self.other[part], self.n_edges[part]
        order = np.lexsort((others, -n))
        found = zip(others[order].tolist(), n[order].tolist(), strict=True)
        return [(self.names[other], int(count)) for other, count in found]

    def among(self, names: list[str]) -> sparse.csr_array:
        """Give the edges between some of the groups, in their order."""
        rows = np.array([self.places[name] for name in names], dtype=np.int64)
        return sparse.csr_array(self.counts[rows][:, rows])


def count_edges(run: Run, groups: dict[str, NDArray[np.int64]]) -> Joined:
    """Count the edges of a run's graph between groups of predictions.

    Parameters
    ----------
    run
        A run with a graph.
    groups
        Predictions by the id of their group, no prediction in two.
    """
    names, n = list(groups), len(groups)
    of_token = np.full(len(run.tokens), -1, dtype=np.int32)
    for place, preds in enumerate(groups.values()):
        of_token[preds] = place
    of_row = of_token[run.selected]
    counts = sparse.csr_array((n, n), dtype=np.int32)
    for batch in table_batches(run.folder.stage("graph"), "edges.parquet", ("row", "column")):
        a, b = (of_row[batch[name].to_numpy()] for name in ("row", "column"))
        kept = (a != b) & (a >= 0) & (b >= 0)
        ones = np.ones(int(kept.sum()), dtype=np.int32)
        part = sparse.coo_array((ones, (a[kept], b[kept])), shape=(n, n)).tocsr()
        counts = sparse.csr_array(counts + part)
    return Joined(names=names, start=counts.indptr, other=counts.indices, n_edges=counts.data)
