"""Recipes: every check holds, moves with its input, and is written whole; the command says so."""

import ast
import csv
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app
from quantascope.plots.figures import figure
from quantascope.recipes import registry
from quantascope.recipes.exponent_scatter import read_pairs
from quantascope.recipes.output import RESULT, write_result
from quantascope.recipes.registry import RECIPES, run_recipe
from quantascope.recipes.result import Check, RecipeResult

TRAINED = (
    "compositional-parity",
    "parity-discovery",
    "parity-exponents",
    "parity-scaling",
    "slope-table",
)
"""Their quick form takes half a minute; `parity-convergence` stands for those that train."""
QUICK = [
    pytest.param(name, marks=pytest.mark.slow) if name in TRAINED else name for name in RECIPES
]
PERTURBED = {
    "cube-volume": {"spacing": 1.0},
    "approximation": {"max_frequency": 7},
    "intrinsic-dimension": {"bend": 3.0},
    "metric-artefact": {"exponent": 0.2},
    "zipf-exponent": {"exponent": 1.6},
    "toy-clusters": {"sigma": 0.5},
    "slope-table": {"level": 0.5},
    "log-correction": {"n_hi": 5000.0},
    "parity-convergence": {"n_steps": 1000},
    "parity-scaling": {"n_steps": 400, "n_steps_samples": 400},
    "parity-exponents": {"n_steps": 300},
    "compositional-parity": {"n_steps": 200},
    "skill-curves": {"learning_rate": 0.1, "network_steps": 300},
    "parity-discovery": {"method": "published"},
    "exponent-scatter": {"last": 12},
    "parity-finite-tasks": {"n_tasks": 1000},
    "chinchilla-refit": {"left_out": 0},
    "pythia-scaling": {"n_fitted": 7},
}
"""For each recipe, one change of its input that must move an obtained number out of tolerance."""

MINUTES = 300.0
"""Full settings of more CPU-seconds than this are run by hand, see docs/lablog.md."""


def obtained(result):
    return {check.name: check.obtained for check in result.checks}


class Quick(dict):
    """Results of quick forms, each computed when it is first asked for."""

    def __missing__(self, name):
        """Run a recipe."""
        self[name] = run_recipe(name, form="quick")
        return self[name]


@pytest.fixture(scope="module")
def quick():
    return Quick()


@pytest.mark.parametrize("name", QUICK)
def test_every_check_holds_at_the_quick_setting(name, quick):
    failed = [check for check in quick[name].checks if not check.holds]
    assert not failed


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].cpu_s[1] <= MINUTES])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_check_holds_at_the_full_setting(name, seed):
    failed = [check for check in run_recipe(name, seed=seed).checks if not check.holds]
    assert not failed


@pytest.mark.parametrize("name", QUICK)
def test_a_perturbed_input_moves_the_obtained_number(name, quick):
    """At least one number leaves the tolerance that the unperturbed check states."""
    module = import_module(f"quantascope.recipes.{RECIPES[name].module}")
    moved = obtained(module.run(replace(module.QUICK, **PERTURBED[name]), seed=0))
    numbers = zip(quick[name].checks, moved.values(), strict=True)
    assert any(abs(after - check.obtained) > check.tolerance for check, after in numbers)


@pytest.mark.parametrize("name", ["cube-volume", "approximation"])
def test_the_seed_alone_decides_the_numbers(name, quick):
    assert obtained(run_recipe(name, form="quick")) == obtained(quick[name])
    assert obtained(run_recipe(name, form="quick", seed=1)) != obtained(quick[name])


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_source_command_cost_and_expectation(name):
    path = Path(registry.__file__).with_name(f"{RECIPES[name].module}.py")
    text = path.read_text(encoding="utf-8")
    words = ast.get_docstring(ast.parse(text)) or ""
    for word in ("Source:", f"quantascope reproduce {name}", "--quick", "CPU-s", "Expected"):
        assert word in words
    assert len(text.splitlines()) <= 150


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_in_the_documentation(name):
    text = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text


@pytest.mark.parametrize("name", QUICK)
def test_figures_have_axes_that_say_what_they_show(name, quick):
    with figure() as (_, ax):
        drawn = quick[name].draw(ax)
        assert drawn.get_xlabel()
        assert drawn.get_ylabel()


def test_written_tables_hold_every_digit_and_equal_results_give_equal_bytes(tmp_path, quick):
    result = quick["cube-volume"]
    first, second = (write_result(result, tmp_path / name) for name in ("a", "b"))
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
    with (first / "volumes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counted = [float(row["counted"]) for row in rows]
    assert counted == result.tables["volumes"]["counted"].tolist()
    written = json.loads((first / RESULT).read_text(encoding="utf-8"))
    assert written["holds"] is True
    assert written["config"]["dims"] == list(result.config.dims)


def test_a_failed_drawing_leaves_no_result(tmp_path, quick):
    """An old result.json goes before anything else changes: where there is one, all is there."""

    def fail(_):
        raise RuntimeError("drawing")

    folder = write_result(quick["cube-volume"], tmp_path / "r")
    with pytest.raises(RuntimeError, match="drawing"):
        write_result(replace(quick["cube-volume"], draw=fail), folder)
    assert not (folder / RESULT).exists()
    assert not list(folder.glob(".*"))


def test_a_check_holds_up_to_its_tolerance_and_never_for_nan():
    check = Check(name="n", expected=1.0, obtained=1.5, tolerance=0.5, bound="b", source="s")
    assert check.holds
    assert not replace(check, obtained=1.51).holds
    assert not replace(check, obtained=float("nan")).holds
    assert not replace(check, obtained=float("inf"), expected=float("inf")).holds


def test_results_without_checks_or_with_ragged_tables_are_refused(quick):
    whole = quick["cube-volume"]
    with pytest.raises(ValueError, match="checks"):
        replace(whole, checks=())
    ragged = {"t": {"a": np.zeros(2), "b": np.zeros(3)}}
    with pytest.raises(ValueError, match="rows"):
        replace(whole, tables=ragged)


def test_sixteen_pairs_of_six_papers():
    """Figure A12 of arXiv 2303.13506; the list was typed from the authors' public notebook."""
    pairs = read_pairs()
    assert len(pairs["paper"]) == 16
    assert len(set(pairs["paper"].tolist())) == 6
    assert pairs["alpha_N"].sum() == pytest.approx(7.992, abs=1e-9)
    assert pairs["alpha_D"].sum() == pytest.approx(10.854, abs=1e-9)
    assert pairs["exchanged"].sum() == 1


def invoke(*arguments):
    return CliRunner().invoke(app, ["reproduce", *arguments])


def test_the_command_prints_a_table_and_the_path_last(tmp_path):
    done = invoke("metric-artefact", "--quick", "--out", str(tmp_path / "m"))
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[-1] == str(tmp_path / "m")
    assert "expected" in lines[0]
    assert {path.name for path in (tmp_path / "m").iterdir()} == {
        "figure.svg",
        "metrics.csv",
        RESULT,
    }


def test_the_command_prints_one_object(tmp_path):
    done = invoke("cube-volume", "--json", "--out", str(tmp_path / "c"), "--seed", "3")
    printed = json.loads(done.stdout)
    assert printed["path"] == str(tmp_path / "c")
    assert printed["seed"] == 3
    assert printed["checks"][0]["holds"] is True


def test_list_names_every_recipe():
    assert all(name in invoke("list").stdout for name in RECIPES)
    assert list(json.loads(invoke("list", "--json").stdout)) == list(RECIPES)
    assert invoke().stdout == invoke("list").stdout


def test_an_unknown_recipe_is_one_line_with_the_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke("cube")
    assert isinstance(done.exception, ValueError)
    assert "cube-volume" in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder_is_named_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("x")
    done = invoke("cube-volume", "--out", str(tmp_path / "file"))
    assert isinstance(done.exception, ValueError)
    assert "--out" in str(done.exception)


def test_a_failing_check_is_exit_code_1_and_is_still_written(tmp_path, monkeypatch, quick):
    """The registry is an ordinary dict: a recipe that fails stands in for a real one."""
    failing = replace(
        quick["cube-volume"], checks=(replace(quick["cube-volume"].checks[0], expected=2.0),)
    )
    assert isinstance(failing, RecipeResult)
    monkeypatch.setattr("quantascope.recipes.registry.run_recipe", lambda *_, **__: failing)
    done = invoke("cube-volume", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "NO" in done.stdout
    assert json.loads((tmp_path / RESULT).read_text())["holds"] is False


def test_all_writes_one_folder_a_recipe(tmp_path, monkeypatch):
    two = {name: RECIPES[name] for name in ("cube-volume", "exponent-scatter")}
    monkeypatch.setattr("quantascope.recipes.registry.RECIPES", two)
    done = invoke("all", "--quick", "--json", "--out", str(tmp_path))
    assert done.exit_code == 0
    assert [recipe["recipe"] for recipe in json.loads(done.stdout)["recipes"]] == list(two)
    assert {path.name for path in tmp_path.iterdir()} == set(two)
