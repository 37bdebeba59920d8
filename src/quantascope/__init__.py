"""Quantascope shows what a neural network has learned, skill by skill."""

from importlib import import_module
from typing import Any

__all__ = ["Tracker", "__version__", "discover", "fit", "load"]

# imported when first used, so that `import quantascope` needs neither tables nor torch
_LAZY = {
    "load": "quantascope.reader.run",
    "discover": "quantascope.pipeline.module",
    "fit": "quantascope.laws",
    "Tracker": "quantascope.pipeline.tracker",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; look up the version."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 -- takes longer than all else here

        return version("quantascope")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'quantascope' has no attribute {name!r}")
