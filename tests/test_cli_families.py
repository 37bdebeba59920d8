"""Laws of curves, genicity and emergence as commands: what they find; a line a fault."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForCausalLM

import quantascope
from quantascope.core.errors import ArtefactError, DataError
from quantascope.families.series import over_sizes
from quantascope.pipeline.config import load_config, set_values
from quantascope.pipeline.runner import run_stages
from quantascope.reader.curves import read_curves, read_distribution
from quantascope.store.folder import RunFolder
from tests.commands import call, refusal
from tests.family_runs import SIZES, corpus_run, made_up_losses, write

KINDS = ["corpus", "losses", "selection", "curves"]


@pytest.fixture(scope="module")
def corpus(tiny_family, text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    return corpus_run(folder / "corpus", model=tiny_family[0], text=text_file)


@pytest.fixture(scope="module")
def table(corpus):
    return made_up_losses(corpus)


def make_family(corpus: RunFolder, folder, table: pa.Table) -> RunFolder:
    shutil.copytree(corpus.root, folder / "run")
    run = RunFolder(folder / "run")
    path = write(table, folder / "losses.parquet")
    settings = [f"losses.source={path}", "curves.n_sample=900", "selection.threshold_nats=9.0"]
    run_stages(run, set_values(load_config(run.config_path), settings), kinds=KINDS)
    return run


@pytest.fixture(scope="module")
def family(corpus, table, tmp_path_factory):
    return make_family(corpus, tmp_path_factory.mktemp("family"), table)


def test_curves_say_mean_and_share_solved_of_each_checkpoint(family, table, tmp_path):
    found = json.loads(call("curves", family.root, "--json", "--plot", tmp_path / "p.svg"))
    assert (tmp_path / "p.svg").stat().st_size > 1000
    names = [row["name"] for row in found["models"]]
    assert names == sorted(names, key=lambda n: (int(n.split("-")[0]), int(n.split("step")[1])))
    for row in found["models"]:
        loss = table.filter(pc.equal(table["model"], row["name"]))["loss"].to_numpy()
        assert row["mean_loss_nats"] == pytest.approx(loss.mean(dtype=float), rel=1e-12)
        solved = 0.018 * np.log(2)
        # the bin's edge in single precision: losses within 1e-6 of it may fall on either side
        assert (loss < solved - 1e-6).mean() <= row["share_solved"] <= (loss < solved + 1e-6).mean()
    assert {row["model"] for row in found["persistence"]} == {n for n in names if "@step100" in n}
    shown = call("curves", family.root)
    assert shown.splitlines()[-1] == str(family.root / "curves")
    assert all(name in shown for name in names)


def test_the_distribution_that_is_read_sums_to_all_predictions_and_their_loss(family):
    models, found = read_distribution(family)
    density = found.density()
    width = np.diff(found.edges)
    np.testing.assert_allclose((density * width).sum(axis=1), 1.0, rtol=1e-9)  # none above 12.5
    # within half a bin of the mean loss: weights are those of the middles
    area = (found.weighted_density() * width).sum(axis=1)
    np.testing.assert_allclose(area, models["mean_loss_nats"], atol=width[0] / 2)


@pytest.mark.parametrize("figure", ["density", "weighted", "solved"])
def test_every_figure_is_the_same_file_twice(figure, family, tmp_path):
    for name in ("a.svg", "b.svg"):
        call("curves", family.root, "--figure", figure, "--plot", tmp_path / name)
    assert (tmp_path / "a.svg").stat().st_size > 5000
    call("curves", family.root, "--figure", "density", "--plot", tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"


def test_the_curve_of_one_prediction_is_drawn_over_sizes_and_steps(family, tmp_path):
    pred = int(read_curves(family).pred[0])
    for over in ("sizes", "steps"):
        plot = tmp_path / f"{over}.png"
        call("curves", family.root, "--pred", pred, "--over", over, "--plot", plot)
        assert plot.stat().st_size > 5000
    assert "--plot" in refusal(ValueError, "curves", family.root, "--pred", pred)
    words = refusal(ValueError, "curves", family.root, "--pred", "0", "--plot", tmp_path / "x.png")
    assert words.startswith("--pred: 0 has no curve")


def test_the_reader_gives_checked_curves(family):
    run = quantascope.load(family.root)
    curves = run.curves
    preds = run.table("curves", "preds")
    assert curves.pred.tolist() == preds["pred"].tolist()
    assert over_sizes(curves).x.tolist() == list(SIZES)
    sampled = read_curves(family, which="sampled")
    assert sampled.pred.tolist() == preds.loc[preds["sampled"], "pred"].tolist()
    assert sampled.losses.shape == (900, 36)
    with pytest.raises(ValueError, match="allowed are all, sampled, selected"):
        read_curves(family, which="some")


def test_planted_shapes_are_found_by_rule_and_by_test(family, tmp_path):
    """A third of predictions stays at 6 nat, a third falls straight, a third at the fourth size."""
    out = tmp_path / "g.parquet"
    found = json.loads(
        call("genicity", family.root, "--json", "--out", out, "--plot", tmp_path / "g.png")
    )
    pred = read_curves(family, which="sampled").pred
    truth = np.bincount(pred % 3)
    for seed in ("0", "1"):  # the rules read one seed; noise of .05 nat leaves all but a few
        assert found["rules"][seed]["monogenic"] == pytest.approx(truth[2], abs=1)
        assert found["rules"][seed]["polygenic"] == pytest.approx(truth[1], abs=1)
    table = pq.read_table(out).to_pandas().set_index("pred")
    flat = table.loc[pred[pred % 3 == 0], "class"] == "flat"
    # 5 % of some 600 that change are 30 false ones at most, a tenth of the flat, in the mean
    assert flat.mean() > 5 / 6
    assert (table.loc[pred[pred % 3 > 0], "class"] != "flat").mean() > 0.95
    assert sum(found["classes"].values()) == len(pred)
    assert found["agreement"]["monogenic"][0][1] > 0.98
    shown = call("genicity", family.root)
    assert "noise between seeds" in shown


def test_predictions_that_fall_at_once_are_dated_between_the_sizes_around(family, tmp_path):
    out = tmp_path / "e.parquet"
    call("emergence", family.root, "--by", "pred", "--threshold", 3, "--out", out,
         "--plot", tmp_path / "e.svg")  # fmt: skip
    rows = pq.read_table(out).to_pandas()
    sharp = rows[rows["pred"] % 3 == 2]
    assert sharp["learned"].all()
    assert sharp["at"].between(SIZES[2], SIZES[3]).all()
    assert (sharp["lo"] <= sharp["at"]).all()
    assert (sharp["hi"] >= sharp["at"]).all()
    assert not rows.loc[rows["pred"] % 3 == 0, "learned"].any()
    assert rows.loc[rows["pred"] % 3 == 2, "changed"].mean() > 0.95
    found = json.loads(
        call("emergence", family.root, "--by", "pred", "--over", "steps", "--json", "--at", 64000)
    )
    assert found["over"] == "step"
    assert len(found["rows"]) == 900


def test_clusters_of_a_logged_family_are_dated_over_steps(tiny_family, text_file, tmp_path):
    run = corpus_run(tmp_path / "run", model=tiny_family[0], text=text_file)
    model = AutoModelForCausalLM.from_pretrained(tiny_family[0])
    tracker = quantascope.Tracker(run.root)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    for step in range(1, 6):  # the last has the weights of the folder, and its name
        scaled = {n: w * (1 + 0.01 * (5 - step)) for n, w in weights.items()}
        model.load_state_dict(scaled if step < 5 else weights)
        tracker.log(model, step=10**step, seed=0, name="neox-0" if step == 5 else None)
    settings = ["selection.model=neox-0", "selection.threshold_nats=20.0", "sketch.dim=64"]
    settings += ["graph.n_neighbors=5", "clusters.n_clusters=[2, 3]", "selection.n=40"]
    run_stages(run, set_values(load_config(run.config_path), settings))
    found = json.loads(call("emergence", run.root, "--over", "steps", "--json"))
    read = quantascope.load(run.root)
    assert [row["cluster"] for row in found["rows"]] == read.clusters["cluster"].tolist()
    assert [row["n_preds"] for row in found["rows"]] == read.clusters["size"].tolist()
    means = [read.losses[:, :][cluster.preds].mean(axis=0) for cluster in read]
    drops = [mean[0] - mean[4] for mean in means]  # columns stand in the order of logging
    # means of single-precision losses near 6 nat
    np.testing.assert_allclose([row["drop"] for row in found["rows"]], drops, atol=1e-5)


FAULTS = {
    "one model": (
        lambda t: t.filter(pc.equal(t["model"], "1000-seed0@step10")),
        ["genicity"],
        "a family of one model, 1000-seed0@step10",
    ),
    "one size": (
        lambda t: t.filter(pc.equal(t["n_params"], 1000)),
        ["genicity"],
        r"1 size\(s\)",
    ),
    "missing seed": (
        lambda t: t.filter(pc.not_equal(t["model"], "4000-seed1@step100")).filter(
            pc.not_equal(
                t.filter(pc.not_equal(t["model"], "4000-seed1@step100"))["model"],
                "4000-seed1@step10",
            )
        ),
        ["genicity"],
        "seed 1: missing at size 4000; train it, or allow it by --incomplete",
    ),
    "missing step": (
        lambda t: t.filter(pc.not_equal(t["model"], "64000-seed1@step10")),
        ["emergence", "--by", "pred", "--over", "steps", "--at", "64000"],
        "seed 1: missing at step 10",
    ),
    "equal size, step, seed": (
        lambda t: pa.concat_tables(
            [
                t,
                (mine := t.filter(pc.equal(t["n_params"], 1000))).set_column(
                    1, "model", pa.array(["twin of " + n for n in mine["model"].to_pylist()])
                ),
            ]
        ),
        ["genicity"],
        "equal size, step and seed",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_makes_no_family_is_named_in_one_line(fault, corpus, table, tmp_path):
    spoil, command, words = FAULTS[fault]
    run = make_family(corpus, tmp_path, spoil(table))
    with pytest.raises(DataError, match=words) as caught:
        call(command[0], run.root, *command[1:])
    assert "\n" not in str(caught.value)


def test_an_incomplete_family_is_read_where_that_is_asked_for(corpus, table, tmp_path):
    kept = pc.not_equal(table["model"], "4000-seed1@step100")
    table = table.filter(kept)
    run = make_family(
        corpus, tmp_path, table.filter(pc.not_equal(table["model"], "4000-seed1@step10"))
    )
    found = json.loads(call("genicity", run.root, "--incomplete", "--json"))
    assert found["runs"] == [3, 2, 3, 3, 3, 3]


def test_curves_of_another_state_of_the_corpus_are_refused(family, tmp_path):
    shutil.copytree(family.root, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    config = set_values(load_config(run.config_path), ["corpus.n_tokens=3000"])
    run_stages(run, config, kinds=["corpus"])
    for command in ("genicity", "emergence"):
        assert "curves are stale (parent corpus changed)" in refusal(
            ArtefactError, command, run.root, *(["--by", "pred"] if command == "emergence" else [])
        )
    shutil.rmtree(run.stage("curves"))
    assert "curves are missing" in refusal(ArtefactError, "genicity", run.root)
    # losses by (pred, model) of other text do not fit this corpus: the import says so
    assert "is no prediction of this run's corpus" in refusal(
        DataError, "losses", "import", load_config(run.config_path).losses.source, "--run", run.root
    )
