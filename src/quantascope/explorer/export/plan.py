"""Which pages go out, under which addresses links know them, and what their files are called."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from quantascope.core.progress import Advance
from quantascope.explorer.export.site import Answer, Site
from quantascope.explorer.export.still import twin_of
from quantascope.explorer.pages.page import Page
from quantascope.explorer.registry import PAGES

__all__ = ["Plan", "answers", "is_cluster", "make_plan", "menu_pages"]

_ONLY_LIVE: Final = ("search",)
"""Pages that answer questions, which files cannot."""
_USUAL: Final = {"min": "1", "sort": "rank", "desc": "0", "page": "1"}
_CLUSTERS: Final = "quanta/"
_LIST: Final = "quanta-"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The pages of an export."""

    run: str
    pages: dict[str, tuple[str, str]]
    """By the address that links use: the address to ask, and the file's name without its end."""
    clusters: tuple[str, ...]
    """Ids of those that get a page."""
    n_all: int
    """Clusters in all."""

    @property
    def home(self) -> str:
        """Address of the run."""
        return f"/r/{quote(self.run)}"

    def name(self, address: str) -> str | None:
        """Name a page by its address; None where it does not go out."""
        if address == "/":
            return "index"
        known = self.pages.get(_key(address))
        return None if known is None else known[1]

    def pattern(self, address: str) -> str | None:
        """Name a page below the run by its address, whether it goes out or not."""
        path = urlsplit(address).path
        return path.removeprefix(f"{self.home}/") if path.startswith(f"{self.home}/") else None

    def asset(self, address: str) -> str | None:
        """Name the file of a style, script, figure or twin of a page; None for all else.

        Of single clusters only JSON goes out: the table of all their members is one file.
        """
        parts = urlsplit(address)
        if parts.path.startswith("/static/"):
            return _safe(parts.path.removeprefix("/"))
        stem, _, form = parts.path.removeprefix(f"{self.home}/").rpartition(".")
        if self.is_figure(address):
            words = [value for _, value in parse_qsl(parts.query)]
            return _safe(".".join(["-".join([stem, *words]), form]))
        for asked, name in self.pages.values():
            if twin_of(asked, form) == address and (form == "json" or not is_cluster(name)):
                return f"{_twin_name(name, whole=form != 'json')}.{form}"
        return None

    def is_figure(self, address: str) -> bool:
        """Tell whether an address is that of a drawing."""
        return urlsplit(address).path.startswith(f"{self.home}/figures/")


def is_cluster(name: str) -> bool:
    """Tell whether the file of this name is a cluster's page."""
    return name.startswith(_CLUSTERS)


def make_plan(site: Site, *, n_clusters: int, n_contexts: int) -> Plan:
    """Plan the pages: those of the menu, the list of clusters as far as they go out, the clusters.

    Parameters
    ----------
    site
        The run's explorer.
    n_clusters
        Clusters that get a page, the largest first; 0 takes all.
    n_contexts
        Contexts shown of each.
    """
    home = f"/r/{quote(site.run)}"
    ids, n_lists, n_all = _cluster_ids(site, home, n_clusters)
    pages = {
        f"{home}{page.path}": (f"{home}{page.path}", page.path.strip("/") or "index")
        for page in menu_pages()
    }
    for number in range(2, n_lists + 1):
        address = f"{home}/quanta?page={number}"
        pages[address] = (address, f"{_LIST}{number}")
    for name in ids:
        address = f"{home}/{_CLUSTERS}{name}"
        pages[address] = (f"{address}?n={n_contexts}", f"{_CLUSTERS}{name}")
    return Plan(run=site.run, pages=pages, clusters=tuple(ids), n_all=n_all)


def menu_pages() -> list[Page]:
    """List the pages that need no answer from a person."""
    return [page for page in PAGES if page.menu and page.name not in _ONLY_LIVE]


def answers(site: Site, plan: Plan, advance: Advance) -> Iterator[tuple[str, str, Answer]]:
    """Ask for the pages in turn: name, address, answer; what this run does not have is passed."""
    for address, name in plan.pages.values():
        answer = site.find(address)
        if answer is not None:
            yield name, address, answer
        advance(1)


def _cluster_ids(site: Site, home: str, most: int) -> tuple[list[str], int, int]:
    """Give the ids of clusters by rank, how many pages list these, and how many there are in all.

    At most so many, 0 for all: pages that list none of them do not go out.
    """
    ids: list[str] = []
    number, n_all = 0, 1
    while len(ids) < min(most or n_all, n_all):
        number += 1
        answer = site.find(f"{home}/quanta.json?page={number}")
        if answer is None:
            return [], 0, 0
        listed = json.loads(answer.text)
        ids += [row["cluster"] for row in listed["rows"]]
        n_all = listed["n_clusters"]
    return ids[: most or None], number, n_all


def _twin_name(name: str, *, whole: bool) -> str:
    """Name a page's twin; tables are those of the whole list, whichever page of it is shown."""
    if name == "index":
        return "overview"
    return name.partition("-")[0] if whole and name.startswith(_LIST) else name


def _key(address: str) -> str:
    """Write an address the same way whatever usual values it spells out."""
    parts = urlsplit(address)
    asked = sorted(
        (name, value) for name, value in parse_qsl(parts.query) if _USUAL.get(name) != value
    )
    return parts.path + (f"?{urlencode(asked)}" if asked else "")


def _safe(text: str) -> str:
    """Make a name of a file that stays where it is put."""
    parts = [re.sub(r"[^\w.-]+", "-", part, flags=re.ASCII).lstrip(".") for part in text.split("/")]
    return "/".join(part or "-" for part in parts)
