"""Sweeps of sparse parity under the commands on families: subtasks of known frequency."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from quantascope.families.breakdown import Breakdown
    from quantascope.pipeline.parity_families import Family
    from quantascope.reader.families import Emerged

__all__ = ["is_sweep", "sweep_decomposition", "sweep_emergence"]

Over = Literal["sizes", "steps", "data"]

_RESOURCE: Final = {"sizes": "N", "steps": "S", "data": "D"}


def is_sweep(folder: Path) -> bool:
    """Tell whether a folder is a finished sweep of sparse parity."""
    return (folder / "sweep.json").is_file()


def sweep_emergence(
    folder: Path, over: Over, *, threshold: float | None, level: float, seed: int
) -> "Emerged":
    """Find when the subtasks of a sweep were learned."""
    import numpy as np

    from quantascope.families.classes import MOST_LEVELS
    from quantascope.families.emergence import find_emergence
    from quantascope.pipeline.parity_families import subtask_series
    from quantascope.reader.families import Emerged

    family = _family(folder, over)
    series = subtask_series(family).thinned(MOST_LEVELS)
    return Emerged(
        by="subtask",
        keys=np.array([str(k) for k in range(len(series.losses))]),
        n_preds=np.zeros(len(series.losses), dtype=np.int64),
        series=series,
        found=find_emergence(series, threshold=threshold, level=level, seed=seed),
        frequency=family.task.frequencies,
        frequency_of="the samples",
    )


def sweep_decomposition(
    folder: Path, over: Over, *, first: float | None, last: float | None
) -> "Breakdown":
    """Decompose the mean loss of a sweep over its subtasks, whose frequencies are known."""
    import numpy as np

    from quantascope.core.units import NATS_PER_BIT
    from quantascope.families.breakdown import break_down, find_level
    from quantascope.families.decompose import known_parts
    from quantascope.families.exponents import UseExponent
    from quantascope.pipeline.parity_families import subtask_series

    family = _family(folder, over)
    task = family.task
    parts = known_parts(subtask_series(family), task.frequencies)
    use = UseExponent(
        alpha=task.alpha,
        lo=task.alpha,
        hi=task.alpha,
        calibrated=True,
        source=f"the task's own, {task.n_tasks} subtasks",
        n_tasks=float(task.n_tasks),
        loss_before=NATS_PER_BIT,  # chance on a bit
    )
    zipf = task.distribution == "zipf" and task.offset == 0
    return break_down(
        parts,
        np.array([str(k) for k in range(task.n_tasks)]),
        use=use if zipf else None,
        first=find_level(parts.series, first, default=0),
        last=find_level(parts.series, last, default=len(parts.series.x) - 1),
        notes=["shares are the known frequencies of use"],
    )


def _family(folder: Path, over: Over) -> "Family":
    from quantascope.core.errors import DataError
    from quantascope.pipeline.parity import read_sweep
    from quantascope.pipeline.parity_families import families_of

    found = [each for each in families_of(read_sweep(folder)) if each.by == _RESOURCE[over]]
    if not found:
        raise DataError(f"{folder}: the sweep has no family over {over} (three amounts are needed)")
    return found[0]
