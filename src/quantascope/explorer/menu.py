"""Words and keys of the menu; apart from the pages, which load slowly."""

from typing import Final

__all__ = ["MENU"]

MENU: Final[dict[str, tuple[str, str]]] = {
    "overview": ("Overview", "o"),
    "clusters": ("Clusters", "q"),
    "timeline": ("Timeline", "t"),
    "scaling": ("Scaling", "l"),
    "genicity": ("Single tokens", "y"),
    "map": ("Map", "m"),
    "search": ("Search", "s"),
    "activity": ("Annotations", "n"),
    "about": ("About", "a"),
}
"""By a page's name its word, and its key: the second of the shortcut ``g`` and this."""
