"""What the curves of a run show: when groups of predictions, or single ones, were learned.

Enter: a run whose curves stand. Leave: frozen results; nothing is written.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from quantascope.families.classes import MOST_LEVELS
from quantascope.families.curves import LossCurves
from quantascope.families.emergence import Emergence, find_emergence
from quantascope.families.metrics import emergence_by_metric
from quantascope.families.order import LearnedOrder, crossing_bounds, learned_order
from quantascope.families.series import Series
from quantascope.reader.curves import Over, Which, read_curves, run_series
from quantascope.reader.groups import Groups, check_by, read_groups
from quantascope.reader.probes import probe_series
from quantascope.store.folder import RunFolder

__all__ = ["Emerged", "Over", "run_emergence", "run_series"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Emerged:
    """When groups of predictions, or single ones, were learned."""

    by: str
    keys: NDArray[Any]
    """Ids of clusters by rank, n-grams or skills by frequency, skills of probes, or preds."""
    n_preds: NDArray[np.int64]
    """Predictions, or items of a probe, behind each curve."""
    series: Series
    found: Emergence
    frequency: NDArray[np.float64] | None = None
    """Share of use; None for single predictions."""
    frequency_of: str = ""
    """What it is a share of."""
    metrics: pa.Table | None = None
    """As `quantascope.families.metrics.emergence_by_metric`, where asked."""

    @cached_property
    def places(self) -> dict[Any, int]:
        """Row of each key."""
        return {key: i for i, key in enumerate(self.keys.tolist())}

    @cached_property
    def changed(self) -> NDArray[np.bool_]:
        """Tell which curves change with size or step at all.

        By the procedure of Benjamini and Hochberg over all curves, at ``1 - level``.
        """
        p = self.found.p_change
        return np.asarray(false_discovery_control(p) <= 1 - self.found.level) if len(p) else p > 0

    @property
    def order(self) -> LearnedOrder | None:
        """Order of learning against frequency; what does not change, or rises, is not learned."""
        if self.frequency is None:
            return None
        means = self.series.level_means()
        earliest, latest = crossing_bounds(self.series.x, means, self.found.threshold)
        learned = self.changed & (self.found.drop > 0)
        earliest = np.where(learned, earliest, self.series.x[-1])
        return learned_order(self.frequency, earliest, np.where(learned, latest, np.inf))

    def sharp_by_metric(self, metric: str) -> NDArray[np.bool_]:
        """Tell which curves have a narrower drop in a metric than in the loss, by a gap or more.

        Raises
        ------
        ValueError
            If the metrics were not asked for.
        """
        if self.metrics is None:
            raise ValueError("metrics: not measured; ask for them")
        table = self.metrics.to_pandas()
        loss, other = (table[table["metric"] == name] for name in ("loss", metric))
        gap = np.fmax(loss["gap"].to_numpy(), other["gap"].to_numpy())
        narrower = loss["width"].to_numpy() - other["width"].to_numpy() >= gap
        return np.asarray(narrower & self.changed)

    def as_dict(self) -> dict[str, Any]:
        """Give all as plain values, for JSON."""
        facts = {"by": self.by, "over": self.series.scale, "levels": self.series.x.tolist()}
        order, metrics = self.order, self.metrics
        return facts | {
            "method": self.found.method,
            "order": None if order is None else asdict(order),
            "rows": self.to_table().to_pylist(),
            "metrics": None if metrics is None else metrics.to_pylist(),
        }

    def to_table(self) -> pa.Table:
        """Make an Arrow table with one row a curve."""
        table = self.found.to_table().add_column(0, self.by.split(":")[0], pa.array(self.keys))
        table = table.add_column(1, "n_preds", pa.array(self.n_preds))
        if self.frequency is not None:
            table = table.append_column("frequency", pa.array(self.frequency))
        return table.append_column("changed", pa.array(self.changed))


def run_emergence(
    run: RunFolder,
    *,
    by: str = "cluster",
    over: Over = "sizes",
    at: float | None = None,
    which: Which = "sampled",
    complete: bool = True,
    threshold: float | None = None,
    level: float = 0.95,
    least: int = 20,
    metrics: bool = False,
    n_tokens: int = 5,
    seed: int = 0,
) -> Emerged:
    """Find when groups of predictions, single ones or probes were learned.

    Of more than 64 levels so many are taken, evenly in logs.

    Parameters
    ----------
    run
        A run whose curves stand; with "cluster" its clusters too; with "probe" its probes alone.
    by
        "cluster", "ngram:N", "skill" (see `quantascope.reader.groups.read_groups`): curves are
        averaged over the members of a group within every training run; "pred"; or "probe": the
        losses [nat per token] of a skill's items.
    over, at, complete
        See `run_series`.
    which
        Predictions; clusters are of selected ones whatever this says.
    least
        Predictions that an n-gram or a skill must have.
    metrics, n_tokens
        Also look at the same curves in accuracy, exact match of so many tokens, and Brier score.
    threshold, level, seed
        See `quantascope.families.emergence.find_emergence`.

    Raises
    ------
    ArtefactError, DataError
        If there are no curves or clusters, or nothing could be tested.
    """
    check_by(by, others=("pred", "probe"))
    if by == "probe":
        return _emerged_probes(
            run, over, at=at, complete=complete, threshold=threshold, level=level, seed=seed
        )
    curves = read_curves(run, which="selected" if by == "cluster" else which)
    series = run_series(curves, over, at=at, complete=complete).thinned(MOST_LEVELS)
    group, facts = None, _singles(curves)
    if by != "pred":
        groups = read_groups(run, curves.pred, by, least=least)
        group, facts = groups.group, _grouped(groups)
    averaged = series if group is None else series.averaged(group)
    found = find_emergence(averaged, threshold=threshold, level=level, seed=seed)
    by_metric = None
    if metrics:
        by_metric = emergence_by_metric(
            series, cluster=group, n_tokens=n_tokens, level=level, seed=seed
        )
    kind = "group" if by.endswith(".parquet") else by
    return Emerged(by=kind, series=averaged, found=found, metrics=by_metric, **facts)


def _singles(curves: LossCurves) -> dict[str, Any]:
    return {"keys": np.asarray(curves.pred), "n_preds": np.ones(len(curves.pred), dtype=np.int64)}


def _grouped(groups: Groups) -> dict[str, Any]:
    return {
        "keys": groups.names,
        "n_preds": groups.n_preds,
        "frequency": groups.frequency,
        "frequency_of": groups.meaning,
    }


def _emerged_probes(
    run: RunFolder,
    over: Over,
    *,
    at: float | None,
    complete: bool,
    threshold: float | None,
    level: float,
    seed: int,
) -> Emerged:
    skills = probe_series(run, over, at=at, complete=complete)
    return Emerged(
        by="probe",
        keys=skills.keys,
        n_preds=skills.n_items,
        series=skills.series,
        found=find_emergence(skills.series, threshold=threshold, level=level, seed=seed),
    )
