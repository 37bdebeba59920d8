"""Commands parity train and sweep: tables, figures, resuming, and one line for every fault."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from quantascope.cli.app import app

SMALL = [
    "--n-tasks", "6", "--n", "8", "--k", "2", "--batch-size", "100", "--steps", "40",
    "--evals", "4", "--first-eval", "5", "--n-test", "200", "--n-test-each", "20",
]  # fmt: skip


def invoke(*arguments):
    return CliRunner().invoke(app, ["parity", *arguments])


def test_train_prints_a_row_and_the_folder_last_and_writes_figure_and_animation(tmp_path):
    out, plot, moving = tmp_path / "one", tmp_path / "f.svg", tmp_path / "f.gif"
    done = invoke(
        "train", str(out), "--width", "8", *SMALL, "--plot", str(plot), "--animate", str(moving)
    )
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[-3:] == [str(out), str(plot), str(moving)]
    assert lines[1].split()[:3] == ["0.4", "8", "new"]
    assert plot.read_text().startswith("<?xml")
    with Image.open(moving) as animation:
        assert animation.n_frames == 3
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert invoke("train", str(out), "--width", "8", *SMALL).exit_code == 0
    assert {path: path.read_bytes() for path in before} == before


def test_sweep_fits_what_it_has_the_runs_for(tmp_path):
    done = invoke(
        "sweep", str(tmp_path / "s"), "--width", "4,8,12", "--seeds", "0,1", *SMALL, "--json"
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert len(found["runs"]) == 6
    names = {each["name"] for each in found["exponents"]}
    assert "alpha_N" in names
    assert "alpha_D" not in names
    slope = next(each for each in found["exponents"] if each["name"] == "alpha_N")
    assert slope["lo"] < slope["estimate"] < slope["hi"]
    assert "2 seeds" in slope["method"]


def test_a_sweep_is_shown_again_without_its_options(tmp_path):
    out, plot = tmp_path / "s", tmp_path / "f.svg"
    varied = ("--width", "4,8,12", "--init-scale", "2")
    made = invoke("sweep", str(out), *varied, *SMALL, "--plot", str(plot))
    again = invoke("show", str(out), "--plot", str(tmp_path / "again.svg"))
    assert made.exit_code == again.exit_code == 0, again.output
    assert again.stdout.splitlines()[:-1] == made.stdout.splitlines()[:-1]
    assert (tmp_path / "again.svg").read_bytes() == plot.read_bytes()
    missing = invoke("show", str(tmp_path / "none"))
    assert "run the sweep again" in str(missing.exception)


@pytest.mark.parametrize(
    "varied",
    [
        ["--alpha", "0.2,0.7", "--width", "4,8,12"],
        ["--n-samples", "100,200,400"],
        ["--n-samples", "100,200"],
    ],
)
def test_every_sweep_can_be_drawn(varied, tmp_path):
    """Exponents over alphas, losses none of which is fitted, or the first network's subtasks."""
    plot = tmp_path / "f.svg"
    done = invoke("sweep", str(tmp_path / "s"), *varied, *SMALL, "--plot", str(plot))
    assert done.exit_code == 0, done.output
    assert plot.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--alpha", "0"], "--alpha"),
        (["--alpha", "0.4,x"], "--alpha"),
        (["--k", "9", "--n", "8"], "--k"),
        (["--width", "0"], "--width"),
        (["--width", "5,5"], "--width"),
        (["--n-tasks", "100", "--n", "8", "--k", "2"], "--n-tasks"),
        (["--steps", "0"], "--steps"),
        (["--lr", "0"], "--lr"),
        (["--init-scale", "0"], "--init-scale"),
        (["--n-samples", "-1"], "--n-samples"),
        (["--patience", "-1"], "--patience"),
        (["--precision", "half"], "--precision"),
        (["--device", "gpu0"], "--device"),
        (["--distribution", "flat"], "--distribution"),
        (["--plot", "x.doc"], "--plot"),
    ],
)
def test_bad_input_is_one_line_that_names_the_option_before_anything_is_written(
    arguments, named, tmp_path
):
    done = invoke("sweep", str(tmp_path / "s"), *SMALL, *arguments)
    assert isinstance(done.exception, ValueError)
    assert str(done.exception).startswith(f"{named}:")
    assert "\n" not in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    done = invoke("train", str(tmp_path / "file"), *SMALL)
    assert isinstance(done.exception, ValueError)
    assert "is a file" in str(done.exception)
