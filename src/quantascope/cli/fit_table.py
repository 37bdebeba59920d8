"""The table of `fit`: its columns, refused by file, column and row where no law can use them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Columns = dict[str, "NDArray[np.float64]"]

__all__ = ["GROUP", "WEIGHT", "check_signs", "read_table", "require_enough"]

GROUP: Final = "group"
WEIGHT: Final = "weight"


def read_table(
    file: Path, inputs: Mapping[str, str], *, y: str, group: str | None, weight: str | None
) -> "Columns":
    """Read inputs, response, group and weight, each under the name that the law has for it."""
    from quantascope.cli.tables import read_columns
    from quantascope.laws.fitting.data import MAX_POINTS

    taken = {*inputs, *([GROUP] if group else []), *([WEIGHT] if weight else [])}
    if y in inputs.values() or y in taken:
        why = "is an input too" if y in inputs.values() else "has the name of an input or option"
        raise ValueError(f"--y: column {y!r} {why}; name another column, or rename it")
    columns = {**inputs, y: y}
    columns |= {GROUP: group} if group else {}
    columns |= {WEIGHT: weight} if weight else {}
    text = (GROUP,) if group else ()
    return read_columns(file, columns, text=text, max_rows=MAX_POINTS)


def check_signs(
    file: Path, columns: "Columns", names: Mapping[str, str], *, y: str, zeros: bool
) -> None:
    """Refuse rows that no law admits, by the name and row they have in the file."""
    from quantascope.core.errors import DataError

    for name, column in {**names, y: y}.items():
        least = ">= 0" if name == WEIGHT or (name == y and zeros) else "> 0"
        bad = columns[name] < 0 if least == ">= 0" else columns[name] <= 0
        if bad.any():
            row = int(bad.argmax())
            zero = name == y and columns[name][row] == 0
            raise DataError(
                f"{file}: row {row + 1} of column {column!r} is {columns[name][row]:g}; allowed "
                f"are numbers {least}: "
                + ("--objective lsq admits zeros" if zero else "correct or leave out the row")
            )


def require_enough(file: Path, name: str, n_points: int, *, held: Collection[str]) -> None:
    """Refuse fewer points than a law has free parameters, and one."""
    from quantascope.core.errors import DataError
    from quantascope.laws import find_law

    n_free = len(set(find_law(name).names) - set(held))
    if n_points <= n_free:
        raise DataError(
            f"{file}: {n_points} points for the {n_free} free parameters of law {name}; needed "
            f"are at least {n_free + 1}, more for intervals: add runs, or hold some with --fix"
        )
