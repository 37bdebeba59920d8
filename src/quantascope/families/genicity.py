"""Monogenic and polygenic predictions: the paper's rules, and what becomes of them over seeds.

Losses of one model a size enter, sizes ascending. A prediction is monogenic at a size if every
smaller model fails it and this model and all larger ones solve it; it is polygenic if its loss
falls along a straight line in log size. Both rules look at one run a size, so chance can make
either; `rule_by_class` and `agreement` say how much of it does.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

__all__ = ["Genicity", "agreement", "paper_rules", "rule_by_class"]

Floats = NDArray[np.float64]

_FAILED: Final = 5.0
"""Loss above which a prediction counts as failed [nat]."""
_SOLVED: Final = 0.3
"""Loss below which it counts as solved [nat]."""
_SLOPE: Final = -0.3
"""Slope below which a straight line falls enough [nat per unit of ln(parameters)]."""
_FIT: Final = 0.98
"""Coefficient of determination above which a line is straight."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Genicity:
    """What the paper's rules say of each prediction, axis ``pred``."""

    monogenic_at: NDArray[np.int64]
    """Place of the size from which on a monogenic prediction is solved; -1 for others."""
    polygenic: NDArray[np.bool_]
    slope: Floats
    """Of the loss in ln(parameters) [nat]."""
    r_squared: Floats
    """0 for a loss that is the same at all sizes."""

    @property
    def monogenic(self) -> NDArray[np.bool_]:
        """Tell which predictions are monogenic."""
        return self.monogenic_at >= 0

    def to_table(self, pred: NDArray[np.int64]) -> pa.Table:
        """Make an Arrow table with one row a prediction."""
        return pa.table(
            {
                "pred": pred,
                "monogenic_at": self.monogenic_at,
                "polygenic": self.polygenic,
                "slope": self.slope,
                "r_squared": self.r_squared,
            }
        )


def paper_rules(
    losses: NDArray[np.floating[Any]],
    n_params: ArrayLike,
    *,
    failed: float = _FAILED,
    solved: float = _SOLVED,
    slope: float = _SLOPE,
    r_squared: float = _FIT,
) -> Genicity:
    """Sort predictions by the paper's rules.

    Monogenic at size j (the second or a later one): loss > 5.0 nat under every smaller model and
    < 0.3 nat under model j and all larger ones. Polygenic: least squares of the loss on
    ln(parameters) with a slope < -0.3 and R^2 > 0.98.

    Parameters
    ----------
    losses
        Loss [nat], axes ``pred model``, one model a size.
    n_params
        Non-embedding parameters, ascending, axis ``model``.
    failed, solved, slope, r_squared
        The thresholds; the defaults are the paper's.

    Raises
    ------
    ValueError
        If sizes do not ascend or shapes do not fit.

    References
    ----------
    arXiv:2303.13506, section 5 and figures 4 and A6; rules as in the notebook
    diverse-scaling-examples of github.com/ejmichaud/quantization-model.

    Examples
    --------
    >>> losses = np.array([[6.0, 5.5, 0.1], [6.0, 4.0, 2.0], [6.0, 0.2, 0.4]])
    >>> found = paper_rules(losses, [1e6, 1e7, 1e8])
    >>> found.monogenic_at.tolist(), found.polygenic.tolist()
    ([2, -1, -1], [False, True, False])
    """
    sizes = np.asarray(n_params, dtype=np.float64)
    if losses.ndim != 2 or losses.shape[1] != len(sizes) or len(sizes) < 2:
        raise ValueError(
            f"losses: shape {losses.shape} found for {len(sizes)} sizes; allowed is one column a "
            "size, two or more"
        )
    if not ((sizes[1:] > sizes[:-1]).all() and sizes[0] > 0 and np.isfinite(sizes).all()):
        raise ValueError("n_params: allowed are ascending numbers above 0, one model a size")
    return Genicity(
        monogenic_at=_monogenic_at(losses > failed, losses < solved),
        **_line(losses, np.log(sizes), steepest=slope, straightest=r_squared),
    )


def _monogenic_at(failed: NDArray[np.bool_], solved: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find where failing gives way to solving without a model between."""
    n_failed = np.logical_and.accumulate(failed, axis=1).sum(axis=1)
    n_solved = np.logical_and.accumulate(solved[:, ::-1], axis=1).sum(axis=1)
    n_models = failed.shape[1]
    good = (n_failed + n_solved == n_models) & (n_failed > 0) & (n_solved > 0)
    return np.where(good, n_failed, -1)


def _line(
    losses: NDArray[np.floating[Any]], t: Floats, *, steepest: float, straightest: float
) -> dict[str, Any]:
    t = t - t.mean()
    y = losses.astype(np.float64)
    y -= y.mean(axis=1, keepdims=True)
    slope = y @ t / (t @ t)
    total = (y**2).sum(axis=1)
    explained = slope**2 * (t @ t)
    fit = np.divide(explained, total, out=np.zeros_like(total), where=total > 0)
    straight = (slope < steepest) & (fit > straightest)
    return {"polygenic": straight, "slope": slope, "r_squared": fit}


def rule_by_class(rule: NDArray[np.bool_], name: NDArray[np.str_]) -> pa.Table:
    """Count the classes of the seed test among the predictions that a rule picks.

    Parameters
    ----------
    rule
        Whether the rule picks each prediction, axis ``pred``.
    name
        Class of each, as `quantascope.families.classes.classify` gives it.

    Returns
    -------
    pa.Table
        One row a class: how many the rule picks, their share of all it picks, how many there are.
    """
    if rule.shape != name.shape:
        raise ValueError(f"rule, name: shapes {rule.shape}, {name.shape}; allowed are equal ones")
    classes, place = np.unique(name, return_inverse=True)
    picked = np.bincount(place, weights=rule, minlength=len(classes)).astype(np.int64)
    share = picked / max(int(rule.sum()), 1)
    return pa.table({"class": classes, "picked": picked, "share": share, "all": np.bincount(place)})


def agreement(rule: NDArray[np.bool_]) -> Floats:
    """Give the chance that what a rule picks in one seed it picks in another.

    Parameters
    ----------
    rule
        Whether the rule picks each prediction by the runs of each seed, axes ``pred seed``.

    Returns
    -------
    NDArray[np.float64]
        Axes ``seed seed``: of the picks of the row's seed, the share that the column's seed picks
        too. 1 on the diagonal, NaN where a seed picks nothing.

    Examples
    --------
    >>> agreement(np.array([[True, True], [True, False]])).tolist()
    [[1.0, 0.5], [1.0, 1.0]]
    """
    picks = rule.astype(np.float64)
    both = picks.T @ picks
    with np.errstate(invalid="ignore"):
        return np.asarray(both / np.diag(both)[:, None])
