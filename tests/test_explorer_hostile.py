"""Hostile text on every page: nothing of it becomes markup, in HTML, SVG, titles, JSON or CSV."""

# ruff: noqa: F811, E501, D102  fixtures are imported; tables of odd values are read by the line
import csv
import io
import re
import time
from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from quantascope.explorer import render, spark
from quantascope.reader import tokens
from tests.explorer_runs import (  # noqa: F401
    MARK,
    SCRIPT,
    addresses,
    ask,
    hostile_runs,
    hostile_world,
    own_runs,
)

RAW_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
TAGS = {
    "a", "bdi", "q", "body", "button", "circle", "code", "dd", "details", "dialog", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "g", "h1", "h2", "h3", "head", "header", "html", "img", "input",
    "label", "legend", "li", "line", "link", "main", "mark", "meta", "nav", "ol", "optgroup", "option", "p",
    "path", "polygon", "pre", "rect", "script", "section", "select", "small", "span", "strong",
    "summary", "svg", "table", "tbody", "td", "text", "textarea", "th", "thead", "title", "tr", "ul", "desc",
    "defs", "use", "canvas", "noscript", "output", "caption", "sup", "sub", "tspan", "polyline", "em", "b", "abbr", "time",
    "aside", "data", "datalist", "progress", "meter", "template", "br", "hr", "area", "map",
}  # fmt: skip


class Markings(HTMLParser):
    """Lists what a browser would take for markup."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.depth: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        if tag not in TAGS:
            self.found.append(f"<{tag}>")
        self.found += [name for name in names if name.startswith(("on", "style", "srcdoc"))]
        data = names.get("type") == "application/json"  # which browsers do not run
        if tag == "script" and not data and not (names.get("src") or "").startswith("/static/"):
            self.found.append("inline script")
        if tag == "img" and not (names.get("src") or "").startswith(("/r/", "/static/")):
            self.found.append("foreign image")
        for name in ("href", "src", "action", "formaction", "xlink:href"):
            value = (names.get(name) or "").strip().lower()
            if re.match(r"(//|[a-z+.-]+:)", value):
                self.found.append(f"{name}={value}")

    def handle_decl(self, decl):
        if decl.lower() != "doctype html":
            self.found.append(decl)

    def handle_comment(self, data):
        self.found.append(f"comment {data[:20]}")


def markings(text: str) -> list[str]:
    found = Markings(text).found
    found += ["raw control"] * bool(RAW_CONTROLS.search(text.replace("\r\n", "\n")))
    return found + [SCRIPT] * (MARK in text)


@pytest.fixture(scope="module")
def client(hostile_runs):
    return ask(hostile_runs)


def test_no_page_takes_hostile_text_for_markup(client):
    for address in addresses():
        answer = client.get(address)
        assert answer.status_code in ((400,) if "q=%28" in address else (200,)), address
        assert markings(answer.text) == [], address
        assert answer.text.rstrip().endswith("</html>")
        assert answer.text.count("<title>") == answer.text.count("</title>")


def test_hostile_text_is_shown_not_dropped(client):
    page = client.get(f"/r/made/quanta/{hostile_world().names[9]}?n=100").text
    assert "&lt;script&gt;" in page
    assert "⟨U+202E⟩" in page
    assert "⟨U+0000⟩" in page
    log = client.get("/r/made/annotations").text
    assert "&lt;script&gt;" in log
    assert "line(s) of the file cannot be read" in log


def test_titles_and_errors_are_escaped(client):
    for address in (
        f"/r/made/search?q={SCRIPT}", f"/r/made/quanta/{SCRIPT}", f"/r/{SCRIPT}", f"/r/made/{SCRIPT}",
        f"/r/made/quanta?sort={SCRIPT}", f"/r/made/quanta/1?at={SCRIPT}", "/r/made/search?q=\u202eabc",
        f"/r/made/search?mode=regex&q=({SCRIPT}", f"/r/made/tokens/{SCRIPT}",
    ):  # fmt: skip
        text = client.get(address).text
        assert markings(text) == [], address
        assert "<main" in text


def test_json_and_tables_hold_the_text_as_it_is_and_run_nothing(client):
    name = hostile_world().names[0]
    for address in (
        "overview",
        "quanta",
        f"quanta/{name}",
        "tokens/1",
        "search",
        "annotations",
        "about",
    ):
        answer = client.get(
            f"/r/made/{address}.json", params={"q": "e"} if address == "search" else None
        )
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.json()
        assert b"NaN" not in answer.content
    notes = client.get("/r/made/annotations.json").json()["rows"]
    assert SCRIPT in {row["text"] for row in notes}  # JSON is data: as it was written
    for address in ("quanta", f"quanta/{name}", "tokens/1", "annotations"):
        sheet = client.get(f"/r/made/{address}.csv")
        assert sheet.headers["content-type"].startswith("text/csv")
        assert "attachment" in sheet.headers["content-disposition"]
        for row in csv.reader(io.StringIO(sheet.text)):
            assert not any(re.match(r"[=+@\t\r]|-\D", cell) for cell in row), row
        assert client.get(f"/r/made/{address}.parquet").content[:4] == b"PAR1"


def test_long_lines_do_not_make_long_pages(client):
    """A piece of 100 kB is cut at 2,000 characters, wherever it is shown."""
    for address in addresses():
        text = client.get(address).text
        assert len(text) < 2_000_000, address
        assert "x" * 5_001 not in text, address


CATASTROPHES = (
    "(a+)+$", "(x+x+)+y", "(.*a){30}", "(x{1,1000}){1,1000}", "x{1000}{1000}", "(" * 400, "[" * 400, "\\",
    "(?P<n>x)(?P=n)", "(?=x)", "\\C", "(?i)" * 100, ".*" * 200, "x*" * 200, "(|a)*" * 50, "\\x{110000}", "\\p{Greek}",
    "\ud7ff", "(?:x?){250}x{250}",
)  # fmt: skip


def test_no_regular_expression_hangs(client):
    """RE2 is linear; 19 of them over 100 kB lines take far less than a backtracking one would.

    The limit is 20 s of CPU: (a+)+$ over one line of 30 letters takes as long in a backtracking
    matcher as 2^30 steps, about 100 s.
    """
    before = time.process_time()
    for pattern in CATASTROPHES:
        answer = client.get("/r/made/search", params={"mode": "regex", "q": pattern})
        assert answer.status_code in (200, 400), pattern
        assert "Traceback" not in answer.text
    assert time.process_time() - before < 20


def test_hostile_notes_are_taken_or_refused_and_shown_escaped(own_runs):
    client = ask(own_runs)
    cluster = client.get("/r/made/quanta.json").json()["rows"][0]["cluster"]
    for op in ("rename", "tag", "note"):
        for text in (
            SCRIPT,
            "\x00\u202e",
            "'\"><svg onload=x>",
            "x" * 6_000,
            "=1+1",
            "\n\r",
            "\ud800".encode("utf-8", "surrogatepass"),
        ):
            form = {"op": op, "clusters": cluster, "text": text, "author": SCRIPT}
            assert client.post("/r/made/annotations", data=form).status_code in (303, 400)
    for odd in (
        {"clusters": "../../x"},
        {"clusters": SCRIPT},
        {"op": SCRIPT},
        {"of": SCRIPT, "op": "undo"},
        {},
    ):
        form = {"op": "note", "text": "x"} | odd
        answer = client.post("/r/made/annotations", data=form)
        assert answer.status_code == 400
        assert markings(answer.text) == []
    for op, field in (("merge", "clusters"), ("split", "preds")):
        form = {"op": op, "clusters": cluster, field: ",".join(["1"] * 10_000)}
        assert client.post("/r/made/annotations", data=form).status_code == 400
    for address in (
        f"/r/made/quanta/{cluster}",
        "/r/made/quanta",
        "/r/made/annotations",
        "/r/made",
    ):
        assert markings(client.get(address).text) == []
    assert sorted(path.name for path in (own_runs / "made").iterdir() if path.is_file()) == [
        "annotations.jsonl", "run.toml",
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["tokens", "template", "svg"])
def test_without_escaping_these_tests_fail(hostile_runs, monkeypatch, where):
    """The twin: escaping taken out in one place, hostile markup comes through and is noticed."""
    raw = lambda text, **_: Markup(text)  # noqa: E731
    if where == "tokens":
        monkeypatch.setattr(tokens, "escape", raw)
    elif where == "template":
        environment = render._environment.__wrapped__()
        environment.autoescape = False
        environment.filters |= {"visible": raw}
        monkeypatch.setattr(render, "_environment", lambda: environment)
    else:
        drawn = spark.sparkline(hostile_world().losses[1][:3], title=SCRIPT)
        assert markings(drawn) == []
        monkeypatch.setattr(spark, "Markup", lambda text: text)  # str.format escapes nothing
        drawn = spark.sparkline(hostile_world().losses[1][:3], title=SCRIPT)
        assert markings(drawn) != []
        return
    client = ask(hostile_runs)
    assert any(markings(client.get(address).text) for address in addresses())
