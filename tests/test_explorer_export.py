"""Exports say what the live pages say, number by number, open alone, and overwrite nothing."""

import base64
import hashlib
import html
import json
import re
import shutil
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from quantascope.explorer.annotate import append
from quantascope.explorer.app import make_app
from quantascope.explorer.demo import demo_copy
from quantascope.explorer.export.plan import make_plan
from quantascope.explorer.export.run import export_run
from quantascope.explorer.export.site import Site
from quantascope.explorer.export.still import make_still
from quantascope.reader.annotations import Annotation
from quantascope.reader.decompose import run_decomposition
from quantascope.reader.run import load
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from tests.test_report_browser import ARGUMENTS, CHROMIUM

N_CLUSTERS, N_CONTEXTS = 4, 3
HOSTILE = "</main></script><script>alert(1)</script><img src=x onerror=alert(1)> \u202e\" '"
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Copy the run that ships, with a hostile name and note."""
    folder = tmp_path_factory.mktemp("runs") / "demo & <co>"
    shutil.copytree(str(files("quantascope") / "data" / "demo"), folder)
    first = load(folder)[1].id
    for i, op in enumerate(("rename", "note", "tag")):
        now = datetime(2026, 1, 1, second=i, tzinfo=UTC).isoformat()
        append(
            folder / "annotations.jsonl",
            Annotation(
                id=f"{i:016x}", time=now, author="x", op=op, clusters=(first,), text=HOSTILE
            ),
        )
    return folder


@pytest.fixture(scope="module")
def live(run):
    client = TestClient(make_app(run), base_url="http://127.0.0.1:8765")
    home = "/r/" + run.name.replace(" ", "%20").replace("&", "%26")

    def get(path: str):
        answer = client.get(home + path)
        assert answer.status_code == 200, (path, answer.text)
        return answer

    return get


@pytest.fixture(scope="module")
def out(run, tmp_path_factory) -> Path:
    """Export in every format."""
    root = tmp_path_factory.mktemp("out")
    for form in ("folder", "single", "csv", "parquet"):
        place = root / (f"{form}.html" if form == "single" else form)
        export_run(run, place, form=form, n_clusters=N_CLUSTERS, n_contexts=N_CONTEXTS)
    return root


def said(page: str) -> str:
    """Give the text of a page's main part, without what needs a server."""
    main = page.partition("<main")[2].partition(">")[2].partition("</main>")[0] or page
    main = re.sub(r'<details class="annotate">.*?</details>', "", main, flags=re.DOTALL)
    main = re.sub(r"<form.*?</form>", "", main, flags=re.DOTALL)
    main = re.sub(r'<div class="figures".*?</div>', "", main, flags=re.DOTALL)
    main = re.sub(r"<a [^>]*\bdownload\b.*?</a>", "", main, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def pages(out: Path) -> dict[str, str]:
    """Addresses of the exported pages by file, those of clusters with their contexts."""
    found = {}
    for path in (out / "folder").rglob("*.html"):
        name = str(path.relative_to(out / "folder").with_suffix(""))
        address = {"index": ""}.get(name, f"/{name}")
        if name.startswith("quanta-"):
            address = f"/quanta?page={name.removeprefix('quanta-')}"
        if name.startswith("quanta/"):
            address += f"?n={N_CONTEXTS}"
        found[name] = address
    return found


def fragments(single: str) -> dict[str, str]:
    """Unpack the pages of a single file."""
    found = re.findall(r'<script type="text/plain" id="block-(\d+)">([^<]*)</script>', single)
    plain = {
        int(i): base64.b85decode(text.translate(str.maketrans(",.:", "<>&"))) for i, text in found
    }
    blocks = {i: json.loads(zlib.decompress(block)) for i, block in plain.items()}
    index = json.loads(re.search(r'id="index">([^<]*)</script>', single).group(1))
    return {key: blocks[block][place] for key, (block, place, _) in index.items()}


def test_pages_say_what_live_pages_say(out, live):
    found = pages(out)
    assert len([name for name in found if name.startswith("quanta/")]) == N_CLUSTERS
    assert {"index", "quanta", "about", "annotations"} <= set(found)
    single = fragments((out / "single.html").read_text())
    for name, address in found.items():
        wanted = said(live(address).text)
        assert said((out / "folder" / f"{name}.html").read_text()) == wanted
        key = f"q={name[7:]}" if name.startswith("quanta/") else f"p={name}"
        assert said(single[key]) == wanted
    assert len(single) == len(found)


def test_the_list_goes_out_as_far_as_its_clusters_do(out, live, run):
    listed = live("/quanta.json").json()
    a_page = len(listed["rows"])
    assert a_page < listed["n_clusters"]
    assert "quanta-2" not in pages(out)
    with Site(run) as site:
        one_more = make_plan(site, n_clusters=a_page + 1, n_contexts=1)
        whole = make_plan(site, n_clusters=0, n_contexts=1)
    names = [name for _, name in one_more.pages.values()]
    assert len(one_more.clusters) == a_page + 1
    assert "quanta-2" in names
    assert "quanta-3" not in names
    assert len(whole.clusters) == whole.n_all == one_more.n_all == listed["n_clusters"]


def test_twins_hold_the_numbers_of_the_live_twins(out, live):
    n = 0
    for path in (out / "folder").rglob("*.json"):
        name = str(path.relative_to(out / "folder").with_suffix(""))
        address = pages(out).get("index" if name == "overview" else name)
        if address is None:
            continue
        bare, _, query = address.partition("?")
        twin = f"{'/overview' if name == 'overview' else bare.partition('-')[0]}.json?{query}"
        assert json.loads(path.read_text()) == live(twin).json()
        n += 1
    assert n == len(pages(out))


def test_numbers_on_a_cluster_page_are_those_of_its_twin(out):
    for path in (out / "folder/quanta").glob("*.html"):
        data = json.loads(path.with_suffix(".json").read_text())
        text = said(path.read_text())
        shown = set(NUMBER.findall(text.replace(",", "")))
        for name in ("stability", "mean_similarity", "loss_first", "loss_last", "null_similarity"):
            assert f"{data[name]:.3g}" in shown, name
        losses = re.findall(r"([\d.e-]+) nat</p>", path.read_text())
        assert losses == [f"{c['loss_nats']:.3g}" for c in data["contexts"]]
        assert len(losses) == min(N_CONTEXTS, data["size"])


def test_tables_hold_the_numbers_of_the_live_list(out, live, run):
    rows = []
    for page in range(1, live("/quanta.json").json()["n_pages"] + 1):
        rows += live(f"/quanta.json?page={page}").json()["rows"]
    wanted = pd.DataFrame(rows)
    parquet = pd.read_parquet(out / "parquet/clusters.parquet")
    csv = pd.read_csv(out / "csv/clusters.csv")
    numbers = wanted.select_dtypes("number").columns.tolist()
    assert {"rank", "size", "share", "loss_last", "stability"} <= set(numbers)
    for table in (parquet, csv):
        finite = table[numbers].replace([np.inf, -np.inf], np.nan)  # JSON has no infinity
        pd.testing.assert_frame_equal(finite, wanted[numbers], check_exact=True)
    members = pd.read_parquet(out / "parquet/members.parquet")
    sizes = members.groupby("cluster").size()
    assert sizes.to_dict() == dict(zip(wanted["cluster"], wanted["size"], strict=True))
    contexts = pd.read_csv(out / "csv/contexts.csv")
    assert contexts["cluster"].nunique() == N_CLUSTERS
    assert len(load(run).selection) >= len(members)


def test_links_lead_to_files_of_the_export_and_nowhere_else(out):
    root = out / "folder"
    n = 0
    for path in root.rglob("*.html"):
        text = path.read_text()
        tags = re.findall(r"<[a-z][^<>]*>", text)
        for tag in tags:
            bare_tag = re.sub(r'"[^"]*"', '""', tag)  # values may say anything
            assert not re.search(r"\s(on\w+|style|srcdoc|action)=", bare_tag), tag
            for target in re.findall(r'\s(?:href|src)="([^"]*)"', tag):
                bare, fragment = urldefrag(html.unescape(target))
                file = path if not bare else (path.parent / unquote(bare)).resolve()
                assert file.is_relative_to(root)
                assert file.is_file(), (path, target)
                n += 1
        assert text.count("<form") == text.count('<form method="dialog"')
        scripts = [s for s in re.findall(r"<script[^>]*>[^<]*", text) if "json" not in s]
        assert scripts  # what is JSON is data, which browsers do not run
        assert all(re.fullmatch(r'<script src="[./]*static/\w+\.js" defer>', s) for s in scripts)
    assert n > 100


def test_the_single_file_holds_one_script_known_by_its_hash(out):
    text = (out / "single.html").read_text()
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, flags=re.DOTALL)
    code = [body for attributes, body in scripts if "type=" not in attributes]
    assert len(code) == 1
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    for part, body in (("script-src", code[0]), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{part} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not re.search(r'\s(?:src|action)="(?!data:image/)', re.sub("<script>.*", "", text))
    assert all(t.startswith("#") for t in re.findall(r'\shref="([^"]*)"', text))


def test_hostile_names_stay_text(out, run):
    first = load(run)[1].id
    for text in (
        (out / f"folder/quanta/{first}.html").read_text(),
        fragments((out / "single.html").read_text())[f"q={first}"],
    ):
        assert "&lt;/main&gt;&lt;/script&gt;&lt;script&gt;alert(1)" in text
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "\u202e" not in text
    assert "<script>alert" not in (out / "single.html").read_text()


def test_a_still_page_keeps_text_and_drops_what_needs_a_server():
    page = (
        '<html><head><meta charset="utf-8"><title>a &amp; b</title>'
        '<script src="/static/htmx.min.js?v=1" defer></script></head><body hx-boost="true">'
        '<nav><a href="/gone">x</a><a href="/kept?a=1&amp;b=2">y</a></nav>'
        '<main id="main"><p>1 &lt; 2 &#34;<a href="gone">three</a></p>'
        '<form method="post"><form></form><b>no</b></form><svg><rect width="1"/></svg></main>'
        '<form method="dialog"><button>Close</button></form></body></html>'
    )
    still = make_still(
        page, address="/r/x/quanta", link=lambda _, a: "k" if a == "/kept?a=1&b=2" else None
    )
    assert still.title == "a &amp; b"
    assert still.main == '<p>1 &lt; 2 &#34;<a>three</a></p><svg><rect width="1"/></svg>'
    assert '<nav><a href="k">y</a></nav>' in still.before
    assert "htmx" not in still.whole
    assert still.after.count("<form") == 1


def test_a_drawing_that_leads_to_clusters_leads_to_their_files():
    still = make_still(
        '<main><canvas data-to="quanta/"></canvas></main>',
        address="/r/x/map",
        link=lambda tag, at: f"..{at}.html" if tag == "canvas" else None,
    )
    assert still.main == '<canvas data-to="../r/x/quanta/" data-end=".html"></canvas>'


@pytest.mark.parametrize("form", ["folder", "single", "csv"])
def test_what_no_export_made_is_left_alone(run, tmp_path, form):
    mine = tmp_path / "mine"
    if form == "single":
        mine.write_text("<!DOCTYPE html>my page")
    else:
        mine.mkdir()
        (mine / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="out: .*no export made"):
        export_run(run, mine, form=form, n_clusters=1)
    assert (mine if form == "single" else mine / "letter.txt").stat().st_size > 3
    for wrong in (tmp_path / "no" / "where", tmp_path / "link"):
        if wrong.name == "link":
            wrong.symlink_to(mine)
        with pytest.raises(ValueError, match="out: "):
            export_run(run, wrong, form=form, n_clusters=1)
    with pytest.raises(ValueError, match="out: "):
        export_run(run, run, form=form, n_clusters=1)


def test_an_export_is_replaced_whole_or_stays(run, tmp_path):
    place = tmp_path / "site"
    export_run(run, place, form="csv", n_clusters=1)

    def begin(_):
        def advance(_):
            raise OSError("disk full")

        return advance

    with pytest.raises(OSError, match="disk full"):
        export_run(run, place, form="folder", n_clusters=1, begin=begin)
    assert (place / "clusters.csv").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    export_run(run, place, form="parquet", n_clusters=1)
    assert not (place / "clusters.csv").exists()
    assert (place / "clusters.parquet").is_file()
    (place / "note.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"note\.txt"):
        export_run(run, place, form="csv", n_clusters=1)


@pytest.mark.slow
def test_ten_thousand_contexts_take_less_than_five_megabytes(run, tmp_path):
    """500 clusters of 20 contexts, from the measured cost of a cluster and of a context more."""
    none, few, many = (
        export_run(run, tmp_path / f"{k}.{n}.html", form="single", n_clusters=k, n_contexts=n)
        for k, n in ((1, 1), (20, 1), (20, 20))
    )
    n_more = load(run).clusters["size"].to_numpy()[:20].clip(max=20).sum() - 20
    per_context = (many.n_bytes - few.n_bytes) / n_more
    per_cluster = (few.n_bytes - none.n_bytes) / 19
    assert none.n_bytes + 500 * (per_cluster + 19 * per_context) < 5_000_000
    assert per_context > 50  # bytes: they are there


def test_evidence_of_a_cluster_is_that_of_the_run(run, live):
    shown = load(run)
    cluster = shown[2]
    page, data = live(f"/quanta/{cluster.id}").text, live(f"/quanta/{cluster.id}.json").json()
    losses = np.asarray(shown.losses[np.sort(cluster.preds), :])[:, shown.models["model"]]
    members = data["members"]
    assert members["n_params"] == shown.models["n_params"].tolist()  # one seed, one step
    np.testing.assert_allclose(members["mean"], losses.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(members["p90"], np.quantile(losses, 0.9, axis=0), rtol=1e-6)
    np.testing.assert_allclose(members["of_all"], shown.models["mean_loss_nats"], rtol=1e-6)
    for one in members["members"]:
        np.testing.assert_allclose(one["loss_nats"], shown.pred(one["pred"]).losses, rtol=1e-6)
    labels = shown.labels[shown.labels["cluster"] == cluster.id].sort_values("place")
    assert [row["auc"] for row in data["features"]] == labels["auc"].tolist()
    split = run_decomposition(shown.folder, complete=False)
    place = split.names.tolist().index(cluster.id)
    assert data["drop"]["share_of_drop"] == split.found.share_of_drop[place]
    assert f"{100 * data['drop']['share_of_drop']:.3g} %" in page
    more = data["mean_similarity"] > data["null_similarity"]
    assert ("no more alike" in data["beside_chance"]) == (not more)
    assert data["forecasts"] == []


def test_the_run_that_ships_opens_from_a_copy_and_is_small():
    shipped = Path(str(files("quantascope") / "data" / "demo"))
    assert sum(path.stat().st_size for path in shipped.rglob("*")) < 3_000_000
    assert not validate_whole(shipped)
    with demo_copy() as folder:
        client = TestClient(make_app(folder), base_url="http://127.0.0.1:8765")
        assert [row["run"] for row in client.get("/runs.json").json()["runs"]] == ["demo"]
        data = client.get("/r/demo/overview.json").json()
        assert {stage["state"] for stage in data["stages"]} == {"done"}
        assert data["conclusions"]
        assert client.get("/r/demo/quanta/1").status_code == 200
    assert not folder.exists()


def validate_whole(folder: Path) -> list[str]:
    """List damage but for the sketches, which do not ship."""
    return [line for line in validate_run(RunFolder(folder)) if "/sketch/" not in line]


def test_notebook_forms_are_static_and_escaped(run):
    shown = load(run)
    shown.vocab.update({i: b"<script>alert(1)</script>" for i in shown.vocab})
    fit = shown.fit(shown.fits.index[0])
    for each in (shown, shown[1], shown.pred(5), fit, replace(fit, reason="<script>", lo=-np.inf)):
        form = each._repr_html_()
        tags = set(re.findall(r"</?([a-z]+)", form))
        assert tags <= {"b", "p", "pre", "table", "tr", "th", "td", "code", "mark"}
        assert not re.search(r"<[^>]*\son\w+=", form)
    assert "&lt;script&gt;" in shown[1]._repr_html_()
    assert f"{fit.estimate:.3g}" in fit._repr_html_()
    assert f"{shown.pred(5).losses.iloc[-1]:.3g}" in shown.pred(5)._repr_html_()
    with pytest.raises(KeyError, match="this run has"):
        shown.fit("nothing")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; `make system` installs it")
def test_exports_open_from_a_disk_and_ask_for_nothing(out, run):
    from playwright.sync_api import sync_playwright

    first, second = load(run)[1].id, load(run)[2].id
    requests: list[str] = []
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((out / "folder/index.html").as_uri())
        page.click(f'main a[href="quanta/{first}.html"]')
        page.wait_for_url(f"**/{first}.html")
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**/{second}.html")
        page.goto(f"{(out / 'single.html').as_uri()}#q={first}")
        page.wait_for_selector(f"body[data-ready='q={first}']")
        assert "<script>alert(1)</script>" in page.inner_text("h1")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f"body[data-ready='q={second}']")
        assert second in page.title()
        page.go_back()
        page.wait_for_selector(f"body[data-ready='q={first}']")
        page.goto(f"{(out / 'single.html').as_uri()}#q=<img src=x>")
        page.wait_for_function("document.querySelector('main p').textContent.includes('no page')")
        browser.close()
    assert problems == []
    assert all(request.startswith(out.as_uri()) for request in requests)
