"""Which predictions of a run fall at once and which by and by: the paper's rules, and tests.

Enter: a run whose curves stand. Leave: frozen results; nothing is written.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quantascope.core.errors import DataError
from quantascope.core.rng import hash_order
from quantascope.families.classes import MOST_LEVELS, ClassTable, Correction, classify
from quantascope.families.curves import LossCurves
from quantascope.families.detect import SHAPES, ShapesFound, detect_shapes
from quantascope.families.genicity import Genicity, agreement, paper_rules, rule_by_class
from quantascope.families.series import Series, over_sizes
from quantascope.reader.curves import Over, Which, read_curves, run_series
from quantascope.store.folder import RunFolder

__all__ = ["GenicityReport", "run_genicity"]

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
