"""What a kind of toy is to the explorer: how its folder is known, read, shown and drawn."""

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
    """One kind of toy; an entry of `quantascope.explorer.toys.registry.TOYS` is all it needs."""

    name: str
    marker: str
    """A file that such a folder has, and no other."""
    template: str
    read: Callable[[Path], Any]
    """Read a folder; what it gives is kept until the folder changes."""
    holds: Callable[[Any], str]
    """Say in a few words what a folder holds."""
    show: Callable[[Toy], Shown]
    figure: Callable[[Toy, str], Drawn]
    """Give a figure by its name, or raise `KeyError`."""
    watched: tuple[str, ...] = ()
    """Further files or folders whose change means that the folder changed."""
