"""The report in a real browser: everything drawn, nothing asked for, readable on a phone."""

import shutil

import pytest

from quantascope.pipeline.runner import run_stages
from quantascope.reader.report import write_report
from quantascope.store.folder import RunFolder
from tests.conftest import save_tiny_model
from tests.test_pipeline import small_config

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine; `make system` installs it"
)

HOSTILE = (
    "<script>document.title='owned'</script> <img src=x onerror=\"document.title='owned'\"> "
    "</pre></section></body> \u202eright to left {{ 7*7 }} &lt;b&gt; \x1b[31m "
)


@pytest.fixture(scope="module")
def page_and_requests(tmp_path_factory):
    """Open the report of a run on hostile text."""
    from playwright.sync_api import sync_playwright

    root = tmp_path_factory.mktemp("browser")
    text = root / "hostile.txt"
    text.write_text("\n\n".join(f"{HOSTILE} number {i} {HOSTILE}" for i in range(80)))
    models = [save_tiny_model(root / f"model-{seed}", seed=seed) for seed in (0, 1)]
    run = RunFolder(root / "run")
    run_stages(run, small_config(models, text))
    report = write_report(run.root)
    requests: list[str] = []
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(report.as_uri())
        yield page, requests, problems
        browser.close()


def test_no_request_leaves_and_nothing_is_complained_of(page_and_requests):
    _, requests, problems = page_and_requests
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert problems == []


def test_hostile_text_does_not_run(page_and_requests):
    page, _, _ = page_and_requests
    assert page.title().endswith("Quantascope report")
    assert page.locator("script").count() == 0
    assert page.locator("img").count() == 4
    assert "<script>" in page.locator("#largest ~ .clusters").first.inner_text().replace("·", " ")


def test_every_figure_is_drawn(page_and_requests):
    page, _, _ = page_and_requests
    widths = page.evaluate("Array.from(document.images).map(i => i.naturalWidth)")
    assert len(widths) == 4
    assert min(widths) > 200


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_never_scrolls_sideways(page_and_requests, width):
    page, _, _ = page_and_requests
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
