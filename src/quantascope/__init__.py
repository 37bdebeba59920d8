"""Quantascope shows what a neural network has learned, skill by skill."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("quantascope")
