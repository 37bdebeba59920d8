"""Runs for the explorer's tests, every word, name and note hostile, and clients that ask for them.

What is hostile cannot run where it is escaped; where it is not, a page holds `MARK` as markup.
"""

import json
import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest
from scripts.explorer_run import World, make_run
from starlette.testclient import TestClient

from quantascope.explorer.app import make_app

HOST = "http://127.0.0.1:8765"
SCRIPT = "<script>document.title='owned'</script>"
MARK = "<script>document.title="
WORDS = (
    SCRIPT,
    "<img src=x onerror=\"document.title='owned'\">",
    "\"'><svg/onload=alert(1)>",
    "</pre></main></body></html>",
    "</title><script>alert(1)</script>",
    "\u202eright to left\u2066",
    "\x00\x1b[31m\x07\r\n",
    "{{ 7*7 }}{% raw %}",
    "<!--",
    "]]></svg><script>alert(1)</script>",
    "../../../../etc/passwd",
    "javascript:alert(1)",
    "e\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301",
    "\U0001f469\u200d\U0001f469\u200d\U0001f466",
    "=cmd|' /C calc'!A0",
    " the", " of", " plain", "\n",
)  # fmt: skip
LONG = "x" * 100_000
CLUSTER_IDS = ("../../../etc", SCRIPT, "\u202egnp", "\x00", "%2e%2e%2f", "\ud800")


def hostile_world() -> World:
    pieces = (*(word.encode() for word in WORDS), b"\xff\xfe\xf0", LONG.encode())
    return World(2_000, 20, pieces, source=f"../{SCRIPT}/\u202e.txt")


def hostile_lines() -> str:
    """Annotations as someone else's file might hold them, readable and not."""
    base = {"time": "2026-01-01T00:00:00+00:00", "author": SCRIPT, "preds": [], "of": ""}
    world = hostile_world()
    lines = []
    for i, word in enumerate((*WORDS, LONG, "\ud800")):
        one = base | {"clusters": [world.names[i % 9]], "author": word, "text": word}
        lines += [one | {"id": f"{i}-{op}", "op": op} for op in ("rename", "tag", "note")]
    for i, name in enumerate(CLUSTER_IDS):
        lines.append(base | {"id": name, "op": "rename", "clusters": [name], "text": SCRIPT})
        lines.append(base | {"id": f"u{i}", "op": "undo", "of": name})
    odd = ["{", "[" * 20_000, '{"id": 1e999}', "<<<<<<< HEAD", "null", '"a"', "\x00", "9" * 10_000]
    return "\n".join([*(json.dumps(line) for line in lines), *odd]) + "\n"


@pytest.fixture(scope="session")
def hostile_runs(tmp_path_factory) -> Path:
    """Folder with one run, `made`; do not write to it."""
    root = tmp_path_factory.mktemp("explorer")
    make_run(root / "made", hostile_world())
    (root / "made" / "annotations.jsonl").write_text(hostile_lines(), errors="surrogatepass")
    return root


@pytest.fixture
def own_runs(hostile_runs, tmp_path) -> Path:
    """Copy of the run without its annotations, to be written to and damaged."""
    shutil.copytree(hostile_runs / "made", tmp_path / "runs" / "made")
    (tmp_path / "runs" / "made" / "annotations.jsonl").unlink()
    return tmp_path / "runs"


def ask(root: Path, **options) -> TestClient:
    """Open a client that shows what the server answers, failures too, and follows nothing."""
    return TestClient(
        make_app(root, **options),
        base_url=HOST,
        headers={"origin": HOST},
        raise_server_exceptions=False,
        follow_redirects=False,
    )


def addresses(run: str = "made") -> list[str]:
    """Addresses of every kind of page of a run."""
    base, cluster = f"/r/{run}", hostile_world().names[0]
    asked = [(SCRIPT, "text"), ("e", "text"), ("o.*", "regex"), ("0", "token"), ("(", "regex")]
    search = [f"{base}/search?{urlencode({'q': q, 'mode': mode})}" for q, mode in asked]
    found = [page.path for page in pages() if "{" not in page.path]
    return [
        "/",
        *(f"{base}{path}" for path in found),
        f"{base}/quanta?{urlencode({'q': SCRIPT})}",
        f"{base}/quanta/{cluster}", f"{base}/quanta/{cluster}?align=1&order=loss&n=100",
        f"{base}/quanta/1",
        f"{base}/tokens/1", f"{base}/tokens/1999",
        *search,
    ]  # fmt: skip


def pages():
    from quantascope.explorer.registry import PAGES

    return PAGES
