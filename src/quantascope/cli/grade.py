"""The command that holds a run's clusterings against a known truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from quantascope.pipeline.grading import Grade

__all__ = ["grade", "print_grade", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(grade)


def grade(
    folder: Annotated[Path, typer.Argument(help="Run folder with truth.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold a run's clusters against the skills that are known, beside controls."""
    import json

    from quantascope.core.numbers import plain
    from quantascope.pipeline.grading import grade_run
    from quantascope.store.folder import RunFolder

    found = grade_run(RunFolder(folder))
    if as_json:
        print(json.dumps(plain(found.as_dict()), allow_nan=False))
    else:
        print_grade(found)


def print_grade(found: "Grade") -> None:
    """Print the table of groupings, then what became of each skill."""
    from quantascope.cli.output import aligned

    print(
        f"graded: {found.n_preds:,} of {found.n_selected:,} selected predictions, those that one "
        "skill rules\nari: adjusted Rand index, ami: adjusted mutual information; "
        "* is the default clustering"
    )
    scores = [name for name in found.table.columns if name not in {"grouping", "kind", "n_groups"}]
    rows = [("grouping", "groups", *scores, "")]
    for row in found.table.to_dict(orient="records"):
        mark = "*" if row["grouping"] == found.default else ""
        cells = [f"{row[name]:.2f}" for name in scores]
        rows.append((str(row["grouping"]), str(row["n_groups"]), *cells, mark or str(row["kind"])))
    print(aligned(rows))
    n_found = sum(skill.recovery.verdict == "found" for skill in found.skills)
    from_on = found.found_from
    rule = f"all from {from_on:.1%} of the graded predictions on" if from_on else "no common one"
    print(f"found: {n_found} of {len(found.skills)} skills, {rule}")
    rows = [("skill", "share", "jaccard", "recall", "precision", "verdict")]
    for skill in found.skills:
        each = skill.recovery
        numbers = (skill.share, each.jaccard, each.recall, each.precision)
        rows.append((skill.skill, *(f"{number:.3f}" for number in numbers), each.verdict))
    print(aligned(rows))
