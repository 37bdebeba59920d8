"""Groups of a run's predictions for forecasts: as they are now, and found again later.

A forecast keeps which predictions its groups have, so that it can be scored when the run has been
clustered anew.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.families.curves import Checkpoints, make_curves
from quantascope.families.forecast.seen import Seen, see
from quantascope.families.series import Scale, Series
from quantascope.reader.curves import Over, read_curves, run_series, size_of_steps
from quantascope.reader.groups import check_by, read_groups
from quantascope.reader.probes import probe_series, read_probes
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["ALIKE", "Grouped", "group_run", "series_now"]

ALIKE: Final = 0.02
"""Relative difference up to which a size or step that came is the one that was foretold."""
_NAMED: Final = ("cluster", "skill")
_OVER: Final[dict[Scale, Over]] = {"n_params": "sizes", "step": "steps", "n_unique": "data"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouped:
    """Curves of a run's groups over all its levels."""

    by: str
    keys: NDArray[np.str_]
    """Ids of clusters, n-grams, names of skills or of one's own; axis ``group``."""
    whole: Seen
    members: pd.DataFrame
    """Predictions of each group: group, pred, token; empty for probes."""
    n_params: float | None
    """The size whose steps these are; None over sizes."""
    parents: dict[str, str]
    """Digests of the stages that the groups and curves came from."""
    caution: str
    """What a reader must know of how these predictions were chosen."""


def group_run(
    run: RunFolder,
    *,
    by: str = "cluster",
    over: Over = "sizes",
    at: float | None = None,
    complete: bool = True,
    least: int = 5,
) -> Grouped:
    """Average a run's curves over groups.

    Parameters
    ----------
    run
        The run.
    by
        "cluster", "ngram:N", "skill" or a table (see `quantascope.reader.groups.read_groups`):
        clusters of selected predictions, the others of the random sample; or "probe": skills of
        the run's probes.
    over, at, complete
        See `quantascope.reader.curves.run_series`.
    least
        Predictions that a group must have; the mean of fewer says little.

    Raises
    ------
    ArtefactError, DataError
        If what is needed does not stand, or makes no family.
    """
    check_by(by, others=("probe",))
    if by == "probe":
        return _group_probes(run, over=over, at=at, complete=complete)
    curves = read_curves(run, which="selected" if by == "cluster" else "sampled")
    tokens = np.asarray(open_array(run.stage("corpus"), "corpus", name="tokens.npy"))[curves.pred]
    groups = read_groups(run, curves.pred, by, least=least)
    group, kept, n = groups.group, groups.group >= 0, groups.n_preds
    series = run_series(curves, over, at=at, complete=complete).averaged(group)
    kinds = ("curves", "clusters") if by == "cluster" else ("curves",)
    columns = {"group": group[kept], "pred": curves.pred[kept], "token": tokens[kept]}
    size = size_of_steps(curves.checkpoints) if at is None else at
    return Grouped(
        by=by if by in _NAMED or by.startswith("ngram:") else "group",
        keys=groups.names,
        whole=see(series, frequency=n / n.sum(), n_preds=n),
        members=pd.DataFrame({k: v.astype(np.int64) for k, v in columns.items()}),
        n_params=None if over == "sizes" else size,
        parents={kind: run.require(kind).digest for kind in kinds},
        caution=_caution(run) if by == "cluster" else "",
    )


def series_now(run: RunFolder, config: dict[str, Any], tables: dict[str, pa.Table]) -> Series:
    """Give the curves of a forecast's groups as the run has them now.

    Parameters
    ----------
    run
        The run.
    config, tables
        Of the forecast: its settings, its groups and their members.

    Raises
    ------
    DataError
        If the run's text is another by now, or a probe is gone.
    """
    over = _OVER[config["scale"]]
    if config["by"] == "probe":
        now = _group_probes(run, over=over, at=config["n_params"], complete=False)
        place = {key: i for i, key in enumerate(now.keys.tolist())}
        wanted = tables["groups"]["key"].to_pylist()
        gone = [key for key in wanted if key not in place]
        if gone:
            raise DataError(f"{run.root}: skill {gone[0]!r} is no longer among the probes")
        return now.whole.series.rows(np.array([place[key] for key in wanted]))
    members = tables["members"].to_pandas()
    pred = members["pred"].to_numpy()
    tokens = np.asarray(open_array(run.stage("corpus"), "corpus", name="tokens.npy"))
    if pred.max() >= len(tokens) or (tokens[pred] != members["token"].to_numpy()).any():
        raise DataError(
            f"{run.root}: its text is no longer that of the forecast; the predictions are others"
        )
    run.require("losses")
    losses = open_array(run.stage("losses"), "losses", name="losses.zarr")
    models = read_table(run.stage("losses"), "models.parquet").sort_by("model")
    columns = [np.asarray(losses[:, j])[pred] for j in range(models.num_rows)]
    curves = make_curves(
        pred, np.stack(columns, axis=1), checkpoints=Checkpoints.from_table(models)
    )
    series = run_series(curves, over, at=config["n_params"], complete=False)
    return series.averaged(members["group"].to_numpy())


def _group_probes(run: RunFolder, *, over: Over, at: float | None, complete: bool) -> Grouped:
    found = probe_series(run, over, at=at, complete=complete)
    size = None
    if over != "sizes":
        size = at if at is not None else size_of_steps(read_probes(run).checkpoints)
    return Grouped(
        by="probe",
        keys=found.keys,
        whole=see(found.series, n_preds=found.n_items),
        members=pd.DataFrame({k: np.zeros(0, np.int64) for k in ("group", "pred", "token")}),
        n_params=size,
        parents={"losses": run.require("losses").digest},
        caution="",
    )


def _caution(run: RunFolder) -> str:
    """Say what selection by low loss does to forecasts of clusters."""
    models = read_table(run.stage("losses"), "models.parquet").to_pandas()
    largest = models.sort_values(["n_params", "step"]).iloc[-1]["name"]
    return (
        f"clusters hold predictions chosen for a low loss under a model of the run ({largest}, if "
        "not set otherwise): a backtest on that model knows its answer in part; ngrams do not"
    )
