"""Cleaning: HTML to text with its white space kept, and markup without its page frame."""

import re
from html.parser import HTMLParser
from typing import Final

__all__ = ["html_to_text", "markup_body"]

_BLOCKS: Final = re.compile(
    r"address|article|blockquote|d[dlt]|div|fieldset|figure|form|h[1-6r]|li|main|ol|p|pre|section"
    r"|table|tr|ul"
)
_PARAGRAPHS: Final = re.compile(r"blockquote|dl|h[1-6]|ol|p|pre|table|ul")
_HIDDEN: Final = re.compile(
    r"button|footer|head|header|nav|noscript|script|select|style|svg|template"
)
_HIDDEN_CLASS: Final = re.compile(
    r"(^|\s)(buttons|footer|headerlink|line-numbers|nav(footer|header|menu)|nosearch|related"
    r"|(sphinx)?sidebar|src-line-numbers|toc|top)(\s|$)"
)
_VOID: Final = re.compile(r"area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr")
_FRAME: Final = re.compile(
    r"<(script|style|head|nav|header|footer|svg|form|noscript)\b.*?</\1\s*>|<!--.*?-->|<!DOCTYPE[^>]*>"
    r"|<\?xml[^>]*>|<div class=\"nav(?:header|footer)\">.*?</div>",
    re.DOTALL | re.IGNORECASE,
)


def html_to_text(html: str) -> str:
    r"""Reduce a page to its text: paragraphs, list items, and preformatted lines stay apart.

    Parameters
    ----------
    html
        A page or a part of one; broken markup is read as browsers would.

    Returns
    -------
    str
        Text without navigation, scripts and styles; white space inside ``pre`` is untouched.

    Examples
    --------
    >>> html_to_text("<h1>A</h1><p>b  c</p><pre>x\n  y</pre><ul><li>d</li></ul>")
    'A\n\nb c\n\nx\n  y\n\n- d\n'
    """
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    return reader.text()


def markup_body(html: str) -> str:
    """Keep a page's markup but not its frame: no head, scripts, styles, comments, navigation.

    Examples
    --------
    >>> markup_body("<html><head><title>t</title></head><body><p>a</p></body></html>")
    '<html><body><p>a</p></body></html>'
    """
    return _FRAME.sub("", html).strip()


class _TextReader(HTMLParser):
    """Collects text; one open hidden element at a time silences everything inside it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._hidden, self._depth, self._pre = "", 0, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            self._depth += tag == self._hidden
            return
        hidden = _HIDDEN.fullmatch(tag) or _HIDDEN_CLASS.search(dict(attrs).get("class") or "")
        if hidden and not _VOID.fullmatch(tag):
            self._hidden, self._depth = tag, 1
            return
        self._break(tag)
        self._pre += tag == "pre"
        if tag == "li":
            self._parts.append("- ")
        elif tag == "br":
            self._parts.append("\n")
        elif tag in ("td", "th"):
            self._parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._depth -= tag == self._hidden
            if not self._depth:
                self._hidden = ""
            return
        self._pre = max(0, self._pre - (tag == "pre"))
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._pre:
            self._parts.append(data)
            return
        data = re.sub(r"\s+", " ", data)
        ends_blank = not self._parts or self._parts[-1][-1:] in ("", " ", "\n")
        data = data.lstrip() if ends_blank else data
        if data:
            self._parts.append(data)

    def _break(self, tag: str) -> None:
        opens_item = self._parts[-1:] == [
            "- "
        ]  # a paragraph that opens a list item stays on its line
        if _BLOCKS.fullmatch(tag) and not opens_item:
            self._parts.append("\n\n" if _PARAGRAPHS.fullmatch(tag) else "\n")

    def text(self) -> str:
        """Join what was collected; blank lines are at most two in a row, line ends are bare."""
        text = "".join(self._parts).replace("\r\n", "\n")
        text = re.sub(r"[ \t]+\n", "\n", text)
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n" if text.strip() else ""
