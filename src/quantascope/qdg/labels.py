"""Labels of clusters from counts of tokens: what is predicted, and what stands before it.

The token array, the predictions and their clusters enter; for each cluster the few features leave
that tell its members from all others, each with a held-out AUC. No model and no service is asked.

References
----------
Monroe, Colaresi and Quinn 2008, doi:10.1093/pan/mpn018, eqs. 15 to 22: log-odds with an
informative Dirichlet prior.
"""

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.rng import stream

__all__ = ["FEATURES", "has_feature", "held_out", "label_clusters"]

FEATURES: Final = {"next": (0, 1), "last": (1, 1), "last2": (1, 2), "last3": (1, 3)}
"""Feature kinds: distance of their last token before the target's place, and number of tokens."""
_PRIOR_TOTAL: Final = 100.0
"""Weight of the prior, in predictions: a feature is as frequent in a cluster as anywhere."""
_MIN_COUNT: Final = 2
"""Members of the fitting part that must share a feature."""
_MIN_Z: Final = 2.0
"""Log-odds in standard errors; below it a feature may be chance."""
_SCHEMA: Final = pa.schema(
    {
        "cluster": pa.string(),
        "place": pa.int64(),
        "feature": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "count": pa.int64(),
        "log_odds": pa.float64(),
        "z": pa.float64(),
        "auc": pa.float64(),
    }
)


def label_clusters(
    labels: NDArray[np.integer],
    *,
    tokens: NDArray[np.integer],
    pred: NDArray[np.int64],
    pos: NDArray[np.integer],
    ids: NDArray[np.str_],
    held_out_share: float = 0.3,
    n_candidates: int = 5,
    seed: int = 0,
) -> pa.Table:
    """Find for each cluster the features that set its members apart.

    Parameters
    ----------
    labels
        Cluster of each prediction, numbered from 0, axis ``pred``.
    tokens
        Flat token array of the corpus, axis ``token``; may be memory-mapped.
    pred
        Index of each predicted token in `tokens`, axis ``pred``.
    pos
        Position of each predicted token in its document, so that no feature reaches across.
    ids
        Id of each cluster, axis ``cluster``.
    held_out_share
        Share of predictions kept for the AUC, in (0, 1).
    n_candidates
        Features of each cluster.
    seed
        Seed of the split.

    Returns
    -------
    pyarrow.Table
        Columns ``cluster``, ``place`` (from 1), ``feature`` (see `FEATURES`), ``token_ids``,
        ``count`` (members with the feature, held-out ones included), ``log_odds`` [nat], ``z``
        (log-odds over its standard error), ``auc`` (of "has the feature" for "is a member", on
        held-out predictions; null where no member or no other prediction was held out). A cluster
        without any feature above chance has no row.

    Raises
    ------
    ValueError
        If the share is outside (0, 1).
    """
    held = held_out(len(labels), share=held_out_share, seed=seed)
    scores = [
        _score(labels, kind, tokens=tokens, pred=pred, pos=pos, held=held) for kind in FEATURES
    ]
    table = pd.concat([score for score in scores if len(score)] or scores)
    table = table.sort_values(["cluster", "z"], ascending=[True, False], kind="stable")
    table["place"] = table.groupby("cluster").cumcount() + 1
    table = table[table["place"] <= n_candidates]
    table["cluster"] = ids[table["cluster"].to_numpy()].tolist()
    if table.empty:  # no cluster is set apart by any token
        return _SCHEMA.empty_table()
    return pa.Table.from_pandas(table, schema=_SCHEMA, preserve_index=False)


def held_out(n: int, *, share: float, seed: int) -> NDArray[np.bool_]:
    """Say which of n members of a clustering, in their order, labels are tested on.

    Parameters
    ----------
    n
        Members of all clusters together.
    share
        Share that is held out, in (0, 1).
    seed
        Seed of the split.

    Raises
    ------
    ValueError
        If the share is outside (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"held_out_share: {share}; allowed are above 0 and below 1")
    return stream(seed, "labels", "held out").random(n) < share


def has_feature(
    kind: str,
    token_ids: NDArray[np.integer],
    *,
    tokens: NDArray[np.integer],
    pred: NDArray[np.int64],
    pos: NDArray[np.integer],
) -> NDArray[np.bool_]:
    """Say which predictions have a feature.

    Parameters
    ----------
    kind, token_ids
        One of `FEATURES`, and its tokens.
    tokens, pred, pos
        As for `label_clusters`.
    """
    known, grams = _grams(kind, tokens=tokens, pred=pred, pos=pos)
    found = np.zeros(len(pred), dtype=bool)
    found[known] = (grams == np.asarray(token_ids)).all(axis=1)
    return found


def _score(
    labels: NDArray[np.integer],
    kind: str,
    *,
    tokens: NDArray[np.integer],
    pred: NDArray[np.int64],
    pos: NDArray[np.integer],
    held: NDArray[np.bool_],
) -> pd.DataFrame:
    """Log-odds, z and held-out AUC of every feature of one kind in every cluster that has it."""
    known, grams = _grams(kind, tokens=tokens, pred=pred, pos=pos)
    features, feature = np.unique(grams, axis=0, return_inverse=True)
    n_features = max(len(features), 1)
    cell, test = labels[known] * n_features + feature, held[known]
    fitted, tested = _Counts(cell[~test], n_features), _Counts(cell[test], n_features)
    c, f = np.divmod(fitted.cells, n_features)
    inside, total = fitted.counts, fitted.counts.sum()
    outside, n_inside = fitted.of_feature(f) - inside, fitted.of_cluster(c)
    # one more in the denominator keeps the odds finite for a feature that every prediction has
    prior = _PRIOR_TOTAL * (inside + outside) / (total + 1.0)
    odds = _log_odds(inside, n_inside, prior) - _log_odds(outside, total - n_inside, prior)
    z = odds / np.sqrt(1 / (inside + prior) + 1 / (outside + prior))
    seen = tested.at(fitted.cells)
    auc = _auc(seen, tested.of_cluster(c), tested.of_feature(f) - seen, tested.counts.sum())
    tells = inside + outside < total  # what all share sets nobody apart
    keep = (inside >= _MIN_COUNT) & (z > _MIN_Z) & tells
    return pd.DataFrame(
        {
            "cluster": c[keep],
            "feature": kind,
            "token_ids": features[f[keep]].tolist(),
            "count": (inside + seen)[keep].astype(np.int64),
            "log_odds": odds[keep],
            "z": z[keep],
            "auc": auc[keep],
        }
    )


def _grams(
    kind: str,
    *,
    tokens: NDArray[np.integer],
    pred: NDArray[np.int64],
    pos: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of predictions whose document reaches back far enough, and their token n-grams."""
    distance, length = FEATURES[kind]
    known = np.flatnonzero(pos >= distance + length - 1)
    offsets = np.arange(-distance - length + 1, -distance + 1)
    return known, np.asarray(tokens[pred[known, None] + offsets], dtype=np.int64)


class _Counts:
    """Predictions by (cluster, feature), the pair coded as ``cluster * n_features + feature``."""

    def __init__(self, cell: NDArray[np.int64], n_features: int) -> None:
        self.cells, counts = np.unique(cell, return_counts=True)
        self.counts = counts.astype(np.float64)
        self._clusters, self._features = np.divmod(self.cells, n_features)

    def at(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Look up the counts of some pairs, 0 where a pair never occurred."""
        place = np.searchsorted(self.cells, cells)
        found = np.append(self.cells, -1)[place] == cells
        return np.where(found, np.append(self.counts, 0.0)[place], 0.0)

    def of_cluster(self, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """Count the predictions of whole clusters."""
        return _sums(self._clusters, self.counts, wanted)

    def of_feature(self, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """Count the predictions of whole features."""
        return _sums(self._features, self.counts, wanted)


def _sums(
    keys: NDArray[np.int64], counts: NDArray[np.float64], wanted: NDArray[np.int64]
) -> NDArray[np.float64]:
    size = int(max(keys.max(initial=-1), wanted.max(initial=-1))) + 1
    return np.bincount(keys, weights=counts, minlength=size)[wanted].astype(np.float64)


def _log_odds(
    count: NDArray[np.float64], total: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Odds of a feature with the prior's pseudo-counts, eq. 15."""
    return np.log((count + prior) / (total - count + _PRIOR_TOTAL - prior))


def _auc(
    inside: NDArray[np.float64],
    n_inside: NDArray[np.float64],
    outside: NDArray[np.float64],
    total: float,
) -> NDArray[np.float64]:
    """Area under the curve of a yes-or-no score: half of 1 + hit rate - false alarm rate."""
    n_outside = total - n_inside
    both = (n_inside > 0) & (n_outside > 0)
    hits = inside / np.where(both, n_inside, np.nan)
    alarms = outside / np.where(both, n_outside, np.nan)
    return (1 + hits - alarms) / 2
