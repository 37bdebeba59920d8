"""Pages as files: one a page, with links that lead from file to file."""

import posixpath
from pathlib import Path
from typing import Final
from urllib.parse import quote, urldefrag

from quantascope.core.progress import Advance
from quantascope.explorer.export.place import write
from quantascope.explorer.export.plan import Plan, answers, is_cluster
from quantascope.explorer.export.site import Site
from quantascope.explorer.export.still import Link, make_still

__all__ = ["write_pages"]

_POLICY: Final = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file:; "
    "base-uri 'none'; form-action 'none'"
)
_HEAD: Final = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'


def write_pages(site: Site, plan: Plan, out: Path, *, advance: Advance) -> int:
    """Write pages, and what they link to, into a new folder.

    Returns
    -------
    int
        Pages written.
    """
    files = _Files(site, plan, out)
    n = 0
    for name, address, answer in answers(site, plan, advance):
        file = f"{name}.html"
        still = make_still(
            answer.text, address=address, link=files.link_from(file), head=_HEAD,
            figures=not is_cluster(name),
        )  # fmt: skip
        write(out / file, still.whole.encode())
        n += 1
    return n


class _Files:
    """Where files are; a twin, figure, style or script is written when first linked to."""

    def __init__(self, site: Site, plan: Plan, out: Path) -> None:
        self._site, self._plan, self._out = site, plan, out
        self._known: dict[str, str | None] = {}

    def link_from(self, file: str) -> Link:
        """Give what leads from a file to the file of an address."""

        def link(tag: str, address: str) -> str | None:
            bare, fragment = urldefrag(address)
            wanted = self._plan.pattern(bare) if tag == "canvas" else None
            place = f"{wanted}.html" if wanted else self._place(bare)
            if place is None:
                return None
            path = quote(posixpath.relpath(place, posixpath.dirname(file) or "."))
            return f"{path}#{fragment}" if fragment else path

        return link

    def _place(self, address: str) -> str | None:
        if address not in self._known:
            name = self._plan.name(address)
            self._known[address] = self._fetched(address) if name is None else f"{name}.html"
        return self._known[address]

    def _fetched(self, address: str) -> str | None:
        name = self._plan.asset(address)
        if name is None or (self._out / name).exists():
            return name
        answer = self._site.find(address)
        if answer is None:
            return None
        write(self._out / name, answer.body)
        return name
