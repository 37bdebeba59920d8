"""What a kind of toy is to its pages: how a folder is read, shown and drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from quantascope.explorer.pages.page import Shown
from quantascope.explorer.query import Query

__all__ = ["Drawn", "Toy", "ToyKind"]

Draw = Callable[[Any], object]


@dataclass(frozen=True, kw_only=True)
class Toy:
    """One folder, as it was asked for."""

    name: str
    """Of the folder."""
    path: Path
    content: Any
    """What `ToyKind.read` gave."""
    query: Query


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One figure of a toy; both are called only when somebody asks."""

    draw: Draw
    """Draws into Matplotlib's axes."""
    table: Callable[[], pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class ToyKind:
    """The page of one kind of toy; `quantascope.explorer.toys.listing.TOYS` names it."""

    template: str
    read: Callable[[Path], Any]
    """Read a folder; what it gives is kept until the folder changes."""
    show: Callable[[Toy], Shown]
    figure: Callable[[Toy, str], Drawn]
    """Give a figure by its name, or raise `KeyError`."""
    watched: tuple[str, ...] = ()
    """Files or folders beside the marker whose change means that the folder changed."""
