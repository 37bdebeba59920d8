"""The commands `fit` and its leaderboard: a table of runs in, a law with intervals out."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from quantascope.cli.fit_table import GROUP, WEIGHT, check_signs, read_table, require_enough

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quantascope.laws.choosing.select import Leaderboard
    from quantascope.laws.fitting.result import LawFit
    from quantascope.laws.forms.law import Law

    Columns = dict[str, "NDArray[np.float64]"]

__all__ = ["register"]

_OBJECTIVES: Final = "huber, lsq-log, lsq or asymmetric"
_ALL: Final = "all"


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command()(fit)
    app.command()(laws)


def laws() -> None:
    """List the laws that can be fitted: name, formula, source."""
    from quantascope.laws import LAWS

    for law in LAWS.values():
        print(f"{law.name:<16} {law.formula}")
        print(f"{'':<16} {law.response} of {', '.join(law.inputs)}; {law.source}")


def fit(
    file: Annotated[Path, typer.Argument(help="Table: .csv, .tsv, .jsonl or .parquet.")],
    law: Annotated[str, typer.Option(help="Name of a law (see `laws`), or all for a leaderboard.")],
    x: Annotated[list[str], typer.Option(help="INPUT=COLUMN, once for each input of the law.")],
    y: Annotated[str, typer.Option(help="Column of the response.")] = "loss",
    objective: Annotated[str, typer.Option(help=f"What is minimised: {_OBJECTIVES}.")] = "huber",
    delta: Annotated[
        float, typer.Option(help="Where Huber's loss becomes linear [log residual].")
    ] = 1e-3,
    above: Annotated[
        float, typer.Option(help="asymmetric: weight of points above the curve, 0 to 1.")
    ] = 0.5,
    fix: Annotated[list[str] | None, typer.Option(help="PARAM=VALUE, held.")] = None,
    tie: Annotated[list[str] | None, typer.Option(help="PARAM=PARAM, held equal.")] = None,
    group: Annotated[str | None, typer.Option(help="Column of the run of each row.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column of weights.")] = None,
    meaning: Annotated[
        list[str] | None, typer.Option(help="INPUT=WORDS, what it counts: N='total parameters'.")
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Replicates; 0 takes profile likelihood.")] = 0,
    resample: Annotated[
        str | None,
        typer.Option(help="case, cluster, wild or parametric; cluster where there is a group."),
    ] = None,
    interval: Annotated[str, typer.Option(help="auto, percentile, expanded or bca.")] = "auto",
    confidence: Annotated[float, typer.Option(help="Of all intervals.")] = 0.95,
    holdout: Annotated[
        str, typer.Option(help="ordered (score extrapolation) or none.")
    ] = "ordered",
    seed: Annotated[int, typer.Option(help="Of resampling and folds.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the fit here, as --json prints it.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit a scaling law to a table of runs; no starting point is needed."""
    from quantascope.cli.output import check_targets, write_json

    if holdout not in {"ordered", "none"}:
        raise ValueError(f"--holdout: {holdout!r}; allowed are ordered and none")
    if law == _ALL:
        _refuse_with_all(plot=plot, fix=fix, tie=tie, meaning=meaning, bootstrap=bootstrap)
    if not bootstrap and (resample or interval != "auto"):
        raise ValueError("--resample, --interval: only with --bootstrap N; give it, N 100 or more")
    check_targets(out=out, plot=plot, inputs=[file])
    y, group, weight = y.strip(), group and group.strip(), weight and weight.strip()
    inputs = pairs("--x", x, bare_name="x")
    columns = read_table(file, inputs, y=y, group=group, weight=weight)
    signed = inputs | ({WEIGHT: weight} if weight else {})
    check_signs(file, columns, signed, y=y, zeros=objective == "lsq")
    options: dict[str, Any] = {"response": y, "objective": objective, "delta": delta}
    if law == _ALL:
        options |= {"above": above}
        found: Any = _compare(inputs, columns, y=y, seed=seed, options=options)
    else:
        options |= {"above": above, "confidence": confidence}
        options |= {"fixed": _numbers("--fix", fix), "tied": _ties(tie)}
        n_points = int((columns[WEIGHT] > 0).sum()) if weight else columns[y].size
        require_enough(file, law, n_points, held=[*options["fixed"], *options["tied"]])
        found = _fit_one(
            law,
            inputs,
            columns,
            options=options,
            meaning=pairs("--meaning", meaning),
            bootstrap=_bootstrap(
                bootstrap, resample, interval, seed=seed, grouped=group is not None
            ),
            score=holdout == "ordered",
        )
    _show(found, as_json=as_json)
    written = [write_json(out, found.to_json())] if out else []
    if plot:
        written.append(_draw(found, plot))
    for path in written:
        print(path, file=sys.stderr if as_json else sys.stdout)


def pairs(option: str, given: list[str] | None, *, bare_name: str = "") -> dict[str, str]:
    """Split NAME=VALUE options; a bare value takes the name given for it.

    Raises
    ------
    ValueError
        If one has no ``=``, an empty side, or a name twice.
    """
    found: dict[str, str] = {}
    for entry in given or []:
        name, equals, value = entry.partition("=")
        if not equals and bare_name:
            name, value = bare_name, entry
        if not (name.strip() and value.strip()):
            raise ValueError(f"{option}: {entry!r}; allowed is NAME=VALUE")
        if name.strip() in found:
            raise ValueError(f"{option}: {name.strip()} is given twice")
        found[name.strip()] = value.strip()
    return found


def _numbers(option: str, given: list[str] | None) -> dict[str, float]:
    found = {}
    for name, value in pairs(option, given).items():
        try:
            found[name] = float(value)
        except ValueError:
            raise ValueError(f"{option}: {name}={value}; allowed are numbers") from None
    return found


def _ties(given: list[str] | None) -> dict[str, str]:
    found = pairs("--tie", given)
    for name, other in found.items():
        if name == other:
            raise ValueError(f"--tie: {name}={other}; allowed are two different parameters")
    return found


def _fit_one(
    name: str,
    inputs: Mapping[str, str],
    columns: "Columns",
    *,
    options: dict[str, Any],
    meaning: dict[str, str],
    bootstrap: Any,  # noqa: ANN401  (its class is imported late)
    score: bool,
) -> "LawFit":
    from quantascope.core.progress import ignore_progress, track
    from quantascope.laws import NOT_STATED, find_law
    from quantascope.laws import fit as fit_law
    from quantascope.laws.choosing.extrapolate import extrapolate
    from quantascope.laws.fitting.objective import Objective

    law = find_law(name)
    columns = _rename(law, inputs, columns)
    options |= {"group": columns.pop(GROUP, None), "weights": columns.pop(WEIGHT, None)}
    unsaid = {name: inputs.get(name, "") for name in law.inputs}
    if law.inputs == ("x",):  # the column's name says what x is
        unsaid = {"x": next(iter(inputs.values()))}
    options["meaning"] = unsaid | dict.fromkeys(law.units_needed, NOT_STATED) | meaning
    if bootstrap is None:
        found = fit_law(law, columns, **options, advance=ignore_progress)
    else:
        with track("bootstrap", bootstrap.n, unit="replicate") as advance:
            found = fit_law(law, columns, **options, bootstrap=bootstrap, advance=advance)
    if not score or found.points is None:
        return found
    goal = Objective(found.objective_name, found.delta, found.above)  # type: ignore[arg-type]
    beyond = extrapolate(law, found.points, goal, fixed=found.fixed, tied=found.tied)
    if beyond is None:
        warning = "too few points to hold some out: how well this law extrapolates is not known"
        return replace(found, warnings=(*found.warnings, warning))
    return replace(found, extrapolation=beyond.to_json())


def _rename(law: "Law", inputs: Mapping[str, str], columns: "Columns") -> "Columns":
    """Let a law of one input take the only input given, whatever its name."""
    if set(inputs) == set(law.inputs):
        return dict(columns)
    if len(law.inputs) == len(inputs) == 1:
        old, new = next(iter(inputs)), law.inputs[0]
        return {(new if name == old else name): column for name, column in columns.items()}
    raise ValueError(
        f"--x: {', '.join(inputs)} given; law {law.name} needs "
        + " ".join(f"--x {name}=COLUMN" for name in law.inputs)
    )


def _bootstrap(n: int, kind: str | None, interval: str, *, seed: int, grouped: bool) -> Any:  # noqa: ANN401
    from quantascope.laws import Bootstrap

    if not n:
        return None
    chosen: Any = kind or ("cluster" if grouped else "case")
    return Bootstrap(n=n, kind=chosen, interval=interval, seed=seed)  # type: ignore[arg-type]


def _compare(
    inputs: Mapping[str, str], columns: "Columns", *, y: str, seed: int, options: dict[str, Any]
) -> "Leaderboard":
    from quantascope.core.errors import DataError
    from quantascope.core.progress import track
    from quantascope.laws.choosing.select import candidates, compare_laws

    rivals = candidates(list(inputs), response=y)
    if not rivals:
        raise ValueError(f"--x: no law has the inputs {', '.join(inputs)}; see `quantascope laws`")
    options |= {"group": columns.pop(GROUP, None), "weights": columns.pop(WEIGHT, None)}
    with track("laws", len(rivals), unit="law") as advance:
        board = compare_laws(rivals, columns, **options, seed=seed, advance=advance)
    if not board.rows:
        why = "; ".join(f"{law}: {reason}" for law, reason in board.left_out.items())
        raise DataError(f"too few points for every law with these inputs ({why}); add runs")
    return board


def _refuse_with_all(
    *,
    plot: Path | None,
    fix: list[str] | None,
    tie: list[str] | None,
    meaning: list[str] | None,
    bootstrap: int,
) -> None:
    for option, value in (
        ("--plot", plot),
        ("--fix", fix),
        ("--tie", tie),
        ("--meaning", meaning),
        ("--bootstrap", bootstrap),
    ):
        if value:
            raise ValueError(f"{option}: not with --law all; fit the law you choose by its name")


def _show(found: Any, *, as_json: bool) -> None:  # noqa: ANN401  (fit or leaderboard)
    from quantascope.cli.fit_text import board_text, fit_text
    from quantascope.core.numbers import plain
    from quantascope.laws.fitting.result import LawFit

    if as_json:
        print(json.dumps(plain(found.to_json()), allow_nan=False))
    elif isinstance(found, LawFit):
        print(fit_text(found))
    else:
        print(board_text(found))


def _draw(found: "LawFit", path: Path) -> Path:
    from quantascope.cli.output import save_figure

    return save_figure(path, lambda ax: found.plot(ax=ax))
