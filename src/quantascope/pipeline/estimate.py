"""What a run would do, and about how long and how much memory it would take; nothing is done.

Costs are counts of multiply-adds over a rate measured on the spot, so they are right to a factor
of about two; the text of the estimate says so.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from quantascope.pipeline.config import RunConfig, stage_config
from quantascope.pipeline.runner import plan_run
from quantascope.store.folder import RunFolder
from quantascope.store.schema import WAY
from quantascope.store.status import stage_status

__all__ = ["describe_plan"]

_TOKENS_IF_UNKNOWN: Final = 500_000
_FORWARD_EFFICIENCY: Final = 0.35  # of the matrix product's rate, small models, measured
_BACKWARD_EFFICIENCY: Final = 0.15
_MEAN_CUT: Final = 0.5  # a target stands in the middle of its context on average
_BASE_MEMORY_GB: Final = 0.6  # interpreter with torch and transformers
_MATRIX: Final = 512


@dataclass(frozen=True)
class _Sizes:
    n_tokens: int
    tokens_known: bool
    n_preds: int
    n_params: int
    n_params_largest: int
    context: int


def describe_plan(run: RunFolder, config: RunConfig, *, overwrite: Sequence[str] = ()) -> str:
    """Describe what ``run`` would do.

    Parameters
    ----------
    run, config
        The run (need not exist) and its config.
    overwrite
        Stages to redo even where they stand.

    Returns
    -------
    str
        A line for each stage (what, why, CPU time), then memory and disk.

    Raises
    ------
    ValueError
        If a model cannot be found.
    """
    sizes = _sizes(run, config)
    rate = _product_rate()
    seconds = _seconds(sizes, config, rate=rate)
    lines = [f"{'stage':<10} {'':<5} {'CPU time':>9}  why"]
    total = 0.0
    for step in plan_run(run, config, kinds=WAY, overwrite=overwrite):
        cost = seconds.get(step.kind, 1.0) if step.todo else 0.0
        total += cost
        mark = "do" if step.todo else "keep"
        lines.append(f"{step.kind:<10} {mark:<5} {_clock(cost):>9}  {step.why}".rstrip())
    counted = "counted" if sizes.tokens_known else "assumed; the text is not read yet"
    lines.append(f"about {_clock(total)} of CPU time in all, to a factor of two")
    lines.append(f"tokens: {sizes.n_tokens:,} ({counted}); predictions: {sizes.n_preds:,}")
    lines.append(f"memory: about {_memory_gb(sizes, config):.1f} GB a process")
    lines.append(f"disk: about {_disk_gb(sizes, config):.2f} GB")
    return "\n".join(lines)


def _sizes(run: RunFolder, config: RunConfig) -> _Sizes:
    from quantascope.lm.models import resolve_models
    from quantascope.lm.outline import outline_model

    outlines = [outline_model(source) for source in resolve_models(config.models)]
    n_tokens = config.corpus.n_tokens or _TOKENS_IF_UNKNOWN
    configs = {"corpus": stage_config(config, "corpus")}
    known = stage_status(run, "corpus", configs).state == "done"
    if known:
        n_tokens = int(run.require("corpus").facts["n_tokens"])
    params = [outline.n_params_total for outline in outlines]
    return _Sizes(
        n_tokens=n_tokens,
        tokens_known=known,
        n_preds=min(config.selection.n, n_tokens),
        n_params=sum(params),
        n_params_largest=max(params),
        context=min(outline.context_length for outline in outlines),
    )


def _seconds(sizes: _Sizes, config: RunConfig, *, rate: float) -> dict[str, float]:
    """Multiply-adds of each costly stage over the measured rate [s]."""
    mean_length = min(sizes.context, 1024) * _MEAN_CUT
    m = sizes.n_preds
    pairs = m * m * config.sketch.dim
    spectral = 4.0 * m**3 / 3 if config.clusters.spectral else 0.0
    return {
        "corpus": sizes.n_tokens / 2e5,
        "losses": 2 * sizes.n_tokens * sizes.n_params / (rate * _FORWARD_EFFICIENCY),
        "sketch": 2 * m * mean_length * sizes.n_params_largest / (rate * _BACKWARD_EFFICIENCY),
        "graph": 2 * pairs / rate,
        "clusters": (2 * pairs + spectral) / (rate * _BACKWARD_EFFICIENCY) + m / 200,
        "labels": m / 500,
    }


def _product_rate() -> float:
    """Measure multiply-adds a second [flop/s] of a single-precision product, in about 0.1 s."""
    a = np.ones((_MATRIX, _MATRIX), dtype=np.float32)
    a @ a  # the first product starts the library's threads
    start = time.process_time()
    for _ in range(10):
        a @ a
    return 10 * 2 * _MATRIX**3 / max(time.process_time() - start, 1e-6)


def _memory_gb(sizes: _Sizes, config: RunConfig) -> float:
    model = 4e-9 * sizes.n_params_largest * 1.5
    dense = 3 * 4e-9 * sizes.n_preds**2 if config.clusters.spectral else 0.0
    sketch = 6e-9 * sizes.n_preds * config.sketch.dim
    return _BASE_MEMORY_GB + max(model, dense + sketch)


def _disk_gb(sizes: _Sizes, config: RunConfig) -> float:
    return 1e-9 * (12 * sizes.n_tokens + 2 * sizes.n_preds * config.sketch.dim) * 2


def _clock(seconds: float) -> str:
    if seconds == 0:
        return "-"
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
