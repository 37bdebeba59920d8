"""The command `allocate`: a fitted law and budgets in FLOP in, what to train with them out."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from quantascope.cli.fit_file import read_fit, resampled

if TYPE_CHECKING:
    from quantascope.laws.fitting.result import LawFit

    _Read = tuple[Path, LawFit]

__all__ = ["register"]

_STEPS: Final = "kaplan-NS"
_REPLICATES: Final = 1000
_TOLERANCE: Final = 1.25


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(allocate)


def allocate(
    fit: Annotated[Path, typer.Argument(help="A fit, from `fit --out FIT.json` or --json.")],
    flop: Annotated[list[float], typer.Option(help="Budget [FLOP], such as 5.76e23; repeatable.")],
    shrink: Annotated[
        list[float] | None,
        typer.Option(help="Also plan this share of the optimal size, trained longer; repeatable."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Table of runs: adds isoFLOP profiles and, with --run, the envelope."),
    ] = None,
    x: Annotated[
        list[str] | None, typer.Option(help="N=COLUMN and D=COLUMN of --data, perhaps C=COLUMN.")
    ] = None,
    y: Annotated[str | None, typer.Option(help="Column of the loss in --data [loss].")] = None,
    run: Annotated[str | None, typer.Option(help="Column of the run in --data.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest over smallest compute of an isoFLOP slice [1.25].")
    ] = None,
    batch: Annotated[
        Path | None, typer.Option(help="Fit of critical-batch, for a fit of kaplan-NS.")
    ] = None,
    batch_ratio: Annotated[
        float | None, typer.Option(help="Batch size over the critical one [1].")
    ] = None,
    bootstrap: Annotated[
        int | None, typer.Option(help="Replicates, where the fit has none of its own [1000].")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of resampling.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the plan here, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Plan compute-optimal training for budgets: parameters, tokens, loss, with intervals."""
    from quantascope.cli.allocate_text import plan_text
    from quantascope.cli.output import check_targets, said_as, write_json
    from quantascope.core.numbers import plain

    check_targets(out=out, plot=plot, inputs=[fit, data, batch])
    law_fit = read_fit(fit)
    n = _REPLICATES if bootstrap is None else bootstrap
    names = {"fit": str(fit), "batch": str(batch), "flop": "--flop", "shrink": "--shrink"}
    names |= {name: f"--{name}" for name in ("tolerance", "bootstrap")}
    with said_as(names | {"batch_ratio": "--batch-ratio"}):
        if data is None:
            _refuse("only with --data", x=x, run=run, y=y, tolerance=tolerance)
        if law_fit.law == _STEPS:
            _refuse(f"not for a fit of {_STEPS}", plot=plot, data=data, shrink=shrink)
            law_of_batch = _read_batch(batch)
            _refuse_bootstrap(bootstrap, [(fit, law_fit), law_of_batch])
            found = _plan_steps(
                (fit, law_fit), law_of_batch, flop, ratio=batch_ratio, n=n, seed=seed
            )
        else:
            kind = f"only for a fit of {_STEPS}, and {fit} is one of {law_fit.law}"
            _refuse(kind, batch=batch, batch_ratio=batch_ratio)
            _refuse_bootstrap(bootstrap, [(fit, law_fit)])
            runs = None if data is None else _read_runs(data, x, y=y or "loss", run=run)
            found = _plan((fit, law_fit), flop, shrink=shrink or [], n=n, seed=seed)
            found |= _approaches(found["fit"], flop, runs=runs, tolerance=tolerance, seed=seed)
    record = {key: _objects(value) for key, value in found.items() if key != "fit"}
    print(json.dumps(plain(record), allow_nan=False) if as_json else plan_text(found))
    written = [write_json(out, record)] if out else []
    if plot:
        written.append(_draw(found, flop, plot))
    for path in written:
        print(path, file=sys.stderr if as_json else sys.stdout)


def _plan(
    read: "_Read", flop: list[float], *, shrink: list[float], n: int, seed: int
) -> dict[str, Any]:
    from quantascope.laws.planning.advice import plan_warnings
    from quantascope.laws.planning.allocate import overtrain, plan

    plan(read[1], flop)  # refuses laws and budgets before the bootstrap is paid for
    for one in flop if shrink else []:
        overtrain(replace(read[1], replicates=None), one, shrink=shrink)
    fit = resampled(*read, n=n, seed=seed)
    plans = plan(fit, flop)
    smaller = [row for one in flop for row in overtrain(fit, one, shrink=shrink)] if shrink else []
    return {
        "fit": fit,
        "law": fit.law,
        "formula": fit.formula,
        "params": fit.params,
        "meaning": fit.meaning,
        "confidence": fit.confidence,
        "plans": plans,
        "overtrained": smaller,
        "warnings": list(plan_warnings(fit, plans)),
    }


def _plan_steps(
    read: "_Read",
    read_batch: "_Read",
    flop: list[float],
    *,
    ratio: float | None,
    n: int,
    seed: int,
) -> dict[str, Any]:
    from quantascope.laws.planning.steps import plan_steps

    ratio = 1.0 if ratio is None else ratio
    # refuses before the bootstrap is paid for
    plan_steps(read[1], read_batch[1], flop, batch_ratio=ratio)
    fit = resampled(*read, n=n, seed=seed)
    law_of_batch = resampled(*read_batch, n=n, seed=seed + 1)
    plans = plan_steps(fit, law_of_batch, flop, batch_ratio=ratio, confidence=fit.confidence)
    said = dict.fromkeys(warning for one in plans for warning in one.warnings)
    said |= {
        f"{one.law}: {name} is not identified: {why}": None
        for one in (fit, law_of_batch)
        for name, why in one.not_identified.items()
    }
    said |= {
        f"{one.flop:.3g} FLOP: extrapolated beyond the sizes or steps fitted": None
        for one in plans
        if one.extrapolated
    }
    return {
        "law": fit.law,
        "formula": fit.formula,
        "params": fit.params,
        "batch_params": law_of_batch.params,
        "meaning": fit.meaning,
        "confidence": fit.confidence,
        "step_plans": plans,
        "warnings": list(said),
    }


def _approaches(
    fit: "LawFit",
    flop: list[float],
    *,
    runs: dict[str, Any] | None,
    tolerance: float | None,
    seed: int,
) -> dict[str, Any]:
    """Add approaches 1 and 2 and the consistency of all, where there is a table of runs."""
    from quantascope.laws.planning.consistency import compare_approaches, parametric_frontier
    from quantascope.laws.planning.envelope import training_envelope
    from quantascope.laws.planning.isoflop import isoflop_profiles

    third = parametric_frontier(fit)
    if runs is None:
        return {"frontiers": [third]}
    columns = {name: column for name, column in runs.items() if name != "run"}
    run = runs.get("run")
    profiles = isoflop_profiles(
        columns if run is None else _last_of_each(columns, run),
        tolerance=_TOLERANCE if tolerance is None else tolerance,
        seed=seed,
    )
    found: dict[str, Any] = {"isoflop": profiles}
    frontiers = [profiles.frontier, third]
    if run is not None:
        found["envelope"] = training_envelope(columns, run=run, seed=seed)
        frontiers.insert(0, found["envelope"].frontier)
    found["consistency"] = compare_approaches(frontiers, flop=flop, seed=seed)
    return {"frontiers": frontiers, **found}


def _read_runs(data: Path, x: list[str] | None, *, y: str, run: str | None) -> dict[str, Any]:
    from quantascope.cli.fit import pairs
    from quantascope.cli.tables import read_columns

    inputs = pairs("--x", x)
    if not {"N", "D"} <= set(inputs) <= {"N", "D", "C"}:
        raise ValueError("--x: with --data give --x N=COLUMN --x D=COLUMN, and C=COLUMN if counted")
    wanted = {**inputs, "loss": y} | ({"run": run} if run else {})
    return read_columns(data, wanted, text=("run",) if run else ())


def _last_of_each(columns: dict[str, Any], runs: Any) -> dict[str, Any]:  # noqa: ANN401  (array)
    """Keep the last checkpoint of each run: isoFLOP profiles are of finished runs."""
    import numpy as np

    names = runs.astype(str)
    order = np.lexsort((columns["D"], names))
    last = order[np.append(names[order][1:] != names[order][:-1], [True])]
    return {name: column[last] for name, column in columns.items()}


def _refuse(why: str, **given: object) -> None:
    """Refuse options that would do nothing."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"--{name.replace('_', '-')}: {why}; leave it out")


def _refuse_bootstrap(n: int | None, fits: "Sequence[_Read]") -> None:
    if n is not None and all(one.replicates is not None for _, one in fits):
        names = " and ".join(str(path) for path, _ in fits)
        raise ValueError(
            f"--bootstrap: {n}, but there are replicates in {names}; leave it out, or fit again "
            "with --bootstrap"
        )


def _read_batch(batch: Path | None) -> "_Read":
    if batch is None:
        raise ValueError(f"--batch: missing; a fit of {_STEPS} needs the fit of critical-batch")
    return batch, read_fit(batch)


def _objects(value: Any) -> Any:  # noqa: ANN401  (JSON)
    if isinstance(value, list):
        return [_objects(item) for item in value]
    return value.to_json() if hasattr(value, "to_json") else value


def _draw(found: dict[str, Any], flop: list[float], path: Path) -> Path:
    from quantascope.cli.output import save_figure
    from quantascope.plots.allocate import plot_allocation

    return save_figure(
        path,
        lambda ax: plot_allocation(
            found["frontiers"],
            flop=flop,
            profiles=found.get("isoflop"),
            envelope=found.get("envelope"),
            size=found["meaning"].get("N") or "parameter",
            ax=ax,
        ),
    )
