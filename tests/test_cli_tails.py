"""Laws of the commands tails and shapes: text and JSON agree, figures drawn, one line a fault."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from quantascope.cli.app import main
from quantascope.core.rng import stream
from quantascope.laws.tails import draw_power_law


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["quantascope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


@pytest.fixture
def ranks(tmp_path):
    """Five thousand ranks of the Quantization Model at alpha 0.5, as lines and as counts."""
    x = draw_power_law(1.5, 5000, q=1, discrete=True, rng=stream(0, "ranks")).astype(int)
    (tmp_path / "ranks.txt").write_text("\n".join(map(str, x)))
    rows = "\n".join(f"{k},{n}" for k, n in zip(*np.unique(x, return_counts=True), strict=True))
    (tmp_path / "ranks.csv").write_text("rank,seen\n" + rows)


@pytest.fixture
def tasks(tmp_path):
    x, t = np.geomspace(1e6, 1e10, 12), np.linspace(0, 1, 12)
    noise = 0.02 * stream(0, "tasks").standard_normal((5, 12))
    truth = {
        "abrupt": 0.2 + 0.6 * (t > 0.5),
        "inverse": 0.7 - 0.5 * t,
        "U": 0.3 + 1.4 * (t - 0.6) ** 2,
        "monotone": 0.2 + 0.5 * t,
        "flat": 0.25 + 0 * t,
    }
    lines = ["task,params,accuracy,error"]
    for (name, y), e in zip(truth.items(), noise, strict=True):
        lines += [f"{name},{a:.0f},{b:.5f},0.02" for a, b in zip(x, y + e, strict=True)]
    (tmp_path / "tasks.csv").write_text("\n".join(lines))


@pytest.mark.usefixtures("ranks")
def test_tails_gives_the_same_from_lines_and_counts(call):
    code, out, _ = call("tails", "ranks.txt", "--xmin", "1", "--json")
    lines = json.loads(out)
    _, out, _ = call(
        "tails", "ranks.csv", "--column", "rank", "--counts", "seen", "--xmin", 1, "--json"
    )
    assert code == 0
    assert lines == json.loads(out)
    assert lines["lo"] < 1.5 < lines["hi"]
    assert abs(lines["exponent"] - 1.5) < 5 * lines["stderr"]
    assert (lines["xmin"], lines["n_tail"], lines["identified"]) == (1, 5000, True)


@pytest.mark.usefixtures("ranks")
def test_tails_prints_what_json_holds(call):
    arguments = ("tails", "ranks.txt", "--xmin", 1, "--compare")
    found = json.loads(call(*arguments, "--json")[1])
    text = call(*arguments)[1]
    assert f"{found['exponent']:.4f}" in text
    assert f"[{found['lo']:.4f}, {found['hi']:.4f}]" in text
    assert [c["alternative"] in text for c in found["comparisons"]] == [True] * 4
    assert "rank-size regression is biased" in text


@pytest.mark.usefixtures("ranks")
def test_a_chosen_cut_off_warns_until_it_is_bootstrapped(call):
    arguments = ("tails", "ranks.txt", "--json")
    assert "--bootstrap 200" in json.loads(call(*arguments)[1])["warnings"][0]
    code, out, err = call(*arguments, "--bootstrap", 20, "--plot", "tail.svg")
    found = json.loads(out)
    assert (code, found["warnings"]) == (0, [])
    assert found["xmin_lo"] <= found["xmin"] <= found["xmin_hi"]
    assert 0 < found["goodness_of_fit"]["p"] <= 1
    assert "tail.svg" in err


@pytest.mark.parametrize("suffix", ["svg", "png"])
@pytest.mark.usefixtures("ranks", "tasks")
def test_figures_are_written(call, tmp_path, suffix):
    code, out, _ = call("tails", "ranks.txt", "--plot", f"tail.{suffix}")
    assert (code, out.splitlines()[-1]) == (0, f"tail.{suffix}")
    columns = ("--x", "params", "--y", "accuracy", "--curve", "task", "--metric", "accuracy")
    code, _, _ = call("shapes", "tasks.csv", *columns, "--plot", f"shape.{suffix}")
    assert code == 0
    assert all((tmp_path / f"{name}.{suffix}").stat().st_size > 5000 for name in ("tail", "shape"))


def test_a_tail_that_is_none_says_why(call, tmp_path):
    (tmp_path / "same.txt").write_text("3\n3\n3\n")
    code, out, _ = call("tails", "same.txt", "--compare", "--bootstrap", 20, "--plot", "same.svg")
    assert code == 0
    assert "not identified" in out
    found = json.loads(call("tails", "same.txt", "--json")[1])
    assert found["exponent"] is None
    assert found["identified"] is False


@pytest.mark.usefixtures("tasks")
def test_shapes_names_each_planted_curve(call):
    columns = ("--x", "params", "--y", "accuracy", "--curve", "task", "--metric", "accuracy")
    code, out, _ = call("shapes", "tasks.csv", *columns, "--stderr", "error", "--json")
    found = json.loads(out)
    assert code == 0
    assert all(row["shape"] == row["curve"] for row in found["curves"])
    assert found["curves"][0]["turning_interval"][0] > 1e6
    text = call("shapes", "tasks.csv", *columns)[1]
    assert "inverse  " in text
    assert "roughness" in text


def test_rows_at_one_x_are_replicates(call, tmp_path):
    rng = stream(0, "replicates")
    rows = [f"{x},{np.exp(0.1 * rng.normal()) / x}" for x in (1, 2, 4, 8) for _ in range(6)]
    (tmp_path / "r.csv").write_text("\n".join(["n,loss", *rows]))
    found = json.loads(call("shapes", "r.csv", "--x", "n", "--y", "loss", "--json")[1])
    assert found["curves"][0]["shape"] == "monotone"
    assert "20 degrees of freedom" in found["method"]


@pytest.mark.usefixtures("ranks", "tasks")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["tails", "none.txt"], 1, ["none.txt", "no such file"]),
        (["tails", "ranks.csv"], 2, ["--column"]),
        (["tails", "ranks.csv", "--column", "k"], 1, ["'k'", "'rank'"]),
        (["tails", "ranks.txt", "--column", "k"], 2, ["--column"]),
        (["tails", "ranks.txt", "--xmin", "few"], 2, ["--xmin", "auto"]),
        (["tails", "ranks.txt", "--xmin", "0"], 2, ["xmin"]),
        (["tails", "ranks.txt", "--bootstrap", "3"], 2, ["--bootstrap", "20"]),
        (["tails", "ranks.txt", "--plot", "x.gif"], 2, ["--plot"]),
        (["shapes", "tasks.csv", "--x", "params", "--y", "task"], 1, ["row 1", "'task'"]),
        (["shapes", "tasks.csv", "--x", "params", "--y", "error", "--level", "2"], 2, ["level"]),
        (["shapes", "tasks.csv", "--x", "error", "--y", "params", "--metric", "f"], 2, ["metric"]),
        (
            ["shapes", "tasks.csv", "--x", "params", "--y", "accuracy", "--stderr", "error"],
            1,
            ["5 rows at one x", "--curve"],
        ),
    ],
)
def test_a_wrong_call_is_one_line(call, arguments, code, words):
    found, out, err = call(*arguments)
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (found, out, len(errors)) == (code, "", 1)
    assert all(word in errors[0] for word in words), errors


DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["tails.md", "shapes.md"])
def test_the_commands_of_the_docs_print_what_stands_there(call, page):
    """Seeds are fixed and few digits printed, so the words must be the same."""
    text = (DOCS / page).read_text(encoding="utf-8")
    exec(compile(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], page, "exec"), {})  # noqa: S102
    blocks = re.findall(r"```\n\$ quantascope (.*?)\n(.*?)```", text, re.DOTALL)
    assert blocks
    for command, printed in blocks:
        code, out, _ = call(*command.split())
        assert code == 0
        assert out.split() == printed.split()
