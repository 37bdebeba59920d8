"""The same curves seen through other metrics: what is sharp in one may be gradual in another.

A series of cross-entropies enters; leaves the same series in another metric, turned so that 0 is
perfect and every tool for losses applies. A mean over a cluster is taken after, not before: the
mean accuracy is not the accuracy at the mean loss.

References
----------
Schaeffer, Miranda and Koyejo, arXiv:2304.15004.
"""

from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.families.emergence import find_emergence
from quantascope.families.series import Series
from quantascope.theory.metrics import brier_score, exact_match, token_accuracy

__all__ = ["METRICS", "Metric", "emergence_by_metric", "seen_as"]

Metric = Literal["loss", "accuracy", "exact match", "brier"]
METRICS: Final = ("loss", "accuracy", "exact match", "brier")


def seen_as(series: Series, metric: Metric, *, n_tokens: int = 5, n_choices: int = 2) -> Series:
    """Turn cross-entropies into what another metric misses of a perfect score.

    With ``p = exp(-loss)``: "accuracy" gives 1 - p, the chance of a wrong token; "exact match"
    ``1 - p^L``, that of an answer of L such tokens with any wrong; "brier" the Brier score of a
    choice whose wrong answers share what is left.

    Parameters
    ----------
    series
        Cross-entropies [nat].
    metric
        One of `METRICS`; "loss" leaves them as they are.
    n_tokens
        L, tokens of an answer, at least 1.
    n_choices
        Choices of the Brier score, at least 2.

    Returns
    -------
    Series
        The same curves, 0 to 1 but for "loss" and "brier".

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> series = Series(scale="n_params", x=np.array([1e5, 1e6]), losses=np.array([[0.7, 0.0]]),
    ...                 level=np.array([0, 1]), run=np.array([0, 1]))
    >>> seen_as(series, "exact match", n_tokens=5).losses.round(2).tolist()
    [[0.97, 0.0]]
    """
    if metric not in METRICS:
        raise ValueError(f"metric: {metric!r} found; allowed are {', '.join(METRICS)}")
    loss = np.maximum(series.losses, 0.0)  # rounding may leave a cross-entropy just below 0
    seen: NDArray[np.floating[Any]]
    if metric == "accuracy":
        seen = 1.0 - token_accuracy(loss)
    elif metric == "exact match":
        seen = 1.0 - exact_match(loss, n_tokens=n_tokens)
    elif metric == "brier":
        seen = brier_score(loss, n_choices=n_choices)
    else:
        seen = series.losses
    return replace(series, losses=seen)


def emergence_by_metric(
    series: Series,
    *,
    cluster: NDArray[np.int64] | None = None,
    n_tokens: int = 5,
    n_choices: int = 2,
    level: float = 0.95,
    n_shuffles: int | None = None,
    seed: int = 0,
) -> pa.Table:
    """Find when curves come half-way in each metric, and over what factor.

    Parameters
    ----------
    series
        Cross-entropies of predictions.
    cluster
        Cluster of each, to average over after the metric is taken; None keeps each curve.
    n_tokens, n_choices
        As `seen_as`.
    level, n_shuffles, seed
        As `quantascope.families.emergence.find_emergence`.

    Returns
    -------
    pa.Table
        One row a metric and curve: metric, curve, and the columns of `Emergence`. A curve whose
        `width` differs between metrics by more than a `gap` is sharp by its metric.
    """
    parts = []
    for metric in METRICS:
        seen = seen_as(series, metric, n_tokens=n_tokens, n_choices=n_choices)
        seen = seen if cluster is None else seen.averaged(cluster)
        found = find_emergence(seen, level=level, n_shuffles=n_shuffles, seed=seed).to_table()
        n = found.num_rows
        parts.append(
            found.add_column(0, "metric", pa.array([metric] * n, pa.string())).add_column(
                1, "curve", pa.array(np.arange(n))
            )
        )
    return pa.concat_tables(parts)
