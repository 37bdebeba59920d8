"""What the curves of a run show: which fall at once and which by and by, and when.

Enter: a run whose curves stand. Leave: frozen results; nothing is written.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from quantascope.core.errors import DataError
from quantascope.core.rng import hash_order
from quantascope.families.classes import MOST_LEVELS, ClassTable, Correction, classify
from quantascope.families.curves import LossCurves
from quantascope.families.detect import SHAPES, ShapesFound, detect_shapes
from quantascope.families.emergence import Emergence, find_emergence
from quantascope.families.genicity import Genicity, agreement, paper_rules, rule_by_class
from quantascope.families.metrics import emergence_by_metric
from quantascope.families.order import LearnedOrder, crossing_bounds, learned_order
from quantascope.families.series import Series, over_sizes
from quantascope.reader.curves import Over, Which, read_curves, run_series
from quantascope.reader.groups import Groups, check_by, read_groups
from quantascope.reader.probes import probe_series
from quantascope.store.folder import RunFolder

__all__ = ["Emerged", "GenicityReport", "Over", "run_emergence", "run_genicity", "run_series"]

_RULES: Final = ("monogenic", "polygenic")


@dataclass(frozen=True, kw_only=True, eq=False)
class GenicityReport:
    """The paper's rules by seed, beside the classes of the seed test."""

    pred: NDArray[np.int64]
    series: Series
    by_seed: dict[int, Genicity]
    """By seed, one run a size; empty over steps, which the rules do not know."""
    classes: ClassTable | None
    """None where nothing can be tested; `untested` says why."""
    shapes: ShapesFound | None
    """Rare shapes; None where nothing can be tested."""
    untested: str

    def agreement(self, rule: str) -> NDArray[np.float64]:
        """Give the chance that what a rule picks in one seed it picks in another."""
        if not self.by_seed:
            return np.zeros((0, 0))
        return agreement(np.stack([self._picks(seed, rule) for seed in self.by_seed], axis=1))

    def by_class(self, rule: str) -> list[dict[str, Any]]:
        """Count the classes among the picks of a rule, over all seeds' picks together."""
        if self.classes is None or not self.by_seed:
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
        found = self.classes
        return {
            "n_preds": len(self.pred),
            "over": self.series.scale,
            "levels": self.series.x.tolist(),
            "runs": self.series.n_runs.tolist(),
            "rules": rules,
            "agreement": {rule: self.agreement(rule).tolist() for rule in _RULES},
            "classes": None if found is None else found.counts,
            "level": None if found is None else found.level,
            "method": self.untested if found is None else found.method,
            "by_class": {rule: self.by_class(rule) for rule in _RULES},
            "shapes": None if self.shapes is None else self.shapes.counts,
            "examples": {shape: self.examples(shape).tolist() for shape in SHAPES},
        }

    def examples(self, shape: str, n: int = 5) -> NDArray[np.int64]:
        """Give at most n predictions of a rare shape, the surest first."""
        if self.shapes is None:
            return np.zeros(0, dtype=np.int64)
        return self.pred[self.shapes.first(shape, n)]

    def to_table(self) -> pa.Table:
        """Make an Arrow table with one row a prediction; rules are those of the first seed."""
        table = pa.table({"pred": self.pred})
        parts = [rules.to_table(self.pred) for rules in list(self.by_seed.values())[:1]]
        if self.classes is not None:
            parts.append(self.classes.to_table(self.pred))
        if self.shapes is not None:
            parts.append(self.shapes.to_table())
        for part in parts:
            for name in part.column_names:
                table = table if name == "pred" else table.append_column(name, part[name])
        return table

    def _picks(self, seed: int, rule: str) -> NDArray[np.bool_]:
        picks: NDArray[np.bool_] = getattr(self.by_seed[seed], rule)
        return picks


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


def run_genicity(
    run: RunFolder,
    *,
    which: Which = "sampled",
    over: Over = "sizes",
    step: float | None = None,
    complete: bool = True,
    level: float = 0.05,
    correction: Correction = "bh",
    most: int | None = None,
    seed: int = 0,
) -> GenicityReport:
    """Sort predictions by the paper's rules in every seed, test them, and look for rare shapes.

    Of more than 64 levels so many are tested, evenly in logs.

    Parameters
    ----------
    run
        A run whose curves stand.
    which
        Predictions, see `quantascope.reader.curves.read_curves`.
    over
        "sizes", or "steps" of the size with most checkpoints, where the paper has no rules.
    step
        Step at which sizes are compared; None takes the last of each run.
    complete
        Refuse sizes that lack a seed that others have.
    level, correction, seed
        Of the test, see `quantascope.families.classes.classify`.
    most
        Predictions looked at: a fixed draw of the others where there are more; None takes all.

    Raises
    ------
    ArtefactError, DataError
        If there are no curves, or they make no family over sizes.
    """
    curves = _drawn(read_curves(run, which=which), most)
    if over == "steps" and step is not None:
        raise ValueError("step: sizes are compared at a step; leave it out over steps")
    series = run_series(curves, over, at=step, complete=complete).thinned(MOST_LEVELS)
    by_seed = _by_seed(curves, step) if over == "sizes" else {}
    classes, shapes, untested = None, None, ""
    try:
        classes = classify(series, level=level, correction=correction, seed=seed)
        shapes = detect_shapes(series, level=level, correction=correction, seed=seed)
    except DataError as error:
        untested = str(error)
    return GenicityReport(
        pred=curves.pred,
        series=series,
        by_seed=by_seed,
        classes=classes,
        shapes=shapes,
        untested=untested,
    )


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


def _by_seed(curves: LossCurves, step: float | None) -> dict[int, Genicity]:
    """Apply the paper's rules to every seed that has two sizes or more."""
    found = {}
    for each in np.unique(curves.checkpoints.seed).tolist():
        mine = _of_seed(curves, each)
        if len(np.unique(mine.checkpoints.n_params)) > 1:
            alone = over_sizes(mine, step=step)
            found[int(each)] = paper_rules(alone.losses, alone.x)
    if not found:
        raise DataError("curves over size: no seed has two sizes, which the paper's rules compare")
    return found


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


def _drawn(curves: LossCurves, most: int | None) -> LossCurves:
    """Take a fixed draw of at most so many curves."""
    if most is None or len(curves.pred) <= most:
        return curves
    kept = np.sort(np.argsort(hash_order(curves.pred, seed=0), kind="stable")[:most])
    return LossCurves(
        pred=curves.pred[kept], losses=curves.losses[kept], checkpoints=curves.checkpoints
    )


def _of_seed(curves: LossCurves, seed: int) -> LossCurves:
    kept = curves.checkpoints.seed == seed
    return LossCurves(
        pred=curves.pred,
        losses=curves.losses[:, kept],
        checkpoints=curves.checkpoints.rows(kept),
    )
