"""What commands print and write: aligned tables, JSON without infinities, figures, faults."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from quantascope.core.numbers import plain

__all__ = [
    "aligned",
    "answer",
    "check_folder",
    "check_targets",
    "percent",
    "said_as",
    "save_figure",
    "write_json",
    "write_table",
]

_FIGURES: Final = (".svg", ".png", ".pdf")
_ANIMATION: Final = ".gif"


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


def answer(
    found: Mapping[str, Any], *, as_json: bool, show: Callable[[], None], path: Path
) -> None:
    """Print one JSON object where it is wanted; else what is shown, and the result's path last."""
    if as_json:
        print(json.dumps(plain(found), allow_nan=False))
        return
    show()
    print(path)


def write_json(path: Path, found: Mapping[str, Any]) -> Path:
    """Write an object whole or not at all."""
    _atomically(path, lambda new: new.write_text(json.dumps(plain(found), allow_nan=False) + "\n"))
    return path


def write_table(table: Any, out: Path | None) -> None:
    """Write a table whole or not at all, where one is wanted."""
    import pyarrow.parquet as pq

    if out is not None:
        new = out.with_name(f".{out.name}.new")
        pq.write_table(table, new)
        new.replace(out)


def check_targets(
    *,
    out: Path | None = None,
    plot: Path | None = None,
    animate: Path | None = None,
    inputs: Sequence[Path | None] = (),
) -> None:
    """Refuse files that cannot be written, or that would replace an input, before any work.

    Parameters
    ----------
    out, plot, animate
        Files that --out, --plot and --animate name.
    inputs
        Files that are read.

    Raises
    ------
    ValueError
        If a name is that of something else than a file, of an input or of the other target, if
        its folder is missing or not writable, or if a figure's kind is unknown.
    """
    read = [path for path in inputs if path is not None]
    if plot is not None and plot.suffix.lower() not in _FIGURES:
        raise ValueError(
            f"--plot: {plot.name}; allowed are names that end in {', '.join(_FIGURES)}"
        )
    if animate is not None and animate.suffix.lower() != _ANIMATION:
        raise ValueError(f"--animate: {animate.name}; allowed are names that end in {_ANIMATION}")
    for option, path in (("--out", out), ("--plot", plot), ("--animate", animate)):
        if path is not None:
            _check_target(option, path, inputs=read)
    if out is not None and plot is not None and out.resolve() == plot.resolve():
        raise ValueError(f"--plot: {plot} is --out too; name another file")


def _check_target(option: str, path: Path, *, inputs: Sequence[Path]) -> None:
    try:
        if path.is_dir():
            raise ValueError(f"{option}: {path} is a folder; name a file")
        if path.exists() and not path.is_file():
            raise ValueError(f"{option}: {path} is no regular file; name another")
        if any(path.resolve() == one.resolve() for one in inputs):
            raise ValueError(f"{option}: {path} is read by this command; name another file")
        check_folder(option, path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ValueError(
            f"{option}: {path} cannot be written ({error.strerror}); name another"
        ) from None


def check_folder(option: str, folder: Path, *, prefix: str = ".") -> None:
    """Refuse a folder in which no file can be made, by making one and taking it away again.

    Raises
    ------
    ValueError
        If it is missing or not writable; permissions alone would not say so to root.
    """
    if not folder.is_dir():
        raise ValueError(f"{option}: folder {folder} does not exist; make it first")
    try:
        with NamedTemporaryFile(prefix=prefix, dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"{option}: no file can be written in {folder} ({error.strerror}); name another place"
        ) from None


@contextmanager
def said_as(names: Mapping[str, str]) -> Iterator[None]:
    """Say the fault of a library's argument by what the user typed: ``--n-tasks`` for n_tasks.

    Parameters
    ----------
    names
        Argument, as its error begins, to the words in its place.
    """
    try:
        yield
    except ValueError as error:
        name, colon, rest = str(error).partition(":")
        if not (colon and name in names):
            raise
        raise ValueError(f"{names[name]}:{rest}") from error


def percent(share: float) -> str:
    """Write a share with all its digits: 95%, 99.9999%."""
    return f"{100 * share:.10g}%"


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
