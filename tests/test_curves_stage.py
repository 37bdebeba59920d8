"""Laws of the stage of curves: the losses it copies, the sample, the counts, staleness."""

import shutil

import numpy as np
import pytest

from quantascope.families.distribution import LossDistribution
from quantascope.pipeline import curves
from quantascope.pipeline.config import load_config, set_values
from quantascope.pipeline.runner import plan_run, run_stages
from quantascope.reader.run import load
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from tests.family_runs import corpus_run, made_up_losses, write

KINDS = ["corpus", "losses", "selection", "curves"]


@pytest.fixture(scope="module")
def finished(tiny_family, text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curves")
    run = corpus_run(folder / "run", model=tiny_family[0], text=text_file)
    path = write(made_up_losses(run), folder / "losses.parquet")
    settings = [f"losses.source={path}", "curves.n_sample=500", "selection.threshold_nats=9.0"]
    run_stages(run, set_values(load_config(run.config_path), settings), kinds=KINDS)
    return run


def test_curves_are_the_losses_of_the_selection_and_of_a_sample(finished):
    assert validate_run(finished) == []
    run = load(finished.root)
    preds = run.table("curves", "preds")
    assert preds["sampled"].sum() == 500
    assert preds["selected"].sum() == 60
    np.testing.assert_array_equal(
        run.array("curves", "curves.zarr")[:, :], run.losses[:, :][preds["pred"]]
    )
    assert (run.offsets[preds["doc"]] + preds["pos"] == preds["pred"]).all()


def test_a_curve_that_differs_from_its_losses_is_found(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.root, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    plain = curves.open_array

    def off_by_a_bit(*args, **kwargs):
        losses = np.array(plain(*args, **kwargs)[:, :])
        losses[:, 3] = np.nextafter(losses[:, 3], np.float32(9))
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(curves, "open_array", off_by_a_bit)
        config = load_config(run.config_path)
        run_stages(run, config, kinds=["curves"], overwrite=["curves"])
    (damage,) = validate_run(run)
    assert damage.endswith("curves.zarr: model 3: losses differ from losses.zarr")


def test_a_smaller_sample_is_part_of_a_larger_one_however_blocks_fall():
    pred = np.arange(5000)
    samples = {}
    for n in (50, 700):
        for block in (300, 5000):
            sample = curves._Sample(n, seed=1)
            for start in range(0, 5000, block):
                sample.add(pred[start : start + block])
            samples[n, block] = set(sample.pred.tolist())
    assert samples[50, 300] == samples[50, 5000] < samples[700, 300] == samples[700, 5000]
    # the mean of 700 of 5,000 is off by 51 (1 sigma)
    assert abs(np.mean(list(samples[700, 300])) - 2499.5) < 5 * 51


def test_counts_are_those_of_all_predictions_at_once(finished, tmp_path, monkeypatch):
    run = load(finished.root)
    losses = run.losses[:, :]
    whole = LossDistribution(losses.shape[1])
    whole.add(losses)
    found = run.table("curves", "distribution")
    assert found.equals(whole.to_table().to_pandas())
    assert finished.require("curves").facts["n_predictions"] == whole.n_preds
    shutil.copytree(finished.root, tmp_path / "run")
    again = RunFolder(tmp_path / "run")
    monkeypatch.setattr(curves, "_BLOCK", 777)  # many blocks give what one gives
    run_stages(again, load_config(again.config_path), kinds=["curves"], overwrite=["curves"])
    for name, entry in finished.require("curves").files.items():
        if name != "positions.parquet":  # sums in another order differ in the last digit
            assert again.require("curves").files[name] == entry, name


def test_persistence_follows_each_seed_over_sizes_at_the_last_step(finished):
    run = load(finished.root)
    models = run.models.set_index("model")
    found = run.table("curves", "persistence")
    losses = run.losses[:, :]
    losses = losses[~np.isnan(losses).all(axis=1)]
    for (seed, threshold), rows in found.groupby(["seed", "threshold"]):
        chain = rows["model"].to_numpy()
        assert models.loc[chain, "n_params"].is_monotonic_increasing
        assert set(models.loc[chain, "step"]) == {100}
        assert set(models.loc[chain, "seed"]) == {seed}
        below = losses[:, chain] < threshold
        first = np.where(below.any(axis=1), below.argmax(axis=1), -1)
        assert rows["first_below"].tolist() == [(first == j).sum() for j in range(len(chain))]
        stays = [(below[first == j, j:].all(axis=1)).sum() for j in range(len(chain))]
        assert rows["stayed_below"].tolist() == stays
    assert len(found.groupby(["seed", "threshold"])) == 6


def test_only_curves_are_stale_when_the_sample_changes(finished, tmp_path):
    shutil.copytree(finished.root, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    config = set_values(load_config(run.config_path), ["curves.n_sample=20"])
    assert [s.kind for s in plan_run(run, config, kinds=KINDS) if s.todo] == ["curves"]
    run_stages(run, config, kinds=KINDS)
    smaller = load(run.root).table("curves", "preds")
    larger = load(finished.root).table("curves", "preds")
    assert set(smaller.loc[smaller["sampled"], "pred"]) < set(larger.loc[larger["sampled"], "pred"])
    assert smaller["sampled"].sum() == 20
    config = set_values(config, ["losses.source=elsewhere.parquet"])
    todo = [s.kind for s in plan_run(run, config, kinds=KINDS) if s.todo]
    assert todo == ["losses", "selection", "curves"]


def test_a_model_without_a_step_is_the_finished_one():
    models = [
        {"model": 0, "n_params": 10, "step": None, "seed": None},
        {"model": 1, "n_params": 10, "step": 900, "seed": None},
        {"model": 2, "n_params": 5, "step": 7, "seed": 0},
        {"model": 3, "n_params": 5, "step": 3, "seed": 0},
        {"model": 4, "n_params": 5, "step": 3, "seed": 1},
    ]
    assert curves._size_chains(models) == {0: [2, 0]}  # one size of seed 1 is no chain
