"""Commands for model suites: list what there is, train one."""

import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Model suites: families that differ in size alone.")
    group.command("list")(list_suites)
    group.command("train")(train)
    app.add_typer(group, name="suite", no_args_is_help=True)


def list_suites() -> None:
    """List the suites with their sizes and training tokens."""
    from quantascope.lm.suites import SUITES

    for suite in SUITES.values():
        sizes = ", ".join(size.name for size in suite.sizes)
        seeds = f"{len(suite.seeds)} seed" + ("s" if len(suite.seeds) > 1 else "")
        budgets = ", ".join(budget.name for budget in suite.budgets)
        read = budgets or f"{suite.n_tokens / 1e6:.0f} M tokens"
        print(f"{suite.name:<12} {read}, {seeds}: {sizes}")


def train(
    name: Annotated[str, typer.Argument(help="Name of a suite, see suite list.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; default suites/NAME.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Models trained side by side; 0 takes one a core.")
    ] = 0,
) -> None:
    """Train a suite from its recipe; resumes where an earlier training stopped."""
    print(train_suite(name, out or Path("suites") / name, workers=workers))


def train_suite(name: str, out: Path, *, workers: int) -> Path:
    """Train a suite with its progress shown; 0 workers takes one a core."""
    from quantascope.core.progress import track
    from quantascope.lm.suite_training import train_named_suite
    from quantascope.lm.suites import SUITES

    if name not in SUITES:
        raise ValueError(f"suite {name!r} is unknown; known are {', '.join(SUITES)}")
    with track(f"training {name}", SUITES[name].work, unit="work") as advance:
        return train_named_suite(
            name, out=out, workers=workers or os.cpu_count() or 1, advance=advance
        )
