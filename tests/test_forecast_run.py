"""Laws of forecasts of a run: sealed before the truth, scored when it comes."""

import json
import shutil

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from quantascope.core.errors import ArtefactError, DataError
from quantascope.pipeline.config import load_config, set_values
from quantascope.pipeline.runner import run_stages
from quantascope.reader.forecast_groups import group_run
from quantascope.reader.outcomes import backtest, score_forecast
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from tests.commands import call, refusal
from tests.family_runs import SIZES, corpus_run, made_up_losses, write

KINDS = ["corpus", "losses", "selection", "curves"]
NEXT = SIZES[4]


@pytest.fixture(scope="module")
def corpus(tiny_family, text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecast")
    return corpus_run(folder / "corpus", model=tiny_family[0], text=text_file)


def fill(run: RunFolder, table, *, n_sizes: int) -> None:
    """Give a run the losses of its first sizes, under one seed, at the last step."""
    kept = pc.and_(
        pc.less_equal(table["n_params"], SIZES[n_sizes - 1]), pc.equal(table["step"], 100)
    )
    mine = table.filter(pc.and_(kept, pc.equal(table["seed"], 0)))
    path = write(mine, run.root.parent / f"losses{n_sizes}.parquet")
    settings = [f"losses.source={path}", "curves.n_sample=900", "selection.threshold_nats=9.0"]
    run_stages(run, set_values(load_config(run.config_path), settings), kinds=KINDS)


@pytest.fixture(scope="module")
def table(corpus):
    return made_up_losses(corpus)


@pytest.fixture(scope="module")
def started(corpus, table, tmp_path_factory):
    """Four sizes, and a forecast of two to come."""
    folder = tmp_path_factory.mktemp("started")
    shutil.copytree(corpus.root, folder / "run")
    run = RunFolder(folder / "run")
    fill(run, table, n_sizes=4)
    found = json.loads(
        call("forecast", run.root, "--at", f"N={NEXT},1e8", "--by", "ngram:1", "--json")
    )
    return run, found


@pytest.fixture
def grown(started, table, tmp_path):
    """Add a fifth size to the same run."""
    run, found = started
    shutil.copytree(run.root, tmp_path / "run")
    more = RunFolder(tmp_path / "run")
    fill(more, table, n_sizes=5)
    return more, found["forecast"]


def test_a_forecast_is_sealed_before_its_truth_and_scored_when_it_comes(started, grown):
    before, found = started
    assert found["hindsight"] == [False, False]
    assert "nothing that was foretold has come" in call("score", before.root)
    run, item = grown
    scored = json.loads(call("score", run.root, item, "--json"))
    assert {row["target"] for row in scored["outcomes"]} == {NEXT}
    assert scored["not_come"] == [[item, 1e8]]
    methods = {row["method"] for row in scored["outcomes"]}
    assert methods >= {"mixed", "last_value", "power_law"}
    groups = group_run(run, by="ngram:1")
    main = next(row for row in scored["outcomes"] if row["is_main"])
    assert main["n_groups"] == len(groups.keys)
    assert main["mean_nats"] == pytest.approx(
        groups.whole.share @ groups.whole.losses[:, 4], rel=1e-6
    )
    assert main["made"] == found["made"]
    assert main["hindsight"] is False


def test_the_written_distribution_is_the_one_that_is_scored(grown):
    run, item = grown
    rows = pq.read_table(run.root / "forecasts" / item / "forecast.parquet").to_pandas()
    outcomes = {o.method: o for o in score_forecast(run, item)[1]}
    mine = rows[(rows["method"] == "last_value") & (rows["target"] == NEXT)]
    came = group_run(run, by="ngram:1").whole.losses[:, 4]
    inside = (came >= mine["p5_nats"]) & (came <= mine["p95_nats"])
    assert outcomes["last_value"].score.within_90 == pytest.approx(inside.mean(), abs=0.02)
    assert set(rows["method"]) >= {"mixed", "last_value", "power_law", "one_skill"}


def test_a_score_is_entered_once_and_the_ledger_keeps_both(grown):
    run, item = grown
    call("score", run.root)
    lines = (run.root / "forecasts" / "ledger.jsonl").read_text().splitlines()
    call("score", run.root)
    assert (run.root / "forecasts" / "ledger.jsonl").read_text().splitlines() == lines
    entries = [json.loads(line) for line in lines]
    assert [e["content"]["what"] for e in entries] == ["forecast", "score"]
    assert all(e["content"]["forecast"] == item for e in entries)


def test_the_same_forecast_again_is_the_one_that_stands(started, tmp_path):
    run, found = started
    shutil.copytree(run.root, tmp_path / "run")
    again = json.loads(
        call("forecast", tmp_path / "run", "--at", f"N={NEXT},1e8", "--by", "ngram:1", "--json")
    )
    assert (again["forecast"], again["made"]) == (found["forecast"], found["made"])
    assert again["ledger"] == found["ledger"]


def test_a_known_size_is_foretold_in_hindsight_only(grown):
    run, _ = grown
    upto = SIZES[2]
    shown = call("forecast", run.root, "--at", f"N={NEXT}", "--by", "ngram:1", "--upto", upto)
    assert "in hindsight" in shown
    item = next(word for word in shown.split() if word.startswith("f") and word.endswith(","))
    rows = json.loads(call("score", run.root, item.strip(","), "--json"))["outcomes"]
    assert all(row["hindsight"] for row in rows)
    words = refusal(ValueError, "forecast", run.root, "--at", f"N={NEXT}", "--by", "ngram:1")
    assert words.startswith("--at: 256000 found; allowed: beyond the last seen")


@pytest.mark.parametrize("name", ["forecast.parquet", "groups.parquet", "manifest.json", "ledger"])
def test_whatever_is_changed_later_is_seen(name, grown):
    run, item = grown
    ledger = run.root / "forecasts" / "ledger.jsonl"
    path = ledger if name == "ledger" else run.root / "forecasts" / item / name
    content = path.read_bytes()
    change = content.replace(b'"time": 1', b'"time": 2') if name == "ledger" else None
    if name == "manifest.json":
        change = content.replace(b'"method": "mixed"', b'"method": "pooled"')
    path.write_bytes(change if change is not None else content[:-1] + b"x")
    assert path.read_bytes() != content
    words = refusal((ArtefactError, DataError), "score", run.root, item)
    assert str(path.parent if name == "manifest.json" else path) in words
    if name != "ledger":
        assert any(item in line for line in validate_run(run))


def test_a_forged_forecast_is_unknown_to_the_ledger(grown):
    run, item = grown
    (run.root / "forecasts" / "ledger.jsonl").unlink()
    assert "the ledger does not know it" in refusal(ArtefactError, "score", run.root, item)


def test_another_text_is_not_what_was_foretold(grown):
    run, item = grown
    path = run.root / "corpus" / "tokens.npy"
    tokens = np.load(path)
    np.save(path, tokens[::-1].copy())
    assert "text is no longer" in refusal(DataError, "score", run.root, item)


def test_a_backtest_scores_every_method_on_the_last_sizes(grown, tmp_path):
    run, _ = grown
    plot = tmp_path / "calibration.svg"
    found = json.loads(
        call("forecast", run.root, "--backtest", "--by", "ngram:1", "--json", "--plot", plot)
    )
    assert plot.stat().st_size > 5000
    assert {row["target"] for row in found["outcomes"]} == {SIZES[3], SIZES[4]}
    assert not (run.root / "forecasts").joinpath("backtest").exists()
    outcomes = backtest(group_run(run, by="ngram:1"), held_out=1)
    assert {o.target for o in outcomes} == {SIZES[4]}


def test_steps_are_foretold_for_one_size(corpus, table, tmp_path):
    shutil.copytree(corpus.root, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    kept = pc.and_(pc.equal(table["n_params"], SIZES[5]), pc.less_equal(table["seed"], 1))
    path = write(table.filter(kept), tmp_path / "losses.parquet")
    settings = [f"losses.source={path}", "curves.n_sample=900", "selection.threshold_nats=9.0"]
    run_stages(run, set_values(load_config(run.config_path), settings), kinds=KINDS)
    shown = call(
        "forecast", run.root, "--at", "step=1000", "--by", "ngram:1", "--plot", tmp_path / "f.png"
    )
    assert "steps" in shown
    assert "2 levels seen" in shown
    assert shown.splitlines()[-1] == str(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 5000


def test_wrong_words_are_refused_in_one_line(started):
    run = started[0].root
    for arguments, words in (
        ((), "--at: give what to foretell"),
        (("--at", "N=1e8", "--backtest"), "--at: give what"),
        (("--at", "size=3"), "--at: 'size=3' found"),
        (("--at", "N=x"), "--at: 'N=x' found"),
        (("--at", "N=1e8,step=3"), "--at: "),
        (("--at", "N=-5"), "--at: "),
        (("--at", "N=1e8", "--method", "magic"), "--method: "),
        (("--backtest", "--upto", "3"), "--backtest: "),
        (("--at", "N=1e8", "--threshold", "-1"), "--threshold: "),
    ):
        found = refusal(ValueError, "forecast", run, "--by", "ngram:1", *arguments)
        assert found.startswith(words)
    assert "stage 'clusters' has not finished" in refusal(
        ArtefactError, "forecast", run, "--at", "N=1e8"
    )
    assert "no 'f0'" in refusal(ArtefactError, "score", run, "f0")
    few = refusal(DataError, "forecast", run, "--at", "N=1e8", "--by", "ngram:1", "--upto", "1000")
    assert few.startswith("1 level(s) up to 1000")
