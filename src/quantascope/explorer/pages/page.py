"""What a page is: an address, the data it shows, the template that shows them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from quantascope.explorer.menu import MENU
from quantascope.explorer.query import Query
from quantascope.explorer.view import View

__all__ = ["Asked", "Page", "Shown"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for: the run, the rest of the path, the query."""

    view: View
    query: Query
    path: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a page shows."""

    title: str
    """Where one is; the run's name is put behind it."""
    data: dict[str, Any]
    """Plain values: the JSON twin of the page."""
    html: dict[str, Any] = field(default_factory=dict)
    """What only the template needs: rendered text."""
    table: pd.DataFrame | None = None
    """The page's main table, whole: its CSV and Parquet."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One kind of page of a run."""

    name: str
    """Also the name of its template."""
    path: str
    """Behind ``/r/{run}``; parts in braces are handed on."""
    show: Callable[[Asked], Shown]
    needs: tuple[str, ...] = ()
    """Artefacts without which there is no such page."""

    @property
    def menu(self) -> str:
        """Word in the menu; empty where the page is not in it."""
        return MENU.get(self.name, ("", ""))[0]

    @property
    def key(self) -> str:
        """Second key of the shortcut ``g`` and this; empty where there is none."""
        return MENU.get(self.name, ("", ""))[1]
