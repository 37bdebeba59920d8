"""What commands print and write: aligned tables, JSON without infinities, figures."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["aligned", "check_figure", "check_out", "finite", "save_figure", "write_json"]

_FIGURES: Final = (".svg", ".png", ".pdf")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lay out cells in columns, the first to the left, numbers to the right."""
    n_columns = max(len(row) for row in rows)
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(n_columns)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def finite(value: Any) -> Any:  # noqa: ANN401  (JSON)
    """Replace infinities and NaN, which JSON has not, by null."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def write_json(path: Path, found: Mapping[str, Any]) -> Path:
    """Write an object whole or not at all."""
    _atomically(path, lambda new: new.write_text(json.dumps(finite(found), allow_nan=False) + "\n"))
    return path


def check_figure(path: Path | None) -> None:
    """Refuse a figure whose kind is unknown before anything is computed.

    Raises
    ------
    ValueError
        If the name ends in something else than .svg, .png or .pdf, or its folder is missing.
    """
    if path is None:
        return
    if path.suffix.lower() not in _FIGURES:
        raise ValueError(
            f"--plot: {path.name}; allowed are names that end in {', '.join(_FIGURES)}"
        )
    if path.is_dir():
        raise ValueError(f"--plot: {path} is a folder; name a file")
    if not path.parent.is_dir():
        raise ValueError(f"--plot: folder {path.parent} does not exist; make it first")


def check_out(path: Path | None) -> None:
    """Refuse a file that cannot be written before anything is computed.

    Raises
    ------
    ValueError
        If the name is a folder's, or its folder is missing.
    """
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"--out: {path} is a folder; name a file")
    if not path.parent.is_dir():
        raise ValueError(f"--out: folder {path.parent} does not exist; make it first")


def save_figure(path: Path, draw: Callable[[Any], object]) -> Path:
    """Draw into fresh axes in the project's style and write the file whole or not at all."""
    from quantascope.plots.figures import figure

    with figure() as (drawn, ax):
        draw(ax)
        kind = path.suffix.lower().removeprefix(".")
        # no date: equal input gives equal bytes
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        _atomically(path, lambda new: drawn.savefig(new, format=kind, metadata=undated))
    return path


def _atomically(path: Path, write: Callable[[Path], object]) -> None:
    new = path.with_name(f".{path.name}.new")
    try:
        write(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
