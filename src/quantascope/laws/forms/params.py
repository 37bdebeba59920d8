"""The kinds of parameter that laws share, with their bounds.

Bounds hold for inputs and response divided by their geometric means, so they are wide and need
no knowledge of the data.
"""

from quantascope.laws.forms.law import Param

__all__ = ["exponent", "floor", "length", "position", "prefactor", "real", "width"]

_FLOOR = "the loss that no scale removes"


def floor(name: str, meaning: str = _FLOOR) -> Param:
    """Make a level that the response approaches; zero is its lower end."""
    return Param(name=name, meaning=meaning, role="floor", lo=1e-12, hi=1e2, positive=True)


def prefactor(name: str, meaning: str) -> Param:
    """Size of a term at the geometric mean of the data."""
    return Param(name=name, meaning=meaning, role="prefactor", lo=1e-9, hi=1e9, positive=True)


def exponent(name: str, meaning: str, *, lo: float = 1e-3, hi: float = 6.0) -> Param:
    """Exponent of a power law; positive where the term falls."""
    return Param(name=name, meaning=meaning, role="exponent", lo=lo, hi=hi, positive=False)


def length(name: str, meaning: str) -> Param:
    """Make a scale that divides an input inside a power; may lie very far from the data."""
    return Param(name=name, meaning=meaning, role="prefactor", lo=1e-80, hi=1e80, positive=True)


def position(name: str, meaning: str) -> Param:
    """Make a place on the input's axis; identified only within the data."""
    return Param(name=name, meaning=meaning, role="position", lo=1e-12, hi=1e12, positive=True)


def width(name: str, meaning: str, *, lo: float, hi: float) -> Param:
    """Width of a transition in logarithms of the input."""
    return Param(name=name, meaning=meaning, role="width", lo=lo, hi=hi, positive=True)


def real(name: str, meaning: str, *, bound: float) -> Param:
    """Any real number up to a bound."""
    return Param(name=name, meaning=meaning, role="level", lo=-bound, hi=bound, positive=False)
