"""Forecasts from a run: groups in, distributions of all methods out, ready to be put down.

Nothing is written here; `quantascope.reader.outcomes` says how forecasts came out.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from quantascope.core.errors import DataError
from quantascope.families.forecast.baselines import BASELINES
from quantascope.families.forecast.forecast import DEFAULT, Forecast, forecasts
from quantascope.families.forecast.seen import Seen
from quantascope.reader.forecast_groups import ALIKE, Grouped

__all__ = ["Foretold", "foretell"]

_MEANS: Final = ("method", "target", "mean_nats", "p5_nats", "p50_nats", "p95_nats")


@dataclass(frozen=True, kw_only=True, eq=False)
class Foretold:
    """Forecasts by all methods, ready to be put down."""

    grouped: Grouped
    shown: Seen
    found: dict[str, Forecast]
    method: str
    hindsight: tuple[bool, ...]
    """Of each target, whether the run knows it already."""
    config: dict[str, Any]

    @property
    def main(self) -> Forecast:
        """The forecast of the method that was asked for."""
        return self.found[self.method]

    @property
    def facts(self) -> dict[str, Any]:
        """Counts and remarks for the manifest."""
        main = self.main
        return {
            "n_groups": len(self.shown),
            "levels": self.shown.x.tolist(),
            "runs": self.shown.series.n_runs.tolist(),
            "hindsight": list(self.hindsight),
            "unit_offset": main.unit.offset,
            "weights": main.weights,
            "notes": list(main.notes),
            "caution": self.grouped.caution,
        }

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """Tables by file name, as the schema has them."""
        groups = {
            "group": np.arange(len(self.shown)),
            "key": self.grouped.keys,
            "n_preds": self.shown.n_preds,
            "frequency": self.shown.frequency,
        }
        parts = [_with_method(name, each.to_table()) for name, each in self.found.items()]
        means = [_mean_rows(name, each) for name, each in self.found.items()]
        return {
            "groups.parquet": pa.table(groups),
            "members.parquet": pa.Table.from_pandas(self.grouped.members, preserve_index=False),
            "forecast.parquet": pa.concat_tables(parts),
            "means.parquet": pa.concat_tables(means),
        }


def foretell(
    grouped: Grouped,
    targets: list[float],
    *,
    method: str = DEFAULT,
    upto: float | None = None,
    threshold: float | None = None,
    seed: int = 0,
) -> Foretold:
    """Forecast a run's groups by one method and all baselines.

    Parameters
    ----------
    grouped
        Curves of groups.
    targets
        Sizes or steps.
    method
        One of `METHODS`.
    upto
        Show only levels up to this one; None shows all.
    threshold, seed
        See `quantascope.families.forecast.forecast.forecast`.

    Raises
    ------
    DataError
        If fewer than two levels are shown.
    """
    whole = grouped.whole
    shown = whole
    if upto is not None:
        n = int((whole.x <= upto).sum())
        if n < 2:
            raise DataError(
                f"{n} level(s) up to {upto:g}; two or more are needed, there are "
                + ", ".join(f"{x:g}" for x in whole.x)
            )
        shown = whole.upto(n)
    methods = (method, *(name for name in BASELINES if name != method))
    found = forecasts(shown, targets, methods=methods, threshold=threshold, seed=seed)
    if method not in found:
        found |= forecasts(shown, targets, methods=(method,), threshold=threshold, seed=seed)
    wanted = found[method].targets
    return Foretold(
        grouped=grouped,
        shown=shown,
        found=found,
        method=method,
        hindsight=tuple((wanted <= whole.x[-1] * (1 + ALIKE)).tolist()),
        config={
            "at": wanted.tolist(),
            "scale": whole.scale,
            "by": grouped.by,
            "n_params": grouped.n_params,
            "method": method,
            "upto": upto,
            "threshold": threshold,
            "seed": seed,
        },
    )


def _with_method(name: str, table: pa.Table) -> pa.Table:
    return table.add_column(0, "method", pa.array([name] * table.num_rows, pa.string()))


def _mean_rows(name: str, found: Forecast) -> pa.Table:
    rows = []
    for target, mean in zip(found.targets.tolist(), found.mean, strict=True):
        ends = (mean.mean(), *(mean.quantile(q) for q in (0.05, 0.5, 0.95)))
        values = [name, target, *(float(end[0]) for end in ends)]
        row = dict(zip(_MEANS, values, strict=True))
        rows.append(
            row
            | {
                "weight": mean.weight[0].tolist(),
                "location": mean.location[0].tolist(),
                "scale": mean.scale[0].tolist(),
            }
        )
    return pa.Table.from_pylist(rows)
