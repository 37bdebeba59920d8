"""Laws of the stage of probes, of its reader and of `quantascope probe`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

import quantascope
from quantascope.cli.app import app
from quantascope.core.errors import ArtefactError, DataError
from quantascope.lm.loading import load_tokenizer
from quantascope.lm.models import ModelSource
from quantascope.lm.probes.items import parse_probes
from quantascope.lm.probes.scoring import SCORES, encode_items, score_items
from quantascope.pipeline import probes as stage
from quantascope.pipeline.config import RunConfig, load_config, set_values, stage_config
from quantascope.pipeline.losses import load_cached
from quantascope.pipeline.runner import run_stages
from quantascope.reader.probes import probe_series, read_probes, run_probes
from quantascope.store.arrays import open_array
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from quantascope.store.status import stage_status
from tests.hub_folders import save_family

NAMES = [f"pythia-{size}-seed{seed}" for size in ("14m", "31m", "70m") for seed in (1, 2)]
LINES = [
    {"skill": "foxes", "context": f"the quick brown {i}", "answers": [" fox"], "wrong": [" dogs"]}
    for i in range(12)
] + [{"skill": "<b>free</b> $x$", "context": f"Item {i}: the", "answers": [" quick brown"]}
     for i in range(9)]  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    return save_family(tmp_path_factory.mktemp("hub"), names=NAMES, steps=(1, 16, 1000))


@pytest.fixture(scope="module")
def questions(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sets") / "mine.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def losses(folders, text_file, tmp_path_factory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("run") / "run")
    words = [f"models.model={[str(f) for f in folders]}", "models.revisions=log:1..1000:3",
             f"corpus.source={text_file}", "corpus.n_tokens=1000"]  # fmt: skip
    run_stages(run, set_values(RunConfig(), words), kinds=["corpus", "losses"])
    return run


def copied(run: RunFolder, folder: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(run.root, folder / "run")))


def call(*arguments) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(scope="module")
def probed(losses, questions, tmp_path_factory) -> tuple[RunFolder, str]:
    run = copied(losses, tmp_path_factory.mktemp("probed"))
    return run, call("probe", run.root, "--set", questions, "--workers", "1")


def test_each_score_is_that_of_its_checkpoint(probed, folders, questions):
    run, _ = probed
    assert validate_run(run) == []
    source = ModelSource(name="m", kind="folder", location=str(folders[0] / "step1"))
    items = parse_probes(questions.read_bytes(), name="mine").items
    encoded = encode_items(items, load_tokenizer(source).tokenizer, max_length=64, bos_id=None)
    names = pq.read_table(run.stage("losses") / "models.parquet")["name"].to_pylist()
    for column in (0, 7, 17):
        name, _, revision = names[column].partition("@")
        folder = folders[NAMES.index(name)] / revision
        module = AutoModelForCausalLM.from_pretrained(folder).eval()
        expected = score_items(module, encoded).T
        for score, wanted in zip(SCORES, expected, strict=True):
            found = open_array(run.stage("probes"), "probes", name=f"{score}.zarr")[:, column]
            np.testing.assert_array_equal(found, wanted)


def test_the_command_prints_tables_chance_and_what_cannot_be_said(probed, tmp_path):
    run, shown = probed
    assert shown.splitlines()[-1] == str(run.root / "probes")
    assert "21 items of 2 skills under 18 checkpoints; runs a level: 2" in shown
    assert "foxes" in shown
    assert "share of choices that are right" in shown
    targets = ["--out", tmp_path / "t.parquet", "--plot", tmp_path / "p.svg"]
    found = json.loads(call("probe", run.root, "--json", "--workers", "1", *targets))
    assert [row["skill"] for row in found["skills"]] == ["foxes", "<b>free</b> $x$"]
    assert [row["chance"] for row in found["skills"]] == [0.5, None]
    assert found["skills"][1]["n_choices"] == 0
    assert len(found["skills"][0]["levels"]) == 3
    table = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert len(table) == 6
    assert table[0]["exact_lo"] <= table[0]["exact_mean"] <= table[0]["exact_hi"]
    assert (tmp_path / "p.svg").stat().st_size > 5000
    steps = json.loads(call("probe", run.root, "--over", "steps", "--json"))
    assert [level["step"] for level in steps["skills"][0]["levels"]] == [1, 16, 1000]
    call("probe", run.root, "--score", "choice", "--plot", tmp_path / "c.png")


def test_means_are_those_of_items_and_seeds(probed):
    run, _ = probed
    probes, report = read_probes(run), run_probes(run)
    rows = probes.checkpoints
    for k, size in enumerate(np.unique(rows.n_params)):
        last = (rows.n_params == size) & (rows.step == 1000)
        assert last.sum() == 2
        mine = probes.scores["token_loss"][:12, last].mean(dtype=float)
        assert report.means["token_loss"].mean[0, k] == pytest.approx(mine, rel=1e-6)
        exact = probes.scores["exact"][12:, last].mean(dtype=float)
        assert report.means["exact"].mean[1, k] == pytest.approx(exact)
    assert np.isnan(report.means["choice"].mean[1]).all()


def test_skills_are_series_as_emergence_and_forecasts_take_them(probed):
    run, _ = probed
    found = probe_series(run, "sizes")
    assert found.keys.tolist() == ["foxes", "<b>free</b> $x$"]
    assert found.n_items.tolist() == [12, 9]
    assert found.series.losses.shape == (2, 6)
    assert found.series.scale == "n_params"
    exact = probe_series(run, "steps", score="exact")
    assert exact.series.losses.shape == (2, 6)
    assert exact.series.scale == "step"
    assert probe_series(run, score="choice").keys.tolist() == ["foxes"]
    loaded = quantascope.load(run.root)
    assert loaded.probes.skills == ["foxes", "<b>free</b> $x$"]
    with pytest.raises(ValueError, match="score: 'f1' found"):
        probe_series(run, score="f1")


def test_emergence_dates_probes(probed, tmp_path):
    run, _ = probed
    out = tmp_path / "e.parquet"
    call("emergence", run.root, "--by", "probe", "--out", out)
    table = pq.read_table(out)
    assert table["probe"].to_pylist() == ["foxes", "<b>free</b> $x$"]
    assert table["n_preds"].to_pylist() == [12, 9]


def test_an_edited_set_is_scored_again_and_an_unchanged_one_is_not(probed, tmp_path):
    run = copied(probed[0], tmp_path)
    mine = tmp_path / "mine.jsonl"
    mine.write_text("\n".join(json.dumps(line) for line in LINES), encoding="utf-8")
    call("probe", run.root, "--set", mine, "--workers", "1")
    made = run.require("probes").made["time"]
    call("probe", run.root, "--json", "--workers", "1")
    assert run.require("probes").made["time"] == made
    mine.write_text("\n".join(json.dumps(line) for line in LINES[:14]), encoding="utf-8")
    found = json.loads(call("probe", run.root, "--json", "--workers", "1"))
    assert found["n_items"] == 14
    assert run.require("probes").made["time"] != made
    mine.write_text("\n".join(json.dumps(line) for line in LINES[:15]), encoding="utf-8")
    config = load_config(run.config_path)
    with pytest.raises(DataError, match="a set was edited since it was asked for"):
        run_stages(run, config, kinds=["probes"], overwrite=["probes"])


def test_probes_of_other_losses_are_stale(probed, tmp_path):
    run = copied(probed[0], tmp_path)
    config = set_values(load_config(run.config_path), ["losses.shard_tokens=300"])
    run_stages(run, config, kinds=["losses"])
    configs = {"probes": stage_config(config, "probes")}
    # the losses came out the same up to their batches, but are not those that were asked
    assert stage_status(run, "probes", configs).state == "stale"
    with pytest.raises(ArtefactError, match="probes are stale"):
        read_probes(run)


class Killed(BaseException):
    """Stands for a kill."""


def test_a_killed_stage_goes_on_at_the_checkpoint(losses, questions, probed, tmp_path, monkeypatch):
    run = copied(losses, tmp_path)
    plain, done = stage._scores, []

    def watched(shard):
        if len(done) == 5:
            raise Killed
        done.append(shard.name)
        return plain(shard)

    words = [f"probes.sets={questions}", "probes.shard_items=10"]
    words.append(f"probes.sha256={stage.probe_digest((str(questions),))}")
    config = set_values(load_config(run.config_path), words)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_scores", watched)
        with pytest.raises(Killed):
            run_stages(run, config, kinds=["probes"])
        assert run.manifest("probes") is None
        patch.setattr(stage, "_scores", lambda shard: done.append(shard.name) or plain(shard))
        run_stages(run, config, kinds=["probes"])
    assert len(done) == len(set(done)) == 18 * 3
    for score in SCORES:
        name = f"{score}.zarr"
        here, there = (
            np.asarray(open_array(each.stage("probes"), "probes", name=name)[:])
            for each in (run, probed[0])
        )
        # batches differ with the shards, hence rounding: 1e-5 of some ten nats
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-4)


def test_other_weights_than_those_of_the_losses_are_refused(
    folders, questions, text_file, tmp_path
):
    hub = [Path(shutil.copytree(f, tmp_path / "hub" / f.name)) for f in (folders[0], folders[2])]
    run = RunFolder(tmp_path / "run")
    words = [f"models.model={[str(f / 'step1') for f in hub]}", f"corpus.source={text_file}",
             "corpus.n_tokens=1000"]  # fmt: skip
    run_stages(run, set_values(RunConfig(), words), kinds=["corpus", "losses"])
    shutil.copy(hub[0] / "step16" / "model.safetensors", hub[0] / "step1")
    load_cached.cache_clear()  # another process would not hold the model as it was
    with pytest.raises(DataError, match="14m-seed1@step1: its weights are not those that the run"):
        call("probe", run.root, "--set", questions, "--workers", "1")


def test_faults_of_the_command_are_one_line(losses, questions, tmp_path):
    run = copied(losses, tmp_path)
    with pytest.raises(ArtefactError, match="probes are missing; make them"):
        read_probes(run)
    for kind, arguments, said in (
        (ValueError, ["--skills", "counting,dancing"], "'dancing' unknown; allowed are agreement"),
        (ValueError, ["--set", tmp_path / "none.jsonl"], "neither a file nor one of"),
        (ValueError, ["--set", questions, "--set", questions], "names a set twice"),
        (ValueError, ["--set", questions, "--plot", tmp_path / "x.gif"], "--plot"),
        (ValueError, ["--set", questions, "--out", questions], "is read by this command"),
    ):
        with pytest.raises(kind, match=said) as caught:
            call("probe", run.root, *arguments)
        assert "\n" not in str(caught.value)
    before = run.config_path.read_bytes()
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl, line 1: skill missing"):
        call("probe", run.root, "--set", bad)
    assert run.config_path.read_bytes() == before
    assert not run.stage("probes").exists()
    config = set_values(load_config(run.config_path), ["losses.source=tracker"])
    with pytest.raises((DataError, ArtefactError)):
        run_stages(run, config, kinds=["probes"])


def test_the_runs_own_stages_do_not_need_probes(losses):
    from quantascope.store.schema import KINDS, WAY

    assert "probes" in KINDS
    assert "probes" not in WAY
    shown = call("status", losses.root)
    assert "probes" not in shown
