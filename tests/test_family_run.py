"""Laws of `family run`: one command, streamed and resumed; what makes no family leaves nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app
from quantascope.core.errors import DataError
from quantascope.lm.config import ModelsConfig
from quantascope.lm.downloads import drop_download, is_downloaded
from quantascope.lm.models import ModelSource, resolve_models
from quantascope.pipeline import losses as stage
from quantascope.pipeline.config import RunConfig, load_config, set_values, stage_config
from quantascope.pipeline.family import check_family
from quantascope.pipeline.runner import run_stages
from quantascope.reader.family import family_findings
from quantascope.store.arrays import open_array
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from tests.hub_folders import save_family

REVISIONS = "log:1..143000:3"
SMALL = ["--n-tokens", "3000", "--set", "selection.n=50", "--set", "selection.copied_ngram=0",
         "--set", "selection.threshold_nats=20.0", "--set", "losses.shard_tokens=1100",
         "--set", "curves.n_sample=300", "--workers", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    return save_family(tmp_path_factory.mktemp("hub"))


def models(folders: list[Path]) -> list[str]:
    return [word for folder in folders for word in ("--model", str(folder))]


def call(*arguments) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(scope="module")
def family(folders, text_file, tmp_path_factory) -> tuple[RunFolder, str]:
    run = RunFolder(tmp_path_factory.mktemp("family") / "run")
    shown = call("family", "run", run.root, *models(folders), "--revisions", REVISIONS,
                 "--text", text_file, *SMALL)  # fmt: skip
    return run, shown


def test_one_command_goes_from_models_and_text_to_what_they_show(family, tmp_path):
    run, shown = family
    assert validate_run(run) == []
    assert shown.splitlines()[-1] == str(run.root)
    rows = pq.read_table(run.stage("losses") / "models.parquet").to_pylist()
    assert [row["name"] for row in rows] == [
        f"pythia-{size}@step{step}" for size in ("14m", "31m", "70m") for step in (1, 1000, 143_000)
    ]
    assert {row["seed"] for row in rows} == {0}
    assert all(row["n_tokens"] == row["step"] * 2_097_152 for row in rows)
    found = json.loads(call("family", "run", run.root, "--json", "--plot", tmp_path / "f.png"))
    assert (tmp_path / "f.png").stat().st_size > 5000
    assert found["n_checkpoints"] == 9
    assert found["noticed"][0].startswith("pythia-14m@step1 has 2,256 non-embedding parameters, ")
    mean = {row["name"]: row["mean_loss_nats"] for row in rows}
    for size, name in zip(found["sizes"], ("14m", "31m", "70m"), strict=True):
        assert size["mean_loss_nats"] == pytest.approx(mean[f"pythia-{name}@step143000"])
    alpha = found["alpha_N"]
    assert alpha["identified"]
    assert alpha["lo"] < alpha["estimate"] < alpha["hi"]
    assert "when clusters were learned: none were discovered" in shown
    assert "sharp" in shown
    assert f"alpha_N = {alpha['estimate']:.4f}" in shown


def test_every_checkpoint_has_its_own_weights_and_losses(family):
    run, _ = family
    rows = pq.read_table(run.stage("losses") / "models.parquet").to_pylist()
    assert len({row["weights_sha256"] for row in rows}) == 9
    losses = np.asarray(open_array(run.stage("losses"), "losses", name="losses.zarr")[:, :])
    assert len({np.nan_to_num(column).tobytes() for column in losses.T}) == 9


class Killed(BaseException):
    """Stands for a kill."""


def config(folders, text_file) -> RunConfig:
    words = [f"models.model={[str(folder) for folder in folders]}",
             f"models.revisions={REVISIONS}", f"corpus.source={text_file}"]  # fmt: skip
    words += ["corpus.n_tokens=3000", "losses.shard_tokens=1100"]
    return set_values(RunConfig(), words)


def test_a_killed_family_goes_on_at_the_checkpoint_and_shard(
    family, folders, text_file, tmp_path, monkeypatch
):
    run = RunFolder(tmp_path / "run")
    loaded, plain = [], stage._losses

    def watched(shard):
        if len(loaded) == 4:
            raise Killed
        loaded.append(shard.name)
        return plain(shard)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "_losses", watched)
        with pytest.raises(Killed):
            run_stages(run, config(folders, text_file), kinds=["corpus", "losses"])
        assert run.manifest("losses") is None
        patch.setattr(stage, "_losses", lambda s: loaded.append(s.name) or plain(s))
        run_stages(run, config(folders, text_file), kinds=["corpus", "losses"])
    assert len(loaded) == len(set(loaded)) == 27  # nine checkpoints, three shards each
    order = [name.split("-")[1] for name in loaded]
    assert order == sorted(order, reverse=True)  # one checkpoint after the other
    other = family[0]
    for name in ("losses.zarr", "models.parquet"):
        here, there = (each.require("losses").files for each in (run, other))
        assert {k: v for k, v in here.items() if k.startswith(name)} == {
            k: v for k, v in there.items() if k.startswith(name)
        }


def test_at_most_one_model_is_held_at_a_time():
    assert stage.load_cached.cache_parameters()["maxsize"] == 1


def refused(folder: Path, *arguments) -> str:
    with pytest.raises(DataError) as caught:
        call("family", "run", folder, *arguments)
    assert "\n" not in str(caught.value)
    assert not folder.exists()
    return str(caught.value)


@pytest.fixture
def copies(folders, tmp_path) -> list[Path]:
    return [Path(shutil.copytree(folder, tmp_path / "hub" / folder.name)) for folder in folders]


def test_equal_weights_are_named_before_anything_is_written(copies, text_file, tmp_path):
    wrong = copies[0] / "step1000"
    shutil.copy(copies[0] / "step143000" / "model.safetensors", wrong)
    said = refused(tmp_path / "run", *models(copies), "--revisions", "step1,step1000,step143000",
                   "--text", text_file)  # fmt: skip
    assert "models pythia-14m@step1000 and pythia-14m@step143000 have equal weights" in said
    assert "wrong revision" in said


def test_equal_weights_in_other_files_stop_at_the_second(copies, text_file, tmp_path):
    """A file that says something more has another hash; the weights in it have not."""
    from safetensors.torch import load_file, save_file

    weights = load_file(copies[0] / "step143000" / "model.safetensors")
    save_file(weights, copies[0] / "step1000" / "model.safetensors",
              metadata={"format": "pt", "remark": "another file"})  # fmt: skip
    with pytest.raises(DataError, match=r"pythia-14m@step1000 and pythia-14m@step143000 have equ"):
        call("family", "run", tmp_path / "run", *models(copies[:1]), "--revisions",
             "step1000,step143000", "--text", text_file, *SMALL)  # fmt: skip
    run = RunFolder(tmp_path / "run")
    assert run.manifest("losses") is None
    assert not run.stage("losses").exists()


def test_what_makes_no_family_is_one_line_and_leaves_nothing(folders, copies, text_file, tmp_path):
    text = ["--text", str(text_file)]
    one = refused(tmp_path / "a", "--model", f"{folders[0]}@step1", *text)
    assert one.startswith("a family of one model, pythia-14m@step1; give two or more")
    missing = refused(tmp_path / "b", *models(folders), "--revisions", "step7", *text)
    assert "model pythia-14m: no checkpoint step7; the nearest are step1, step1000" in missing
    again = refused(tmp_path / "c", "--model", f"{folders[0]}@step1", "--model",
                    str(Path(shutil.copytree(copies[0], tmp_path / "pythia-14m-seed0"))),
                    "--revisions", "step1", *text)  # fmt: skip
    assert "equal size, step and seed" in again
    hub = refused(tmp_path / "d", "--model", "EleutherAI/pythia-14m", "--revisions",
                  "step1,step2", *text)  # fmt: skip
    assert "no model hub can be reached" in hub


def test_mixed_tokenizers_are_named(copies, text_file, tmp_path):
    path = copies[1] / "step1000" / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    first, second = list(vocabulary)[300:302]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    path.write_text(json.dumps(content))
    said = refused(
        tmp_path / "run", *models(copies), "--revisions", "step1000", "--text", text_file
    )
    assert "models pythia-14m@step1000 and pythia-31m@step1000 have different tokenizers" in said


def test_the_same_vocabulary_used_in_another_way_is_named(copies, text_file, tmp_path):
    """Equal merges, but text is cut into words otherwise: other ids for the same text."""
    path = copies[1] / "step1000" / "tokenizer.json"
    content = json.loads(path.read_text())
    content["pre_tokenizer"] = content["pre_tokenizer"]["pretokenizers"][1]
    content["pre_tokenizer"]["add_prefix_space"] = True
    path.write_text(json.dumps(content))
    said = refused(
        tmp_path / "run", *models(copies), "--revisions", "step1000", "--text", text_file
    )
    assert "have different ids for the same text" in said


def test_revisions_leave_older_runs_current():
    """Settings that came later, at their defaults, are in no stage's config."""
    base = RunConfig()
    for kind in ("corpus", "losses", "sketch"):
        assert "models.revisions" not in stage_config(base, kind)
    assert "keep_downloads" not in stage_config(set_values(base, ["losses.keep_downloads=false"]),
                                                "losses")  # fmt: skip
    other = set_values(base, ["models.revisions=step1"])
    assert stage_config(other, "losses")["models.revisions"] == "step1"


def test_odd_orders_are_noticed(family, tmp_path):
    """Steps whose losses rise are said, not refused: training can go wrong."""
    run = RunFolder(Path(shutil.copytree(family[0].root, tmp_path / "run")))
    assert len(resolve_models(load_config(run.config_path).models)) == 9
    found = family_findings(run)
    for row in found.noticed:
        assert "are the steps in order?" in row or "loses more than" in row
    rows = pq.read_table(run.stage("losses") / "models.parquet").to_pandas()
    ends = rows.sort_values("step").groupby("n_params")["mean_loss_nats"].agg(["first", "last"])
    assert (
        sum("steps in order" in row for row in found.noticed)
        == (ends["last"] > ends["first"]).sum()
    )


def fake_cache(root: Path, name: str, revisions: dict[str, str]) -> Path:
    """Lay a model's cache out as the hub's client does: commits, names of commits, shared files."""
    repo = root / f"models--{name.replace('/', '--')}"
    for revision, commit in revisions.items():
        (repo / "refs").mkdir(parents=True, exist_ok=True)
        (repo / "refs" / revision).write_text(commit)
        snapshot = repo / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (repo / "blobs").mkdir(exist_ok=True)
        for file, blob, content in (("config.json", "shared", "{}"),
                                    ("model.safetensors", f"w{commit}", commit)):  # fmt: skip
            (repo / "blobs" / blob).write_text(content)
            (snapshot / file).symlink_to(repo / "blobs" / blob)
    return repo


def test_a_dropped_download_takes_its_own_files_alone(tmp_path):
    commits = {"step1": "a" * 40, "step2": "b" * 40}
    repo = fake_cache(tmp_path, "EleutherAI/pythia-14m", commits)
    one, two = (
        ModelSource(name=r, kind="hub", location="EleutherAI/pythia-14m", revision=r)
        for r in commits
    )
    assert is_downloaded(one, cache=tmp_path)
    assert drop_download(one, cache=tmp_path) == 40
    assert not is_downloaded(one, cache=tmp_path)
    assert is_downloaded(two, cache=tmp_path)
    assert (repo / "blobs" / "shared").is_file()
    here = ModelSource(name="x", kind="folder", location=str(tmp_path))
    assert (is_downloaded(here), drop_download(here)) == (True, 0)
    assert drop_download(one, cache=tmp_path / "none") == 0


def test_only_what_this_run_fetched_is_dropped(folders, text_file, tmp_path, monkeypatch):
    """Two of three checkpoints stood in the cache before."""
    dropped = []
    monkeypatch.setattr(
        "quantascope.lm.downloads.is_downloaded", lambda source: "14m" not in source.name
    )
    monkeypatch.setattr(
        "quantascope.lm.downloads.drop_download", lambda source: dropped.append(source.name)
    )
    settings = ["losses.keep_downloads=false", "models.revisions=step1"]
    run_stages(RunFolder(tmp_path / "run"), set_values(config(folders, text_file), settings),
               kinds=["corpus", "losses"])  # fmt: skip
    assert dropped == ["pythia-14m@step1"]


def test_new_models_forget_the_revisions_of_the_old(family, folders, tmp_path):
    run = RunFolder(Path(shutil.copytree(family[0].root, tmp_path / "run")))
    plain = [word for f in folders[:2] for word in ("--model", str(f / "step1"))]
    found = json.loads(call("family", "run", run.root, *plain, *SMALL, "--json"))
    assert found["n_checkpoints"] == 2
    assert found["alpha_N"]["estimate"] is None
    assert any("a fit with an interval needs three" in line for line in found["not_said"])
    assert load_config(run.config_path).models.revisions == ""


@pytest.mark.parametrize("changed", [None, "losses.batch_tokens=700", "corpus.n_tokens=2500"])
def test_a_family_that_grows_computes_the_new_models_alone(
    folders, text_file, tmp_path, monkeypatch, changed
):
    run, computed = RunFolder(tmp_path / "run"), []
    small = set_values(config(folders, text_file), ["models.revisions=step1"])
    run_stages(run, small, kinds=["corpus", "losses"])
    before = open_array(run.stage("losses"), "losses", name="losses.zarr")[:]
    honest = stage.LossShard.compute

    def counted(shard, *args, **kwargs):
        computed.append(shard.source.name)
        return honest(shard, *args, **kwargs)

    monkeypatch.setattr(stage.LossShard, "compute", counted)
    wanted = ["models.revisions=step1,step1000", *([changed] if changed else [])]
    run_stages(run, set_values(small, wanted), kinds=["corpus", "losses"])
    new = {name for name in computed if name.endswith("@step1000")}
    assert new
    assert (set(computed) == new) is (changed is None)
    rows = pq.read_table(run.stage("losses") / "models.parquet").to_pylist()
    after = open_array(run.stage("losses"), "losses", name="losses.zarr")[:]
    old = [row["model"] for row in rows if row["step"] == 1]
    if changed is None:
        assert np.array_equal(after[:, old], before, equal_nan=True)


def test_asked_to_overwrite_nothing_is_taken_over(folders, text_file, tmp_path, monkeypatch):
    run, computed = RunFolder(tmp_path / "run"), []
    small = set_values(config(folders, text_file), ["models.revisions=step1"])
    run_stages(run, small, kinds=["corpus", "losses"])
    honest = stage.LossShard.compute
    monkeypatch.setattr(
        stage.LossShard, "compute", lambda *a, **k: computed.append(a) or honest(*a, **k)
    )
    run_stages(run, small, kinds=["corpus", "losses"], overwrite=["losses"])
    assert computed


def test_a_suite_is_a_family_too():
    assert check_family(ModelsConfig()) == 5


def test_shards_of_another_model_are_not_taken_for_those_of_this_one(
    folders, text_file, tmp_path, monkeypatch
):
    """A suite may grow while its losses are computed: columns move, files do not go with them."""
    run, plain = RunFolder(tmp_path / "run"), stage._losses
    both = set_values(config(folders[:2], text_file), ["models.revisions=step1"])
    first = resolve_models(both.models)

    def killed(_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("quantascope.lm.models.resolve_models", lambda _: first[1:])
        done = []
        patch.setattr(stage, "_losses", lambda s: killed(s) if done else done.append(s) or plain(s))
        with pytest.raises(Killed):
            run_stages(run, both, kinds=["corpus", "losses"])
    run_stages(run, both, kinds=["corpus", "losses"])
    found = open_array(run.stage("losses"), "losses", name="losses.zarr")[:]
    other = RunFolder(tmp_path / "other")
    run_stages(other, both, kinds=["corpus", "losses"])
    wanted = open_array(other.stage("losses"), "losses", name="losses.zarr")[:]
    assert np.array_equal(found, wanted, equal_nan=True)
