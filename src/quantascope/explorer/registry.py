"""All pages of a run, in the order of the menu."""

from typing import Final

from quantascope.explorer.pages.about import ABOUT
from quantascope.explorer.pages.activity import ACTIVITY
from quantascope.explorer.pages.cluster import CLUSTER
from quantascope.explorer.pages.clusters import CLUSTERS
from quantascope.explorer.pages.genicity import GENICITY
from quantascope.explorer.pages.map import MAP
from quantascope.explorer.pages.overview import OVERVIEW
from quantascope.explorer.pages.page import Page
from quantascope.explorer.pages.scaling import SCALING
from quantascope.explorer.pages.search import SEARCH
from quantascope.explorer.pages.timeline import TIMELINE
from quantascope.explorer.pages.token import TOKEN

__all__ = ["PAGES"]

PAGES: Final[tuple[Page, ...]] = (
    OVERVIEW, CLUSTERS, CLUSTER, TOKEN, TIMELINE, SCALING, GENICITY, MAP, SEARCH, ACTIVITY, ABOUT,
)  # fmt: skip
