"""The explorer in a real browser: by keyboard, by link, back and forth, in light and dark.

Every page is watched: no request leaves, nothing is complained of, no hostile text runs.
"""

import re
import shutil
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from scripts.explorer_run import World, make_run, plain_words

from quantascope.explorer import routes
from quantascope.explorer.app import make_app
from tests.explorer_runs import WORDS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine; `make system` installs it"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serve a run whose words are half plain, half hostile, on a free port.

    `routes`, which the server imports behind the scenes, is imported before it: pytest's hook reads
    sources in Python 3.11 through a counter that threads share.
    """
    assert routes
    root = tmp_path_factory.mktemp("browser")
    words = (*plain_words(120), *(word.encode() for word in WORDS))
    make_run(root / "made", World(3_000, 60, words))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = make_app(root, port=port)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """Open a fresh browser, and check at the end what it did."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
    page = context.new_page()
    page.set_default_timeout(10_000)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(f"{message.text} {message.location}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    yield page
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    # a figure may be asked for while its cluster is merged away: it is answered by 404
    gone = re.compile(r"404 .*/figures/curve\.svg\?cluster=")
    assert [said for said in complaints if not gone.search(said)] == []
    assert "owned" not in page.title()
    context.close()


def at(page) -> str:
    parts = urlsplit(page.url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def arrive(page, part: str) -> None:
    """Wait until the address holds a text and the page is there."""
    page.wait_for_function("part => location.href.includes(part)", arg=part)
    page.wait_for_function("() => !document.querySelector('.htmx-request, .htmx-swapping')")
    page.wait_for_selector("main h1")


def settled(page) -> None:
    page.wait_for_function(
        "() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')"
    )


def test_by_keyboard_alone_from_the_runs_to_a_cluster_and_on(page):
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "made":
            break
    page.keyboard.press("Enter")
    arrive(page, "/r/made")
    page.keyboard.press("g")
    page.keyboard.press("q")
    arrive(page, "/quanta")
    page.wait_for_selector("table.rows tbody tr")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    second = page.evaluate("document.activeElement.querySelector('a').textContent")
    page.keyboard.press("Enter")
    arrive(page, f"/quanta/{second}")
    assert second in page.title()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("name => !location.href.includes(name)", arg=second)
    settled(page)
    third = at(page)
    page.keyboard.press("ArrowLeft")
    arrive(page, second)
    page.go_back()
    arrive(page, third)
    page.wait_for_function("name => document.title.includes(name)", arg=third.rpartition("/")[2])
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.tagName") == "LI"
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="hidden")
    page.keyboard.press("g")
    page.keyboard.press("s")
    arrive(page, "/search")
    page.keyboard.press("/")
    page.keyboard.type("<script>")
    page.keyboard.press("Enter")
    arrive(page, "q=%3Cscript%3E")
    page.wait_for_selector(".contexts li")
    assert "Search: <script>" in page.title()


def test_single_keys_can_be_switched_off(page):
    page.goto("/r/made/quanta")
    page.keyboard.press("?")
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.keyboard.press("?")
    page.reload()
    page.keyboard.press("?")
    assert not page.locator("dialog[open]").count()
    assert at(page) == "/r/made/quanta"
    page.locator("#keys").click()
    page.locator("#keys-on").check()
    page.locator("dialog button").click()
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count()


def test_filter_search_and_back_keep_to_the_address(page, browser, address):
    page.goto("/r/made/quanta")
    page.fill("input[name=min]", "40")
    page.select_option("select[name=sort]", "stability")
    page.locator("main form button").first.click()
    arrive(page, "min=40")
    filtered = at(page)
    sizes = [
        int(text.replace(",", ""))
        for text in page.locator("tbody tr td:nth-child(3)").all_inner_texts()
    ]
    assert sizes
    assert min(sizes) >= 40
    page.locator("tbody tr a").first.click()
    page.wait_for_selector("#following, #previous")
    cluster = at(page)
    page.go_back()
    arrive(page, "min=40")
    page.wait_for_selector("select[name=sort]")
    assert at(page) == filtered
    assert page.locator("tbody tr").count() == len(sizes)
    page.go_forward()
    page.wait_for_selector(".contexts li")
    assert at(page) == cluster
    assert page.locator("a[data-form=json]").get_attribute("href") == f"{cluster}.json"
    other = browser.new_context(base_url=address).new_page()  # a copied link, in a fresh browser
    other.goto(filtered)
    assert other.locator("tbody tr").count() == len(sizes)
    assert other.locator("select[name=sort]").input_value() == "stability"
    other.context.close()


def test_data_links_are_right_after_boosted_steps(page):
    """The body's own attributes do not change with its content; links may not rest on them."""
    page.goto("/")
    page.locator("main a", has_text="made").click()
    arrive(page, "/r/made")
    page.wait_for_selector("a[data-form=json][href='/r/made/overview.json']", state="attached")
    page.locator("nav a[data-key=q]").click()
    arrive(page, "/quanta")
    page.wait_for_selector("a[data-form=csv][href='/r/made/quanta.csv']", state="attached")


def test_copy_link_gives_the_address(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/r/made/quanta?min=3")
    page.locator("#copy").click()
    page.wait_for_function("() => document.getElementById('said').textContent === 'Link copied.'")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def annotate(page, op: str, text: str) -> None:
    if not page.locator("details.annotate[open]").count():
        page.locator("details.annotate summary").click()
    page.wait_for_load_state("networkidle")  # figures of a cluster that a merge takes away
    page.fill(f"input#{op}", text)
    page.keyboard.press("Enter")


def test_name_tag_merge_and_undo_hold_over_a_reload(page):
    page.goto("/r/made/quanta/5")
    cluster = page.locator("main p.dim").first.inner_text().split(",")[0]
    page.goto(f"/r/made/quanta/{cluster}")
    annotate(page, "rename", "<b>verbs</b> of motion")
    page.wait_for_function("() => document.querySelector('h1').textContent.includes('verbs')")
    assert page.locator("h1 b").count() == 0
    settled(page)
    annotate(page, "tag", "seen")
    page.wait_for_selector(".tag")
    page.reload()
    assert "verbs" in page.locator("h1").inner_text()
    size = page.locator("dl.facts dd").first.inner_text()
    page.goto("/r/made/quanta/6")
    other = page.locator("main p.dim").first.inner_text().split(",")[0]
    page.goto(f"/r/made/quanta/{cluster}")
    annotate(page, "merge", f"{cluster},{other}")
    page.wait_for_function("name => !location.href.includes(name)", arg=cluster)
    page.wait_for_selector("dl.facts")
    settled(page)
    assert f"Made from {cluster}, {other}" in page.locator("main").inner_text()
    merged = at(page)
    assert page.request.get(f"/r/made/quanta/{cluster}").status == 404
    page.goto("/r/made/annotations")
    page.locator("tbody tr", has_text="merge").locator("button").click()
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 4")
    page.goto(f"/r/made/quanta/{cluster}")
    assert page.locator("dl.facts dd").first.inner_text() == size
    assert "verbs" in page.locator("h1").inner_text()
    assert page.request.get(merged).status == 404


PLACES = (
    "/", "/r/made/quanta/3?n=5&ctx=16", "/r/made/tokens/40?ctx=16", "/r/made/search?q=e",
    "/c?a=made&b=made", "/r/made/quanta/nothing",
)  # fmt: skip


def places(page) -> list[str]:
    """Addresses of one page of each kind."""
    page.goto("/r/made")
    menu = page.locator("nav a[data-key]").evaluate_all("links => links.map(a => a.pathname)")
    return [*PLACES, *menu]


@pytest.mark.parametrize(
    ("scheme", "rules"),
    [("light", ""), ("dark", ", runOnly: ['color-contrast', 'link-in-text-block']")],
)
def test_axe_finds_nothing_serious(browser, address, scheme, rules):
    """In the dark, which changes colours alone, the rules about colour."""
    context = browser.new_context(base_url=address, color_scheme=scheme)
    page, found = context.new_page(), []
    for place in places(page):
        page.goto(place)
        page.evaluate(AXE.read_text())
        result = page.evaluate(f"axe.run({{resultTypes: ['violations']{rules}}})")
        found += [
            (place, one["id"], one["nodes"][0]["html"][:200])
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    context.close()
    assert found == []


@pytest.mark.parametrize(("width", "zoom"), [(320, 1), (390, 1), (1280, 2)])
def test_no_page_scrolls_sideways(browser, address, width, zoom):
    """At 200 % a window of 1280 is as wide as 640 of the page's pixels, text twice as large."""
    size = {"width": width // zoom, "height": 800 // zoom}
    context = browser.new_context(base_url=address, viewport=size, device_scale_factor=zoom)
    page, wide = context.new_page(), []
    for place in places(page):
        page.goto(place)
        needed = page.evaluate("document.documentElement.scrollWidth")
        wide += [(place, needed)] * (needed > size["width"])
    context.close()
    assert wide == []


def test_a_figure_opened_by_itself_keeps_its_own_style(page):
    """The watch over `page` hears of styles that the policy stops."""
    page.goto("/r/made/figures/scaling.svg")
    line = page.locator("path[style*='stroke:']").first
    assert line.evaluate("e => getComputedStyle(e).stroke") != "none"
    page.evaluate("document.documentElement.append(document.createElement('style'))")


def test_help_lists_every_page_with_its_key_and_the_key_leads_there(page):
    page.goto("/r/made/about")
    page.keyboard.press("?")
    said = page.locator("dialog dl").inner_text()
    menu = page.locator("nav a[data-key]").evaluate_all(
        "links => links.map(a => [a.dataset.key, a.textContent, a.pathname])"
    )
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    assert len({key for key, _, _ in menu}) == len(menu) > 8
    for key, name, _ in menu:
        assert f"g {key}\n{name}" in said
    key, _, path = menu[-2]
    page.keyboard.press("g")
    page.keyboard.press(key)
    page.wait_for_function("path => location.pathname === path", arg=path)


def test_the_keyboard_reaches_every_control(page):
    """What can be clicked is reached by Tab, and shows that it is reached."""
    page.goto("/r/made/quanta/2?n=1")
    page.locator("details.annotate summary").click()
    controls = ("a[href]", "button", "input:not([type=hidden])", "select", "summary")
    wanted = page.locator(", ".join(f"{each}:visible" for each in controls)).count()
    page.evaluate("document.body.focus(); document.activeElement.blur()")
    seen = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                "(() => { const e = document.activeElement; e.dataset.n ??= Math.random();"
                " const s = getComputedStyle(e);"
                " const mark = s.outlineStyle === 'none' ? '!' : '';"
                " return e === document.body ? '' : e.dataset.n + mark; })()"
            )
        )
    seen.discard("")
    assert len(seen) >= wanted
    assert not [one for one in seen if one.endswith("!")]


def test_to_the_next_cluster_style_and_scripts_stay(page):
    """Style and scripts stay; only what the page itself shows is asked for."""
    page.goto("/r/made/quanta/1")
    asked = []
    page.on("request", lambda request: asked.append(request.resource_type))
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('h1 ~ p').textContent.includes('rank 2')")
    assert {"document", "script", "stylesheet"}.isdisjoint(asked)


def test_the_next_cluster_is_there_before_it_is_wanted_and_is_the_page_itself(page):
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.goto("/r/made/quanta/1")
    name = page.get_attribute("#following", "href")
    page.wait_for_function(
        "name => performance.getEntriesByType('resource').some(r => r.name.endsWith(name))",
        arg=name,
    )
    before = asked.count(f"/r/made/quanta/{name}")
    assert before == 1
    page.locator("#following").click()
    arrive(page, name)
    assert asked.count(f"/r/made/quanta/{name}") == before
    assert at(page) == f"/r/made/quanta/{name}"
    shown, title = page.inner_html("main"), page.title()
    page.goto(f"/r/made/quanta/{name}")
    assert (page.inner_html("main"), page.title()) == (shown, title)
    page.go_back()
    arrive(page, "/quanta/1")


def test_what_was_asked_for_before_a_change_is_asked_for_again(page):
    """The twin: a page ahead of the change does not come from the store."""
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.goto("/r/made/quanta/1")
    name = page.get_attribute("#following", "href")
    page.wait_for_function(
        "name => performance.getEntriesByType('resource').some(r => r.name.endsWith(name))",
        arg=name,
    )
    page.evaluate("document.body.dispatchEvent(new Event('submit', { bubbles: true }))")
    page.locator("#following").click()
    arrive(page, name)
    assert asked.count(f"/r/made/quanta/{name}") == 2
