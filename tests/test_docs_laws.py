"""docs/laws.md: its blocks run and print what stands there; its tables are the code's."""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

import quantascope.laws
from quantascope.cli.app import app
from quantascope.laws import LAWS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(sh|python)\n(.*?)```\n(?:```text\n(.*?)```\n)?", re.DOTALL)
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def run_shell(block: str) -> str:
    """Our own commands in this process, others in a shell."""
    printed = ""
    for line in block.replace("\\\n", " ").strip().splitlines():
        words = shlex.split(line)
        if words[0] == "quantascope":
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, (line, result.output, result.exception)
            printed += result.stdout
        else:
            done = subprocess.run(["sh", "-ec", line], capture_output=True, text=True, check=True)  # noqa: S607
            printed += done.stdout
    return printed


def run_python(block: str, names: dict) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, "docs/laws.md", "exec"), names)  # noqa: S102
    return printed.getvalue()


def same(shown: str, printed: str) -> bool:
    """Compare lines: equal words, numbers equal but for one in the last digit shown."""
    if NUMBER.sub("#", shown).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(
        abs(float(a.replace(",", "")) - float(b.replace(",", ""))) <= 1.001 * last_digit(a)
        for a, b in pairs
    )


def last_digit(text: str) -> float:
    """Give the unit of the last digit shown: 0.01 for 3.25, 1e3 for 1.2e4."""
    digits, _, power = text.partition("e")
    decimals = len(digits.partition(".")[2])
    return 10.0 ** (int(power or 0) - decimals)


def unmatched(shown: str, printed: str) -> list[str]:
    """List shown lines that are not printed in this order; "..." stands for any lines."""
    lines, missing, skip = printed.rstrip().splitlines(), [], False
    for line in shown.rstrip().splitlines():
        if line == "...":
            skip = True
            continue
        while skip and lines and not same(line, lines[0]):
            lines.pop(0)
        if not lines or not same(line, lines.pop(0)):
            missing.append(line)
        skip = False
    return missing if skip else [*missing, *lines]


def test_every_block_runs_and_prints_what_stands_there(tmp_path, monkeypatch):
    data = tmp_path / "examples" / "data"
    data.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "data" / "chinchilla_points.csv", data)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    n_shown = 0
    for kind, block, shown in BLOCK.findall(PAGE):
        printed = run_shell(block) if kind == "sh" else run_python(block, names)
        if shown:
            n_shown += 1
            assert unmatched(shown, printed) == [], (block, printed)
    assert n_shown >= 10
    assert {"fit.svg", "plan.svg", "python.svg"} <= {path.name for path in tmp_path.iterdir()}


def test_the_comparison_sees_a_wrong_digit_a_wrong_word_and_a_missing_line():
    printed = "E  1.817  [1.78, 1.85]\nconverged\n"
    assert unmatched(printed, printed) == []
    assert unmatched("E  1.818 [1.78, 1.85]\nconverged\n", printed) == []
    assert unmatched("E  1.819  [1.78, 1.85]\nconverged\n", printed)
    assert unmatched("A  1.817  [1.78, 1.85]\nconverged\n", printed)
    assert unmatched("E  1.817  [1.78, 1.85]\n", printed)
    assert unmatched("E  1.817  [1.78, 1.85]\n...\n", printed) == []
    assert unmatched("...\nconverged\n", printed) == []
    assert unmatched("...\nidentified\n", printed)


def test_the_table_of_laws_is_the_code_s():
    rows = PAGE.partition("## The laws\n")[2].strip().splitlines()[2:]
    assert rows == [
        f"| `{law.name}` | `{law.formula}` | {law.response} of {', '.join(law.inputs)} "
        f"| {law.source} |"
        for law in LAWS.values()
    ]


def pitfalls() -> list[str]:
    table = PAGE.partition("## The pitfalls")[2].partition("\n")[2].partition("\n\n")[0]
    cells = [row.split("|")[2] for row in table.splitlines()[2:]]
    quoted = [phrase for cell in cells for phrase in re.findall(r"`([^`]+)`", cell)]
    return [phrase for phrase in quoted if " " in phrase and not phrase.startswith("-")]


@pytest.mark.parametrize("phrase", pitfalls())
def test_every_warning_named_is_one_that_the_code_gives(phrase):
    """Source strings are joined over line breaks before they are searched."""
    folder = Path(quantascope.laws.__file__).parents[1]
    sources = [*(folder / "laws").rglob("*.py"), *(folder / "cli").glob("fit*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    joined = re.sub(r'"\s*\n\s*f?"', "", text)
    assert phrase in re.sub(r"\{[^{}]*\}", "", joined).replace("  ", " ") or phrase in joined


def test_pitfalls_are_found():
    assert len(pitfalls()) >= 12
