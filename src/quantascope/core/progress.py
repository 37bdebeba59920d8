"""Progress with time left, on stderr: a bar on a terminal, plain lines in a log.

Long functions take an ``advance`` callable and call it with the amount of work just done;
whoever owns the terminal opens it here.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Advance", "ignore_progress", "track"]

Advance = Callable[[int], None]

_SECONDS_BETWEEN_LINES: Final = 10.0
_SECONDS_OF_RESUMING: Final = 1.0


def ignore_progress(n: int) -> None:
    """Accept progress and show nothing: the default of library functions."""
    del n


@contextmanager
def track(label: str, total: int, *, unit: str = "") -> Iterator[Advance]:
    """Show the progress of one piece of work on stderr.

    Parameters
    ----------
    label
        What is being done, a few words.
    total
        Amount of work, in `unit`; 0 shows the label alone.
    unit
        Word printed behind the counts.

    Yields
    ------
    Advance
        Call it with the amount just done.
    """
    if sys.stderr.isatty():
        with _bar(label, total, unit) as advance:
            yield advance
    else:
        yield _plain_lines(label, total, unit)


@contextmanager
def _bar(label: str, total: int, unit: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        yield lambda n: progress.advance(task, n)


def _plain_lines(label: str, total: int, unit: str) -> Advance:
    start = time.monotonic()
    state = {"done": 0, "last": start, "since": start, "base": 0}

    def advance(n: int) -> None:
        state["done"] += n
        now, done = time.monotonic(), int(state["done"])
        if now - start < _SECONDS_OF_RESUMING:  # what an earlier run left says nothing of speed
            state["since"], state["base"] = now, done
        finished = done >= total
        if now - state["last"] < _SECONDS_BETWEEN_LINES and not finished:
            return
        state["last"] = now
        fresh = done - state["base"]
        left = (now - state["since"]) * (total - done) / fresh if fresh else 0.0
        text = f"{label}: {done:,}/{total:,} {unit} {now - start:.0f} s, {left:.0f} s left"
        print(text, file=sys.stderr, flush=True)

    return advance
