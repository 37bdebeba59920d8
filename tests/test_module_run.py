"""Laws of discovery on any module: in memory and as a run, the same finding."""

import numpy as np
import pytest
import torch
from torch import nn

import quantascope
from quantascope.cli.grade import grade
from quantascope.core.errors import ArtefactError
from quantascope.pipeline.grading import grade_run
from quantascope.qdg.config import ClustersConfig
from quantascope.reader.conclusions import conclusions
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from quantascope.store.truth import TRUTH_FILE, read_truth

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


def test_small_gradients_are_compared_whole_and_the_report_says_so(found_and_run, world):
    """112 numbers of the lower half fit into 128 places; 8 places are a sketch."""
    found, folder = found_and_run
    assert found.exact
    said = " ".join(conclusions(quantascope.load(folder)))
    assert "compared whole" in said
    module, batches = world
    narrow = quantascope.discover(module, batches, loss_per_sample, dim=8, clusters=CLUSTERS)
    assert not narrow.exact
    whole = quantascope.discover(module, batches, loss_per_sample, clusters=CLUSTERS)
    assert whole.exact
    assert whole.sketch.shape == (60, 112)
    cosines = whole.sketch.astype(float) @ whole.sketch.astype(float).T
    same = found.sketch.astype(float) @ found.sketch.astype(float).T
    assert np.allclose(cosines, same, atol=2.0**-10)  # two unit vectors rounded to 2^-11


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


def test_losses_below_zero_are_found_in_memory_and_leave_no_run(world, tmp_path):
    def shifted(module, batch):
        return loss_per_sample(module, batch) - 5.0

    module, batches = world
    with pytest.raises(ValueError, match="from 0 on"):
        quantascope.discover(module, batches, shifted, run=tmp_path / "run", clusters=CLUSTERS)
    assert not (tmp_path / "run").exists()
    assert len(quantascope.discover(module, batches, shifted, clusters=CLUSTERS).labels) == 60


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


def sums_of_two_tasks(n):
    """Give samples of two tasks, told by the first entry: the sum of entries 1, 2 or of 3, 4."""
    x = torch.randn(n, 5)
    first = torch.arange(n) % 2 == 0
    x[:, 0] = torch.where(first, 2.0, -2.0)
    y = torch.where(first, x[:, 1] + x[:, 2], x[:, 3] + x[:, 4]) > 0
    return x, y.long(), ["first" if task else "second" for task in first]


def discover_tasks(folder, module, samples, **options):
    x, y, _ = samples
    return quantascope.discover(
        module, [(x, y)], loss_per_sample, run=folder, dim=128, clusters=CLUSTERS, **options
    )


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(1)
    samples = sums_of_two_tasks(240)
    module = nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Linear(24, 2))
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        loss_per_sample(module, samples[:2]).mean().backward()
        optimiser.step()
    return module, samples


def test_a_run_that_is_told_the_truth_is_graded(trained, tmp_path, capsys):
    """Clusters of a trained module follow the task; the same names shuffled tell them nothing.

    Of independent groupings into 2 and g, 2 n times the mutual information is chi-squared with
    g - 1 degrees: at n = 240 and g = 10 it scatters by .009 nat; .05 of some nat is five of that.
    """
    module, samples = trained
    answers = [str(int(y)) for y in samples[1]]
    truth = {"skill": samples[2], "sub_skill": answers}
    discover_tasks(tmp_path, module, samples, truth=truth)
    folder = RunFolder(tmp_path)
    assert validate_run(folder) == []
    order = quantascope.load(tmp_path).offsets[1:] - 1
    written = read_truth(tmp_path).to_pandas().set_index("pred").loc[order]
    assert written["skill"].tolist() == samples[2]
    assert written["sub_skill"].tolist() == answers
    grade(tmp_path)
    printed = capsys.readouterr().out
    assert "graded: 240 of 240" in printed
    assert {"first", "second"} <= {line.split(" ")[0] for line in printed.splitlines()}
    found = grade_run(folder)
    told = found.table.set_index("grouping").loc[found.default, "skill_ami"]
    shuffled = np.random.default_rng(0).permutation(samples[2]).tolist()
    discover_tasks(tmp_path, module, samples, truth={"skill": shuffled})
    chance = grade_run(folder).table.set_index("grouping").loc[found.default, "skill_ami"]
    assert abs(chance) < 0.05 < told / 2


def test_a_run_without_truth_keeps_none_of_an_earlier_one(trained, tmp_path):
    module, samples = trained
    discover_tasks(tmp_path, module, samples, truth={"skill": samples[2]})
    (tmp_path / TRUTH_FILE).write_bytes(b"another run's")
    discover_tasks(tmp_path, module, samples)
    assert not (tmp_path / TRUTH_FILE).exists()
    assert validate_run(RunFolder(tmp_path)) == []
    with pytest.raises(ArtefactError, match="truth="):
        grade_run(RunFolder(tmp_path))


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        ({"skill": ["a"] * 3}, "3 skills for 240 samples"),
        ({"skill": [""] * 240}, "empty skill"),
        ({"skill": ["a"] * 240, "sub_skill": ["b"]}, "unlike length"),
        ({"sub_skill": ["a"] * 240}, "give skill"),
        ({"skill": ["a"] * 240, "entry": ["b"] * 240}, "give skill"),
    ],
)
def test_a_truth_that_does_not_fit_leaves_no_run(trained, tmp_path, truth, words):
    with pytest.raises(ValueError, match=words):
        discover_tasks(tmp_path / "run", *trained, truth=truth)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="without run"):
        discover_tasks(None, *trained, truth=truth)
