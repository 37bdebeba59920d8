"""Laws of the tracker: what it logs while training is what the losses stage would compute."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, TrainerControl

import quantascope
from quantascope.core.errors import ArtefactError, DataError
from quantascope.pipeline.config import load_config
from quantascope.pipeline.runner import run_stages
from quantascope.reader.run import load
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from tests.family_runs import corpus_config, corpus_run


@pytest.fixture(scope="module")
def corpus(tiny_family, text_file, tmp_path_factory):
    return corpus_run(tmp_path_factory.mktemp("track") / "r", model=tiny_family[0], text=text_file)


@pytest.fixture
def run(corpus, tmp_path):
    shutil.copytree(corpus.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def nudge(model) -> None:
    """Stand for a training step."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.01)


@pytest.fixture
def model(tiny_family):
    return AutoModelForCausalLM.from_pretrained(tiny_family[0])


def test_logged_losses_are_those_of_the_losses_stage_to_the_byte(
    run, model, tiny_family, text_file, tmp_path
):
    model.train()
    tracker = quantascope.Tracker(run.root)
    names = [tracker.log(model, step=1, seed=0, name="first")]
    nudge(model)
    names.append(tracker.log(model, step=2, seed=0, n_tokens=100))
    assert all(part.training for part in model.modules())
    folders = [tmp_path / "first", tmp_path / "second"]
    shutil.copytree(tiny_family[0], folders[0])
    shutil.copytree(tiny_family[0], folders[1])
    model.save_pretrained(folders[1])
    other = RunFolder(tmp_path / "other")
    staged = corpus_config(tiny_family[0], text_file)
    staged = replace(staged, models=replace(staged.models, model=tuple(map(str, folders))))
    run_stages(other, staged, kinds=["corpus", "losses"])
    logged, computed = run.require("losses"), other.require("losses")
    arrays = [name for name in computed.files if name.startswith("losses.zarr")]
    assert {name: logged.files[name] for name in arrays} == {
        name: computed.files[name] for name in arrays
    }
    rows, expected = load(run.root).models, load(other.root).models
    for column in ("n_params", "n_params_total", "weights_sha256", "mean_loss_nats"):
        assert rows[column].tolist() == expected[column].tolist()
    assert rows["step"].tolist() == [1, 2]
    assert load_config(run.config_path).losses.source == "tracker"
    assert validate_run(run) == []


def test_a_checkpoint_logged_again_is_left_alone_and_other_weights_are_refused(run, model):
    tracker = quantascope.Tracker(run.root)
    tracker.log(model, step=1, seed=0)
    before = run.require("losses").digest
    assert tracker.log(model, step=1, seed=0) == tracker.log(model, step=1, seed=0)
    assert run.require("losses").digest == before
    with pytest.raises(DataError, match="equal weights"):
        tracker.log(model, step=2, seed=0)
    nudge(model)
    with pytest.raises(DataError, match="given twice"):
        tracker.log(model, step=1, seed=0)
    assert run.require("losses").digest == before


def test_a_run_with_losses_of_its_own_or_another_tokenizer_is_refused(run, model, tmp_path):
    with pytest.raises(ArtefactError, match=r"run\.toml"):
        quantascope.Tracker(tmp_path)
    tracker = quantascope.Tracker(run.root)
    with pytest.raises(ValueError, match="Linear found"):
        tracker.log(torch.nn.Linear(2, 2), step=0, seed=0)
    with pytest.raises(ValueError, match="step: -1"):
        tracker.log(model, step=-1, seed=0)
    model.resize_token_embeddings(50)
    with pytest.raises(DataError, match="different tokenizers"):
        tracker.log(model, step=0, seed=0)
    assert run.manifest("losses") is None
    run_stages(run, load_config(run.config_path), kinds=["losses"])
    with pytest.raises(ArtefactError, match="its losses come from models"):
        quantascope.Tracker(run.root)


def test_nothing_is_added_to_losses_that_were_altered(run, model):
    tracker = quantascope.Tracker(run.root)
    tracker.log(model, step=1, seed=0)
    before = run.require("losses").digest
    chunk = next(p for p in run.stage("losses").rglob("*") if p.is_file() and p.parent.name == "0")
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    nudge(model)
    with pytest.raises(ArtefactError, match="wrong hash"):
        tracker.log(model, step=2, seed=0)
    assert run.require("losses").digest == before


def test_logged_losses_are_not_computed_again(run, model):
    quantascope.Tracker(run.root).log(model, step=1, seed=0)
    config = load_config(run.config_path)
    digest = run.require("losses").digest
    assert run_stages(run, config, kinds=["losses"])[0].digest == digest
    with pytest.raises(DataError, match="logged while training"):
        run_stages(run, config, kinds=["losses"], overwrite=["losses"])
    assert run.require("losses").digest == digest


def test_the_callback_logs_powers_of_two_and_the_last_step(run, model):
    callback = quantascope.Tracker(run.root).callback()
    args = SimpleNamespace(seed=7)
    state = SimpleNamespace(global_step=0, is_world_process_zero=True, num_input_tokens_seen=0)
    for state.global_step in range(1, 4):
        nudge(model)
        callback.on_step_end(args, state, TrainerControl(), model=model)
    callback.on_train_end(args, state, TrainerControl(), model=model)
    rows = load(run.root).models
    assert rows["step"].tolist() == [1, 2, 3]
    assert set(rows["seed"]) == {7}
    losses = np.asarray(load(run.root).losses[:, :])
    assert np.isnan(losses).sum() == 3 * (len(load(run.root).offsets) - 1)
