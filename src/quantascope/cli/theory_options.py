"""What the commands of the theory share: options, their checks, and how columns are printed."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "MAX_VALUES",
    "OPTIONS",
    "AsJson",
    "High",
    "Low",
    "Tasks",
    "check_tasks",
    "exactly_one",
    "numbers",
    "one_of",
    "print_columns",
    "print_json",
]

MAX_VALUES: Final = 100_000
OPTIONS: Final = {
    name: f"--{name.replace('_', '-')}"
    for name in (
        *("alpha", "n_tasks", "capacity", "threshold", "first_step", "a", "b"),
        *("loss", "slope", "n_params", "n_samples", "n_steps"),
    )
} | {"b - a": "--b less --a"}
"""Arguments of the library, and what the user typed for them."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one object.")]
Tasks = Annotated[float, typer.Option(help="Quanta, a whole number; inf is the paper's theory.")]
Low = Annotated[float, typer.Option("--a", help="Loss where a sample's quantum is learned [nat].")]
High = Annotated[float, typer.Option("--b", help="Loss where it is not [nat].")]


def print_columns(columns: Mapping[str, Sequence[float]]) -> None:
    """Print columns under their names, to the right."""
    from quantascope.cli.output import aligned

    cells = [[_shown(value) for value in values] for values in columns.values()]
    rows = [list(columns), *(list(row) for row in zip(*cells, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[c.rjust(w) for c, w in zip(row, widths, strict=True)] for row in rows]
    print(aligned(padded))


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.6g}"


def print_json(found: Mapping[str, Any]) -> None:
    """Print one object; what JSON has not is null."""
    from quantascope.core.numbers import plain

    print(json.dumps(plain(found), indent=2, allow_nan=False))


def numbers(option: str, text: str) -> "NDArray[np.float64]":
    """Read finite numbers parted by commas."""
    import numpy as np

    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MAX_VALUES:
        raise ValueError(f"{option}: {len(parts)} values; allowed: at most {MAX_VALUES}")
    try:
        values = np.array([float(part) for part in parts])
    except ValueError:
        raise ValueError(f"{option}: {text[:40]!r}; allowed: numbers as 1e6,1e7") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{option}: {text[:40]!r}; allowed: finite numbers")
    return values


def check_tasks(n_tasks: float, *, least: int = 1, where: str = "") -> None:
    """Refuse a number of quanta that is neither whole nor infinite, or below the least."""
    if not (n_tasks >= least and (math.isinf(n_tasks) or n_tasks == int(n_tasks))):
        raise ValueError(
            f"--n-tasks: {n_tasks:g} found; allowed{where}: whole numbers from {least} on, and inf"
        )


def one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a word that is not among those allowed."""
    if value not in allowed:
        raise ValueError(f"{option}: {value[:40]!r}; allowed: {', '.join(allowed)}")


def exactly_one(options: Mapping[str, object]) -> str:
    """Name the one option that was given."""
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"{', '.join(options)}: {len(given)} of them given; allowed: exactly one")
    return given[0]
