"""Tests of small models trained on planted text: what is learned, how measured, their runs."""

import contextlib
import io
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest
from scipy.stats import spearmanr

from quantascope.cli.planted import _print_emergence
from quantascope.cli.planted import train as train_command
from quantascope.core.errors import DataError
from quantascope.laws.order import order_agreement
from quantascope.lm.planted.config import parse_source
from quantascope.lm.planted.emergence import Emergence, emergence_table, measure_emergence
from quantascope.lm.planted.suites import planted_suite, planted_suite_text
from quantascope.pipeline.config import RunConfig, replace_values
from quantascope.pipeline.runner import run_stages
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from quantascope.store.truth import TRUTH_FILE, read_truth, write_truth

CONFIG = "silent,n_skills=4,alpha=1.5,noise_share=0,polygenic_share=0.1,max_fillers=1"
SPEC = f"planted:{CONFIG}"
LN_7 = np.log(7)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Train on four skills, of which the commonest rules three answers in four: 6 CPU-s."""
    out = tmp_path_factory.mktemp("planted")
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        train_command(
            out, config=CONFIG, n_tokens=150_000, n_documents=100, plot=out / "skills.png"
        )
    return out, text.getvalue()


@pytest.fixture(scope="module")
def folder(printed):
    return printed[0] / "seed0"


@pytest.fixture(scope="module")
def found(folder):
    return measure_emergence(folder, n_documents=100)


def test_the_commonest_skill_is_learned_and_was_unknown_at_first(found):
    """Its answers are uniform on seven words, so that not knowing it costs ln 7."""
    assert found.loss_nats[0, 0] > LN_7
    assert found.loss_nats[0, -1] < 0.5 * LN_7
    assert found.loss_nats[0, -1] == np.nanmin(found.loss_nats[:, -1])


def test_the_command_prints_skills_and_writes_table_figure_and_suite(printed):
    out, text = printed
    lines = text.splitlines()
    assert lines[0].split()[:4] == ["skill", "frequency", "loss", "+-"]
    assert [line.split()[0] for line in lines[1:5]][0] == "code-first"
    assert lines[-2:] == [str(out / "skills.png"), str(out / "seed0")]
    assert {"suite.json", "emergence.parquet"} <= {path.name for path in (out / "seed0").iterdir()}
    assert (out / "skills.png").stat().st_size > 1000


def test_another_recipe_does_not_overwrite_a_trained_model(printed):
    with pytest.raises(DataError, match="another recipe"):
        train_command(printed[0], config=CONFIG, n_tokens=4096)


def test_frequencies_and_steps_are_those_of_the_suite(found, folder):
    assert found.frequencies == pytest.approx(
        np.arange(1, 5) ** -2.5 / np.sum(np.arange(1, 5) ** -2.5)
    )
    assert found.steps.tolist() == [1, 2, 4, 8, 16, 32, 64, 128, 146]
    assert measure_emergence(folder, n_documents=100, steps=[146]).loss_nats == pytest.approx(
        found.loss_nats[:, -1:], nan_ok=True
    )


def test_answers_ruled_by_two_skills_cost_at_most_ln_2_to_one_who_knows_both(found):
    assert 0 < found.polygenic_floor_nats <= np.log(2)
    assert found.polygenic_nats > found.polygenic_floor_nats


def test_the_table_has_a_row_for_each_skill_and_step(found):
    table = emergence_table(found).to_pandas()
    assert len(table) == 4 * len(found.steps)
    last = table[table["step"] == 146].sort_values("rank")
    assert last["loss_nats"].to_numpy() == pytest.approx(found.loss_nats[:, -1], nan_ok=True)


def test_training_text_of_another_seed_is_another_text():
    texts = [
        planted_suite_text(planted_suite(parse_source(SPEC), seed=seed, n_chars=20_000))
        for seed in (0, 0, 1)
    ]
    digests = [text.facts["sha256"] for text in texts]
    assert digests[0] == digests[1] != digests[2]
    assert texts[0].tokenizer.to_str() == texts[2].tokenizer.to_str()


def test_the_vocabulary_of_the_recipe_is_that_of_the_tokenizer():
    for name in ("silent", "picks"):
        suite = planted_suite(parse_source(f"planted:{name}"), n_chars=2_000)
        assert planted_suite_text(suite).tokenizer.get_vocab_size() == suite.vocab_size


def test_a_suite_of_other_text_is_refused():
    from quantascope.lm.models import suite_path

    with pytest.raises(DataError, match="planted"):
        measure_emergence(suite_path("demo"))


def made_up(losses, frequencies=(0.5, 0.3, 0.2)):
    losses = np.array(losses, dtype=float)
    n = len(losses)
    return Emergence(
        skills=tuple(f"s{k}" for k in range(n)),
        kinds=("kind",) * n,
        frequencies=np.array(frequencies)[:n],
        steps=np.array([1, 2, 4]),
        loss_nats=losses,
        error_nats=np.zeros_like(losses),
        held_out_nats=np.zeros(n),
        polygenic_nats=0.0,
        polygenic_floor_nats=0.0,
        n_answers=np.ones(n, dtype=int),
    )


def test_a_skill_is_learned_from_the_step_where_it_stays_below():
    """A loss that rises again, or that was never measured, is not learned."""
    rows = [[1.0, 0.1, 0.1], [0.1, 1.0, 0.1], [1.0, 0.1, 1.0]]
    assert made_up(rows).step_learned().tolist() == [2, 4, np.inf]
    assert made_up([[np.nan] * 3, [0.1] * 3]).step_learned().tolist() == [np.inf, 1]
    assert made_up(rows).share_learned() == pytest.approx(2 / 3)


def test_a_skill_without_answers_is_not_measured_rather_than_not_learned(capsys):
    found = replace(
        made_up([[2, 0.1, 0.1], [np.nan] * 3, [2, 2, 2]]), n_answers=np.array([9, 0, 9])
    )
    assert found.share_learned() == 0.5
    _print_emergence(found)
    printed = capsys.readouterr().out
    assert [("not measured" in line, " no " in line) for line in printed.splitlines()[1:4]] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    _print_emergence(replace(found, n_answers=np.zeros(3, dtype=int)))  # none at all
    assert capsys.readouterr().out.count("not measured") == 3


def test_order_agreement_is_spearman_with_unlearned_skills_last():
    frequencies = np.arange(12, 0, -1) / 78
    steps = np.array([1, 2, 2, 4, 8, 4, 16, 32, np.inf, 16, np.inf, np.inf])
    value, lo, hi = order_agreement(frequencies, steps)
    finite = np.where(np.isfinite(steps), steps, 99)
    assert value == pytest.approx(spearmanr(-frequencies, finite).statistic)
    assert lo < value < hi
    assert order_agreement(frequencies, steps[::-1])[0] < 0
    assert np.isnan(order_agreement(frequencies, np.full(12, np.inf))[0])


def test_planted_suites_are_small_and_differ_by_seed_alone():
    one, other = (planted_suite(parse_source("planted:silent"), seed=seed) for seed in (0, 1))
    assert replace(other, seeds=(0,), data_seed=0) == one
    assert one.sizes[0].n_block_weights < 300_000


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """Make the corpus of a run on planted text."""
    values = {
        "models.suite": str(folder),
        "corpus.source": ["planted:silent,n_skills=4"],
        "corpus.n_tokens": 1500,
    }
    run = RunFolder(tmp_path_factory.mktemp("run"))
    run_stages(run, replace_values(RunConfig(), values), kinds=["corpus"])
    return run


def test_a_run_on_planted_text_has_its_truth_beside_the_corpus(run):
    truth = read_truth(run.root)
    assert truth["pred"].to_numpy().max() < 1500
    assert validate_run(run) == []


def test_validation_sees_a_truth_that_was_changed_or_lost(run):
    path = run.root / TRUTH_FILE
    kept = path.read_bytes()
    table = read_truth(run.root)
    moved = table.set_column(0, "pred", pc.add(table["pred"], 1_000_000))
    try:
        path.write_bytes(kept[:-1] + b"x")
        assert "wrong hash" in validate_run(run)[0]
        write_truth(run.root, moved)
        assert "wrong hash" in validate_run(run)[0]
        path.unlink()
        assert "missing" in validate_run(run)[0]
    finally:
        path.write_bytes(kept)
    assert validate_run(run) == []
