"""All kinds of toys."""

from typing import Final

from quantascope.explorer.toys.kind import ToyKind
from quantascope.explorer.toys.parity import PARITY

__all__ = ["TOYS"]

TOYS: Final[tuple[ToyKind, ...]] = (PARITY,)
