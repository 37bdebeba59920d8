"""Pages of toys: they say what the folder says, name what is missing, and run nothing of it."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from quantascope.explorer.pages.page import Shown
from quantascope.explorer.toys import listing
from quantascope.explorer.toys.kind import Drawn, ToyKind
from quantascope.pipeline.parity import read_sweep
from quantascope.pipeline.parity_families import curves_of
from quantascope.pipeline.parity_summary import measure_exponents, summarise_runs
from quantascope.reader.parity import ParityFolder
from tests.commands import call
from tests.explorer_runs import MARK, SCRIPT, ask
from tests.test_explorer_hostile import markings

SMALL = (
    "--n-tasks", 6, "--n", 8, "--k", 2, "--batch-size", 100, "--steps", 400, "--lr", 0.02,
    "--evals", 8, "--first-eval", 5, "--n-test", 200, "--n-test-each", 20,
)  # fmt: skip
ODD_NAME = "<img src=x onerror=alert(1)>&\"'"


@pytest.fixture(scope="module")
def toys(tmp_path_factory) -> Path:
    """One network with an animation, widths of two seeds, two alphas; do not write to them."""
    root = tmp_path_factory.mktemp("toys")
    call("parity", "train", root / "one", "--width", 8, *SMALL, "--animate", root / "one" / "a.gif")
    call("parity", "sweep", root / "widths", "--width", "4,8,12", "--seeds", "0,1", *SMALL)
    call("parity", "sweep", root / "alphas", "--alpha", ".2,.7", "--width", "4,8,12", *SMALL)
    return root


@pytest.fixture
def own(toys, tmp_path) -> Path:
    """Copy of one of them, to be damaged."""
    shutil.copytree(toys / "widths", tmp_path / "toys" / "widths")
    return tmp_path / "toys"


def test_the_page_says_what_the_sweep_says(toys):
    client, tables = ask(toys), read_sweep(toys / "widths")
    data = client.get("/t/widths/overview.json", params={"run": 4}).json()
    runs, curve = summarise_runs(tables), curves_of(tables)[4]
    assert [row["loss_nats"] for row in data["runs"]] == pytest.approx(runs["final_nats"].tolist())
    assert data["varied"]["widths"] == [4, 8, 12]
    assert data["varied"]["seeds"] == [0, 1]
    wanted = {each.name: each.estimate for each in measure_exponents(tables)}
    shown = {row["name"]: row["estimate"] for row in data["exponents"]}
    assert shown == pytest.approx({k: v if np.isfinite(v) else None for k, v in wanted.items()})
    below = curve.subtasks < 0.1 * np.log(2)
    first = [curve.steps[i] if some else None for i, some in
             zip(below.argmax(0), below.any(0), strict=True)]  # fmt: skip
    assert [row["learned_by"] for row in data["subtasks"]] == first
    assert data["n_learned"] == int(below.any(0).sum()) > 0
    folder = ParityFolder(toys / "widths")
    np.testing.assert_allclose(folder.curves(4).losses, curve.subtasks)
    np.testing.assert_allclose(folder.curves(4).frequencies, tables.sweep.runs[4].task.frequencies)


def test_the_network_that_learned_most_is_shown_first(toys):
    client = ask(toys)
    data = client.get("/t/widths/overview.json").json()
    learned = [row["n_learned"] for row in data["runs"]]
    assert len(set(learned)) > 1  # else any network would do
    assert learned[data["run"]] == max(learned)
    chosen = client.get("/t/widths/figures/subtasks.csv", params={"run": data["run"]})
    assert client.get("/t/widths/figures/subtasks.csv").text == chosen.text


def test_the_tables_twins_are_equal_and_hold_every_network(toys):
    client = ask(toys)
    sheet = pd.read_csv(io.StringIO(client.get("/t/widths/overview.csv").text))
    table = pd.read_parquet(io.BytesIO(client.get("/t/widths/overview.parquet").content))
    pd.testing.assert_frame_equal(sheet, table, check_dtype=False)
    assert len(table) == 6 * 6
    shown = client.get("/t/widths/overview.json", params={"run": 3}).json()["subtasks"]
    np.testing.assert_allclose(
        table.loc[table["run"] == 3, "final_bits"], [row["final_bits"] for row in shown]
    )


@pytest.mark.parametrize(
    ("toy", "names"),
    [
        ("one", {"subtasks"}),
        ("widths", {"subtasks", "scaling"}),
        ("alphas", {"subtasks", "exponents"}),
    ],
)
def test_each_figure_comes_light_dark_and_as_its_table(toys, toy, names):
    client = ask(toys)
    page = client.get(f"/t/{toy}").text
    for name in ("subtasks", "scaling", "exponents"):
        assert (f"/figures/{name}.svg" in page) == (name in names)
        answer = client.get(f"/t/{toy}/figures/{name}.svg")
        assert answer.status_code == (200 if name in names else 404)
        if name in names:
            dark = client.get(f"/t/{toy}/figures/{name}.svg", params={"theme": "dark"})
            assert dark.content != answer.content
            assert answer.content.startswith(b"<?xml")
            assert len(pd.read_csv(io.StringIO(client.get(f"/t/{toy}/figures/{name}.csv").text)))
    if toy == "one":
        assert client.get("/t/one/pictures/a.gif").headers["content-type"] == "image/gif"
        assert "/t/one/pictures/a.gif" in page


def test_a_sweep_without_a_summary_names_the_command_that_writes_it(own):
    wanted = ask(own).get("/t/widths/overview.json").json()
    shutil.rmtree(own / "widths" / "summary")
    client = ask(own)
    page = client.get("/t/widths")
    assert page.status_code == 200
    assert "quantascope parity show widths" in page.text
    assert client.get("/t/widths/overview.csv").status_code == 404
    assert client.get("/t/widths/figures/subtasks.svg").status_code == 404
    call("parity", "show", own / "widths")
    assert client.get("/t/widths/overview.json").json() == wanted  # the same client: read again


def test_lists_of_runs_name_toys_and_a_toy_alone_can_be_opened(toys):
    rows = ask(toys).get("/runs.json").json()["toys"]
    assert [row["toy"] for row in rows] == ["alphas", "one", "widths"]
    assert rows[2]["holds"] == "6 networks, 6 subtasks"
    assert ask(toys / "one").get("/t/one").status_code == 200
    assert ask(toys).get("/t/none").status_code == 404
    assert ask(toys).get("/t/..%2ftoys").status_code == 404


def test_hostile_toys_are_shown_and_run_nothing(own):
    """Names, settings and tables as somebody else's folder might hold them."""
    place = own / ODD_NAME
    (own / "widths").rename(place)
    settings = json.loads((place / "sweep.json").read_text())
    settings["sweep"]["runs"][0]["task"] |= {"distribution": SCRIPT, "n_tasks": 10**30}
    (place / "sweep.json").write_text(json.dumps(settings))
    exponents = pd.read_parquet(place / "summary" / "exponents.parquet")
    exponents["name"], exponents["reason"] = f"=1+1{SCRIPT}", "\u202e\x00</title>"
    exponents.to_parquet(place / "summary" / "exponents.parquet")
    (place / f"{ODD_NAME}.gif").write_bytes(b"GIF89a")
    (place / "page.gif").write_bytes(SCRIPT.encode())
    client = ask(own)
    for address in ("/", f"/t/{quote(ODD_NAME)}", f"/t/{quote(ODD_NAME)}?run=2"):
        page = client.get(address)
        assert page.status_code == 200
        assert markings(page.text.replace('src="/t/', 'src="/r/')) == []
        assert MARK not in page.text
    shown = client.get(f"/t/{quote(ODD_NAME)}/pictures/{quote(ODD_NAME)}.gif")
    assert shown.headers["content-type"] == "image/gif"
    assert shown.headers["x-content-type-options"] == "nosniff"
    refused = client.get(f"/t/{quote(ODD_NAME)}/pictures/page.gif")
    assert refused.status_code == 404
    assert markings(refused.text) == []
    for odd in ("-1", "99", "x", SCRIPT):
        answer = client.get(f"/t/{quote(ODD_NAME)}", params={"run": odd})
        assert answer.status_code == 400
        assert markings(answer.text) == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"sweep": {"runs": []}}', '{"sweep": 3}', "[" * 20_000]
)
def test_a_damaged_toy_says_so_and_hides_no_other(own, content):
    shutil.copytree(own / "widths", own / "damaged")
    (own / "damaged" / "sweep.json").write_text(content)
    client = ask(own)
    listed = {row["toy"]: row["problem"] for row in client.get("/runs.json").json()["toys"]}
    assert "cannot be read" in listed["damaged"]
    assert listed["widths"] == ""
    answer = client.get("/t/damaged")
    assert answer.status_code == 500
    assert "sweep.json" in answer.text
    assert str(own) not in answer.text
    assert "Traceback" not in answer.text


def test_a_damaged_table_is_named(own):
    (own / "widths" / "summary" / "learned.parquet").write_bytes(b"PAR1")
    answer = ask(own).get("/t/widths")
    assert answer.status_code == 500
    assert "learned.parquet" in answer.text
    assert str(own) not in answer.text


def test_no_link_leads_out_of_a_toy(own, tmp_path):
    secret = tmp_path / "secret.gif"
    secret.write_bytes(b"GIF89a secret")
    (own / "widths" / "a.gif").symlink_to(secret)
    client = ask(own)
    for address in ("/t/widths", "/t/widths/pictures/a.gif", "/t/widths/pictures/..%2fa.gif"):
        answer = client.get(address)
        assert answer.status_code in (404, 500)
        assert b"secret" not in answer.content


def test_another_kind_of_toy_is_one_entry(toys, monkeypatch, tmp_path):
    """Twin of parity: a folder of a kind of its own gets page, twins and figure by one entry."""
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "clock.json").write_text("[1, 2, 3]")
    assert ask(tmp_path).get("/t/clock").status_code == 404
    table = pd.DataFrame({"value": [1, 2, 3]})
    kind = ToyKind(
        template="error.html",
        read=lambda path: json.loads((path / "clock.json").read_text()),
        show=lambda toy: Shown(title=toy.name, data={"values": toy.content}, table=table),
        figure=lambda toy, _: Drawn(draw=lambda ax: ax.plot(toy.content), table=lambda: table),
    )
    mark = listing.ToyMark(
        name="clock", marker="clock.json", holds=lambda _: "3 numbers", page=lambda: kind
    )
    monkeypatch.setattr(listing, "TOYS", (*listing.TOYS, mark))
    client = ask(tmp_path)
    assert client.get("/t/clock/overview.json").json() == {"values": [1, 2, 3]}
    assert client.get("/t/clock/overview.csv").text == "value\n1\n2\n3\n"
    assert client.get("/t/clock/figures/any.svg").content.startswith(b"<?xml")
    assert client.get("/runs.json").json()["toys"][0]["holds"] == "3 numbers"
    assert ask(toys).get("/t/one").status_code == 200


def test_to_list_toys_nothing_heavy_is_loaded(toys):
    """In a process of its own; the twin, a toy's page, loads tables."""
    ask_list = f"listing.list_toys(Path({str(toys)!r}))"
    for more, wanted in (("", set()), ("; listing.TOYS[0].page()", {"pandas"})):
        done = subprocess.run(
            [sys.executable, "-c",
             "import sys; from pathlib import Path; from quantascope.explorer.toys import listing; "
             f"{ask_list}{more}; print(*sys.modules)"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = set(done.stdout.split())
        assert {"pandas"} & found == wanted
        assert not {"torch", "matplotlib"} & found
