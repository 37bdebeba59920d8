"""What pages say first: a run's story, clusters made by hand, forecasts that came due, figures."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts.explorer_run import SEEDS, World, make_run, plain_words
from starlette.testclient import TestClient

from quantascope.explorer.app import make_app
from quantascope.explorer.marks import Axis, Chart
from quantascope.explorer.pages.timeline import n_wide
from quantascope.explorer.registry import PAGES
from quantascope.explorer.render import render
from quantascope.explorer.words import SHADE_LEVELS
from quantascope.pipeline.forecasts import write_forecast
from quantascope.reader.conclusions import TOPICS, conclusions
from quantascope.reader.forecast import foretell
from quantascope.reader.forecast_groups import group_run
from quantascope.reader.outcomes import score_forecast
from quantascope.reader.run import load
from quantascope.store.folder import RunFolder

HOST = "http://127.0.0.1:8765"
WORLD = World(3_000, 24, plain_words(60))
LAST = 10_000_000
NEXT = 100_000_000


def put_down(run: RunFolder, targets: list[float]) -> None:
    """Forecast the last size, and what is asked for, from the sizes before it."""
    grouped = group_run(run, complete=False)
    found = foretell(grouped, targets, upto=LAST / 2)
    write_forecast(
        run, found.tables, config=found.config, parents=grouped.parents, facts=found.facts
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")
    make_run(folder / "one", WORLD)
    run = RunFolder(folder / "one")
    put_down(run, [LAST, NEXT])
    return folder


@pytest.fixture
def client(root):
    return TestClient(make_app(root), base_url=HOST, headers={"origin": HOST})


def said(client, path, **query):
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json() if path.endswith(".json") else answer.text


def test_the_overview_tells_what_the_artefacts_hold(client, root):
    run = load(root / "one")
    found = said(client, "/r/one/overview.json")["found"]
    mean = run.models.groupby("n_params")["mean_loss_nats"].mean()
    assert found["scaling"]["loss_first"] == pytest.approx(mean.iloc[0], rel=1e-12)
    assert found["scaling"]["loss_last"] == pytest.approx(mean.iloc[-1], rel=1e-12)
    assert found["scaling"]["n_models"] == len(mean) * len(SEEDS)
    assert found["clusters"]["n_clusters"] == len(run.clusters) == 24
    assert found["clusters"]["n_preds"] == run.clusters["size"].sum()
    assert found["clusters"]["n_incoherent"] == (~run.clusters["coherent"]).sum()
    text = said(client, "/r/one")
    for sentence in said(client, "/r/one/overview.json").get("conclusions", []):
        assert sentence.split(" ")[0] in text


def test_every_conclusion_has_its_topic(root):
    run = load(root / "one")
    assert len(TOPICS) == len(set(TOPICS)) == len(conclusions(run))


def test_a_run_with_little_in_it_has_an_overview_without_gaps(tmp_path):
    make_run(tmp_path / "one", WORLD)
    for stage in ("clusters", "labels", "ranks", "fits", "curves"):
        (tmp_path / "one" / stage / "manifest.json").unlink()
    client = TestClient(make_app(tmp_path), base_url=HOST)
    text = said(client, "/r/one")
    assert "mean loss falls" in text
    assert "clusters of alike" not in text
    assert said(client, "/r/one/overview.json")["found"]["clusters"] is None


def emerged(client) -> dict:
    rows = said(client, "/r/one/quanta.json", sort="rank")["rows"]
    return {row["cluster"]: row for row in rows}


def test_a_merged_cluster_is_learned_where_the_mean_of_all_members_says(client):
    """By hand: the last crossing of the middle of the drop, linear in ln(size) between levels."""
    before = emerged(client)
    first, second = list(before)[2:4]
    means = [
        np.array(said(client, "/r/one/scaling.json", cluster=name)["clusters"][0]["loss_nats"])
        for name in (first, second)
    ]
    sizes = [before[name]["size"] for name in (first, second)]
    client.post("/r/one/annotations", data={"op": "merge", "clusters": f"{first},{second}"})
    after = emerged(client)
    (new,) = set(after) - set(before)
    mean = np.average(means, axis=0, weights=sizes)
    x = np.log([row["n_params"] for row in said(client, "/r/one/scaling.json")["rows"]])
    above = mean - (mean[0] + mean[-1]) / 2
    i = int(np.flatnonzero(above > 0)[-1])
    at = x[i] + (x[i + 1] - x[i]) * above[i] / (above[i] - above[i + 1])
    assert after[new]["learned_at"] == pytest.approx(np.exp(at), rel=1e-6)
    assert after[new]["learned_lo"] <= after[new]["learned_at"] <= after[new]["learned_hi"]
    assert abs(np.log(before[first]["learned_at"]) - at) > 1e-3  # the twin: not one parent's
    for name in set(after) & set(before):  # what is said of the others stays
        for column in ("learned_at", "learned_lo", "learned_hi"):
            np.testing.assert_equal(after[name][column], before[name][column])
    listed = said(client, "/r/one/timeline.json")
    assert listed["n_clusters"] == len(after)
    one = said(client, f"/r/one/quanta/{new}.json")
    assert one["learned_at"] == after[new]["learned_at"]
    log = said(client, "/r/one/annotations.json")["rows"]
    client.post("/r/one/annotations", data={"op": "undo", "of": log[0]["id"]})
    assert emerged(client).keys() == before.keys()


def test_a_forecast_that_came_due_shows_its_score_and_one_that_did_not_says_so(client, root):
    (one,) = said(client, "/r/one/scaling.json")["forecasts"]
    _, outcomes = score_forecast(RunFolder(root / "one"), one["forecast"])
    (main,) = (each for each in outcomes if each.is_main)
    (shown,) = one["scores"]
    assert (shown["target"], shown["mean_nats"]) == (LAST, main.score.mean_nats)
    assert (shown["within_90"], shown["crps_nats"]) == (main.score.within_90, main.score.crps_nats)
    assert one["hindsight"] == [True, False]
    text = said(client, "/r/one/scaling")
    assert "in hindsight" in text
    assert text.count("not yet") == 1
    cluster = said(client, "/r/one/quanta/1.json")
    came = {row["target"]: row["came_nats"] for row in cluster["forecasts"]}
    data = said(client, "/r/one/scaling.json", cluster=cluster["cluster"])
    assert came[LAST] == pytest.approx(data["clusters"][0]["loss_nats"][-1], rel=1e-6)
    assert came[NEXT] is None


def test_a_changed_ledger_is_said_and_its_forecasts_are_not_shown(tmp_path):
    make_run(tmp_path / "one", WORLD)
    run = RunFolder(tmp_path / "one")
    put_down(run, [LAST])
    ledger = tmp_path / "one" / "forecasts" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("forecast", "forecasT", 1))
    client = TestClient(make_app(tmp_path), base_url=HOST, raise_server_exceptions=False)
    text = said(client, "/r/one/scaling")
    assert str(tmp_path) not in text
    assert "The mean loss falls" in text  # the rest of the page stands
    assert "ledger" in text
    assert "CRPS" not in text
    assert said(client, "/r/one/quanta/1.json")["forecasts"] == []


def test_only_figures_may_hold_a_style_of_their_own_and_run_nothing(client):
    figure = client.get("/r/one/figures/scaling.svg").headers["content-security-policy"]
    page = client.get("/r/one").headers["content-security-policy"]
    assert "unsafe-inline" not in page
    assert "style-src 'unsafe-inline'" in figure
    assert "default-src 'none'" in figure
    assert figure.endswith("sandbox")
    assert "script" not in figure


def test_help_names_every_key_and_no_key_leads_to_two_pages():
    text = render("error.html", {"title": "x", "code": 404, "why": "", "run": None})
    keys = [page.key for page in PAGES if page.key]
    assert len(set(keys)) == len(keys)
    for page in PAGES:
        if page.key:
            assert f"<dt>g {page.key}</dt><dd>{page.menu}</dd>" in text
    assert all(page.key for page in PAGES if page.menu)


def test_the_legend_of_shades_has_a_step_for_each_class_of_the_sheet(client):
    text = said(client, "/r/one/quanta/1")
    legend = text.partition('class="dim shades"')[2].partition("</p>")[0]
    for i, level in enumerate(SHADE_LEVELS, start=1):
        assert f'<span class="l{i}">{level:.3g}</span>' in legend
    sheet = client.get("/static/explorer.css").text
    assert f"span.l{len(SHADE_LEVELS)} " in sheet
    assert f"span.l{len(SHADE_LEVELS) + 1} " not in sheet


@pytest.mark.parametrize(
    ("value", "num", "fixed"),
    [
        (None, "–", "–"), (float("nan"), "–", "–"), (float("inf"), "∞", "∞"),
        (24_825.03, "24.8k", "24825.03"), (6592, "6.59k", "6592.00"), (-0.617, "−0.617", "−0.62"),
        (0.0004, "0.0004", "<0.01"), (-0.0004, "−0.0004", ">−0.01"), (0.0, "0", "0.00"),
        (999.4, "999", "999.40"),
    ],
)  # fmt: skip
def test_numbers_are_short_and_read_alike_in_columns(value, num, fixed):
    from quantascope.explorer.render import _environment

    filters = _environment().filters
    assert filters["num"](value) == num
    assert filters["fix"](value) == fixed


@given(st.integers(1, 40), st.integers(0, 10**6))
def test_names_cover_neither_marks_nor_each_other(n, seed):
    rng = np.random.default_rng(seed)
    x, y, area = rng.uniform(0, 1, n), rng.uniform(0, 1, n), rng.uniform(14, 700, n)
    axis = Axis(label="x", lo=-0.1, hi=1.1)
    chart = Chart(title="t", x=axis, y=axis)
    chart.names(x, y, texts=[f"cluster {i}" for i in range(n)], area=area)
    at, r = chart._at(x, y), np.sqrt(area / np.pi)
    boxes = []
    for part in chart.parts:
        left, base = (float(part.split(f'{k}="')[1].split('"')[0]) for k in ("x", "y"))
        wide = 6.8 * len(part.split(">")[1].split("<")[0])
        boxes.append((left, base - 11, left + wide, base + 3))
    slack = 1.0  # places are written to whole pixels
    for a in boxes:
        hit = (at[:, 0] - r < a[2] - slack) & (at[:, 0] + r > a[0] + slack)
        hit &= (at[:, 1] - r < a[3] - slack) & (at[:, 1] + r > a[1] + slack)
        assert not hit.any()
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart = a[2] - slack <= b[0] or b[2] - slack <= a[0]
            assert apart or a[3] - slack <= b[1] or b[3] - slack <= a[1]


def test_intervals_over_all_levels_are_counted():
    levels = np.array([10.0, 100.0, 1000.0])
    ends = {"learned_lo": [10.0, 0.0, 10.0, 100.0], "learned_hi": [1000.0, np.inf, 100.0, np.inf]}
    assert n_wide(pd.DataFrame(ends), levels) == 2
