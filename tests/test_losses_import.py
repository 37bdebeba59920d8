"""Laws of imported losses: the same artefact as computed ones, one clear line for each fault."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app
from quantascope.core.errors import DataError
from quantascope.pipeline.config import load_config, replace_values, stage_config
from quantascope.pipeline.context import CorpusArrays
from quantascope.pipeline.runner import run_stages
from quantascope.reader.run import load
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from quantascope.store.status import stage_status
from tests.family_runs import SEEDS, SIZES, STEPS, corpus_run, made_up_losses, write


@pytest.fixture(scope="module")
def corpus(tiny_family, text_file, tmp_path_factory):
    return corpus_run(tmp_path_factory.mktemp("import") / "r", model=tiny_family[0], text=text_file)


@pytest.fixture(scope="module")
def table(corpus):
    return made_up_losses(corpus)


@pytest.fixture
def run(corpus, tmp_path):
    shutil.copytree(corpus.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def import_table(run, path, models=""):
    values = {"losses.source": str(path), "losses.models_table": str(models)}
    config = replace_values(load_config(run.config_path), values)
    run_stages(run, config, kinds=["losses"], overwrite=["losses"])


def test_imported_losses_are_read_back_by_prediction_and_model(run, table, tmp_path):
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    import_table(run, write(shuffled, tmp_path / "losses.parquet"))
    read = load(run.root)
    assert len(read.models) == len(SIZES) * len(STEPS) * len(SEEDS)
    for row in read.models.itertuples():
        mine = table.filter(pc.equal(table["model"], row.name))
        assert row.n_params == mine["n_params"][0].as_py()
        assert (row.step, row.seed) == (mine["step"][0].as_py(), mine["seed"][0].as_py())
        losses = read.losses[:, row.model]
        np.testing.assert_array_equal(losses[mine["pred"].to_numpy()], mine["loss"].to_numpy())
        assert np.isnan(losses).sum() == len(losses) - mine.num_rows
    assert validate_run(run) == []


def test_an_import_stands_until_its_settings_change(run, table, tmp_path):
    import_table(run, write(table, tmp_path / "losses.parquet"))
    config = load_config(run.config_path)
    configs = {"losses": stage_config(config, "losses")}
    assert stage_status(run, "losses", configs).state == "done"
    computed = replace_values(config, {"losses.source": "models"})
    configs = {"losses": stage_config(computed, "losses")}
    assert stage_status(run, "losses", configs).state == "stale"


def test_doc_and_pos_mean_the_same_as_pred(run, table, tmp_path):
    import_table(run, write(table, tmp_path / "a.parquet"))
    by_pred = run.require("losses").files
    offsets = CorpusArrays.of(run).offsets
    pred = table["pred"].to_numpy()
    doc = np.searchsorted(offsets, pred, side="right") - 1
    placed = table.drop(["pred"]).append_column("doc", pa.array(doc))
    placed = placed.append_column("pos", pa.array(pred - offsets[doc]))
    import_table(run, write(placed, tmp_path / "b.parquet"))
    assert run.require("losses").files == by_pred


def test_models_may_be_described_in_a_file_of_their_own(run, table, tmp_path):
    import_table(run, write(table, tmp_path / "a.parquet"))
    together = run.require("losses").files
    models = table.group_by(["model", "n_params", "step", "seed"]).aggregate([])
    pyarrow.csv.write_csv(models, tmp_path / "models.csv")
    alone = write(table.select(["pred", "model", "loss"]), tmp_path / "b.parquet")
    result = CliRunner().invoke(
        app,
        ["losses", "import", str(alone), "--run", str(run.root)]
        + ["--models", str(tmp_path / "models.csv")],
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(run.stage("losses"))
    assert run.require("losses").files == together


def changed(table: pa.Table, column: str, values) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, pa.array(values))


def with_first(table: pa.Table, column: str, value) -> pa.Table:
    return changed(table, column, [value, *table[column].to_pylist()[1:]])


FAULTS = {
    "NaN": (lambda t: with_first(t, "loss", float("nan")), "loss nan of model 1000-seed0@step10"),
    "negative": (lambda t: with_first(t, "loss", -0.5), "loss -0.5 of model"),
    "infinite": (lambda t: with_first(t, "loss", float("inf")), "loss inf of model"),
    "empty": (lambda t: with_first(t, "loss", None), "column loss has empty cells"),
    "whole": (lambda t: changed(t, "loss", [1] * t.num_rows), "column loss is int64"),
    "first token": (lambda t: with_first(t, "pred", 0), "pred 0 is no prediction"),
    "beyond": (lambda t: with_first(t, "pred", 10**9), "pred 1000000000 is no prediction"),
    "below": (lambda t: with_first(t, "pred", -1), "pred -1 is no prediction"),
    "twice": (lambda t: pa.concat_tables([t, t.slice(3, 1)]), "two losses of model"),
    "lacking": (lambda t: t.slice(5), "5 predictions have a loss of only one of the models"),
    "two sizes": (lambda t: with_first(t, "n_params", 7), "1000-seed0@step10: given twice"),
    "no size": (lambda t: t.drop(["n_params"]), "column n_params missing"),
    "size 0": (lambda t: changed(t, "n_params", [0] * t.num_rows), "n_params of model"),
    "no loss": (lambda t: t.drop(["loss"]), "column loss missing"),
    "endless size": (
        lambda t: changed(t, "n_params", [float("inf")] * t.num_rows),
        "n_params of model 1000-seed0@step10 is inf",
    ),
    "no name": (lambda t: with_first(t, "model", None), "column model has empty cells"),
    "no row": (lambda t: t.slice(0, 0), "no losses"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_leaves_the_run_as_it_was(fault, run, table, tmp_path):
    spoil, words = FAULTS[fault]
    path = write(spoil(table), tmp_path / "losses.parquet")
    before = run.config_path.read_bytes()
    with pytest.raises(DataError, match=words) as caught:
        import_table(run, path)
    assert str(path) in str(caught.value) or "given twice" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert run.config_path.read_bytes() == before
    assert run.manifest("losses") is None


def test_tokens_in_the_file_must_be_those_of_the_corpus(run, table, tmp_path):
    tokens = np.asarray(CorpusArrays.of(run).tokens)
    right = table.append_column("token", pa.array(tokens[table["pred"].to_numpy()]))
    import_table(run, write(right, tmp_path / "right.parquet"))
    wrong = changed(right, "token", (right["token"].to_numpy() + 1) % 400)
    with pytest.raises(DataError, match="other text or another tokenizer"):
        import_table(run, write(wrong, tmp_path / "wrong.parquet"))
    assert load(run.root).models["mean_loss_nats"].notna().all()  # what stood stands


def test_equal_weights_and_models_without_losses_are_named(run, table, tmp_path):
    path = write(table, tmp_path / "losses.parquet")
    models = table.group_by(["model", "n_params", "step", "seed"]).aggregate([]).to_pylist()
    twins = [row | {"weights_sha256": "ab" if i < 2 else str(i)} for i, row in enumerate(models)]
    for rows, words in (
        (twins, "have equal weights"),
        ([*models, models[0] | {"model": "spare"}], "spare is described but has no losses"),
        (models[1:], f"model {models[0]['model']} has losses but is not described"),
    ):
        described = write(pa.Table.from_pylist(rows), tmp_path / "models.parquet")
        with pytest.raises(DataError, match=words):
            import_table(run, path, models=described)


def test_the_stage_is_still_run_by_its_folder(run):
    result = CliRunner().invoke(app, ["losses", "--workers", "1", str(run.root / "none")])
    assert "none" in str(result.exception)
    result = CliRunner().invoke(app, ["losses", str(run.root), "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert run.require("losses").facts["n_models"] == 1
