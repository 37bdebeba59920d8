"""Commands of the Quantization Model: their numbers are the library's, their errors one line."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app
from quantascope.theory.resources import QuantaModel, leading_law, predict_loss
from tests.test_cli import assert_one_line_error, call

PREDICT = ["theory", "predict", "--alpha", "0.4"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def read(command: str) -> dict:
    return json.loads(run("theory", *command.split(), "--json"))


def test_prediction_is_the_library_s():
    found = read("predict --alpha 0.4 --by N --n-tasks 500 --capacity 7000 --at 7e4,7e5")
    model = QuantaModel(alpha=0.4, n_tasks=500, capacity=7000)
    assert found["loss"] == predict_loss(model, "N", [7e4, 7e5]).tolist()
    assert found["quanta"] == [10, 100]
    exponent, prefactor = leading_law(model, "N")
    assert found["leading_law"] == {"exponent": exponent, "prefactor": prefactor}


@pytest.mark.parametrize("by", ["N", "D", "S"])
def test_local_exponent_is_that_of_the_printed_losses(by):
    """Between neighbouring amounts, 1 % apart, the loss has the exponent printed, to 1e-3."""
    found = read(f"predict --alpha 0.4 --by {by} --from 1e4 --to 1.01e4 --points 2")
    slope = -math.log(found["loss"][1] / found["loss"][0]) / math.log(1.01)
    assert found["local_exponent"][0] == pytest.approx(slope, abs=1e-3)


def test_default_amounts_buy_from_one_quantum_to_many():
    for by in "NDS":
        command = f"predict --alpha 0.4 --by {by} --n-tasks 500 --capacity 1e-6 --threshold 1e9"
        quanta = read(command)["quanta"]
        assert quanta[0] == pytest.approx(1)
        assert quanta[-1] == pytest.approx(250)
        assert len(quanta) == 9


def test_json_has_no_infinity():
    found = read("predict --alpha 0.4 --by N --at 0,10")
    assert found["model"]["n_tasks"] is None
    assert found["local_exponent"][0] is None


def test_table_and_figure(tmp_path):
    path = tmp_path / "out.svg"
    lines = run(*PREDICT, "--by", "D", "--plot", str(path)).strip().splitlines()
    assert len(lines) == 1 + 9 + 2
    assert lines[-1] == str(path)
    assert path.read_text().startswith("<?xml")


def test_exponents_convert():
    found = read("exponents --alpha-D 0.2,0.25")
    np.testing.assert_allclose(found["alpha"], [0.25, 1 / 3])
    table = run("theory", "exponents", "--alpha", "0.4", "--n-tasks", "500").splitlines()
    assert table[1].split()[-1] == "0.459044"


def test_a_loss_is_inverted():
    found = read("invert --loss 0.31422,0.127331 --alpha 0.4 --n-params 1e5")
    np.testing.assert_allclose(found["n"], [10, 100], rtol=1e-4)
    np.testing.assert_allclose(found["C"], [1e4, 1e3], rtol=1e-4)
    alpha = read("invert --loss 0.127331 --quanta 100")
    assert alpha["alpha"][0] == pytest.approx(0.4, rel=1e-4)
    slope = read("invert --slope 0.459 --n-tasks 500")
    assert slope["alpha"][0] == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*PREDICT, "--by", "X"], ["--by", "N, D, S"]),
        ([*PREDICT, "--by", "N", "--at", "1,x"], ["--at", "1,x"]),
        ([*PREDICT, "--by", "N", "--at", "1e999"], ["--at", "finite"]),
        ([*PREDICT, "--by", "N", "--at", "1", "--from", "2"], ["--at", "--from"]),
        ([*PREDICT, "--by", "N", "--from", "9", "--to", "3"], ["--from"]),
        ([*PREDICT, "--by", "N", "--points", "1"], ["--points"]),
        ([*PREDICT, "--by", "N", "--plot", "out.bmp"], ["--plot", ".svg"]),
        ([*PREDICT, "--by", "N", "--n-tasks", "9", "--at", "9", "--plot", "x.svg"], ["--plot"]),
        ([*PREDICT, "--by", "N", "--capacity", "0"], ["capacity"]),
        (["theory", "predict", "--alpha", "1e308", "--by", "N"], ["alpha", "50"]),
        (["theory", "exponents"], ["--alpha", "exactly one"]),
        (["theory", "exponents", "--alpha-D", "1.5"], ["--alpha-D", "1.5", "above 0 and below 1"]),
        (["theory", "invert", "--loss", "2", "--alpha", "0.4"], ["loss", "2"]),
        (["theory", "invert", "--loss", "0.5"], ["--alpha", "--quanta"]),
        (["theory", "invert", "--slope", "0.5", "--n-tasks", "20"], ["--n-tasks", "from 31 on"]),
        (["theory", "invert", "--loss", "0", "--alpha", "0.4"], ["--loss", "0 is a, which"]),
        (["theory", "invert", "--loss", "0", "--quanta", "9"], ["--loss", "0 found"]),
        (["theory", "invert", "--loss", "0.5", "--quanta", "0"], ["--quanta", "0 found"]),
        (["theory", "exponents", "--alpha", "0"], ["--alpha: 0", "above 0"]),
        (["theory", "exponents", "--zipf", "1"], ["--zipf: 1", "above 1"]),
        (["theory", "exponents", "--zipf", "99"], ["--zipf", "98 found", "50"]),
        (["theory", "exponents", "--alpha", "1", "--n-tasks", "1.5"], ["--n-tasks", "whole"]),
        (["theory", "exponents", "--alpha", "1", "--n-tasks", "nan"], ["--n-tasks", "whole"]),
        ([*PREDICT, "--by", "N", "--n-tasks", "2"], ["--n-tasks", "without --at", "3"]),
        ([*PREDICT, "--by", "N", "--a", "nan"], ["--a", "finite"]),
        ([*PREDICT, "--by", "N", "--b", "inf"], ["--b", "finite"]),
        ([*PREDICT, "--by", "N", "--plot", "."], ["--plot"]),
    ],
)
def test_wrong_calls_are_one_line(arguments, words):
    with pytest.raises(ValueError, match=words[0]) as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_slope_that_is_left_out_says_why():
    said = "slope_1_to_30 needs more than 30 quanta; --n-tasks is 10"
    few = read("exponents --alpha 0.4 --n-tasks 10")
    assert few["warnings"] == [said]
    assert "slope_1_to_30" not in few
    assert said in run("theory", "exponents", "--alpha", "0.4", "--n-tasks", "10")
    many = read("exponents --alpha 0.4 --n-tasks 31")
    assert many["warnings"] == []
    assert "slope_1_to_30" in many


def test_the_entry_turns_them_into_exit_code_2():
    assert_one_line_error(call(*PREDICT, "--by", "X"), 2, "--by")
