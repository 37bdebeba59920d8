"""Laws of the command line: every error is one line with its exit code; help needs no torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from quantascope.cli import app as entry
from quantascope.store.schema import WAY


def call(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    program = "from quantascope.cli.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def assert_one_line_error(result: subprocess.CompletedProcess, code: int, *words: str) -> None:
    lines = result.stderr.strip().splitlines()
    assert result.returncode == code, result.stderr
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in errors[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, ["folder"]),
        (["fly"], 2, ["fly"]),
        (["run", "r", "--n", "0"], 2, ["--n"]),
        (["run", "r", "--set", "selection.q=1"], 2, ["selection.q"]),
        (["run", "r", "--set", "nonsense"], 2, ["stage.key=value"]),
        (["run", "r", "--config", "absent.toml"], 2, ["absent.toml"]),
        (["run", "r", "--overwrite", "sketches"], 2, ["sketches"]),
        (["run", "r", "--suite", "demo", "--model", "x"], 2, ["--suite", "--model"]),
        (["suite", "train", "absent"], 2, ["absent", "demo"]),
        (["status", "absent"], 1, ["absent"]),
        (["validate", "absent"], 1, ["absent"]),
        (["report", "absent"], 1, ["absent"]),
        (["graph", "empty"], 1, ["sketch"]),
    ],
)
def test_a_wrong_call_is_one_line_with_its_exit_code(arguments, code, words, tmp_path):
    assert_one_line_error(call(*arguments, cwd=tmp_path), code, *words)


@pytest.mark.parametrize(
    ("command", "resumes"),
    [
        (["run", "r"], True),
        (["sketch", "r"], True),
        (["suite", "train", "demo"], True),
        (["fit", "t.csv"], False),
        (["allocate", "run"], False),
        (["reproduce", "all"], False),
        ([], False),
    ],
)
def test_a_stopped_command_promises_to_resume_only_where_it_does(
    command, resumes, monkeypatch, capsys
):
    def stop(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "app", stop)
    monkeypatch.setattr(sys, "argv", ["quantascope", *command])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    said = capsys.readouterr().err
    assert ended.value.code == 130
    assert said == f"stopped{'; the same command resumes where it was' * resumes}\n"


def test_a_file_where_a_run_folder_belongs_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    assert_one_line_error(call("run", "file", cwd=tmp_path), 2, "file")
    assert (tmp_path / "file").read_text() == "x"


def test_every_command_has_help_that_loads_no_torch(tmp_path):
    program = (
        "import sys\n"
        "from quantascope.cli.app import main\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    commands = [[], *[[kind] for kind in WAY], ["run"], ["demo"], ["status"], ["validate"]]
    for command in [*commands, ["doctor"], ["report"], ["suite"], ["suite", "train"]]:
        result = subprocess.run(
            [sys.executable, "-c", program, *command, "--help"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert result.returncode == 0, (command, result.stderr)
        assert len(result.stdout.splitlines()) > 3


def test_importing_the_package_needs_neither_torch_nor_tables():
    program = (
        "import sys, quantascope; from quantascope.reader import report\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
