"""Read the artefact `curves/`: checked loss curves, the distribution of losses, a summary.

Nothing is read that does not belong together: curves of an earlier corpus or of other losses are
refused.
"""

from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantascope.core.errors import ArtefactError, DataError
from quantascope.families.curves import Checkpoints, LossCurves, make_curves
from quantascope.families.distribution import FIRST_BIN, LossDistribution
from quantascope.families.series import Series, over_data, over_sizes, over_steps
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.status import stage_status
from quantascope.store.tables import read_table

__all__ = [
    "Over",
    "Which",
    "curves_summary",
    "read_curves",
    "read_distribution",
    "run_series",
    "size_of_steps",
]

Over = Literal["sizes", "steps", "data"]
Which = Literal["all", "sampled", "selected"]

_EARLY, _LATE = 50, 500
"""Positions between which the in-context gain is read, arXiv:2209.11895."""
_WHICH: Final = ("all", "sampled", "selected")


def read_curves(run: RunFolder, *, which: Which = "all") -> LossCurves:
    """Read loss curves of a family.

    Parameters
    ----------
    run
        A run whose curves stand.
    which
        "sampled" takes the random sample of all predictions, "selected" the selection, "all" both.

    Returns
    -------
    LossCurves
        Predictions ascending; checkpoints as in the run's table of models.

    Raises
    ------
    ArtefactError
        If the curves are missing or rest on an earlier state of corpus, losses or selection.
    DataError
        If the run's models make no family.
    """
    if which not in _WHICH:
        raise ValueError(f"which: {which!r} found; allowed are {', '.join(_WHICH)}")
    _check_current(run)
    folder = run.stage("curves")
    preds = read_table(folder, "preds.parquet").to_pandas()
    losses = np.asarray(open_array(folder, "curves", name="curves.zarr")[:, :])
    if which != "all":
        kept = preds[which].to_numpy()
        preds, losses = preds[kept], losses[kept]
    models = read_table(run.stage("losses"), "models.parquet").sort_by("model")
    if models.num_rows < 2:
        raise DataError(
            f"{run.root}: a family of one model, {models['name'][0]}; curves need two sizes or "
            "steps, or more"
        )
    return make_curves(preds["pred"].to_numpy(), losses, checkpoints=Checkpoints.from_table(models))


def run_series(
    curves: LossCurves,
    over: Over,
    *,
    at: float | None = None,
    complete: bool = True,
) -> Series:
    """Cut a run's curves over sizes, over steps or over amounts of text.

    Parameters
    ----------
    curves
        Of the run.
    over
        "sizes", "steps" or "data".
    at
        The step at which sizes are compared, None for the last of each run; or the size whose
        steps or amounts of text are taken, None for the one with most checkpoints, the largest of
        several.
    complete
        Refuse sizes that lack a seed.
    """
    if over not in ("sizes", "steps", "data"):
        raise ValueError(f"over: {over!r} found; allowed are sizes, steps and data")
    if over == "sizes":
        return over_sizes(curves, step=at, complete=complete)
    at = size_of_steps(curves.checkpoints) if at is None else at
    return (over_steps if over == "steps" else over_data)(curves, n_params=at)


def size_of_steps(checkpoints: Checkpoints) -> float:
    """Give the size with most checkpoints, the largest of several."""
    sizes, n = np.unique(checkpoints.n_params, return_counts=True)
    return float(sizes[n == n.max()][-1])


def read_distribution(run: RunFolder) -> tuple[pd.DataFrame, LossDistribution]:
    """Read how losses of all predictions are distributed.

    Returns
    -------
    tuple[pandas.DataFrame, LossDistribution]
        Models by size, step and seed; and their distributions in the same order, persistence left
        out (it stands in ``persistence.parquet``).
    """
    _check_current(run)
    models = read_table(run.stage("losses"), "models.parquet").to_pandas()
    models = models.sort_values(["n_params", "step", "seed", "model"], ignore_index=True)
    table = read_table(run.stage("curves"), "distribution.parquet").to_pandas()
    found = LossDistribution(len(models))
    place = np.argsort(models["model"].to_numpy())[table["model"].to_numpy()]
    found.counts[place, np.rint(table["lo"].to_numpy() / FIRST_BIN).astype(np.int64)] = table[
        "count"
    ]
    found.n_preds = int(run.require("curves").facts["n_predictions"])
    found.sums[:] = models["mean_loss_nats"].to_numpy() * found.n_preds
    return models, found


def curves_summary(run: RunFolder) -> dict[str, Any]:
    """Say of each checkpoint what it loses in the mean, what it has solved, what context gives it.

    Returns
    -------
    dict[str, Any]
        ``models``: a row a checkpoint, by size, step and seed (``share_solved``: losses in the
        paper's first bin, below 0.018 bit; ``context_gain_nats``: mean loss around position 50
        less that around 500, None in shorter text); ``persistence``: as in the artefact.
    """
    models, found = read_distribution(run)
    positions = read_table(run.stage("curves"), "positions.parquet").to_pandas()
    models["share_solved"] = found.share_solved()
    models["context_gain_nats"] = _gain(positions)[models["model"].to_numpy()]
    columns = ["name", "n_params", "step", "seed", "n_tokens"]
    columns += ["mean_loss_nats", "share_solved", "context_gain_nats"]
    rows = models[columns].astype(object).where(models[columns].notna(), None)
    facts = run.require("curves").facts
    persistence = read_table(run.stage("curves"), "persistence.parquet").to_pylist()
    names = models.set_index("model")["name"]
    for row in persistence:
        row["model"] = names[row["model"]]
    return facts | {"models": rows.to_dict("records"), "persistence": persistence}


def _gain(positions: pd.DataFrame) -> NDArray[np.float64]:
    """Mean loss early in the context less that late, axis ``model``."""

    def around(pos: int) -> NDArray[np.float64]:
        here = positions[(positions["first_pos"] <= pos) & (positions["last_pos"] >= pos)]
        return here.sort_values("model")["mean_nats"].to_numpy()

    return around(_EARLY) - around(_LATE)


def _check_current(run: RunFolder) -> None:
    status = stage_status(run, "curves", {})
    if status.state != "done":
        why = f" ({status.why})" if status.why else ""
        raise ArtefactError(
            f"{run.root}: curves are {status.state}{why}; make them with "
            f"`quantascope curves {run.root}`"
        )
