"""Laws of exported losses: what is imported again is what was exported, on the kept predictions."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app
from quantascope.core.errors import DataError
from quantascope.pipeline.config import load_config, replace_values, set_values
from quantascope.pipeline.exported import export_losses
from quantascope.pipeline.runner import run_stages
from quantascope.reader.run import load
from quantascope.store.folder import RunFolder
from tests.family_runs import SEEDS, SIZES, STEPS, corpus_run, made_up_losses, write

KINDS = ["corpus", "losses", "selection", "curves"]


@pytest.fixture(scope="module")
def finished(tiny_family, text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    run = corpus_run(folder / "run", model=tiny_family[0], text=text_file)
    path = write(made_up_losses(run), folder / "losses.parquet")
    settings = [f"losses.source={path}", "curves.n_sample=500", "selection.threshold_nats=9.0"]
    run_stages(run, set_values(load_config(run.config_path), settings), kinds=KINDS)
    return run


def imported(run, tables, folder):
    """Import exported tables into a run of the same text that has nothing but its corpus."""
    folder.mkdir()
    shutil.copy(run.config_path, folder / "run.toml")
    shutil.copytree(run.stage("corpus"), folder / "corpus")
    other = RunFolder(folder)
    values = {
        "losses.source": str(tables / "losses.parquet"),
        "losses.models_table": str(tables / "models.csv"),
    }
    run_stages(other, replace_values(load_config(run.config_path), values), kinds=["losses"])
    return load(folder)


def test_exported_losses_come_back_bit_for_bit_with_all_that_is_known_of_their_models(
    finished, tmp_path
):
    found = export_losses(finished, tmp_path / "out")
    run, again = load(finished.root), imported(finished, tmp_path / "out", tmp_path / "again")
    pred = run.table("curves", "preds")["pred"].to_numpy()
    assert found == {"n_preds": len(pred), "n_models": 36, "n_clusters": 0}
    models = run.models.set_index("name").drop(columns=["model", "mean_loss_nats"])
    theirs = again.models.set_index("name").drop(columns=["model", "mean_loss_nats"])
    assert models.loc[theirs.index].equals(theirs)
    for name in theirs.index:
        columns = [each.models.set_index("name").loc[name, "model"] for each in (run, again)]
        np.testing.assert_array_equal(
            run.losses[:, columns[0]][pred], again.losses[:, columns[1]][pred]
        )


def test_fewer_predictions_are_the_first_of_the_sample_and_the_selection(finished, tmp_path):
    preds = load(finished.root).table("curves", "preds")
    kept = []
    for n in (50, 100):
        export_losses(finished, tmp_path / str(n), n=n)
        kept.append(set(pq.read_table(tmp_path / str(n) / "losses.parquet")["pred"].to_pylist()))
        sampled = kept[-1] & set(preds.loc[preds["sampled"], "pred"])
        beyond = sampled - set(preds.loc[preds["selected"], "pred"])
        assert len(sampled) >= n >= len(beyond)
    assert kept[0] < kept[1]
    assert set(preds.loc[preds["selected"], "pred"]) <= kept[0]


def test_half_precision_is_off_by_one_in_two_thousand(finished, tmp_path):
    """A half has 11 bits of mantissa, so rounding errs by 2^-11 of the value or less."""
    export_losses(finished, tmp_path / "half", half=True)
    export_losses(finished, tmp_path / "whole")
    half, whole = (
        pq.read_table(tmp_path / name / "losses.parquet")["loss"].to_numpy().astype(float)
        for name in ("half", "whole")
    )
    assert 0 < (np.abs(half - whole) / whole).max() <= 2.0**-11


def test_steps_that_are_kept_come_beside_the_last_of_every_run(finished, tmp_path):
    arguments = ["losses", "export", str(finished.root), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--steps", str(STEPS[-1])])
    assert result.exit_code == 0, result.output
    assert f"n_models: {len(SIZES) * len(SEEDS)}" in result.stdout
    assert result.stdout.splitlines()[-1] == str(tmp_path / "out")
    for steps, kind, said in (
        ("7", DataError, "no checkpoint at step 7"),
        ("x", ValueError, "--steps: 'x' found"),
    ):
        result = CliRunner().invoke(app, [*arguments, "--steps", steps])
        assert isinstance(result.exception, kind)
        assert said in str(result.exception)
