"""docs/families.md: its block runs and prints what stands there."""

import contextlib
import io
import re
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "families.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n(.*?)```\n```text\n(.*?)```", re.DOTALL)


def test_the_blocks_print_what_stands_below_them():
    blocks = BLOCK.findall(PAGE)
    assert blocks
    names = {}
    for code, wanted in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "docs/families.md", "exec"), names)  # noqa: S102
        assert printed.getvalue() == wanted
