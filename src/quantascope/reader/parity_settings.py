"""The settings of a finished sweep of sparse parity: plain values, read without tables.

What lists folders reads this and nothing more, so that lists are there at once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from quantascope.core.errors import ArtefactError

__all__ = ["MARKER", "SweepSettings", "read_settings"]

MARKER: Final = "sweep.json"
"""The file that a finished sweep has, written last."""
_MOST_BYTES: Final = 50_000_000


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """What a sweep was asked to train."""

    task: Mapping[str, Any]
    """Of the first network."""
    training: Mapping[str, Any]
    """Of the first network, all but its task."""
    schedule: Mapping[str, Any]
    n_runs: int
    """Networks."""


def read_settings(folder: Path) -> SweepSettings:
    """Read the settings of a sweep.

    Raises
    ------
    ArtefactError
        If the folder holds no finished sweep.
    """
    file = folder / MARKER
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        sweep = json.loads(file.read_text(encoding="utf-8"))["sweep"]
        first = dict(sweep["runs"][0])
        return SweepSettings(
            task=dict(first.pop("task")),
            training=first,
            schedule=dict(sweep["schedule"]),
            n_runs=len(sweep["runs"]),
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ArtefactError(f"{file}: not a finished sweep; run the sweep again") from error
