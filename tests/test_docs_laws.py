"""docs/laws.md: its blocks run and print what stands there; its tables are the code's."""

import re
import shutil
from pathlib import Path

import pytest

import quantascope.laws
from quantascope.laws import LAWS
from tests.doc_blocks import check_page, unmatched

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")


def test_every_block_runs_and_prints_what_stands_there(tmp_path, monkeypatch):
    data = tmp_path / "examples" / "data"
    data.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "data" / "chinchilla_points.csv", data)
    monkeypatch.chdir(tmp_path)
    assert check_page(PAGE) >= 10
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
