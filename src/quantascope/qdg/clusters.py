"""Tables of clusterings: who belongs where, under which name, and how far it can be trusted.

Groupings (merging.py, leiden.py, spectral.py) and the sketches enter; three tables leave: one row a
clustering, one a member, one a cluster.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.qdg.agreement import best_jaccard, jaccard_matrix
from quantascope.qdg.coherence import (
    null_overlap,
    null_similarity,
    within_overlaps,
    within_similarity,
)
from quantascope.qdg.leiden import Grouping, most_stable

__all__ = ["ClusterTables", "PreviousMembers", "assemble_clusters", "cluster_ids"]

PreviousMembers = tuple[NDArray[np.int64], NDArray[np.str_]]
"""Preds of an earlier state of a clustering and the cluster id of each."""

_PREFERRED: Final = ("merged", "leiden")
_CARRIED: Final = 0.5
"""Least Jaccard overlap at which a cluster keeps its id."""


@dataclass(frozen=True, kw_only=True)
class ClusterTables:
    """The three tables of the ``clusters`` artefact."""

    clusterings: pa.Table
    members: pa.Table
    clusters: pa.Table


def assemble_clusters(
    groupings: list[Grouping],
    *,
    sketch: NDArray[np.floating],
    pred: NDArray[np.int64],
    doc: NDArray[np.int64],
    sign_free: bool = False,
    n_shuffles: int = 20,
    seed: int = 0,
    previous: Mapping[str, PreviousMembers] | None = None,
) -> ClusterTables:
    """Name the clusters of all groupings, measure them, and mark the default clustering.

    Parameters
    ----------
    groupings
        Groupings of the same predictions. The default is the merged one where there is one (see
        `merged_grouping`), else the most stable of Leiden's (see `most_stable`), else of all.
    sketch
        Unit vectors, axes ``(pred, dim)``.
    pred, doc
        Index and document of each prediction, axis ``pred``.
    sign_free
        Measure similarity by squared cosines (see `coherence`).
    n_shuffles, seed
        Of the null of coherence (see `null_similarity`).
    previous
        By clustering, members of an earlier state whose ids are carried over.

    Returns
    -------
    ClusterTables
        A cluster is coherent when its similarity exceeds the null's 99th percentile for its size;
        its stability is the mean over reruns of the best Jaccard index (NaN without reruns).

    Raises
    ------
    ValueError
        If there is no grouping.
    """
    if not groupings:
        raise ValueError("groupings: none; at least one is needed")
    vectors = np.asarray(sketch, dtype=np.float32)
    sizes = np.concatenate([np.bincount(grouping.labels) for grouping in groupings])
    labels = [grouping.labels for grouping in groupings]
    if sign_free:
        null = null_overlap(vectors, sizes, n_shuffles=n_shuffles, seed=seed)
        alike = within_overlaps(vectors, labels)
    else:
        null = null_similarity(vectors, sizes, n_shuffles=n_shuffles, seed=seed)
        alike = [within_similarity(vectors, each) for each in labels]
    taken: set[str] = set()
    members, clusters = [], []
    for grouping, similarity in zip(groupings, alike, strict=True):
        before = (previous or {}).get(grouping.name)
        ids = cluster_ids(grouping.labels, pred, name=grouping.name, previous=before, taken=taken)
        members.append(_members(grouping, pred, ids))
        clusters.append(_clusters(grouping, similarity, ids=ids, doc=doc, null=null))
    return ClusterTables(
        clusterings=_clusterings(groupings),
        members=pa.concat_tables(members).unify_dictionaries(),
        clusters=pa.concat_tables(clusters),
    )


def cluster_ids(
    labels: NDArray[np.integer],
    pred: NDArray[np.int64],
    *,
    name: str,
    previous: PreviousMembers | None = None,
    taken: set[str] | None = None,
) -> NDArray[np.str_]:
    """Name each group: ``c`` and eight hex digits, kept from an earlier state where it lives on.

    Parameters
    ----------
    labels
        Group of each prediction, numbered from 0, axis ``pred``.
    pred
        Index of each prediction.
    name
        Clustering; part of what a new id is minted from.
    previous
        Earlier members and their ids. A group takes over the id of the earlier group with the
        largest Jaccard overlap of at least 0.5, counted on predictions that both states have (an
        extended run would otherwise outgrow its names); no id is given twice.
    taken
        Ids in use; new ones are added.

    Returns
    -------
    NDArray[np.str_]
        Id of each group, axis ``cluster``.
    """
    taken = set() if taken is None else taken
    ids = np.full(int(labels.max()) + 1, "", dtype="<U9")
    if previous is not None:
        _carry_over(ids, labels, pred, previous=previous)
    taken.update(ids[ids != ""].tolist())
    order = np.lexsort((pred, labels))
    groups = np.split(pred[order], np.cumsum(np.bincount(labels))[:-1])
    for group in np.flatnonzero(ids == ""):
        ids[group] = _mint(name, groups[group], taken)
    return ids


def _carry_over(
    ids: NDArray[np.str_],
    labels: NDArray[np.integer],
    pred: NDArray[np.int64],
    *,
    previous: PreviousMembers,
) -> None:
    """Fill in the ids of earlier groups, largest overlap first, each id and group once."""
    _, now, then = np.intersect1d(pred, previous[0], assume_unique=True, return_indices=True)
    names, earlier = np.unique(previous[1], return_inverse=True)
    jaccard = jaccard_matrix(labels[now], earlier[then])
    left = np.bincount(earlier[then], minlength=len(names)) / np.bincount(earlier)
    jaccard[:, left[: jaccard.shape[1]] < _CARRIED] = 0.0  # too little is left to tell it by
    groups, olds = np.nonzero(jaccard >= _CARRIED)
    used: set[int] = set()
    for place in np.argsort(-jaccard[groups, olds], kind="stable"):
        group, old = int(groups[place]), int(olds[place])
        if not ids[group] and old not in used:
            ids[group] = names[old]
            used.add(old)


def _mint(name: str, preds: NDArray[np.int64], taken: set[str]) -> str:
    """Hash clustering and sorted members; hash again in the rare case that the id is in use."""
    text = name.encode() + b"\0" + preds.astype("<i8").tobytes()
    while True:
        text = hashlib.sha256(text).digest()
        identity = "c" + text.hex()[:8]
        if identity not in taken:
            taken.add(identity)
            return identity


def _clusterings(groupings: list[Grouping]) -> pa.Table:
    methods = {grouping.method for grouping in groupings}
    method = next((each for each in _PREFERRED if each in methods), None)
    default = most_stable([g for g in groupings if method in (g.method, None)])
    return pa.table(
        {
            "clustering": [grouping.name for grouping in groupings],
            "method": [grouping.method for grouping in groupings],
            "parameter": [grouping.parameter for grouping in groupings],
            "n_clusters": [int(grouping.labels.max()) + 1 for grouping in groupings],
            "stability": [grouping.stability for grouping in groupings],
            "default": [grouping is default for grouping in groupings],
        }
    )


def _members(grouping: Grouping, pred: NDArray[np.int64], ids: NDArray[np.str_]) -> pa.Table:
    keys = pa.DictionaryArray.from_arrays(grouping.labels.astype(np.int32), ids.tolist())
    name = pa.array([grouping.name]).dictionary_encode()
    names = pa.DictionaryArray.from_arrays(np.zeros(len(pred), dtype=np.int32), name.dictionary)
    return pa.table({"clustering": names, "pred": pred, "cluster": keys})


def _clusters(
    grouping: Grouping,
    similarity: NDArray[np.float64],
    *,
    ids: NDArray[np.str_],
    doc: NDArray[np.int64],
    null: dict[int, float],
) -> pa.Table:
    sizes = np.bincount(grouping.labels)
    expected = np.array([null[int(size)] for size in sizes])
    found = [best_jaccard(grouping.labels, rerun) for rerun in grouping.reruns]
    pairs = np.unique(np.stack([grouping.labels, doc]), axis=1)
    return pa.table(
        {
            "clustering": [grouping.name] * len(ids),
            "cluster": ids.tolist(),
            "rank": np.arange(1, len(ids) + 1),  # groups are numbered by falling size
            "size": sizes,
            "mean_similarity": similarity,
            "null_similarity": expected,
            "coherent": similarity > expected,  # NaN, a single member: not shown to be coherent
            "stability": _mean_of_known(found, len(ids)),
            "n_documents": np.bincount(pairs[0]),
        }
    )


def _mean_of_known(found: list[NDArray[np.float64]], n_clusters: int) -> NDArray[np.float64]:
    """Mean over reruns, NaN left out; NaN where nothing is left."""
    stacked = np.array(found).reshape(len(found), n_clusters)
    counts = np.isfinite(stacked).sum(axis=0)
    return np.where(counts, np.nansum(stacked, axis=0) / np.maximum(counts, 1), np.nan)
