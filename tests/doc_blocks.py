"""Blocks of a page: run them, and hold what they print against what stands there."""

import contextlib
import io
import re
import shlex
import subprocess

from typer.testing import CliRunner

from quantascope.cli.app import app

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


def check_page(page: str) -> int:
    """Run all blocks of a page in order; give how many have their output shown."""
    names: dict = {}
    n_shown = 0
    for kind, block, shown in BLOCK.findall(page):
        printed = run_shell(block) if kind == "sh" else run_python(block, names)
        if shown:
            n_shown += 1
            assert unmatched(shown, printed) == [], (block, printed)
    return n_shown
