"""Pages of the explorer: what they show is what the run holds, and where it is."""

import io
import json
import re
import shutil
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scripts.explorer_run import SEEDS, SIZES, World, make_run, plain_words
from starlette.testclient import TestClient

import quantascope
from quantascope.explorer.app import make_app
from quantascope.explorer.figures import figure_file
from quantascope.explorer.kept import Kept
from quantascope.explorer.layout import plane_layout
from quantascope.explorer.marks import SHAPES, Axis, Chart, glyph, short_number
from quantascope.explorer.matching import match_groups
from quantascope.explorer.view import View
from quantascope.reader.families import run_emergence
from quantascope.reader.genicity import run_genicity

HOST = "http://127.0.0.1:8765"
HOSTILE = b"</script><script>document.title='owned'</script>\"'"
WORLD = World(3_000, 30, (HOSTILE, *plain_words(80)))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    make_run(folder / "one", WORLD)
    shutil.copytree(folder / "one", folder / "two")
    make_run(folder / "other", World(1_500, 8, plain_words(60)))
    return folder


@pytest.fixture(scope="module")
def client(root):
    return TestClient(make_app(root), base_url=HOST, headers={"origin": HOST})


@pytest.fixture(scope="module")
def run(root):
    return quantascope.load(root / "one")


def get(client, path, **query):
    answer = client.get(f"{path}?{urlencode(query)}" if query else path)
    assert answer.status_code == 200, answer.text
    return answer


PAGES = ("timeline", "scaling", "genicity", "map")


@pytest.mark.parametrize(
    "page", [f"/r/one/{name}" for name in PAGES] + ["/r/one", "/c?a=one&b=two"]
)
def test_a_page_holds_no_style_no_script_of_its_own_and_no_foreign_markup(client, page):
    text = get(client, page).text
    assert " style=" not in text
    assert "<style" not in text
    assert "<script>document" not in text
    scripts = re.findall(r"<script([^>]*)>", text)
    assert all("src=" in one or "application/json" in one for one in scripts)
    for svg in re.findall(r"<svg class=\"chart\".*?</svg>", text, flags=re.DOTALL):
        ET.fromstring(svg.replace("&nbsp;", " "))  # noqa: S314 -- ours, and whole
    assert re.search(r"<title>[^<]*(one|Compare|two)[^<]*</title>", text)


@pytest.mark.parametrize("page", PAGES)
def test_a_value_that_is_not_allowed_is_named(client, page):
    for name in ("over", "y", "pick", "color", "from", "cluster", "page"):
        answer = client.get(f"/r/one/{page}?{name}=%00<b>")
        assert answer.status_code in (200, 400)
        if answer.status_code == 400:
            assert f"{name}: " in answer.text
            assert "<b>" not in answer.text
    some = {"timeline": "y", "scaling": "cluster", "genicity": "pick", "map": "color"}[page]
    assert client.get(f"/r/one/{page}?{some}=nonsense").status_code == 400


def test_the_timeline_says_what_run_emergence_says(client, run):
    data = get(client, "/r/one/timeline.json").json()
    table = pd.read_csv(io.StringIO(get(client, "/r/one/timeline.csv").text))
    found = run_emergence(run.folder, complete=False)
    learned = found.changed & (found.found.drop > 0) & np.isfinite(found.found.at)
    assert data["n_learned"] == len(table) == learned.sum() > 2
    at = dict(zip(found.keys.tolist(), found.found.at, strict=True))
    np.testing.assert_allclose(table["learned_at"], [at[name] for name in table["cluster"]])
    assert table["learned_at"].is_monotonic_increasing


def test_the_brushed_range_is_the_same_on_timeline_and_list(client):
    table = pd.read_csv(io.StringIO(get(client, "/r/one/timeline.csv").text))
    lo, hi = np.quantile(table["learned_at"], [0.25, 0.75])
    ends = {"from": f"{lo:.6g}", "to": f"{hi:.6g}"}
    brushed = get(client, "/r/one/timeline.json", **ends).json()
    inside = table["learned_at"].between(float(ends["from"]), float(ends["to"]))
    assert 0 < brushed["n_chosen"] == inside.sum() < len(table)
    listed = pd.read_csv(io.StringIO(get(client, "/r/one/quanta.csv", **ends).text))
    assert set(table["cluster"][inside]) <= set(listed["cluster"])
    refused = client.get("/r/one/timeline?from=5&to=1")
    assert refused.status_code == 400


def test_each_mark_of_the_timeline_is_a_link_with_a_title(client):
    text = get(client, "/r/one/timeline").text
    (svg,) = re.findall(r"<svg class=\"chart\".*?</svg>", text, flags=re.DOTALL)
    links = ET.fromstring(svg).findall("a")  # noqa: S314
    data = get(client, "/r/one/timeline.json").json()
    assert len(links) == data["n_learned"]
    for link in links[:5]:
        assert link.find("path/title").text
        assert client.get(link.attrib["href"]).status_code == 200


def test_the_mean_loss_is_that_of_the_models_and_the_line_is_least_squares(client, run):
    data = get(client, "/r/one/scaling.json").json()
    mean = run.models.groupby("n_params")["mean_loss_nats"].mean()
    np.testing.assert_allclose([row["mean_loss_nats"] for row in data["rows"]], mean, rtol=1e-12)
    slope, offset = np.polyfit(np.log(mean.index), np.log(mean), 1)
    np.testing.assert_allclose(data["measured"]["exponent"], -slope, rtol=1e-9)
    off = np.log(mean) - offset - slope * np.log(mean.index)
    # a mean of two logarithms is below that of the mean by their spread squared over 8, at most
    spread = np.log(run.models["mean_loss_nats"]).groupby(run.models["n_params"]).agg(np.ptp).max()
    np.testing.assert_allclose(
        [row["ln_loss_over_line"] for row in data["rows"]], off, atol=spread**2 / 8 + 1e-9
    )
    carried = sum(row["drop_nats"] for row in data["parts"] if row["part"] != "rest")
    assert data["n_parts"] == 31 or data["n_parts"] == 30
    assert 0 < carried <= data["drop_nats"] * (1 + 1e-9)


def test_a_cluster_laid_over_has_the_mean_loss_of_its_members(client, run):
    one = run[2]
    data = get(client, "/r/one/scaling.json", cluster=one.id).json()
    losses = run.losses[:, :][one.preds].mean(axis=0)
    means = losses.reshape(len(SIZES), len(SEEDS)).mean(axis=1)
    np.testing.assert_allclose(data["clusters"][0]["loss_nats"], means, rtol=1e-5)
    text = get(client, "/r/one/figures/curve.csv", cluster=one.id).text
    drawn = pd.read_csv(io.StringIO(text))
    np.testing.assert_allclose(np.sort(drawn["mean_loss_nats"]), np.sort(losses), rtol=1e-5)


def test_single_predictions_are_sorted_as_run_genicity_sorts_them(client, run):
    data = get(client, "/r/one/genicity.json").json()
    found = run_genicity(run.folder, complete=False)
    assert data["classes"] == found.classes.counts
    assert data["rules"]["0"] == found.as_dict()["rules"][0]
    kind = max(data["classes"], key=data["classes"].get)
    table = pd.read_csv(io.StringIO(get(client, "/r/one/genicity.csv", pick=kind).text))
    assert set(table["class"]) == {kind}
    of = dict(zip(found.pred.tolist(), found.classes.name.tolist(), strict=True))
    assert all(of[pred] == kind for pred in table["pred"])


def test_a_draw_of_predictions_is_the_same_each_time_and_part_of_all(run):
    whole = run_genicity(run.folder, complete=False)
    drawn, again = (run_genicity(run.folder, complete=False, most=500) for _ in range(2))
    assert len(drawn.pred) == 500
    np.testing.assert_array_equal(drawn.pred, again.pred)
    assert np.isin(drawn.pred, whole.pred).all()
    rows = np.searchsorted(whole.pred, drawn.pred)
    np.testing.assert_array_equal(drawn.series.losses, whole.series.losses[rows])


def test_the_map_draws_every_cluster_once_and_cannot_be_closed_by_a_label(client, run):
    text = get(client, "/r/one/map").text
    (points,) = re.findall(r'id="map-points">(.*?)</script>', text, flags=re.DOTALL)
    assert "<" not in points
    drawn = json.loads(points)
    assert set(drawn["id"]) == set(run.clusters["cluster"])
    assert any("</script>" in label for label in drawn["label"])  # which was to be shown
    assert {len(values) for name, values in drawn.items() if name not in ("what", "colours")} == {
        len(run)
    }
    table = pd.read_csv(io.StringIO(get(client, "/r/one/map.csv").text))
    assert table["x"].between(0, 1).all()
    packed = client.get("/r/one/map/points.json").json()
    assert packed == drawn


def _two_rings(n: int) -> sparse.csr_array:
    ring = sparse.csr_array(np.roll(np.eye(n), 1, axis=1))
    both = sparse.block_diag([ring + ring.T] * 2).tolil()
    both[0, n] = both[n, 0] = 1
    return sparse.csr_array(both)


def test_what_the_graph_joins_lies_nearer_on_the_map_than_what_it_does_not():
    graph = _two_rings(40)
    at = plane_layout(graph)
    np.testing.assert_array_equal(at, plane_layout(graph))
    far = np.linalg.norm(at[:, None] - at[None], axis=2)
    joined = graph.toarray() > 0
    assert np.median(far[joined]) < 0.4 * np.median(far[~joined])
    alike = np.random.default_rng(0).permutation(80)  # the twin: places that go to other nodes
    assert np.median(far[alike][:, alike][joined]) > 0.6 * np.median(far[~joined])


@pytest.mark.parametrize("n", [0, 1, 3, 4, 9])
def test_few_nodes_and_nodes_without_edges_have_places_too(n):
    at = plane_layout(sparse.csr_array((n, n)))
    assert at.shape == (n, 2)
    assert ((at >= 0) & (at <= 1)).all()


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_groups_are_matched_as_the_dense_assignment_matches_them(n_a, n_b, seed):
    rng = np.random.default_rng(seed)
    preds = np.arange(60)
    a, b = rng.integers(0, n_a, 60), rng.integers(0, n_b, 60)
    groups_a = [preds[a == i] for i in range(n_a)]
    groups_b = [preds[b == i] for i in range(n_b)]
    found = match_groups(groups_a, groups_b)
    jaccard = np.array(
        [[len(np.intersect1d(x, y)) / max(len(np.union1d(x, y)), 1) for y in groups_b]
         for x in groups_a]
    )  # fmt: skip
    rows, columns = linear_sum_assignment(jaccard, maximize=True)
    np.testing.assert_allclose(found.jaccard.sum(), jaccard[rows, columns].sum(), atol=1e-6)
    has = found.partner >= 0
    assert len(set(found.partner[has].tolist())) == has.sum()
    assert found.n_shared == 60


OLD = [np.arange(0, 20), np.arange(20, 40), np.arange(40, 52), np.arange(52, 60), np.arange(90, 95)]


def test_kept_split_merged_new_and_gone_are_told_apart():
    new = [
        np.arange(0, 19), np.arange(20, 31), np.arange(31, 40), np.arange(40, 60),
        np.arange(200, 210),
    ]  # fmt: skip
    found = match_groups(OLD, new)
    assert found.kind_a.tolist() == ["kept", "split", "merged", "merged", "not shared"]
    assert found.kind_b.tolist() == ["kept", "split", "split", "merged", "not shared"]
    assert found.source[1:3].tolist() == [1, 1]
    assert found.into[2:4].tolist() == [3, 3]
    same = match_groups(OLD, OLD)
    assert set(same.kind_a) == {"kept"}
    np.testing.assert_allclose(same.jaccard, 1)
    assert match_groups([], OLD).kind_b.tolist() == ["not shared"] * 5
    assert match_groups(OLD, []).kind_a.tolist() == ["not shared"] * 5


def test_two_runs_of_one_text_are_compared_and_of_two_texts_are_not(client):
    data = get(client, "/c.json", a="one", b="two").json()
    assert data["kinds"]["kept"] == data["n_a"] == 30
    np.testing.assert_allclose(data["mean_jaccard"], 1)
    other = get(client, "/c.json", a="one", b="other").json()
    assert other["rows"] is None
    assert "different tokens" in other["why"]
    assert client.get("/c.csv?a=one&b=other").status_code == 404
    gone = client.get("/c?a=one&b=../one")
    assert gone.status_code == 404
    assert get(client, "/c.json").json()["rows"] is None


def test_a_merge_by_hand_shows_as_a_merge(root, tmp_path):
    shutil.copytree(root / "other", tmp_path / "one")
    shutil.copytree(root / "other", tmp_path / "two")
    client = TestClient(make_app(tmp_path), base_url=HOST, headers={"origin": HOST})
    rows = client.get("/r/two/quanta.json").json()["rows"]
    before = get(client, "/r/two/map.json").json()["n_clusters"]
    names = f"{rows[4]['cluster']},{rows[5]['cluster']}"
    client.post("/r/two/annotations", data={"op": "merge", "clusters": names})
    assert get(client, "/r/two/map.json").json()["n_clusters"] == before - 1
    table = pd.read_csv(io.StringIO(get(client, "/c.csv", a="one", b="two").text))
    merged = table[table["kind"] == "merged"]
    assert set(merged["a"]) == set(names.split(","))
    assert merged["b"].nunique() == 1
    new = merged["b"].iloc[0]
    assert get(client, "/r/two/scaling.json", cluster=new).json()["clusters"][0]["cluster"] == new
    assert get(client, "/r/two/figures/curve.svg", cluster=new).content.startswith(b"<?xml")


@pytest.mark.parametrize("name", ["scaling", "rank-frequency", "distribution", "solved"])
def test_figures_come_light_and_dark_and_are_kept(client, name):
    path = f"/r/one/figures/{name}"
    light, dark = get(client, f"{path}.svg"), get(client, f"{path}.svg", theme="dark")
    ET.fromstring(light.content)  # noqa: S314
    assert light.headers["content-type"] == "image/svg+xml"
    assert b"#e8e8e6" in dark.content
    assert b"#e8e8e6" not in light.content
    assert get(client, f"{path}.svg").content == light.content
    mark = light.headers["etag"]
    assert client.get(f"{path}.svg", headers={"if-none-match": mark}).status_code == 304
    assert get(client, f"{path}.png").content.startswith(b"\x89PNG")
    table = pd.read_csv(io.StringIO(get(client, f"{path}.csv").text))
    assert len(table) == len(get(client, f"{path}.json").json()["rows"]) > 0
    assert name in get(client, "/r/one").text


def test_light_and_dark_figures_drawn_at_once_do_not_mix(run):
    view = View(run)
    asked = [(name, dark) for name in ("scaling", "solved") for dark in (False, True)]
    with ThreadPoolExecutor(4) as pool:
        drawn = pool.map(lambda a: figure_file(view, a[0], form="svg", dark=a[1]), asked)
        for (_, dark), content in zip(asked, drawn, strict=True):
            assert (b"#e8e8e6" in content) == dark


def test_a_figure_that_there_is_not_says_so(client):
    for path in ("nonsense.svg", "curve.svg", "curve.svg?cluster=../x", "scaling.pdf"):
        assert client.get(f"/r/one/figures/{path}").status_code == 404
    assert client.get("/r/one/figures/scaling.svg?theme=pink").status_code == 400


@given(st.floats(1e-6, 1e9), st.floats(1.01, 1e6), st.booleans())
def test_ticks_lie_on_the_axis_and_tell_values_apart(lo, factor, log):
    axis = Axis(label="x", lo=lo, hi=lo * factor, log=log)
    ticks = axis.ticks()
    assert all(axis.lo <= value <= axis.hi for value, _ in ticks)
    places = axis.place(np.array([value for value, _ in ticks]))
    assert (np.diff(places) > 0).all()
    assert len(ticks) < 60


def test_an_axis_around_nothing_or_one_value_can_be_drawn():
    for values in (np.array([]), np.array([np.nan]), np.array([3.0]), np.array([0.0, -1.0])):
        for log in (False, True):
            axis = Axis.around("x", values, log=log)
            assert axis.lo < axis.hi
            chart = Chart(title="<&\"'", x=axis, y=axis)
            chart.line(values, values)
            ET.fromstring(chart.svg())  # noqa: S314


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mark_has_the_area_that_was_asked_for(shape):
    """By the shoelace formula; figures are written to 0.1 pixel, an error of 0.05 a corner."""
    path = glyph(shape, 100, 100, area=900)
    if shape == "circle":
        radius = float(path.split("a")[1].split()[0])
        assert abs(np.pi * radius**2 - 900) < 2 * np.pi * radius * 0.05 + 1e-9
        return
    x, y = np.array([p.split() for p in path[1:-1].split("L")], dtype=float).T
    area = 0.5 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    around = np.hypot(x - np.roll(x, -1), y - np.roll(y, -1)).sum()
    rounded = {"cross": 0.024, "triangle": 0.004, "diamond": 0.009, "square": 0.0}[shape]
    assert abs(area - 900) < 900 * rounded + 0.1 * around


def test_short_numbers():
    found = [short_number(v) for v in (0.0, -0.0, 1234.0, 2.5e6, -3.0, 0.001)]
    assert found == ["0", "0", "1.23k", "2.5M", "−3", "0.001"]


def test_what_is_kept_is_made_once_and_the_oldest_is_forgotten():
    made, kept = [], Kept(most=2)
    for key in ("a", "a", "b", "c", "b", "a"):
        assert kept.get(key, lambda k=key: made.append(k) or k) == key
    assert made == ["a", "b", "c", "a"]


def test_hidden_characters_of_a_name_are_seen_in_titles_and_on_the_map(root, tmp_path):
    shutil.copytree(root / "other", tmp_path / "one")
    client = TestClient(make_app(tmp_path), base_url=HOST, headers={"origin": HOST})
    name = client.get("/r/one/quanta.json").json()["rows"][0]["cluster"]
    text = "<b>\u202e backwards"
    client.post("/r/one/annotations", data={"op": "rename", "clusters": name, "text": text})
    page = get(client, "/r/one/map").text
    assert "\u202e" not in page
    assert "U+202E" in page
    assert "<b>" not in page
    both = get(client, "/c", a="one", b="one").text
    assert "<b>" not in both
    assert "U+202E" in both
