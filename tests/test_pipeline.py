"""Laws of a whole run: resume, staleness, bit-equality, reading back."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import quantascope
from quantascope.core.errors import ArtefactError, DataError
from quantascope.lm.losses import shard_documents
from quantascope.pipeline import sketching
from quantascope.pipeline.config import RunConfig, load_config, set_values
from quantascope.pipeline.executor import Executor
from quantascope.pipeline.runner import plan_run, run_stages
from quantascope.reader.report import render_report, write_report
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from quantascope.store.schema import WAY
from tests.conftest import save_tiny_model


def small_config(models, text) -> RunConfig:
    config = set_values(
        RunConfig(),
        [
            "selection.n=60",
            "selection.threshold_nats=20.0",
            "selection.copied_ngram=0",
            "sketch.dim=256",
            "sketch.shard_preds=16",
            "losses.shard_tokens=1500",
            "graph.n_neighbors=5",
            "clusters.n_clusters=[2, 3, 5]",
        ],
    )
    return replace(
        config,
        models=replace(config.models, model=tuple(str(path) for path in models)),
        corpus=replace(config.corpus, source=(str(text),)),
    )


@pytest.fixture(scope="module")
def config(tiny_family, text_file):
    return small_config(tiny_family, text_file)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("runs") / "whole")
    run_stages(run, config)
    return run


def digests(run: RunFolder) -> dict[str, str]:
    return {kind: run.require(kind).digest for kind in WAY}


def copy(run: RunFolder, to: Path) -> RunFolder:
    shutil.copytree(run.root, to)
    return RunFolder(to)


def test_a_run_is_sound_and_writes_a_config_that_can_be_run(finished, config):
    assert validate_run(finished) == []
    assert load_config(finished.config_path) == config


def test_a_second_run_does_nothing(finished, config):
    steps = plan_run(finished, config, kinds=WAY)
    assert [step.kind for step in steps if step.todo] == []
    before = digests(finished)
    run_stages(finished, config)
    assert digests(finished) == before


def test_an_equal_run_elsewhere_is_equal_to_the_bit(finished, config, tmp_path):
    other = RunFolder(tmp_path / "other")
    run_stages(other, config)
    assert digests(other) == digests(finished)


def test_a_changed_setting_redoes_its_stage_and_those_behind_it(finished, config, tmp_path):
    run = copy(finished, tmp_path / "copy")
    changed = set_values(config, ["graph.n_neighbors=7"])
    todo = [step.kind for step in plan_run(run, changed, kinds=WAY) if step.todo]
    assert todo == ["graph", "clusters", "ranks", "fits", "labels"]
    before = digests(run)
    run_stages(run, changed)
    after = digests(run)
    assert [kind for kind in WAY if before[kind] != after[kind]] == todo
    assert validate_run(run) == []


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("kind", list(WAY))
def test_a_run_stopped_in_any_stage_resumes_to_the_same_bits(
    kind, finished, config, tmp_path, monkeypatch
):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished.root, run.root)
    for later in list(WAY)[list(WAY).index(kind) :]:
        shutil.rmtree(run.stage(later))

    def stop(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("quantascope.store.folder.seal", stop)
        with pytest.raises(Killed):
            run_stages(run, config)
    run_stages(run, config)
    assert digests(run) == digests(finished)


def test_finished_shards_are_not_computed_again(finished, config, tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished.root, run.root)
    for kind in list(WAY)[1:]:
        shutil.rmtree(run.stage(kind))
    computed: list[int] = []
    from quantascope.pipeline import losses

    plain = losses._losses

    def counting(shard):
        if len(computed) == 2:
            raise Killed
        computed.append(shard.place)
        return plain(shard)

    with monkeypatch.context() as patch:
        patch.setattr(losses, "_losses", counting)
        with pytest.raises(Killed):
            run_stages(run, config, kinds=["losses"])
        patch.setattr(losses, "_losses", lambda shard: computed.append(shard.place) or plain(shard))
        run_stages(run, config, kinds=["losses"])
    n_shards = len(shard_documents(quantascope.load(run.root).offsets, shard_tokens=1500))
    assert len(computed) == 2 * n_shards > 4  # two models, each shard once, two before the kill
    assert digests_of(run, "losses") == digests_of(finished, "losses")


def digests_of(run: RunFolder, kind: str) -> str:
    return run.require(kind).digest


def test_worker_processes_change_no_bit(finished, config, tmp_path):
    run = RunFolder(tmp_path / "run")
    run_stages(run, config, kinds=["corpus", "losses", "selection", "sketch"], workers=2)
    for kind in ("losses", "sketch"):
        assert digests_of(run, kind) == digests_of(finished, kind)


def test_results_come_back_for_every_shard_whatever_the_number_of_workers():
    for workers in (1, 2):
        found = {}
        with Executor(workers) as executor:
            executor.run(abs, [-3, -2, 5], on_done=found.__setitem__)
        assert found == {-3: 3, -2: 2, 5: 5}


def test_a_failing_shard_reaches_the_caller():
    with pytest.raises(TypeError), Executor(2) as executor:
        executor.run(abs, ["a", "b"], on_done=lambda *_: None)


def test_equal_weights_under_two_names_stop_the_run(tiny_family, text_file, tmp_path):
    twin = tmp_path / "twin"
    shutil.copytree(tiny_family[0], twin)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(DataError, match="neox-0 and twin"):
        run_stages(run, small_config([tiny_family[0], twin], text_file))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_whole_way_works_on_other_architectures(architecture, text_file, tmp_path):
    model = save_tiny_model(tmp_path / architecture, architecture=architecture)
    run = RunFolder(tmp_path / "run")
    run_stages(run, small_config([model], text_file))
    assert validate_run(run) == []
    assert "one size of model" in render_report(quantascope.load(run.root))


def test_an_unknown_model_name_is_named(finished, config, tmp_path):
    run = copy(finished, tmp_path / "copy")
    with pytest.raises(ValueError, match=r"selection\.model: 'x'"):
        run_stages(run, set_values(config, ["selection.model=x"]))


def test_a_stage_alone_is_not_made_from_a_parent_that_would_be_redone(finished, config, tmp_path):
    run = copy(finished, tmp_path / "copy")
    with pytest.raises(ArtefactError, match="'selection'.*config changed: n"):
        run_stages(run, set_values(config, ["selection.n=30"]), kinds=["sketch"])
    run_stages(run, set_values(config, ["graph.n_neighbors=6"]), kinds=["graph"])
    with pytest.raises(ArtefactError, match="run `quantascope run"):
        write_report(run.root)


def test_a_stage_is_not_made_from_a_damaged_parent(finished, config, tmp_path):
    run = copy(finished, tmp_path / "copy")
    path = next(
        p
        for p in (run.stage("sketch") / "sketch.zarr").rglob("*")
        if p.name != "zarr.json" and p.is_file()
    )
    path.unlink()
    with pytest.raises(ArtefactError, match="sketch.zarr.*missing; redo"):
        run_stages(run, config, kinds=["graph"], overwrite=["graph"])
    path.write_bytes(b"")
    with pytest.raises(ArtefactError, match="sketch.zarr.*wrong hash; redo"):
        run_stages(run, config, kinds=["graph"], overwrite=["graph"])


def test_a_config_that_proves_unusable_is_not_kept(finished, config, tmp_path):
    run = copy(finished, tmp_path / "copy")
    with pytest.raises(ValueError, match="selection.model"):
        run_stages(run, set_values(config, ["selection.model=x"]))
    assert load_config(run.config_path) == config


def test_clusters_without_reruns_and_damaged_predecessors_can_be_redone(finished, config, tmp_path):
    """No reruns leave no stability; a lost table costs the old ids and nothing else."""
    run = copy(finished, tmp_path / "copy")
    settings = ["clusters.leiden_seeds=1", "clusters.resamples=0", "clusters.spectral=false"]
    run_stages(run, set_values(config, settings))
    assert run.require("clusters").facts["stability"] is None
    assert validate_run(run) == []
    (run.stage("clusters") / "members.parquet").unlink()
    assert any("members.parquet: missing" in line for line in validate_run(run))
    run_stages(run, set_values(config, settings), overwrite=["clusters"])
    assert validate_run(run) == []


def test_cluster_ids_survive_a_change_of_resolution_list(finished, config, tmp_path):
    run = copy(finished, tmp_path / "copy")
    name = quantascope.load(run.root).default_clustering
    before = quantascope.load(run.root).members.set_index("pred")["cluster"]
    run_stages(run, set_values(config, ["clusters.null_shuffles=21"]))
    table = quantascope.load(run.root).table("clusters", "members").astype(str)
    after = table[table["clustering"] == name].set_index("pred")["cluster"]
    assert after.to_dict() == {str(pred): cluster for pred, cluster in before.items()}


def test_a_run_reads_back_through_the_public_interface(finished):
    run = quantascope.load(finished.root)
    assert len(run.models) == 2
    assert len(run.selection) == 60
    assert run.clusters["size"].sum() == len(run.members)
    cluster = run[1]
    assert run[cluster.id] == cluster == next(iter(run))
    assert cluster.rank == 1
    assert cluster.size == len(cluster.preds)
    pred = cluster.contexts(1)[0]
    assert pred.losses.index.tolist() == run.models["name"].tolist()
    assert np.isfinite(pred.losses).all()
    row = run.selection.set_index("pred").loc[pred.index]
    assert (pred.doc, pred.pos) == (row["doc"], row["pos"])
    with pytest.raises(KeyError, match="ranks 1 to"):
        run[10_000]
    assert "<mark>" in cluster._repr_html_()
    assert "<table>" in run._repr_html_()


def test_every_prediction_can_be_traced_to_its_text(finished, text_file):
    run = quantascope.load(finished.root)
    text = text_file.read_text(encoding="utf-8")
    for index in run.selection["pred"].head(20):
        pred = run.pred(int(index))
        row = run.docs.iloc[pred.doc]
        start = int(row["source_offset"])
        before = "".join(
            run.vocab[int(t)].decode() for t in run.tokens[run.offsets[pred.doc] : index]
        )
        assert text[start:].startswith(before + pred.target)


def test_the_report_is_one_offline_file_without_script(finished):
    path = write_report(finished.root)
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="data:image/' in page
    assert page == render_report(quantascope.load(finished.root))
    assert "What may be concluded" in page


def test_an_engine_that_approximates_is_measured_and_refused_where_it_is_wrong(
    finished, config, tmp_path, monkeypatch
):
    run = copy(finished, tmp_path / "run")
    cut = set_values(config, ["sketch.engine=own_position", "sketch.whiten=false"])
    monkeypatch.setattr(sketching, "_LEAST_CORRELATION", 1.1)  # no correlation is as high
    before = run.require("sketch").digest
    with pytest.raises(DataError, match="own_position agrees with the exact engine at r 0"):
        run_stages(run, cut, kinds=["sketch"])
    assert run.require("sketch").digest == before  # what stood still stands
    accepted = set_values(cut, ["sketch.accept_approximation=true"])
    run_stages(run, accepted, kinds=["sketch"])
    found = run.require("sketch").facts["engine_agreement"]
    assert found["n_preds"] == 60
    assert 0.3 < found["correlation"] < 1
    assert finished.require("sketch").facts["engine_agreement"] is None
