"""The command allocate: one object, readable tables, figures, and one line for every error."""

import json
import sys

import numpy as np
import pytest

from quantascope.cli.app import main
from quantascope.laws import Bootstrap, fit
from quantascope.laws.planning.allocate import plan
from quantascope.laws.planning.steps import KAPLAN_BATCH, KAPLAN_STEPS, plan_steps
from quantascope.recipes.chinchilla_refit import read_chinchilla

MEANING = {"N": "total parameters", "D": "tokens"}


@pytest.fixture(scope="module")
def refit():
    return fit("chinchilla", read_chinchilla(), meaning=MEANING, bootstrap=Bootstrap(n=200))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, refit):
    """Write fits with and without replicates, those of a step plan, and two tables of runs."""
    where = tmp_path_factory.mktemp("allocate")
    write = {"fit": refit, "bare": fit("chinchilla", read_chinchilla(), meaning=MEANING)}
    size, steps = (
        v.ravel() for v in np.meshgrid(np.geomspace(1e6, 1e9, 6), np.geomspace(1e3, 1e5, 6))
    )
    p = KAPLAN_STEPS
    loss = (p["Nc"] / size) ** p["aN"] + (p["Sc"] / steps) ** p["aS"]
    noise = np.exp(0.01 * np.cos(np.arange(36)))
    kinds = {"N": "non-embedding parameters", "S": "minimum steps"}
    write["steps"] = fit("kaplan-NS", {"N": size, "S": steps, "loss": loss * noise}, meaning=kinds)
    level = np.linspace(2, 6, 12)
    batch = KAPLAN_BATCH["B_star"] * level ** (-1 / KAPLAN_BATCH["aB"]) * noise[:12]
    write["batch"] = fit("critical-batch", {"L": level, "B": batch}, meaning={"L": "nats"})
    for name, one in write.items():
        (where / f"{name}.json").write_text(json.dumps(one.to_json()))
    points = read_chinchilla()
    rows = zip(*(points[name].tolist() for name in ("N", "D", "loss")), strict=True)
    text = "\n".join(f"{n!r},{d!r},{value!r}" for n, d, value in rows)
    (where / "points.csv").write_text(f"n,d,loss\n{text}\n")
    (where / "curves.csv").write_text(curves())
    (where / "text.json").write_text("no fit")
    (where / "list.json").write_text("[1]")
    (where / "deep.json").write_text("[" * 100_000)
    for name, change in {"param": {"params": {"E": 1.0}}, "ends": {"intervals": 3}}.items():
        (where / f"{name}.json").write_text(json.dumps(refit.to_json() | change))
    own = {"law": "mine", "replicates": None}
    (where / "own.json").write_text(json.dumps(refit.to_json() | own))
    loose = {"points": None, "replicates": None}
    (where / "loose.json").write_text(json.dumps(refit.to_json() | loose))
    return where


def curves():
    size = np.repeat(np.geomspace(5e7, 1e10, 8), 30)
    tokens = np.tile(np.geomspace(1e8, 2e12, 30), 8)
    loss = 1.69 + 406.4 / size**0.34 + 410.7 / tokens**0.28
    rows = zip(np.repeat(np.arange(8), 30).tolist(), size, tokens, loss, strict=True)
    return "run,n,d,loss\n" + "\n".join(f"r{r},{n},{d},{y}" for r, n, d, y in rows) + "\n"


@pytest.fixture
def call(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def run(line):
        monkeypatch.setattr(sys, "argv", ["quantascope", "allocate", *line.split()])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return run


def test_the_object_holds_what_python_gives(call, refit):
    code, out, _ = call("fit.json --flop 1e21 --flop 5.76e23 --json")
    found = json.loads(out)
    assert code == 0
    assert found["params"] == refit.params
    expected = [json.loads(json.dumps(one.to_json())) for one in plan(refit, [1e21, 5.76e23])]
    assert found["plans"] == expected
    assert any("far extrapolated" in warning for warning in found["warnings"])
    assert not any("1e+21" in warning for warning in found["warnings"])


def test_the_table_names_budget_sizes_intervals_and_warnings(call):
    code, out, _ = call("fit.json --flop 5.76e23 --shrink 0.5")
    assert code == 0
    for word in ("5.76e+23", "n_params", "tokens_per_param", "17.92", "95% intervals", "excess"):
        assert word in out
    assert "warning: 5.76e+23 FLOP: far extrapolated, 44.5 times" in out


def test_a_fit_without_replicates_is_resampled_unless_told_not_to(call):
    _, out, _ = call("bare.json --flop 1e21 --bootstrap 200 --json")
    assert json.loads(out)["plans"][0]["intervals"]["n_params"]
    _, out, _ = call("bare.json --flop 1e21 --bootstrap 0 --json")
    found = json.loads(out)
    assert found["plans"][0]["intervals"] == {}
    assert any("no intervals" in warning for warning in found["warnings"])


def test_a_table_of_finished_runs_adds_profiles_and_the_verdict(call):
    code, out, _ = call("fit.json --flop 1e21 --data points.csv --x N=n --x D=d")
    assert code == 0
    assert "isoFLOP parabolas (approach 2)" in out
    assert "envelope" not in out
    assert "verdict: the 2 approaches agree" in out
    assert "Kaplan et al. 2020, published" in out


def test_curves_of_runs_add_the_envelope_and_a_contradiction_is_said(call):
    """The curves are of another law than the fit: a = .452 against .514 [.48, .56]."""
    _, out, _ = call("fit.json --flop 1e21 --data curves.csv --x N=n --x D=d --run run --json")
    found = json.loads(out)
    names = [one["approach"] for one in found["frontiers"]]
    assert names[0].startswith("envelope")
    assert found["isoflop"]["slices"] == []  # the last points of runs share no budget
    assert found["envelope"]["frontier"]["exponent"] == pytest.approx(0.4516, abs=0.01)
    assert len(found["consistency"]["pairs"]) == 1


@pytest.mark.parametrize("data", ["", "--data points.csv --x N=n --x D=d"])
def test_figures_are_written_whole(call, folder, data):
    code, out, _ = call(f"fit.json --flop 5.76e23 {data} --plot a.svg --out p.json")
    assert code == 0
    assert out.splitlines()[-2:] == ["p.json", "a.svg"]
    assert "optimal size [total parameters]" in (folder / "a.svg").read_text()
    assert ("isoFLOP" in (folder / "a.svg").read_text()) == bool(data)
    assert json.loads((folder / "p.json").read_text())["law"] == "chinchilla"


def test_a_plan_of_steps_needs_the_critical_batch(call):
    code, out, _ = call("steps.json --batch batch.json --flop 1e20 --bootstrap 100 --json")
    assert code == 0
    found = json.loads(out)["step_plans"][0]
    true = plan_steps(KAPLAN_STEPS, KAPLAN_BATCH, [1e20])[0]
    assert found["n_params"] == pytest.approx(true.n_params, rel=0.2)
    assert found["intervals"]["n_steps"][0] < found["n_steps"] < found["intervals"]["n_steps"][1]
    code, out, _ = call("steps.json --batch batch.json --flop 1e20 --bootstrap 100")
    assert "n_steps" in out


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("absent.json --flop 1e20", 1, "absent.json: no such file"),
        (". --flop 1e20", 1, "no such file"),
        ("text.json --flop 1e20", 1, "not JSON"),
        ("deep.json --flop 1e20", 1, "not JSON"),
        ("list.json --flop 1e20", 1, "list.json: not a fit"),
        ("param.json --flop 1e20", 1, "damaged"),
        ("ends.json --flop 1e20", 1, "damaged"),
        ("fit.json", 2, "--flop"),
        ("fit.json --flop 0", 2, "flop"),
        ("fit.json --flop -1e20", 2, "flop"),
        ("fit.json --flop nan", 2, "flop"),
        ("fit.json --flop inf", 2, "flop"),
        ("fit.json --flop much", 2, "flop"),
        ("batch.json --flop 1e20", 2, "law of N and D"),
        ("fit.json --flop 1e20 --shrink 0", 2, "shrink"),
        ("fit.json --flop 1e20 --batch batch.json", 2, "--batch"),
        ("steps.json --flop 1e20", 2, "--batch"),
        ("steps.json --flop 1e20 --batch fit.json", 2, "critical-batch"),
        ("steps.json --flop 1e20 --batch batch.json --batch-ratio 0", 2, "--batch-ratio"),
        ("steps.json --flop 1e20 --batch batch.json --plot a.svg", 2, "--plot"),
        ("bare.json --flop 1e20 --bootstrap 5", 2, "bootstrap"),
        ("fit.json --flop 1e20 --x N=n", 2, "--data"),
        ("fit.json --flop 1e20 --y loss", 2, "--y: only with --data"),
        ("fit.json --flop 1e20 --tolerance 1.5", 2, "--tolerance: only with --data"),
        ("fit.json --flop 1e20 --batch-ratio 2", 2, "--batch-ratio: only for a fit of kaplan-NS"),
        ("fit.json --flop 1e20 --bootstrap 200", 2, "--bootstrap: 200, but there are replicates"),
        ("fit.json --flop 1", 2, "--flop: 1 buys"),
        ("fit.json --flop 1e20 --flop 1e-9", 2, "--flop: 1e-09 buys"),
        ("fit.json --flop 1e20 --shrink 1e-12", 2, "--shrink: 1e-12 of the optimum"),
        ("steps.json --flop 1 --batch batch.json", 2, "--flop: 1 buys"),
        ("steps.json --flop 1e20 --batch steps.json", 2, "steps.json: law kaplan-NS"),
        ("steps.json --flop 1e20 --batch batch.json --tolerance 2", 2, "--tolerance"),
        ("batch.json --flop 1e20", 2, "batch.json: law critical-batch has the inputs L"),
        ("own.json --flop 1e20", 1, "own.json: law 'mine' is none of the table"),
        ("loose.json --flop 1e20", 1, "loose.json: fit of chinchilla: neither replicates nor"),
        ("fit.json --flop 1e20 --data points.csv", 2, "--x"),
        ("fit.json --flop 1e20 --data absent.csv --x N=n --x D=d", 1, "absent.csv"),
        ("fit.json --flop 1e20 --data points.csv --x N=n --x D=no", 1, "no"),
        ("fit.json --flop 1e20 --data curves.csv --x N=n --x D=d --run d", 2, "two sizes"),
        ("fit.json --flop 1e20 --data points.csv --x N=n --x D=d --tolerance 1", 2, "tolerance"),
        ("fit.json --flop 1e20 --plot a.gif", 2, "--plot"),
        ("fit.json --flop 1e20 --out absent/p.json", 2, "--out"),
    ],
)
def test_a_wrong_call_is_one_line_with_its_exit_code(call, line, code, word):
    ended, out, err = call(line)
    errors = [row for row in err.splitlines() if row.startswith("error: ")]
    assert ended == code, err
    assert len(errors) == 1
    assert word in errors[0]
    assert "Traceback" not in err
    assert "internal error" not in err
    assert out == ""
