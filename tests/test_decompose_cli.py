"""Decomposition as a command: of n-grams, clusters and sweeps; n-gram skills; a line a fault."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForCausalLM

import quantascope
from quantascope.core.errors import ArtefactError, DataError
from quantascope.pipeline.config import load_config, set_values
from quantascope.pipeline.parity import read_sweep
from quantascope.pipeline.parity_families import families_of, subtask_series
from quantascope.pipeline.runner import run_stages
from quantascope.reader.curves import read_curves
from quantascope.reader.groups import read_groups
from quantascope.store.folder import RunFolder
from quantascope.store.truth import write_truth
from tests.commands import call, refusal
from tests.family_runs import SIZES, corpus_run, made_up_losses, write

KINDS = ["corpus", "losses", "selection", "curves"]
SWEEP = [
    "--n-tasks", "6", "--n", "8", "--k", "2", "--batch-size", "100", "--steps", "40",
    "--evals", "6", "--first-eval", "5", "--n-test", "200", "--n-test-each", "20",
]  # fmt: skip


@pytest.fixture(scope="module")
def family(tiny_family, text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("decompose")
    run = corpus_run(folder / "run", model=tiny_family[0], text=text_file)
    path = write(made_up_losses(run), folder / "losses.parquet")
    settings = [f"losses.source={path}", "curves.n_sample=900", "selection.threshold_nats=9.0"]
    run_stages(run, set_values(load_config(run.config_path), settings), kinds=KINDS)
    return run


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "s"
    call("parity", "sweep", folder, "--width", "4,8,12", "--seeds", "0,1", *SWEEP)
    return folder


def test_parts_of_ngrams_add_up_to_the_mean_of_the_sample(family, tmp_path):
    out = tmp_path / "d.parquet"
    found = json.loads(
        call("decompose", family.root, "--by", "ngram:1", "--json", "--out", out,
             "--plot", tmp_path / "p.svg")
    )  # fmt: skip
    curves = read_curves(family, which="sampled")
    last = curves.checkpoints.step == 100
    mean = [
        curves.losses[:, last & (curves.checkpoints.n_params == size)].mean(dtype=float)
        for size in SIZES
    ]
    np.testing.assert_allclose(found["mean_loss_nats"], mean, rtol=1e-6)  # single precision
    assert found["drop_nats"] == pytest.approx(mean[0] - mean[-1], rel=1e-5)
    rows = pq.read_table(out).to_pandas()
    assert rows["share_of_drop"].sum() == pytest.approx(1, abs=1e-9)
    assert rows["share"].sum() == pytest.approx(1, abs=1e-9)
    assert np.isfinite(rows["seed_error"]).all()
    assert (tmp_path / "p.svg").stat().st_size > 5000
    part = json.loads(call("decompose", family.root, "--by", "ngram:1", "--json",
                           "--from", 4000, "--to", 64_000))  # fmt: skip
    assert part["drop_nats"] == pytest.approx(mean[1] - mean[3], rel=1e-5)
    assert part["measured"]["n_levels"] == 3
    shown = call("decompose", family.root, "--by", "ngram:2", "--least", 5, "--figure", "drop",
                 "--plot", tmp_path / "d.png")  # fmt: skip
    assert "NOT CALIBRATED, so it is not judged" in shown
    assert shown.splitlines()[-1] == str(tmp_path / "d.png")


def test_ngram_skills_are_dated_with_their_frequency(family, tmp_path):
    out = tmp_path / "e.parquet"
    call("emergence", family.root, "--by", "ngram:2", "--least", 5, "--out", out)
    rows = pq.read_table(out).to_pandas()
    groups = read_groups(family, read_curves(family, which="sampled").pred, "ngram:2", least=5)
    assert rows["ngram"].tolist() == groups.names.tolist()
    assert (rows["n_preds"] >= 5).all()
    assert rows["frequency"].is_monotonic_decreasing
    shown = call("emergence", family.root, "--by", "ngram:2", "--least", 5, "--metrics")
    assert "rank correlation" in shown
    assert "exact match" in shown
    assert "those not learned censored" in shown


def test_skills_of_a_truth_are_groups_without_noise_and_shared_ones(family, tmp_path):
    shutil.copytree(family.root, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    pred = read_curves(run, which="sampled").pred
    skill = np.array(["falls slowly", "falls at once", "noise"])[(pred % 3 + 2) % 3]
    columns = {"pred": pred, "skill": skill, "sub_skill": skill, "entry": skill}
    columns |= {"weight": np.ones(len(pred)), "held_out": np.zeros(len(pred), dtype=bool)}
    write_truth(run.root, pa.table(columns))
    found = json.loads(call("emergence", run.root, "--by", "skill", "--json"))
    assert {row["skill"] for row in found["rows"]} == {"falls slowly", "falls at once"}
    at_once = next(row for row in found["rows"] if row["skill"] == "falls at once")
    assert SIZES[2] <= at_once["at"] <= SIZES[3]
    parts = json.loads(call("decompose", run.root, "--by", "skill", "--json"))["parts"]
    assert [row["part"] for row in parts][-1] == "rest"
    # predictions labelled noise stay at 6 nat: the rest carries none of the drop
    assert abs(parts[-1]["share_of_drop"]) < 0.01


def test_clusters_are_parts_of_all_predictions_and_say_what_they_stand_for(
    tiny_family, text_file, tmp_path
):
    run = corpus_run(tmp_path / "run", model=tiny_family[0], text=text_file)
    model = AutoModelForCausalLM.from_pretrained(tiny_family[0], dtype="float32").eval()
    tracker = quantascope.Tracker(run.root)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    for step in (1, 2, 3):
        model.load_state_dict({n: w * (1 + 0.03 * (3 - step)) for n, w in weights.items()})
        tracker.log(model, step=10**step, seed=0, name="neox-0" if step == 3 else None)
    settings = ["selection.model=neox-0", "selection.threshold_nats=20.0", "sketch.dim=64"]
    settings += ["graph.n_neighbors=5", "clusters.n_clusters=[2, 3]", "selection.n=40"]
    run_stages(run, set_values(load_config(run.config_path), settings))
    found = json.loads(call("decompose", run.root, "--over", "steps", "--json"))
    read = quantascope.load(run.root)
    np.testing.assert_allclose(found["mean_loss_nats"], read.models["mean_loss_nats"], rtol=1e-9)
    n = read.facts("curves")["n_predictions"]
    shares = [row["share"] for row in found["parts"]]
    np.testing.assert_allclose(shares[:-1], read.clusters["size"] / n)
    assert found["predicted"]["calibrated"] in (True, False)
    assert "40 predictions that neox-0 solves" in found["notes"][0]
    one = read[1]
    mean = read.losses[:, :][one.preds].mean(axis=0)
    np.testing.assert_allclose(
        found["parts"][0]["loss_at_10"] - found["parts"][0]["loss_at_1000"],
        mean[0] - mean[2],
        atol=1e-5,
    )


def test_a_sweep_of_parity_is_decomposed_over_its_subtasks(sweep):
    family = next(each for each in families_of(read_sweep(sweep)) if each.by == "N")
    found = json.loads(call("decompose", sweep, "--json"))
    mean = (family.subtasks @ family.task.frequencies).mean(axis=0)
    np.testing.assert_allclose(found["mean_loss_nats"], mean, rtol=1e-9)
    assert found["covered"]["predictions"] == pytest.approx(1)
    assert found["predicted"]["exponent"] == family.task.alpha
    series = subtask_series(family)
    np.testing.assert_array_equal(series.losses[2].reshape(2, 3), family.subtasks[:, :, 2])
    steps = json.loads(call("decompose", sweep, "--over", "steps", "--json"))
    assert steps["measured"]["name"] == "alpha_S"
    dated = json.loads(call("emergence", sweep, "--over", "steps", "--json"))
    assert [row["subtask"] for row in dated["rows"]] == [str(k) for k in range(6)]
    assert "no family over data" in refusal(DataError, "decompose", sweep, "--over", "data")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["decompose", "--by", "word"], ValueError, "by: 'word' found; allowed are cluster, skill"),
        (["decompose", "--by", "ngram:0"], ValueError, "by: 'ngram:0' found"),
        (["decompose", "--by", "ngram:1", "--from", "7"], ValueError, "--from, --to: 7 found"),
        (["decompose", "--by", "ngram:1", "--over", "data"], DataError, "0 amount(s) of text"),
        (["decompose", "--by", "ngram:8", "--least", "9999"], DataError, "ask for fewer"),
        (["decompose"], ArtefactError, "clusters"),
        (["emergence", "--by", "word"], ValueError, "by: 'word' found; allowed are cluster, pred"),
        (["emergence", "--by", "skill"], ArtefactError, "truth.parquet: missing"),
        (["genicity", "--over", "steps", "--step", "10"], ValueError, "step: sizes are compared"),
    ],
)
def test_faults_are_one_line(arguments, kind, words, family):
    assert words in refusal(kind, arguments[0], family.root, *arguments[1:])


def test_genicity_counts_rare_shapes(family):
    shown = call("genicity", family.root)
    assert "inverse scaling: 0" in shown
    assert "delayed drop" in shown


def test_groups_of_a_table_of_ones_own_are_averaged_like_any_other(family, tmp_path):
    pred = read_curves(family, which="sampled").pred
    table = pa.table(
        {"pred": pred, "group": (pred % 3).astype(str), "label": (pred % 3 * 10).astype(str)}
    )
    path = write(table, tmp_path / "mine.parquet")
    found = read_groups(family, pred, str(path))
    assert sorted(found.names.tolist()) == ["0 0", "1 10", "2 20"]
    assert found.frequency.sum() == pytest.approx(1)
    named = {name.split()[0]: i for i, name in enumerate(found.names.tolist())}
    np.testing.assert_array_equal(found.group, [named[str(p)] for p in (pred % 3).tolist()])
    rows = json.loads(call("emergence", family.root, "--by", path, "--json"))["rows"]
    assert [row["group"] for row in rows] == found.names.tolist()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"pred": [1]}, "column group missing"),
        ({"pred": [1, 1], "group": ["a", "b"]}, "pred 1 stands there twice"),
        ({"pred": [1], "group": ["a"]}, "ask for fewer"),
    ],
)
def test_a_table_that_groups_nothing_says_why(columns, words, family, tmp_path):
    path = write(pa.table(columns), tmp_path / "mine.parquet")
    assert words in refusal(DataError, "emergence", family.root, "--by", path)
