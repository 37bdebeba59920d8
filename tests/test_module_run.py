"""Laws of discovery on any module: in memory and as a run, the same finding."""

import numpy as np
import pytest
import torch
from torch import nn

import quantascope
from quantascope.qdg.config import ClustersConfig
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder

CLUSTERS = ClustersConfig(spectral=False, resolutions=(0.5, 1.0))


def loss_per_sample(module, batch):
    return nn.functional.cross_entropy(module(batch[0]), batch[1], reduction="none")


def render(batch):
    return [(f"x = {x[0]:.2f} <b> ", str(int(y))) for x, y in zip(*batch, strict=True)]


@pytest.fixture(scope="module")
def world():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    batches = [(torch.randn(20, 6), torch.randint(0, 3, (20,))) for _ in range(3)]
    return module, batches


@pytest.fixture(scope="module")
def found_and_run(world, tmp_path_factory):
    module, batches = world
    folder = tmp_path_factory.mktemp("module") / "run"
    found = quantascope.discover(
        module,
        batches,
        loss_per_sample,
        run=folder,
        render=render,
        name="net",
        dim=128,
        clusters=CLUSTERS,
    )
    return found, folder


def test_the_run_is_sound_and_reads_like_any_other(found_and_run, world):
    found, folder = found_and_run
    assert validate_run(RunFolder(folder)) == []
    run = quantascope.load(folder)
    assert len(run.members) == len(found.labels) == 60
    texts = [text for batch in world[1] for text in render(batch)]
    for doc, (text, target) in enumerate(texts[:5]):
        pred = run.pred(int(run.offsets[doc + 1]) - 1)
        assert (pred.text, pred.target) == (text, target)


def test_memory_and_run_hold_the_same_sketches_and_losses(found_and_run, world):
    found, folder = found_and_run
    run = quantascope.load(folder)
    rows = run.selection["doc"].to_numpy()
    assert np.array_equal(run.array("sketch", "sketch.zarr")[:], found.sketch[rows])
    with torch.no_grad():
        losses = np.concatenate([loss_per_sample(world[0], b).numpy() for b in world[1]])
    assert np.allclose(run.selection["loss_nats"], losses[rows], rtol=1e-6)


def test_a_run_of_language_models_is_not_overwritten(world, tmp_path):
    module, batches = world
    (tmp_path / "run.toml").write_text("[models]\nsuite = 'demo'\n")
    with pytest.raises(ValueError, match="give another folder"):
        quantascope.discover(module, batches, loss_per_sample, run=tmp_path, clusters=CLUSTERS)


def test_the_module_is_left_in_its_mode(world):
    module, batches = world
    module.train()
    quantascope.discover(module, batches, loss_per_sample, dim=64, clusters=CLUSTERS)
    assert module.training


def test_a_renderer_that_drops_samples_is_refused(world, tmp_path):
    module, batches = world
    with pytest.raises(ValueError, match="render: gave 1 texts for a batch of 20"):
        quantascope.discover(
            module,
            batches,
            loss_per_sample,
            run=tmp_path / "run",
            render=lambda _: [("a", "b")],
            dim=64,
            clusters=CLUSTERS,
        )
    assert not (tmp_path / "run").exists()
