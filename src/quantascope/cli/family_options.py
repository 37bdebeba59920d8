"""Options that commands on families share, and how faults are said in their words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "AsJson",
    "Incomplete",
    "Least",
    "Out",
    "Over",
    "Plot",
    "Seed",
    "Which",
    "said_as_options",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Plot = Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")]
Out = Annotated[Path | None, typer.Option(help="Table to write, a row a curve: .parquet.")]
Which = Annotated[
    Literal["all", "sampled", "selected"],
    typer.Option(help="Predictions: all, sampled, selected."),
]
Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="Allow sizes that lack a seed which others have.")
]
Seed = Annotated[int, typer.Option(help="Of shuffles and simulated curves.")]
Over = Annotated[
    Literal["sizes", "steps", "data"],
    typer.Option(help="Along what: sizes, steps or data (distinct training tokens)."),
]
Least = Annotated[int, typer.Option(min=1, help="Predictions an n-gram or a skill must have.")]


@contextmanager
def said_as_options() -> Iterator[None]:
    """Say arguments of the library as the options of these commands."""
    from quantascope.core.errors import DataError

    try:
        yield
    except DataError as error:
        text = str(error).replace("complete=False", "--incomplete")
        raise DataError(text.replace("name one by n_params", "name one by --at")) from error
    except ValueError as error:
        raise ValueError(str(error).replace("from, to:", "--from, --to:")) from error
