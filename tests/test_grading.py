"""Laws of grading a run: what is graded, controls beside clusterings, levels of the truth."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app
from quantascope.core.errors import ArtefactError, QuantascopeError
from quantascope.pipeline.config import RunConfig, load_config, set_values
from quantascope.pipeline.grading import GradedSkill, grade_run, graded_truth
from quantascope.pipeline.runner import run_stages
from quantascope.store.folder import RunFolder
from quantascope.store.truth import TRUTH_FILE, write_truth

SETTINGS = [
    "corpus.n_tokens=3000",
    "corpus.source=['planted:silent']",
    "selection.n=250",
    "selection.threshold_nats=20.0",
    "selection.copied_ngram=0",
    "selection.repeated_context=0",
    "sketch.dim=256",
    "sketch.moment_preds=40",
    "clusters.spectral=false",
    "clusters.leiden_seeds=1",
    "clusters.resamples=0",
    "clusters.resolutions=[1.0]",
]


@pytest.fixture(scope="module")
def graded(tiny_family, tmp_path_factory):
    run = RunFolder(tmp_path_factory.mktemp("graded") / "run")
    config = set_values(
        RunConfig(), [*SETTINGS, f"models.model={[str(path) for path in tiny_family]}"]
    )
    run_stages(run, config)
    return run, grade_run(run)


def test_only_predictions_of_one_skill_are_graded(graded):
    run, grade = graded
    truth = graded_truth(run)
    assert not set(truth["skill"]) & {"noise", "syntax"}
    assert truth.index.is_unique
    assert 2 <= grade.n_preds <= grade.n_selected == 250
    assert sum(skill.recovery.n_preds for skill in grade.skills) == grade.n_preds


def test_moments_are_drawn_from_all_selected_predictions(graded):
    facts = graded[0].require("sketch").facts
    assert (facts["n_moment_preds"], facts["n_preds"], facts["n_zero"]) == (40, 250, 0)
    assert graded[0].require("clusters").facts["merged_left_out"] is None


def test_every_clustering_stands_beside_the_controls(graded):
    table = graded[1].table.set_index("grouping")
    assert set(table.index[table["kind"] == "clustering"]) == {"leiden-1", "merged"}
    controls = table[table["kind"] == "control"]
    assert set(controls.index) == {"next token", "last token", "last 2 tokens", "last 3 tokens"}
    assert graded[1].default == "merged"


def test_a_control_agrees_with_itself_and_a_random_network_knows_no_skill(graded):
    """About 100 graded predictions: adjusted scores of unrelated groupings stay below .2."""
    table = graded[1].table.set_index("grouping")
    assert table.loc["next token", "ami next token"] == pytest.approx(1.0)
    assert table.loc["merged", "skill_ari"] < 0.2


def test_the_command_prints_a_table_or_json(graded):
    run, grade = graded
    printed = CliRunner().invoke(app, ["grade", str(run.root)])
    assert printed.exit_code == 0
    assert "verdict" in printed.output
    found = json.loads(CliRunner().invoke(app, ["grade", str(run.root), "--json"]).output)
    assert found["default"] == "merged"
    assert np.isfinite([row["skill_ami"] for row in found["table"]]).all()
    assert len(found["skills"]) == len(grade.skills)


def test_found_from_is_the_rarest_skill_before_the_first_that_is_not_found(graded):
    def skills(*verdicts):
        known = graded[1].skills[0].recovery
        return tuple(
            GradedSkill(skill=str(i), share=0.5 / 2**i, recovery=replace(known, verdict=verdict))
            for i, verdict in enumerate(verdicts)
        )

    tied = replace(graded[1], skills=skills("found", "found", "missed"))
    equal = tuple(replace(skill, share=0.25) for skill in tied.skills[1:])
    assert replace(tied, skills=(tied.skills[0], *equal)).found_from == 0.5

    for verdicts, expected in (
        (("found", "found", "missed", "found"), 0.25),
        (("found", "found"), 0.25),
        (("split", "found"), None),
    ):
        assert replace(graded[1], skills=skills(*verdicts)[::-1]).found_from == expected


def test_a_run_without_truth_is_one_clear_line(graded, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(graded[0].root, run.root)
    (run.root / "truth.parquet").unlink()
    with pytest.raises(QuantascopeError, match="truth"):
        grade_run(run)


def test_clusters_that_are_the_truth_agree_with_it(graded, tmp_path):
    run = copied(graded[0], tmp_path)
    path = run.stage("clusters") / "members.parquet"
    members = pq.read_table(path).to_pandas()
    skill = graded_truth(run)["skill"]
    members["cluster"] = members["pred"].map(skill).fillna("none")
    pq.write_table(pa.Table.from_pandas(members, preserve_index=False), path)
    table = grade_run(run).table.set_index("grouping")
    assert table.loc["merged", ["skill_ari", "skill_ami"]].tolist() == pytest.approx([1.0, 1.0])


def test_a_truth_of_another_corpus_is_refused(graded, tmp_path):
    run = copied(graded[0], tmp_path)
    truth = pq.read_table(run.root / TRUTH_FILE)
    write_truth(run.root, truth.slice(0, truth.num_rows - 1))
    with pytest.raises(ArtefactError, match="not the truth of this corpus"):
        grade_run(run)


def test_stale_clusters_are_refused(graded, tmp_path):
    """The corpus redone with other text: sketch, graph and clusters stand, but are of the old."""
    run = copied(graded[0], tmp_path)
    config = set_values(load_config(run.config_path), ["corpus.n_tokens=3100"])
    run_stages(run, config, kinds=("corpus",))
    with pytest.raises(ArtefactError, match="stale, corpus was redone"):
        grade_run(run)


def copied(run, folder):
    shutil.copytree(run.root, folder / "run")
    return RunFolder(folder / "run")


def test_an_unknown_method_is_refused_before_any_work(tmp_path):
    found = CliRunner().invoke(app, ["run", str(tmp_path / "r"), "--method", "best"])
    assert isinstance(found.exception, ValueError)
    assert "--method best: unknown; allowed are default, published" in str(found.exception)
