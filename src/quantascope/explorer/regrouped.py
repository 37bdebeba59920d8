"""When clusters that people merged or split were learned: as those of the clustering, beside them.

The mean curve of all members of such a cluster stands among the curves of the clustering, so that
noise is measured on as many curves; what is said of the others stays as it was.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.families.classes import MOST_LEVELS
from quantascope.families.curves import LossCurves
from quantascope.families.emergence import Emergence, find_emergence
from quantascope.families.series import Series
from quantascope.reader.annotations import Group
from quantascope.reader.curves import Over, run_series
from quantascope.reader.families import Emerged

__all__ = ["with_groups"]

_MOST_BESIDE: Final = 2_000
"""Curves of the clustering beside which new ones are tested; of more an even draw by rank."""


def with_groups(
    own: Emerged, curves: LossCurves, groups: Sequence[Group], *, over: Over
) -> Emerged:
    """Add clusters made by hand to what is known of the clustering's.

    Parameters
    ----------
    own
        When the clustering's own were learned.
    curves
        Curves of the clustered predictions, by prediction.
    groups
        Clusters made by hand.
    over
        "sizes" or "steps", as in `own`.

    Returns
    -------
    Emerged
        Rows of `own`, then one a group; which of all change at all is judged over all together.
    """
    means = _means(curves, groups, over)
    n = len(own.series.losses)
    beside = np.unique(np.linspace(0, n - 1, min(n, _MOST_BESIDE)).astype(np.int64))
    both = np.concatenate([own.series.losses[beside], means.losses])
    found = find_emergence(replace(own.series, losses=both), level=own.found.level)
    rows = slice(len(both) - len(groups), None)
    sizes = np.array([len(group.preds) for group in groups])
    share = None if own.frequency is None else _share(own, sizes)
    return replace(
        own,
        keys=np.append(own.keys, [group.id for group in groups]),
        n_preds=np.append(own.n_preds, sizes),
        series=replace(own.series, losses=np.concatenate([own.series.losses, means.losses])),
        found=_joined(own.found, found, rows),
        frequency=share,
    )


def _means(curves: LossCurves, groups: Sequence[Group], over: Over) -> Series:
    """Average the curves of each group's members, at the levels of the clustering's series."""
    losses = [
        curves.losses[np.searchsorted(curves.pred, group.preds)].mean(axis=0, dtype=np.float64)
        for group in groups
    ]
    made = LossCurves(
        pred=np.arange(len(groups)), losses=np.stack(losses), checkpoints=curves.checkpoints
    )
    return run_series(made, over, complete=False).thinned(MOST_LEVELS)


def _share(own: Emerged, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    assert own.frequency is not None
    return np.append(own.frequency, sizes * own.frequency.sum() / own.n_preds.sum())


def _joined(first: Emergence, second: Emergence, rows: slice) -> Emergence:
    """Put rows of one finding behind another."""
    arrays: dict[str, Any] = {
        each.name: np.concatenate([getattr(first, each.name), getattr(second, each.name)[rows]])
        for each in fields(Emergence)
        if isinstance(getattr(first, each.name), np.ndarray)
    }
    return replace(first, **arrays)
