"""The commands `fit` and `laws` from outside: one object or one table out, every fault one line."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app
from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.laws import LAWS, LawFit, find_law
from tests.test_cli import assert_one_line_error, call
from tests.test_laws_catalogue import _inputs, _truth

POINTS = Path(__file__).parents[1] / "examples" / "data" / "chinchilla_points.csv"
NAMED = ("law", "params", "objective", "converged", "identified", "intervals", "extrapolation")
FLOOR = {"E": 1.7, "A": 400.0, "alpha": 0.34}
RUNS = ("a", "b", "c", "d")


def write(path: Path, columns: dict) -> Path:
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def runs(n_each: int = 6) -> dict:
    """Four runs on the law `floor`, each with its own level, so that points of one are alike."""
    draw = stream(0, "runs")
    n = 4 * n_each
    size = np.geomspace(1e6, 1e9, n)
    level = np.repeat(draw.normal(size=4), n_each)
    error = 0.002 * level + 0.002 * draw.normal(size=n)
    loss = find_law("floor")(FLOOR, x=size) * np.exp(error)
    return {"params": size, "loss": loss, "run": np.repeat(RUNS, n_each), "weight": 1 + size / 1e9}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("fit") / "runs.csv", runs())


def invoke(*arguments):
    return CliRunner().invoke(app, ["fit", *map(str, arguments)])


def read(*arguments) -> dict:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def floor(table: Path, *arguments) -> dict:
    return read(table, "--law", "floor", "--x", "params", *arguments)


@pytest.mark.parametrize("name", LAWS)
def test_every_law_gives_one_object(name, tmp_path):
    law = find_law(name)
    inputs = _inputs(law)
    noise = np.exp(0.01 * stream(0, "cli", name).normal(size=60))
    truth = _truth(law, inputs)
    path = write(tmp_path / "t.csv", {**inputs, "y": law(truth, **inputs) * noise})
    options = [part for column in law.inputs for part in ("--x", f"{column}={column}")]
    # all free, finite sums cost seconds: tests of the fitter do that
    held = ["E=0.1", "Delta=1", "n_tasks=800"] if "n_tasks" in law.names else []
    options += [part for value in held for part in ("--fix", value)]
    scored = len(law.params) < 9  # three more fits of many breaks: tests of the fitter do that
    options += [] if scored else ["--holdout", "none"]
    found = read(path, "--law", name, "--y", "y", *options)
    assert all(key in found for key in (*NAMED, "warnings"))
    assert found["law"] == name
    assert list(found["params"]) == list(found["intervals"]) == list(law.names)
    assert all(isinstance(value, float) for value in found["params"].values())
    assert isinstance(found["objective"], float)
    assert found["converged"] is True
    assert found["identified"] is (not found["not_identified"])
    assert found["extrapolation"]["rmsle"] > 0 if scored else found["extrapolation"] is None
    assert isinstance(found["warnings"], list)
    assert LawFit.from_json(found).params == found["params"]


def test_laws_lists_each_with_formula_and_source():
    text = CliRunner().invoke(app, ["laws"]).stdout
    for law in LAWS.values():
        assert law.formula in text
        assert law.source in text


def test_the_table_shows_what_the_object_holds(table):
    lines = invoke(table, "--law", "floor", "--x", "params").stdout.splitlines()
    found = floor(table)
    rows = {line.split()[0]: line for line in lines}
    for name, value in found["params"].items():
        lo, hi = found["intervals"][name]
        assert f"{value:.6g}" in rows[name]
        assert f"[{lo:.5g}, {hi:.5g}]" in rows[name]
    assert float(rows["objective"].split()[1]) == pytest.approx(found["objective"], rel=1e-7)
    assert rows["converged;"].startswith("converged; identified; ")
    assert "held out" in rows["extrapolation:"]


def test_a_column_is_named_in_three_ways(table):
    """One-input laws take a bare column or any name; the column's name is then what x counts."""
    bare = floor(table)
    for form in ("x=params", "N=params", " x = params "):
        assert read(table, "--law", "floor", "--x", form) == bare
    assert floor(table, "--y", " loss") == bare
    assert bare["meaning"] == {"x": "params"}
    assert read(table, "--law", "kaplan-N", "--x", "params")["meaning"] == {"N": "not stated"}


def test_fixed_parameters_keep_their_value_and_tied_ones_are_equal(table):
    held = floor(table, "--fix", "E=1.7")
    assert held["params"]["E"] == 1.7
    assert held["intervals"]["E"] == [1.7, 1.7]
    assert held["fixed"] == {"E": 1.7}
    text = invoke(table, "--law", "floor", "--x", "params", "--fix", "E=1.7").stdout
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("E ")] == ["fixed"]
    points = [POINTS, "--law", "chinchilla", "--x", "N=params_N", "--x", "D=tokens_D"]
    tied = read(*points, "--tie", "beta=alpha", "--holdout", "none")
    assert tied["params"]["alpha"] == tied["params"]["beta"]
    alone = read(POINTS, "--law", "chinchilla-tied", *points[3:], "--holdout", "none")
    assert tied["objective"] == pytest.approx(alone["objective"], rel=1e-9)


def test_groups_widen_intervals_where_runs_differ(table):
    """Within-run errors are shared: four groups say less than 24 free points."""
    alone, grouped = floor(table), floor(table, "--group", "run")
    assert (alone["n_groups"], grouped["n_groups"]) == (0, 4)
    assert "group" in grouped["interval_method"]
    width = [
        found["intervals"]["alpha"][1] - found["intervals"]["alpha"][0]
        for found in (alone, grouped)
    ]
    assert width[1] > width[0]
    assert any("only 4 groups" in warning for warning in grouped["warnings"])


def test_weights_and_objectives_change_the_fit(table):
    plain = floor(table)["params"]
    assert floor(table, "--weight", "weight")["params"] != plain
    assert floor(table, "--objective", "lsq-log")["params"] != plain
    above = floor(table, "--objective", "asymmetric", "--above", "0.05")
    below = floor(table, "--objective", "asymmetric", "--above", "0.95")
    at = {"x": [1e8]}
    assert LawFit.from_json(above).predict(at) < LawFit.from_json(below).predict(at)


def test_a_row_of_weight_zero_is_left_out_of_every_count(tmp_path):
    columns = runs()
    kept = np.arange(24) % 3 > 0
    few = write(tmp_path / "few.csv", {name: column[kept] for name, column in columns.items()})
    columns["weight"] = kept.astype(int)
    columns["loss"] = np.where(kept, columns["loss"], 1e3)
    found = floor(write(tmp_path / "all.csv", columns), "--weight", "weight", "--bootstrap", "100")
    assert found == floor(few, "--bootstrap", "100")
    assert found["n_points"] == 16


def test_meaning_is_kept_and_silences_the_warning():
    command = [POINTS, "--law", "chinchilla", "--x", "N=params_N", "--x", "D=tokens_D"]
    command += ["--holdout", "none"]
    unstated = read(*command)
    said = read(*command, "--meaning", "N=total parameters", "--meaning", "D=tokens")
    assert said["meaning"] == {"N": "total parameters", "D": "tokens"}
    assert any("not stated" in warning for warning in unstated["warnings"])
    assert not any("not stated" in warning for warning in said["warnings"])


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ([], "case bootstrap, 100 replicates, percentile"),
        (["--objective", "lsq-log"], "case bootstrap, 100 replicates, expanded"),
        (["--resample", "wild"], "wild bootstrap, 100 replicates, percentile"),
        (["--resample", "parametric"], "parametric bootstrap, 100 replicates, percentile"),
        (["--interval", "bca"], "case bootstrap, 100 replicates, bca"),
        (["--group", "run"], "cluster bootstrap, 100 replicates, percentile"),
    ],
)
def test_bootstrap_says_how_it_resampled(table, options, method):
    found = floor(table, "--bootstrap", "100", "--holdout", "none", *options)
    assert found["interval_method"] == method
    assert np.shape(found["replicates"]) == (100, 3)
    assert all(lo < found["params"][name] < hi for name, (lo, hi) in found["intervals"].items())


def test_confidence_widens(table):
    narrow, wide = (
        floor(table, "--confidence", level)["intervals"]["alpha"] for level in (0.5, 0.99)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_confidence_is_printed_with_its_digits(table):
    command = [table, "--law", "floor", "--x", "params", "--holdout", "none"]
    assert "99.9999% interval" in invoke(*command, "--confidence", "0.999999").stdout


def test_a_leaderboard_of_exact_fits_tells_them_apart(tmp_path):
    size = np.geomspace(1e6, 1e9, 12)
    path = write(tmp_path / "t.csv", {"n": size, "loss": find_law("floor")(FLOOR, x=size)})
    lines = invoke(path, "--law", "all", "--x", "n").stdout.splitlines()
    scores = [cell for line in lines[2:7] for cell in line.split()[2:4]]
    assert not any(float(score) == 0 for score in scores)
    assert max(len(score.partition("e")[0]) for score in scores) <= 8  # 0.000abc


def test_holdout_none_gives_no_score(table):
    assert floor(table, "--holdout", "none")["extrapolation"] is None


def test_equal_seeds_give_equal_bytes(table, tmp_path):
    """In another process too; progress and the figure's path go to stderr."""
    command = [table, "--law", "floor", "--x", "params", "--bootstrap", "100", "--json", "--plot"]
    paths = [tmp_path / name for name in ("one.svg", "two.svg", "three.svg")]
    here = invoke(*command, paths[0])
    there = call("fit", *map(str, command), str(paths[1]))
    other = invoke(*command, paths[2], "--seed", "1")
    assert here.stdout == there.stdout != other.stdout
    assert len(here.stdout.splitlines()) == 1
    first, second, third = (path.read_bytes() for path in paths)
    assert first == second != third
    assert "bootstrap" in there.stderr
    assert str(paths[1]) in there.stderr


def test_out_holds_what_json_prints(table, tmp_path):
    path = tmp_path / "fit.json"
    found = floor(table, "--out", path)
    assert json.loads(path.read_text()) == found
    lines = invoke(table, "--law", "floor", "--x", "params", "--out", path).stdout.splitlines()
    assert lines[-1] == str(path)


@pytest.mark.parametrize("suffix", ["svg", "png"])
@pytest.mark.parametrize("name", ["floor", "chinchilla"])
def test_figures_are_whole(name, suffix, table, tmp_path):
    path = tmp_path / f"f.{suffix}"
    inputs = ["--x", "params"] if name == "floor" else ["--x", "N=params_N", "--x", "D=tokens_D"]
    source = table if name == "floor" else POINTS
    result = invoke(source, "--law", name, *inputs, "--plot", path, "--holdout", "none")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == str(path)
    if suffix == "svg":
        assert ElementTree.parse(path).getroot().tag.endswith("svg")  # noqa: S314  (our own file)
    else:
        assert np.ptp(matplotlib.image.imread(path)) > 0
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_all_ranks_the_laws_of_these_inputs(table, tmp_path):
    path = tmp_path / "board.json"
    lines = invoke(table, "--law", "all", "--x", "params", "--out", path).stdout.splitlines()
    found = json.loads(path.read_text())
    names = [row["law"] for row in found["rows"]]
    scores = [row["extrapolation_rmsle"] for row in found["rows"]]
    assert {"power", "floor", "logistic", "bnsl-1"} <= set(names)
    assert scores == sorted(scores, key=lambda score: math.inf if score is None else score)
    assert min(row["aic"] for row in found["rows"]) == 0
    assert [line.split()[0] for line in lines[2 : 2 + len(names)]] == names
    assert lines[-1] == str(path)


def test_all_with_two_inputs_ranks_the_joint_laws():
    found = read(POINTS, "--law", "all", "--x", "N=params_N", "--x", "D=tokens_D")
    assert {row["law"] for row in found["rows"]} == {
        *("chinchilla", "chinchilla-tied", "kaplan-ND", "quanta-max", "quanta-smooth")
    }


GOOD = "1e6,3.2\n2e6,3.0\n5e6,2.8\n1e7,2.6\n3e7,2.4\n1e8,2.2\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params,lost\n" + GOOD, ["no column 'loss'", "'lost'"]),
        ("params,loss\n" + GOOD + "1e9,-1\n", ["row 7", "'loss'", "-1", "> 0"]),
        ("params,loss\n" + GOOD + "0,2\n", ["row 7", "'params'", "0", "> 0"]),
        ("params,loss\n" + GOOD + "nan,2\n", ["row 7", "'params'", "'nan'"]),
        ("params,loss\n" + GOOD + "1e9,low\n", ["row 7", "'loss'", "'low'"]),
        ("params,loss\n1e6,3\n2e6,2\n", ["2 points", "3 free parameters", "at least 4"]),
        ("params,loss\n", ["no data rows"]),
        ("", ["empty"]),
    ],
)
@pytest.mark.parametrize("law", ["floor", "all"])
def test_bad_data_is_one_line_with_exit_code_1(text, words, law, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    result = invoke(path, "--law", law, "--x", "params", "--out", tmp_path / "o.json")
    assert isinstance(result.exception, DataError)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]
    if law == "floor":
        assert all(word in str(result.exception) for word in [str(path), *words])


@pytest.mark.parametrize("objective", ["huber", "lsq-log", "asymmetric"])
def test_a_zero_response_points_to_the_objective_that_admits_it(objective, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("params,loss\n" + GOOD + "1e9,0\n")
    command = [path, "--law", "floor", "--x", "params", "--holdout", "none"]
    message = str(invoke(*command, "--objective", objective).exception)
    assert "row 7 of column 'loss' is 0" in message
    assert "--objective lsq admits zeros" in message
    assert "leave out" not in message
    assert invoke(*command, "--objective", "lsq").exit_code == 0


def test_two_points_for_five_parameters(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("N,D,loss\n1e6,1e8,3\n2e6,2e8,2\n")
    result = call("fit", str(path), "--law", "chinchilla", "--x", "N=N", "--x", "D=D")
    assert_one_line_error(result, 1, "2 points for the 5 free parameters", "at least 6", "--fix")


def test_a_million_rows_are_a_stated_limit(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("params,loss\n" + "1e6,3\n" * 1_000_000)
    result = invoke(path, "--law", "floor", "--x", "params")
    assert isinstance(result.exception, DataError)
    assert "more than 200,000 rows, which is the limit" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--law", "flor"], ["law", "'flor'", "floor"]),
        (["--objective", "mse"], ["objective", "'mse'", "lsq-log"]),
        (["--delta", "0"], ["delta", "0", "> 0"]),
        (["--objective", "asymmetric", "--above", "1"], ["above", "between 0 and 1"]),
        (["--confidence", "95"], ["confidence", "95", "between 0 and 1"]),
        (["--x", "loss"], ["--x", "twice"]),
        (["--x", "=params"], ["--x", "NAME=VALUE"]),
        (["--x", "D=params"], ["--x", "x, D", "--x x=COLUMN"]),
        (["--y", "params"], ["--y", "'params'", "input"]),
        (["--y", "weight", "--weight", "loss"], ["--y", "'weight'", "name"]),
        (["--fix", "E"], ["--fix", "'E'", "NAME=VALUE"]),
        (["--fix", "E=low"], ["--fix", "E=low", "numbers"]),
        (["--fix", "E=-1"], ["fixed", "E=-1", "> 0"]),
        (["--fix", "Q=1"], ["'Q'", "E, A, alpha"]),
        (["--fix", "E=1", "--fix", "E=2"], ["--fix", "E", "twice"]),
        (["--tie", "alpha=Q"], ["'Q'", "E, A, alpha"]),
        (["--tie", "E=E"], ["--tie", "E=E", "different"]),
        (["--fix", "E=1", "--tie", "E=A"], ["E=A", "fixed"]),
        (["--meaning", "N=tokens"], ["meaning", "N", "no input"]),
        (["--bootstrap", "5"], ["bootstrap", "5", "from 100 to 1,000,000"]),
        (["--bootstrap", "1000001"], ["bootstrap", "1000001", "1,000,000"]),
        (["--bootstrap", "100", "--resample", "jack"], ["'jack'", "cluster"]),
        (["--bootstrap", "100", "--resample", "cluster"], ["cluster", "group"]),
        (["--bootstrap", "100", "--interval", "wide"], ["interval", "'wide'", "bca"]),
        (["--resample", "wild"], ["--resample", "--bootstrap"]),
        (["--holdout", "random"], ["--holdout", "'random'", "ordered"]),
        (["--plot", "absent/f.svg"], ["--plot", "absent", "does not exist"]),
        (["--plot", "f.bmp"], ["--plot", "f.bmp", ".svg"]),
        (["--out", "absent/f.json"], ["--out", "absent", "does not exist"]),
        (["--law", "all", "--plot", "f.svg"], ["--plot", "--law all"]),
        (["--law", "all", "--fix", "E=1"], ["--fix", "--law all"]),
        (["--law", "all", "--x", "Q=weight"], ["--x", "no law", "x, Q"]),
    ],
)
def test_a_wrong_call_is_one_line_with_exit_code_2(options, words, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(table, "--law", "floor", "--x", "params", *options)
    assert isinstance(result.exception, ValueError)
    assert all(word in str(result.exception) for word in words), str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


def test_the_entry_gives_these_codes(table, tmp_path):
    fit = ["fit", str(table), "--law", "floor", "--x"]
    assert_one_line_error(call(*fit, "params", "--objective", "mse"), 2, "mse")
    assert_one_line_error(call(*fit, "params", "--colour", "red"), 2, "--colour")
    assert_one_line_error(call(*fit, "absent"), 1, "absent", "'params'")
    assert_one_line_error(call("fit", str(tmp_path), "--law", "floor", "--x", "params"), 1, "ends")


def test_an_unreadable_file_is_one_line(table, tmp_path, monkeypatch):
    """Root reads everything, so that the refusal is the system's, raised here."""
    path = tmp_path / "t.csv"
    path.write_text(table.read_text())

    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    result = invoke(path, "--law", "floor", "--x", "params")
    assert isinstance(result.exception, PermissionError)  # the entry makes it one line, exit code 1
    assert result.stdout == ""
    assert str(path) in str(result.exception)


def test_a_failed_figure_leaves_the_old_one(table, tmp_path, monkeypatch):
    path = tmp_path / "f.svg"
    path.write_text("old")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    result = invoke(table, "--law", "floor", "--x", "params", "--plot", path)
    assert isinstance(result.exception, OSError)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.svg"]
