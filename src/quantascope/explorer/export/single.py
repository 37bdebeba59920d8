"""One file with all pages: they lie in it compressed, and one script shows the one asked for.

The address behind ``#`` says which: ``#q=c3f9a1b2`` a cluster, ``#p=about`` another page. The file
asks for nothing: its policy allows one script and one style, each by its hash, and pictures that
are part of it. Blocks are strings, not scripts: nothing but JSON comes out of them.
"""

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urldefrag, urlsplit

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance
from quantascope.explorer.export.place import GENERATOR
from quantascope.explorer.export.plan import Plan, answers, is_cluster
from quantascope.explorer.export.site import Answer, Site
from quantascope.explorer.export.still import Link, Still, make_still
from quantascope.explorer.render import STATIC

__all__ = ["make_single"]

_BLOCK_CHARS: Final = 400_000
"""Of HTML before it is compressed: some 30 ms to open."""
_PLAIN: Final = " /:;=,.()-_~!*'"
"""Characters that stand for themselves in the address of a drawing."""
_DIGITS: Final = bytes.maketrans(b"<>&", b",.:")
"""What base 85 must not hold within a script's element; `single.js` knows it."""
_SCRIPT: Final = "single.js"
_STYLE: Final = "explorer.css"


@dataclass(frozen=True, kw_only=True)
class _Fragment:
    key: str
    title: str
    html: str


def make_single(site: Site, plan: Plan, *, advance: Advance) -> bytes:
    """Make the file.

    Raises
    ------
    DataError
        If the run has not even a corpus.
    """
    scripts: list[str] = []
    link = _linker(site, plan, scripts=scripts)
    fragments, frame = [], None
    for name, address, answer in answers(site, plan, advance):
        still = make_still(answer.text, address=address, link=link, figures=not is_cluster(name))
        if name == "index":
            frame = make_still(answer.text, address=address, link=link, figures=False)
        title = html.unescape(still.title)
        fragments.append(_Fragment(key=_hash(name)[1:], title=title, html=still.main))
    if frame is None:
        raise DataError(f"{site.folder}: no corpus yet; there is nothing to export")
    return _joined(frame, fragments, scripts=[*dict.fromkeys(scripts), _SCRIPT]).encode()


def _linker(site: Site, plan: Plan, *, scripts: list[str]) -> Link:
    """Lead to other pages of the file; figures become part of the page that shows them.

    Scripts that pages want are put down in `scripts`, to become part of the one script.
    """

    def link(tag: str, address: str) -> str | None:
        bare, fragment = urldefrag(address)
        name = plan.pattern(bare) if tag == "canvas" else plan.name(bare)
        if name is not None:
            return _hash(name) + (f"&at={fragment}" if fragment else "")
        if tag == "script":
            scripts.append(urlsplit(bare).path.rpartition("/")[2])
        shown = tag == "img" and plan.is_figure(bare)
        answer = site.find(bare) if shown else None
        return None if answer is None else _data(answer)

    return link


def _hash(name: str) -> str:
    return f"#q={name.rpartition('/')[2]}" if is_cluster(name) else f"#p={name}"


def _data(answer: Answer) -> str:
    """Write a drawing into an address: as text, which the block's compression makes small."""
    kind = answer.kind.partition(";")[0]
    if kind == "image/svg+xml":
        return f"data:{kind},{quote(answer.text, safe=_PLAIN)}"
    return f"data:{kind};base64,{base64.b64encode(answer.body).decode()}"


def _joined(frame: Still, fragments: list[_Fragment], *, scripts: list[str]) -> str:
    """Put the frame, the style, the script and the blocks together."""
    style = (STATIC / _STYLE).read_text(encoding="utf-8")
    script = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in scripts)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = (
        f'<head>\n<meta charset="utf-8">\n{GENERATOR}\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>'
    )
    index, blocks = _packed(fragments)
    tail = "\n".join([index, *blocks, f"<script>{script}</script>\n</body>"])
    before = frame.before.replace("<head>", head, 1)
    after, _, end = frame.after.rpartition("</body>")
    return f"{before}{frame.main}{after}{tail}{end}"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _packed(fragments: list[_Fragment]) -> tuple[str, list[str]]:
    """Give the index (where each page is, and its title) and the blocks."""
    places: dict[str, tuple[int, int, str]] = {}
    blocks = []
    for number, block in enumerate(_blocks(fragments)):
        places |= {each.key: (number, i, each.title) for i, each in enumerate(block)}
        raw = json.dumps([each.html for each in block], ensure_ascii=False).encode()
        text = base64.b85encode(zlib.compress(raw, 9)).translate(_DIGITS).decode()
        blocks.append(f'<script type="text/plain" id="block-{number}">{text}</script>')
    index = json.dumps(places, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="index">{index}</script>', blocks


def _blocks(fragments: list[_Fragment]) -> Iterator[list[_Fragment]]:
    block: list[_Fragment] = []
    size = 0
    for each in fragments:
        if block and size + len(each.html) > _BLOCK_CHARS:
            yield block
            block, size = [], 0
        block.append(each)
        size += len(each.html)
    yield block
