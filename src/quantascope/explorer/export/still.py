"""A page without its server: links lead to other files, and what only a server can do is left out.

Enter: a page of the explorer as it was sent. Leaves: the same page in parts. Nothing that the page
shows is made anew: text goes through as it is, only tags are changed or left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

__all__ = ["Link", "Still", "make_still", "twin_of"]

Link = Callable[[str, str], str | None]
"""From an element and an address to where the export has what is there; None if it has not."""

_LINKED: Final = {
    "a": "href", "link": "href", "script": "src", "img": "src", "image": "href", "use": "href",
}  # fmt: skip
_VOID: Final = ("meta", "link", "img", "image", "use")
_ID: Final = "ID"
_LIVE: Final = ("htmx.min.js",)
"""Scripts that only talk to a server."""

Attributes = dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Still:
    """A page in parts; joined they are the document."""

    before: str
    """Up to and with the tag that opens ``main``."""
    main: str
    after: str
    title: str

    @property
    def whole(self) -> str:
        """The document."""
        return self.before + self.main + self.after


def make_still(
    page: str, *, address: str, link: Link, head: str = "", figures: bool = True
) -> Still:
    """Take a page off its server.

    Parameters
    ----------
    page
        HTML.
    address
        Where the explorer has it, beginning with ``/``.
    link
        Tells where the export has what a link leads to; scripts, styles and pictures without a
        place are left out, words of the text lose their link.
    head
        HTML put at the beginning of the head.
    figures
        Keep what has the class ``figures``.
    """
    writer = _Writer(address=address, link=link, head=head, figures=figures)
    writer.feed(page)
    writer.close()
    return writer.still()


def twin_of(address: str, form: str) -> str:
    """Give the address of a page's JSON, CSV or Parquet twin.

    Examples
    --------
    >>> twin_of("/r/demo/quanta?page=2", "json")
    '/r/demo/quanta.json?page=2'
    >>> twin_of("/r/demo", "csv")
    '/r/demo/overview.csv'
    """
    parts = urlsplit(address)
    home = parts.path.count("/") == 2
    path = f"{parts.path}/overview" if home else parts.path
    return f"{path}.{form}" + (f"?{parts.query}" if parts.query else "")


class _Writer(HTMLParser):
    """Writes down what it reads, but for tags that mean nothing without a server."""

    def __init__(self, *, address: str, link: Link, head: str, figures: bool) -> None:
        super().__init__(convert_charrefs=False)
        self._address, self._link, self._head, self._figures = address, link, head, figures
        self._out: list[str] = []
        self._gone, self._depth = "", 0  # element that is left out, and how deep in it we are
        self._in_nav = self._in_title = False
        self._title = ""
        self._main = [0, 0]

    def still(self) -> Still:
        start, stop = self._main
        before, main, after = (
            "".join(self._out[a:b]) for a, b in ((0, start), (start, stop), (stop, None))
        )
        return Still(before=before, main=main, after=after, title=self._title)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._gone:
            self._depth += tag == self._gone
            return
        text = self._tag(tag, dict(attrs))
        if text is None:
            if tag not in _VOID:
                self._gone, self._depth = tag, 1
            return
        self._out.append(text)
        self._in_nav = self._in_nav or tag == "nav"
        self._in_title = tag == "title" and not self._title
        if tag == "main":
            self._main = [len(self._out), len(self._out)]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._gone and (text := self._tag(tag, dict(attrs))) is not None:
            self._out.append(text.removesuffix(">").removesuffix("/") + "/>")

    def handle_endtag(self, tag: str) -> None:
        if self._gone:
            self._depth -= tag == self._gone
            self._gone = self._gone if self._depth else ""
            return
        if tag == "main":
            self._main[1] = len(self._out)
        self._in_nav = self._in_nav and tag != "nav"
        self._in_title = self._in_title and tag != "title"
        self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._text(data)

    def handle_entityref(self, name: str) -> None:
        self._text(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._text(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self._text(f"<!{decl}>")

    def _text(self, text: str) -> None:
        if not self._gone:
            self._out.append(text)
            self._title += text if self._in_title else ""

    def _tag(self, tag: str, attributes: Attributes) -> str | None:
        """Write a tag, None if its element is left out."""
        if _needs_server(tag, attributes):
            return None
        if not self._figures and "figures" in (attributes.get("class") or "").split():
            return None
        if tag == "body":
            return "<body>"
        if tag == "canvas" and "data-to" in attributes:
            return self._pointing(attributes)
        text = self.get_starttag_text() or ""
        if tag in _LINKED and _LINKED[tag] in attributes:
            return self._linked(tag, attributes)
        return text + (self._head if tag == "meta" and "charset" in attributes else "")

    def _linked(self, tag: str, attributes: Attributes) -> str | None:
        name = _LINKED[tag]
        form = attributes.pop("data-form", None)
        wanted = twin_of(self._address, form) if form else attributes[name] or ""
        if not wanted.startswith("#"):
            place = self._link(tag, urljoin(self._address, wanted))
            dropped = tag != "a" or form or self._in_nav or "download" in attributes
            if place is None and dropped:
                return None
            attributes = {key: place if key == name else value for key, value in attributes.items()}
            if place is None:
                del attributes[name]
        return _written(tag, attributes)

    def _pointing(self, attributes: Attributes) -> str:
        """Tell a drawing that leads to clusters what stands before and behind their ids."""
        place = self._link("canvas", urljoin(self._address, f"{attributes['data-to']}{_ID}"))
        before, _, behind = (place or "").partition(_ID)
        return _written("canvas", attributes | {"data-to": before, "data-end": behind})


def _written(tag: str, attributes: Attributes) -> str:
    written = (f' {k}="{escape(v)}"' if v is not None else f" {k}" for k, v in attributes.items())
    return f"<{tag}{''.join(written)}>"


def _needs_server(tag: str, attributes: Attributes) -> bool:
    if tag == "form":
        return attributes.get("method") != "dialog"
    if tag == "script":
        path = urlsplit(attributes.get("src") or "").path
        return path.endswith(_LIVE)
    if tag == "details":
        return "annotate" in (attributes.get("class") or "").split()
    return tag == "meta" and attributes.get("name") == "htmx-config"
