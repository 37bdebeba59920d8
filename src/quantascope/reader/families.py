"""What the curves of a run show: which fall at once and which by and by, and when.

Enter: a run whose curves stand. Leave: frozen results; nothing is written.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from quantascope.core.errors import DataError
from quantascope.families.classes import ClassTable, Correction, classify
from quantascope.families.curves import LossCurves, Series, over_sizes
from quantascope.families.emergence import Emergence, find_emergence
from quantascope.families.genicity import Genicity, agreement, paper_rules, rule_by_class
from quantascope.reader.curves import Over, Which, read_curves, run_series
from quantascope.reader.probes import probe_series
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["Emerged", "GenicityReport", "run_emergence", "run_genicity", "run_series"]

_RULES: Final = ("monogenic", "polygenic")


@dataclass(frozen=True, kw_only=True, eq=False)
class GenicityReport:
    """The paper's rules by seed, beside the classes of the seed test."""

    pred: NDArray[np.int64]
    series: Series
    by_seed: dict[int, Genicity]
    """By seed, one run a size."""
    classes: ClassTable | None
    """None where nothing can be tested; `untested` says why."""
    untested: str

    def agreement(self, rule: str) -> NDArray[np.float64]:
        """Give the chance that what a rule picks in one seed it picks in another."""
        return agreement(np.stack([self._picks(seed, rule) for seed in self.by_seed], axis=1))

    def by_class(self, rule: str) -> list[dict[str, Any]]:
        """Count the classes among the picks of a rule, over all seeds' picks together."""
        if self.classes is None:
            return []
        picks = np.concatenate([self._picks(seed, rule) for seed in self.by_seed])
        rows: list[dict[str, Any]] = rule_by_class(
            picks, np.tile(self.classes.name, len(self.by_seed))
        ).to_pylist()
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Give all but single predictions as plain values, for JSON."""
        rules = {
            seed: {rule: int(self._picks(seed, rule).sum()) for rule in _RULES}
            for seed in self.by_seed
        }
        found = None if self.classes is None else self.classes
        return {
            "n_preds": len(self.pred),
            "n_params": self.series.x.tolist(),
            "runs": self.series.n_runs.tolist(),
            "rules": rules,
            "agreement": {rule: self.agreement(rule).tolist() for rule in _RULES},
            "classes": None if found is None else found.counts,
            "level": None if found is None else found.level,
            "method": self.untested if found is None else found.method,
            "by_class": {rule: self.by_class(rule) for rule in _RULES},
        }

    def to_table(self) -> pa.Table:
        """Make an Arrow table with one row a prediction; rules are those of the first seed."""
        table = next(iter(self.by_seed.values())).to_table(self.pred)
        if self.classes is None:
            return table
        classes = self.classes.to_table(self.pred)
        for name in classes.column_names[1:]:
            table = table.append_column(name, classes[name])
        return table

    def _picks(self, seed: int, rule: str) -> NDArray[np.bool_]:
        picks: NDArray[np.bool_] = getattr(self.by_seed[seed], rule)
        return picks


@dataclass(frozen=True, kw_only=True, eq=False)
class Emerged:
    """When clusters or predictions were learned."""

    keys: NDArray[Any]
    """Ids of clusters by rank, or preds, or skills of probes."""
    n_preds: NDArray[np.int64]
    """Predictions, or items of a probe, behind each curve."""
    by: str
    series: Series
    found: Emergence

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Tell which curves change with size or step at all.

        By the procedure of Benjamini and Hochberg over all curves, at ``1 - level``.
        """
        p = self.found.p_change
        return np.asarray(false_discovery_control(p) <= 1 - self.found.level) if len(p) else p > 0

    def to_table(self) -> pa.Table:
        """Make an Arrow table with one row a curve."""
        table = self.found.to_table().add_column(0, self.by, pa.array(self.keys))
        table = table.add_column(1, "n_preds", pa.array(self.n_preds))
        return table.append_column("changed", pa.array(self.changed))


def run_genicity(
    run: RunFolder,
    *,
    which: Which = "sampled",
    step: float | None = None,
    complete: bool = True,
    level: float = 0.05,
    correction: Correction = "bh",
    seed: int = 0,
) -> GenicityReport:
    """Sort predictions by the paper's rules in every seed, and test them against seeds.

    Parameters
    ----------
    run
        A run whose curves stand.
    which
        Predictions, see `quantascope.reader.curves.read_curves`.
    step
        Step at which sizes are compared; None takes the last of each run.
    complete
        Refuse sizes that lack a seed that others have.
    level, correction, seed
        Of the test, see `quantascope.families.classes.classify`.

    Raises
    ------
    ArtefactError, DataError
        If there are no curves, or they make no family over sizes.
    """
    curves = read_curves(run, which=which)
    series = run_series(curves, "sizes", at=step, complete=complete)
    by_seed = {}
    for each in np.unique(curves.checkpoints.seed).tolist():
        mine = _of_seed(curves, each)
        if len(np.unique(mine.checkpoints.n_params)) > 1:
            alone = over_sizes(mine, step=step)
            by_seed[int(each)] = paper_rules(alone.losses, alone.x)
    if not by_seed:
        raise DataError("curves over size: no seed has two sizes, which the paper's rules compare")
    classes, untested = None, ""
    try:
        classes = classify(series, level=level, correction=correction, seed=seed)
    except DataError as error:
        untested = str(error)
    return GenicityReport(
        pred=curves.pred, series=series, by_seed=by_seed, classes=classes, untested=untested
    )


def run_emergence(
    run: RunFolder,
    *,
    by: Literal["cluster", "pred", "probe"] = "cluster",
    over: Over = "sizes",
    at: float | None = None,
    which: Which = "sampled",
    complete: bool = True,
    threshold: float | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Emerged:
    """Find when clusters of the default clustering, single predictions or probes were learned.

    Parameters
    ----------
    run
        A run whose curves stand; with "cluster" its clusters too; with "probe" its probes alone.
    by
        "cluster" averages the curves of a cluster's members within every training run, "probe" the
        losses [nat per token] of a skill's items.
    over, at, complete
        See `run_series`.
    which
        Predictions, where they are single.
    threshold, level, seed
        See `quantascope.families.emergence.find_emergence`.

    Raises
    ------
    ArtefactError, DataError
        If there are no curves or clusters, or nothing could be tested.
    """
    keys: NDArray[Any]
    if by == "pred":
        curves = read_curves(run, which=which)
        series = run_series(curves, over, at=at, complete=complete)
        keys, n_preds = np.asarray(curves.pred), np.ones(len(curves.pred), dtype=np.int64)
    elif by == "cluster":
        curves = read_curves(run, which="selected")
        keys, cluster = _clusters(run, curves.pred)
        series = run_series(curves, over, at=at, complete=complete).averaged(cluster)
        n_preds = np.bincount(cluster[cluster >= 0])
    elif by == "probe":
        skills = probe_series(run, over, at=at, complete=complete)
        keys, n_preds, series = skills.keys, skills.n_items, skills.series
    else:
        raise ValueError(f"by: {by!r} found; allowed are cluster, pred and probe")
    found = find_emergence(series, threshold=threshold, level=level, seed=seed)
    return Emerged(keys=keys, n_preds=n_preds, by=by, series=series, found=found)


def _of_seed(curves: LossCurves, seed: int) -> LossCurves:
    kept = curves.checkpoints.seed == seed
    return LossCurves(
        pred=curves.pred,
        losses=curves.losses[:, kept],
        checkpoints=curves.checkpoints.rows(kept),
    )


def _clusters(
    run: RunFolder, pred: NDArray[np.int64]
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Give the ids of the default clustering by rank, and the place of each prediction's; or -1."""
    default = run.require("clusters").facts["default"]
    ranked = read_table(run.stage("clusters"), "clusters.parquet").to_pandas()
    ranked = ranked[ranked["clustering"] == default].sort_values("rank")
    members = read_table(run.stage("clusters"), "members.parquet").to_pandas()
    members = members[members["clustering"] == default]
    ids = ranked["cluster"].astype(str).to_numpy()
    place = dict(zip(ids, range(len(ids)), strict=True))
    of_pred = dict(zip(members["pred"], members["cluster"].astype(str).map(place), strict=True))
    return ids.astype(np.str_), np.array([of_pred.get(p, -1) for p in pred.tolist()])
