"""The page on the explorer: its commands run, its addresses exist, its keys and bounds are ours."""

import re
import shutil
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from quantascope.explorer import annotate, safety
from quantascope.explorer.pages import cluster, clusters, search
from quantascope.explorer.registry import PAGES
from quantascope.explorer.search import _MOST, _MOST_IDS
from quantascope.explorer.toys import parity
from tests.doc_blocks import check_page
from tests.explorer_runs import ask

PAGE = Path(__file__).parents[1].joinpath("docs", "explorer.md").read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Give an empty folder with the shipped run at `runs/demo`."""
    shutil.copytree(str(files("quantascope") / "data" / "demo"), tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_runs_and_prints_what_the_page_shows(here):
    assert check_page(PAGE) == 2
    assert (here / "demo.html").stat().st_size < 500_000


def test_every_address_of_the_page_answers(here):
    client = ask(here / "runs")
    shown = re.findall(r"^    (/r/\S+)", PAGE, re.MULTILINE)
    assert len(shown) >= 5
    for address in shown:
        assert client.get(address).status_code == 200, urlsplit(address).path
    assert client.get("/r/demo/nowhere").status_code == 404  # what an address of ours is not


def test_every_page_and_key_stands_in_the_page():
    for page in PAGES:
        path = page.path.replace("{cluster}", "ID").replace("{pred}", "PRED")
        assert not path or f"`{path}`" in PAGE, page.name
        if page.menu:
            assert f"`{page.key}` {page.menu.lower()}" in " ".join(PAGE.split()), page.name


def test_bounds_are_those_of_the_code():
    for name, found in {
        "100; 256": f"{cluster._MOST_CONTEXTS}; {cluster._MOST_BEFORE}",
        "| clusters a page of the list | 50 |": f"list | {clusters._PER_PAGE} |",
        "200, 60, 5,000 characters": ", ".join(f"{annotate._MOST[k]:,}" for k in
                                               ("rename", "tag", "note")),
        "5,000; 100": f"{annotate._MOST_PREDS:,}; {annotate._MOST_CLUSTERS}",
        "8,192; 65,536 bytes": f"{safety._MOST_URL:,}; {safety._MOST_BODY:,}",
        "After 20,000 matches": f"{_MOST:,} matches",
        "32 ids": f"{_MOST_IDS} ids",
        "500; 1,000": f"{parity._MOST_RUNS}; {parity._MOST_SUBTASKS:,}",
    }.items():  # fmt: skip
        assert name in PAGE
        assert found in name
    assert search._PER_PAGE == 20
