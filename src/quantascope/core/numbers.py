"""Numbers at the edge of Python and JSON: what counts as one, and what JSON can hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["is_number", "plain"]


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number (no text, no truth value)."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(np.isfinite(value))  # type: ignore[call-overload]


def plain(value: Any) -> Any:  # noqa: ANN401  (JSON)
    """Give what JSON can hold: dictionaries, lists, numbers; infinities and NaN become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
