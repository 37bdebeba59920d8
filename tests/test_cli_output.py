"""Targets of commands: what cannot be written, or is read, is refused before any work."""

import os

import pytest
from typer.testing import CliRunner

from quantascope.cli.app import app
from quantascope.cli.output import check_folder, check_targets, percent, said_as

COMMANDS = {
    "fit": "fit table.csv --law floor --x params",
    "allocate": "allocate fit.json --flop 1e20",
    "tails": "tails table.csv --column params",
    "shapes": "shapes table.csv --x params --y loss",
    "theory": "theory predict --alpha 0.4 --by N",
}
"""Their inputs are not sound: a target is refused before they are read."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("table.csv", "fit.json", "old.svg", "old.json"):
        (tmp_path / name).write_text("old")
    (tmp_path / "d.svg").mkdir()
    os.mkfifo(tmp_path / "pipe.svg")
    (tmp_path / "link.svg").symlink_to("table.csv")
    (tmp_path / "null.svg").symlink_to("/dev/null")
    return tmp_path


def refusal(line):
    result = CliRunner().invoke(app, line.split())
    assert isinstance(result.exception, ValueError), (line, result.output)
    assert result.stdout == ""
    message = str(result.exception)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("d.svg", "is a folder"),
        ("pipe.svg", "no regular file"),
        ("null.svg", "no regular file"),
        ("absent/f.svg", "does not exist"),
        ("old.json/f.svg", "does not exist"),
        ("/proc/f.svg", "no file can be written in /proc"),
        ("f" * 300 + ".svg", "cannot be written"),
        ("f.bmp", ".svg"),
    ],
)
def test_a_figure_that_cannot_be_written_is_refused(command, target, word, folder):
    before = sorted(path.name for path in folder.iterdir())
    message = refusal(f"{command} --plot {target}")
    assert message.startswith("--plot: ")
    assert word in message
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("name", ["fit", "allocate"])
@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("/dev/null", "no regular file"),
        ("/dev/full", "no regular file"),
        ("d.svg", "is a folder"),
        ("absent/o.json", "does not exist"),
        ("/proc/o.json", "no file can be written in /proc"),
    ],
)
def test_a_result_that_cannot_be_written_is_refused(name, target, word, folder):
    message = refusal(f"{COMMANDS[name]} --out {target}")
    assert message.startswith("--out: ")
    assert word in message
    assert (folder / "old.json").read_text() == "old"


@pytest.mark.parametrize(
    ("line", "option"),
    [
        (f"{COMMANDS['fit']} --out table.csv", "--out"),
        (f"{COMMANDS['fit']} --out d.svg/../table.csv", "--out"),
        (f"{COMMANDS['fit']} --plot link.svg", "--plot"),
        (f"{COMMANDS['allocate']} --out fit.json", "--out"),
        (f"{COMMANDS['allocate']} --data table.csv --out table.csv", "--out"),
        (f"{COMMANDS['allocate']} --batch old.json --out old.json", "--out"),
        (f"{COMMANDS['tails']} --plot link.svg", "--plot"),
        (f"{COMMANDS['shapes']} --plot link.svg", "--plot"),
    ],
)
def test_an_input_is_never_a_target(line, option, folder):
    assert refusal(line).startswith(f"{option}: ")
    assert "is read by this command" in refusal(line)
    assert (folder / "table.csv").read_text() == "old"


def test_result_and_figure_are_two_files(folder):
    assert "is --out too" in refusal(f"{COMMANDS['fit']} --out f.svg --plot ./f.svg")
    assert not (folder / "f.svg").exists()


def test_new_files_and_old_regular_ones_are_allowed(folder):
    check_targets(out=folder / "old.json", plot=folder / "old.svg", inputs=[folder / "fit.json"])
    check_targets(out=folder / "new.json", plot=folder / "new.svg", inputs=[None])
    check_folder("--out", folder)
    assert (folder / "old.json").read_text() == "old"
    assert not (folder / "new.json").exists()


def test_a_share_is_written_with_its_digits():
    assert [percent(share) for share in (0.95, 0.5, 0.999999)] == ["95%", "50%", "99.9999%"]


def test_a_fault_is_said_by_what_was_typed():
    with pytest.raises(ValueError, match=r"^--n-tasks: 0 found$"), said_as({"n": "--n-tasks"}):
        raise ValueError("n: 0 found")
    with pytest.raises(ValueError, match=r"^m: 0 found$"), said_as({"n": "--n-tasks"}):
        raise ValueError("m: 0 found")


@pytest.mark.parametrize(
    ("out", "word"),
    [
        ("absent/r", "folder absent does not exist"),
        ("old.json", "is a file"),
        ("/dev/null", "is a file"),
        ("/proc", "no file can be written"),
        ("/proc/r", "no file can be written"),
    ],
)
@pytest.mark.parametrize("name", ["cube-volume", "all"])
def test_reproduce_refuses_a_folder_before_the_work(name, out, word, folder):
    message = refusal(f"reproduce {name} --quick --out {out}")
    assert message.startswith("--out: ")
    assert word in message
    assert (folder / "old.json").read_text() == "old"


def test_reproduce_all_refuses_a_file_in_the_place_of_a_later_recipe(folder):
    (folder / "r").mkdir()
    (folder / "r" / "zipf-exponent").write_text("x")
    assert "r/zipf-exponent is a file" in refusal("reproduce all --quick --out r")
    assert [path.name for path in (folder / "r").iterdir()] == ["zipf-exponent"]
