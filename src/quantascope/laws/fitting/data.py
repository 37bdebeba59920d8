"""The points of a fit: inputs, response, weights and groups, checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantascope.laws.forms.law import Floats, Law

__all__ = ["MAX_POINTS", "Points", "read_points"]

MAX_POINTS: Final = 200_000
"""More points than this are refused: a loss at every step of a run is thinned first."""

_WEIGHTS: Final = (1e-9, 1e9)
_WEIGHTS_SAID: Final = "that are 0 or from 1e-9 to 1e9"


@dataclass(frozen=True, kw_only=True)
class Points:
    """Checked points of a law."""

    inputs: Floats
    """Axes ``input point``, positive."""
    response: Floats
    """Axis ``point``; positive, or not negative where residuals are raw."""
    weights: Floats
    """Axis ``point``, positive."""
    groups: NDArray[np.int64] | None
    """Cluster of each point (its run), axis ``point``."""

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.response)

    @property
    def n_groups(self) -> int:
        """Number of groups, 0 where points stand for themselves."""
        return 0 if self.groups is None else int(self.groups.max()) + 1

    def take(self, index: NDArray[Any]) -> "Points":
        """Keep some of the points."""
        groups = None if self.groups is None else self.groups[index]
        return replace(
            self,
            inputs=self.inputs[:, index],
            response=self.response[index],
            weights=self.weights[index],
            groups=groups,
        )

    def resource(self, law: Law) -> Floats:
        """Logarithm of the resource by which extrapolations are ordered, axis ``point``."""
        return np.asarray(np.array(law.order) @ np.log(self.inputs))


def read_points(
    law: Law,
    data: Mapping[str, ArrayLike],
    *,
    response: str,
    group: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    raw: bool = False,
) -> Points:
    """Check the columns of a fit.

    Parameters
    ----------
    law
        Its inputs must be columns of ``data``.
    data
        Columns by name.
    response
        Name of the response's column.
    group
        Run of each point, any labels.
    weights
        Weight of each point, not negative; a point of weight 0 is left out.
    raw
        Whether residuals are in the response's own unit, so that zeros are allowed.

    Raises
    ------
    ValueError
        If a column is missing, or a value is not a finite number of the allowed range; the
        message names column, row and value.
    """
    needed = (*law.inputs, response)
    missing = [name for name in needed if name not in data]
    if missing:
        raise ValueError(
            f"data: no column {', '.join(missing)}; law {law.name} needs {', '.join(needed)}, "
            f"found {', '.join(map(str, list(data)[:12])) or 'none'}"
        )
    columns = {name: _numbers(name, data[name]) for name in needed}
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"data: columns of unequal length ({counts})")
    n = counts[response]
    if not n:
        raise ValueError("data: no points; a law needs some")
    if n > MAX_POINTS:
        raise ValueError(
            f"data: {n:,} points; allowed are {MAX_POINTS:,}, thin runs to log-spaced steps first"
        )
    for name in law.inputs:
        _check(name, columns[name], columns[name] > 0, "> 0")
    values = columns[response]
    _check(response, values, values >= 0 if raw else values > 0, ">= 0" if raw else "> 0")
    if not values.max() > 0:
        raise ValueError(f"{response}: all values are 0; a law needs some above")
    weight = _weights(weights, n)
    kept = weight > 0  # a point without weight is left out, also of every count
    labels = None if group is None else _labels(group, n)[kept]
    return Points(
        inputs=np.stack([columns[name][kept] for name in law.inputs]),
        response=values[kept],
        weights=weight[kept],
        groups=None if labels is None else _groups(labels),
    )


def _numbers(name: str, column: ArrayLike) -> Floats:
    try:
        if np.iscomplexobj(column):
            raise TypeError("complex numbers")
        return np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan).ravel()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: not a column of numbers ({str(error)[:60]!r})") from None


def _check(name: str, values: Floats, good: NDArray[np.bool_], allowed: str) -> None:
    bad = ~(np.isfinite(values) & good)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{name}: {values[row]} at row {row + 1}; allowed are finite numbers {allowed}"
        )


def _weights(weights: ArrayLike | None, n: int) -> Floats:
    if weights is None:
        return np.ones(n)
    found = _numbers("weights", weights)
    if len(found) != n:
        raise ValueError(f"weights: {len(found)} for {n} points")
    _check("weights", found, found >= 0, ">= 0")
    least, most = _WEIGHTS
    _check("weights", found, (found == 0) | ((found >= least) & (found <= most)), _WEIGHTS_SAID)
    if not (found > 0).any():
        raise ValueError("weights: all are 0")
    return found


def _labels(group: ArrayLike, n: int) -> NDArray[np.str_]:
    labels = np.asarray(group).ravel()
    if len(labels) != n:
        raise ValueError(f"group: {len(labels)} labels for {n} points")
    if any(label is None or str(label) == "nan" for label in labels.tolist()):
        raise ValueError("group: a label is missing (NaN); name the run of every point")
    return np.asarray(labels.astype(str))


def _groups(labels: NDArray[np.str_]) -> NDArray[np.int64]:
    found = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    if len(found) and found.max() == 0:
        raise ValueError("group: one group holds all points; allowed are two or more, or no group")
    return found
