"""The mean loss of a run's family taken apart by clusters, n-grams or skills.

Enter: a run whose curves stand. Leave: a frozen result; nothing is written. Clusters are made of
selected predictions, and these are selected for a low loss: what they stand for is said beside what
they carry. Their parts are shares of all predictions, whose mean loss is known exactly; n-grams and
skills are taken of the random sample.
"""

from typing import Final

import numpy as np
import pandas as pd

from quantascope.families.breakdown import Breakdown, break_down, find_level
from quantascope.families.curves import LossCurves
from quantascope.families.decompose import Parts, make_parts
from quantascope.families.exponents import UseExponent
from quantascope.laws.powerlaw import fit_power_law
from quantascope.reader.curves import read_curves
from quantascope.reader.families import Over, run_series
from quantascope.reader.groups import Groups, check_by, read_groups
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["run_decomposition", "use_exponent"]

_LEAST: Final = 20


def run_decomposition(
    run: RunFolder,
    *,
    by: str = "cluster",
    over: Over = "sizes",
    at: float | None = None,
    first: float | None = None,
    last: float | None = None,
    complete: bool = True,
    least: int = _LEAST,
) -> Breakdown:
    """Split the drop of the mean loss between two sizes or steps over groups of predictions.

    Parameters
    ----------
    run
        A run whose curves stand, and for clusters its clusters and fits.
    by
        See `quantascope.reader.groups.read_groups`.
    over, at, complete
        See `quantascope.reader.families.run_series`.
    first, last
        Sizes or steps between which the loss drops; None takes the smallest and the largest.
    least
        Predictions that an n-gram or a skill must have.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    ArtefactError, DataError
        If a stage is missing, or the curves make no family.
    """
    check_by(by)
    curves = read_curves(run, which="all" if by == "cluster" else "sampled")
    groups = read_groups(run, curves.pred, by, least=least)
    if by == "cluster":
        parts, notes = _clusters_of_all(run, curves, groups, over=over, at=at, complete=complete)
    else:
        series = run_series(curves, over, at=at, complete=complete)
        parts = make_parts(series, groups.group)
        notes = [f"of the random sample of {len(curves.pred):,} predictions"]
    return break_down(
        parts,
        groups.names,
        use=use_exponent(run, groups),
        first=find_level(parts.series, first, default=0),
        last=find_level(parts.series, last, default=len(parts.series.x) - 1),
        notes=notes,
    )


def _clusters_of_all(
    run: RunFolder,
    curves: LossCurves,
    groups: Groups,
    *,
    over: Over,
    at: float | None,
    complete: bool,
) -> tuple[Parts, list[str]]:
    """Weigh clusters by their share of all predictions, whose mean loss every model has."""
    preds = read_table(run.stage("curves"), "preds.parquet").to_pandas()
    sampled = preds["sampled"].to_numpy()
    kept = (groups.group >= 0) | sampled  # the rest at hand is a random sample of it
    models = read_table(run.stage("losses"), "models.parquet").sort_by("model").to_pandas()
    whole = LossCurves(
        pred=np.array([-1]),
        losses=models["mean_loss_nats"].to_numpy(dtype=np.float64)[None],
        checkpoints=curves.checkpoints,
    )
    mine = LossCurves(
        pred=curves.pred[kept], losses=curves.losses[kept], checkpoints=curves.checkpoints
    )
    parts = make_parts(
        run_series(mine, over, at=at, complete=complete),
        groups.group[kept],
        whole=run_series(whole, over, at=at, complete=complete).losses[0],
        n_whole=int(run.require("curves").facts["n_predictions"]),
    )
    return parts, _what_clusters_stand_for(run, curves, preds)


def _what_clusters_stand_for(run: RunFolder, curves: LossCurves, preds: pd.DataFrame) -> list[str]:
    """Say how the clustered predictions were chosen, and of how many like them."""
    facts = run.require("selection").facts
    sampled = preds["sampled"].to_numpy()
    column = np.flatnonzero(curves.checkpoints.name == facts.get("model"))
    if not len(column) or not sampled.any():
        return []
    solved = curves.losses[sampled, column[0]] < facts["threshold_nats"]
    n_solved = solved.mean() * run.require("curves").facts["n_predictions"]
    if not n_solved:
        return []
    chosen = min(facts["n_preds"] / n_solved, 1.0)
    return [
        f"clusters are made of {facts['n_preds']:,} predictions that {facts['model']} solves "
        f"(below {facts['threshold_nats']:g} nat), {chosen:.1%} of about {n_solved:,.0f} such "
        f"({solved.mean():.1%} of all): if they stood for these, all parts of clusters would be "
        f"{1 / chosen:.3g} times as large",
        "chosen for a low loss at the end, they fall further than others would: what they carry is "
        "true of them, not of predictions drawn at random",
    ]


def use_exponent(run: RunFolder, groups: Groups) -> UseExponent:
    """Give the exponent of use: of clusters the calibrated slope where there is one.

    Of n-grams and skills it is the least-squares slope of frequency against rank, not calibrated.
    """
    n_tasks = float(len(groups.names))
    if groups.by == "cluster":
        return _from_fits(run, n_tasks)
    frequency = np.sort(groups.frequency)[::-1]
    line = fit_power_law(np.arange(1, len(frequency) + 1), frequency, min_points=3)
    return UseExponent(
        alpha=-line.exponent - 1,
        lo=-line.hi - 1,
        hi=-line.lo - 1,
        calibrated=False,
        source=f"frequency against rank of {len(frequency)} groups ({groups.by})",
        n_tasks=n_tasks,
        reason=line.reason,
    )


def _from_fits(run: RunFolder, n_tasks: float) -> UseExponent:
    run.require("fits")
    fits = read_table(run.stage("fits"), "fits.parquet").to_pandas().set_index("name")
    rows = fits[fits.index.str.startswith("calibrated_") & fits["calibrated"].astype(bool)]
    calibrated = len(rows) > 0
    row = rows.iloc[0] if calibrated else fits.loc["envelope_slope"]
    return UseExponent(
        alpha=-float(row["estimate"]) - 1,
        lo=_or(-float(row["hi"]) - 1, -np.inf),
        hi=_or(-float(row["lo"]) - 1, np.inf),
        calibrated=calibrated,
        source=f"{row.name}, slope {row['estimate']:.3g}",
        n_tasks=n_tasks,
        reason=str(row["reason"] or ""),
    )


def _or(value: float, otherwise: float) -> float:
    return value if np.isfinite(value) else otherwise
