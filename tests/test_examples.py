"""Every example runs as printed in its first lines, and says what it promises."""

import subprocess
import sys
from pathlib import Path

import pytest

import quantascope

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(name: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_digits_example_finds_digits_and_keeps_a_run(tmp_path):
    output = run_example("discover_digits.py", str(tmp_path / "run"))
    assert "raw pixels (control)" in output
    run = quantascope.load(tmp_path / "run")
    assert run[1].contexts(1)[0].target in "0123456789"


def test_the_small_run_shows_sizes_an_exponent_and_clusters(tmp_path):
    output = run_example("small_run.py", str(tmp_path))
    assert output.count("demo-") == 5
    assert "alpha_N = 0." in output
    assert "rank 2, " in output


def test_the_planted_example_shows_answers_and_losses_of_four_skills(tmp_path):
    output = run_example("planted_text.py", str(tmp_path))
    assert ": code-first, entry " in output
    losses = [line.split() for line in output.splitlines()[-4:]]
    assert float(losses[0][-1]) < 1.2 < float(losses[0][2])  # commonest skill; unknown: ln 7 = 1.95


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_has_a_test_here(path):
    assert path.name in Path(__file__).read_text(encoding="utf-8")
