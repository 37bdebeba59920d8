"""Command that reproduces published results: reproduce [NAME|all|list]."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from quantascope.recipes.result import RecipeResult

__all__ = ["register"]

_RESULTS: Final = Path("results")
_RUNS: Final = "runs"
_ALL, _LIST = "all", "list"

Name = Annotated[str, typer.Argument(help="A recipe, 'all', or 'list'.")]
Quick = Annotated[bool, typer.Option("--quick", help="Take the short setting.")]
Form = Annotated[str, typer.Option(help="Another setting that the recipe has, by its name.")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the result [results/NAME], made in one that exists; with 'all', DIR/NAME."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one object.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)


def reproduce(
    name: Name = _LIST,
    quick: Quick = False,
    form: Form = "",
    seed: Seed = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run a published experiment; print and write expected and obtained numbers.

    Exit code 1: a check fails.
    """
    from quantascope.recipes.registry import FULL, QUICK, RECIPES

    if name == _LIST:
        _print_list(as_json=as_json)
        return
    if quick and form not in ("", QUICK):
        raise ValueError(f"--form: {form!r} beside --quick; give one of the two")
    chosen = QUICK if quick else form or FULL
    # an unknown name passes on, and is refused with the list before anything is written
    names = list(RECIPES) if name == _ALL else [name]
    folders = {each: (out or _RESULTS) / each for each in names}
    if out is not None and name != _ALL:
        folders = {name: out}
    _check_folders(out, folders.values())  # before minutes of work, not after
    results = [
        _reproduce_one(each, folder=folder, form=chosen, seed=seed, as_json=as_json)
        for each, folder in folders.items()
    ]
    holds = all(result["holds"] for result in results)
    if as_json:
        both = {"holds": holds, "recipes": results}
        print(json.dumps(both if name == _ALL else results[0], indent=2, allow_nan=False))
    if not holds:
        raise typer.Exit(1)


def _check_folders(out: Path | None, folders: Iterable[Path]) -> None:
    """Refuse a folder that cannot be made or written; as elsewhere, its parent must exist."""
    from quantascope.cli.output import check_folder

    for folder in [*([] if out is None else [out]), *folders]:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"--out: {folder} is a file; name a folder, new or old")
        if folder.is_dir():
            check_folder("--out", folder)
    if out is None:
        check_folder("--out", _RESULTS if _RESULTS.is_dir() else _RESULTS.parent)
    elif not out.is_dir():
        check_folder("--out", out.parent)


def _reproduce_one(
    name: str, *, folder: Path, form: str, seed: int, as_json: bool
) -> dict[str, Any]:
    from quantascope.recipes.output import describe, write_result
    from quantascope.recipes.registry import run_recipe

    result = run_recipe(name, form=form, seed=seed, work=folder / _RUNS)
    path = write_result(result, folder)
    if not as_json:
        _print_checks(result)
        print(path)
    return {**describe(result), "path": str(path)}


def _print_checks(result: "RecipeResult") -> None:
    width = max(len(check.name) for check in result.checks)
    header = f"{'expected':>10} {'obtained':>10} {'tolerance':>10}  holds"
    print(f"{result.name:<{width}} {header}")
    for check in result.checks:
        numbers = f"{check.expected:>10.4g} {check.obtained:>10.4g} {check.tolerance:>10.2g}"
        print(f"{check.name:<{width}} {numbers}  {'yes' if check.holds else 'NO'}")
    for source in dict.fromkeys(check.source for check in result.checks):
        print(f"source: {source}")


def _print_list(*, as_json: bool) -> None:
    from dataclasses import asdict

    from quantascope.recipes.registry import RECIPES

    if as_json:
        print(json.dumps({name: asdict(recipe) for name, recipe in RECIPES.items()}, indent=2))
        return
    width = max(map(len, RECIPES))
    print(f"{'recipe':<{width}} {'quick':>7} {'full':>7}  shows (source)")
    for name, recipe in RECIPES.items():
        quick, full = (f"{cost:g} s" for cost in recipe.cpu_s)
        print(f"{name:<{width}} {quick:>7} {full:>7}  {recipe.shows} ({recipe.source})")
