"""What makes the explorer fast changes nothing that it shows, and stays out of what must start."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from threading import Event

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts.explorer_run import SIZES, World, make_run, plain_words

import quantascope
from quantascope.explorer import derived
from quantascope.explorer.derived import FOLDER, keep
from quantascope.explorer.evidence import Evidence, first_by
from quantascope.explorer.graph import count_edges
from quantascope.explorer.routes import visit_once
from quantascope.explorer.runs import Runs
from quantascope.explorer.scaling import cluster_curve, cluster_series, split
from quantascope.explorer.view import View
from quantascope.reader.annotations import Annotation
from quantascope.reader.curves import read_curves
from quantascope.reader.families import run_emergence
from quantascope.reader.genicity import run_genicity
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table, table_batches

HEAVY = ("pandas", "pyarrow", "scipy", "zarr", "matplotlib", "rich", "torch", "transformers")
WORLD = World(3_000, 30, plain_words(80))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speed")
    make_run(folder / "one", WORLD)
    return folder


@pytest.fixture
def run(root):
    return quantascope.load(root / "one")


def loaded(modules: str) -> set[str]:
    """Give those of the heavy libraries that importing some modules loads."""
    code = f"import sys, {modules}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split()) & set(HEAVY)


@pytest.mark.parametrize("module", ["quantascope.cli.app", "quantascope.explorer.app"])
def test_what_starts_loads_no_library_for_tables_arrays_or_statistics(module):
    assert loaded(module) == set()


def test_the_list_of_runs_is_shown_without_them(root):
    asked = (
        "import sys; from pathlib import Path; from starlette.testclient import TestClient; "
        "from quantascope.explorer.app import make_app; "
        f"client = TestClient(make_app(Path({str(root)!r})), base_url='http://127.0.0.1:8765'); "
        "assert client.get('/').status_code == 200; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & set(HEAVY) == set()


def test_pages_do_load_them():
    """The twin: the check above can fail."""
    assert {"pandas", "pyarrow", "scipy"} <= loaded("quantascope.explorer.routes")


def test_members_as_arrays_are_the_members_of_the_table(run):
    found, table = run.membership, run.members.sort_values("pred")
    assert found.preds.tolist() == table["pred"].tolist()
    assert [found.names[i] for i in found.code] == table["cluster"].tolist()
    parts = {name: part.tolist() for name, part in found.parts().items()}
    assert parts == {name: rows["pred"].tolist() for name, rows in table.groupby("cluster")}
    everything = np.arange(-2, len(run.tokens) + 2)
    held = np.isin(everything, table["pred"])
    assert ((found.code_of(everything) >= 0) == held).all()
    assert found.code_of(everything)[held].tolist() == found.code.tolist()


def test_edges_are_counted_as_one_by_one(run):
    groups = run.membership.parts()
    of = {pred: name for name, preds in groups.items() for pred in preds.tolist()}
    rows = run.selection["pred"].tolist()
    counts = {name: Counter() for name in groups}
    for a, b in run.table("graph", "edges")[["row", "column"]].itertuples(index=False):
        if of[rows[a]] != of[rows[b]]:
            counts[of[rows[a]]][of[rows[b]]] += 1
    joined = count_edges(run, groups)
    assert {name: Counter(dict(joined.near(name))) for name in groups} == counts
    assert all(n == sorted(n)[::-1] for n in ([k for _, k in joined.near(g)] for g in groups))


def test_a_table_by_parts_is_the_table(run):
    folder = run.folder.stage("graph")
    parts = list(table_batches(folder, "edges.parquet", ["row"], n_rows=100))
    assert len(parts) > 1
    whole = read_table(folder, "edges.parquet", ["row"])
    assert [x for part in parts for x in part["row"].to_pylist()] == whole["row"].to_pylist()


@given(st.lists(st.floats(width=32, allow_infinity=False)), st.integers(1, 40))
def test_the_first_by_a_key_are_those_of_a_whole_sort(keys, n):
    key = np.array(keys, dtype=np.float32)
    assert first_by(key, n).tolist() == np.argsort(key, kind="stable")[:n].tolist()


def test_bands_over_members_are_those_of_their_losses(run):
    view = View(run)
    name = view.clusters["cluster"][0]
    preds = view.groups[name].preds
    found = Evidence(run, view.finished, view.losses_of).over_sizes(preds)
    losses = np.asarray(run.losses[:, :])[preds][:, view.finished["model"]].astype(float)
    by_size = pd.DataFrame(losses.T).groupby(view.finished["n_params"].to_numpy()).mean()
    np.testing.assert_allclose(found["mean"], by_size.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found["p90"], by_size.quantile(0.9, axis=1), rtol=1e-12)


def regrouped(root, lines):
    """Give the run as somebody left it."""
    view = View(quantascope.load(root / "one"))
    view.__dict__["log"] = lines, 0
    return view


@pytest.mark.parametrize("op", ["merge", "split"])
def test_the_curve_of_a_group_made_by_hand_is_the_mean_of_its_members(root, run, op):
    a, b = View(run).clusters["cluster"][:2]
    preds = tuple(run.membership.parts()[a][:3].tolist()) if op == "split" else ()
    clusters = (a, b) if op == "merge" else (a,)
    line = Annotation(
        id="0" * 16, time="2026-01-01T00:00:00+00:00", author="", op=op, clusters=clusters,
        preds=preds,
    )  # fmt: skip
    view = regrouped(root, [line])
    made = [name for name, group in view.groups.items() if group.parents]
    assert made
    curves = read_curves(run.folder, which="selected")
    for name in made:
        rows = np.isin(curves.pred, view.groups[name].preds)
        assert rows.sum() == len(view.groups[name].preds)
        found = np.sort(cluster_series(view, name, "sizes").losses[0])
        np.testing.assert_allclose(found, np.sort(curves.losses[rows].mean(0, dtype=float)))
        assert cluster_curve(view, name)[0].x.tolist() == list(SIZES)


def same(a, b) -> bool:
    if is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)
        )
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)  # noqa: PLR0124 -- NaN


MAKERS = {
    "learned": lambda run: run_emergence(run, complete=False),
    "genicity": lambda run: run_genicity(run, complete=False),
    "split": lambda run: split(View(quantascope.load(run.root)), "sizes"),
    "edges": lambda run: View(quantascope.load(run.root))._joined(),
    "arrays": lambda _: (["a", "\u202e"], {1: np.arange(3), "x": (None, True, np.nan, np.inf)}),
}


@pytest.fixture
def all_kept(monkeypatch):
    monkeypatch.setattr(derived, "_LEAST_S", 0.0)


@pytest.fixture
def own(tmp_path) -> RunFolder:
    return make_run(tmp_path / "own", World(1_500, 12, plain_words(60)))


def refuse():
    raise AssertionError("made again")


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_read_back_is_what_was_made(own, all_kept, name):  # noqa: ARG001
    made = keep(own, name, ("clusters",), lambda: MAKERS[name](own))
    assert same(keep(own, name, ("clusters",), refuse), made)
    with pytest.raises(AssertionError, match="made again"):  # the twin: another stage, another key
        keep(own, name, ("clusters", "graph"), refuse)


def test_what_rests_on_other_stages_or_code_is_made_again_and_replaces_the_old(
    own, all_kept, monkeypatch  # noqa: ARG001
):  # fmt: skip
    keep(own, "n", ("fits",), lambda: 1)
    facts = own.require("fits").facts | {"more": 1}
    path = own.stage("fits") / "manifest.json"
    content = json.loads(path.read_text()) | {"facts": facts}
    changed = replace(own.require("fits"), facts=facts)
    path.write_text(json.dumps(content | {"digest": changed.digest}))
    assert keep(own, "n", ("fits",), lambda: 2) == 2
    monkeypatch.setattr(derived, "_code", lambda: "other code")
    assert keep(own, "n", ("fits",), lambda: 3) == 3
    assert len(list((own.root / FOLDER).iterdir())) == 1


def test_what_is_quick_leaves_no_file(own):
    assert keep(own, "n", ("fits",), lambda: 1) == 1
    assert not (own.root / FOLDER).exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"\x80\x04N.", b"x" * 4_000])
def test_a_damaged_or_foreign_file_is_made_again(own, all_kept, damage):  # noqa: ARG001
    keep(own, "n", ("fits",), lambda: np.arange(5))
    (path,) = (own.root / FOLDER).iterdir()
    path.write_bytes(damage)
    assert keep(own, "n", ("fits",), lambda: 7) == 7
    assert keep(own, "n", ("fits",), refuse) == 7


def test_no_object_of_another_kind_is_written_or_read(own, all_kept):  # noqa: ARG001
    for value in (np.array([object()]), object(), WORLD, b"bytes"):
        assert keep(own, "n", ("fits",), lambda value=value: value) is value
        assert not list((own.root / FOLDER).glob("*.npz"))
    keep(own, "n", ("fits",), lambda: 1)
    (path,) = (own.root / FOLDER).iterdir()
    plan = {"class": "Popen", "parts": {"args": ["true"]}}
    with path.open("wb") as file:
        np.savez(file, plan=np.array(json.dumps(plan)))
    assert keep(own, "n", ("fits",), lambda: 8) == 8


def test_pages_are_made_ahead_while_nobody_asks_and_hold_what_they_need(root):
    runs, idle = Runs(root), Event()
    idle.set()
    visit_once(runs, idle)
    view = runs.view("one")
    made = {key[1] for key in view.of_run._values if key[0] == "derived"}
    assert {"learned-sizes", "edges", "split-sizes", "genicity-sizes", "places"} <= made
    assert len(view.kept.get("members", dict)._values) == 20
    fresh = View(view.run)
    assert not fresh.of_run._values  # the twin: nothing is there before
