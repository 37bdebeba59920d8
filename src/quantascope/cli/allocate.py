"""The command `allocate`: a fitted law and budgets in FLOP in, what to train with them out."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from quantascope.laws.fitting.result import LawFit

__all__ = ["register"]

_STEPS: Final = "kaplan-NS"
_MAX_BYTES: Final = 400_000_000


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
    y: Annotated[str, typer.Option(help="Column of the loss in --data.")] = "loss",
    run: Annotated[str | None, typer.Option(help="Column of the run in --data.")] = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest over smallest compute of an isoFLOP slice.")
    ] = 1.25,
    batch: Annotated[
        Path | None, typer.Option(help="Fit of critical-batch, for a fit of kaplan-NS.")
    ] = None,
    batch_ratio: Annotated[float, typer.Option(help="Batch size over the critical one.")] = 1.0,
    bootstrap: Annotated[
        int, typer.Option(help="Replicates, where the fit has none of its own.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of resampling.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the plan here, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Plan compute-optimal training for budgets: parameters, tokens, loss, with intervals."""
    from quantascope.cli.allocate_text import plan_text
    from quantascope.cli.output import check_figure, finite, write_json

    check_figure(plot)
    if out and not out.parent.is_dir():
        raise ValueError(f"--out: folder {out.parent} does not exist; make it first")
    law_fit = read_fit(fit)
    if law_fit.law == _STEPS:
        _refuse_with_steps(plot=plot, data=data, shrink=shrink)
        found = _plan_steps(law_fit, batch, flop, ratio=batch_ratio, bootstrap=bootstrap, seed=seed)
    else:
        if batch is not None:
            raise ValueError(f"--batch: only for a fit of {_STEPS}; {fit} is one of {law_fit.law}")
        found = _plan(law_fit, flop, shrink=shrink or [], bootstrap=bootstrap, seed=seed)
        found |= _approaches(
            found["fit"], flop, data=data, x=x, y=y, run=run, tolerance=tolerance, seed=seed
        )
    record = {key: _plain(value) for key, value in found.items() if key != "fit"}
    print(json.dumps(finite(record), allow_nan=False) if as_json else plan_text(found))
    written = [write_json(out, record)] if out else []
    if plot:
        written.append(_draw(found, flop, plot))
    for path in written:
        print(path, file=sys.stderr if as_json else sys.stdout)


def read_fit(path: Path) -> "LawFit":
    """Read a fit from the JSON that `fit` writes.

    Raises
    ------
    DataError
        If the file is missing, too large, not JSON, or not a whole fit.
    """
    from quantascope.core.errors import DataError
    from quantascope.laws import LAWS
    from quantascope.laws.fitting.result import LawFit

    hint = "give what `quantascope fit --out FIT.json` wrote"
    if not path.is_file():
        raise DataError(f"{path}: no such file; {hint}")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: over {_MAX_BYTES:,} bytes; {hint}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not JSON; {hint}") from None
    try:
        found = LawFit.from_json(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError):
        raise DataError(f"{path}: a damaged fit; {hint}") from None
    try:
        law = LAWS[found.law]
        law.encode(found.params)
        shape = None if found.replicates is None else found.replicates.shape[1:]
        whole = shape in {None, (len(law.names),)} and set(found.ranges) == set(law.inputs)
    except (KeyError, TypeError, AttributeError, ValueError):
        whole = False
    if not whole:
        raise DataError(f"{path}: a damaged fit, or one of an unknown law; {hint}")
    return found


def _plan(
    fit: "LawFit", flop: list[float], *, shrink: list[float], bootstrap: int, seed: int
) -> dict[str, Any]:
    from quantascope.core.progress import track
    from quantascope.laws.planning.advice import plan_warnings, with_replicates
    from quantascope.laws.planning.allocate import overtrain, plan

    plan(fit, flop)  # refuses laws and budgets before the bootstrap is paid for
    if fit.replicates is None and bootstrap:
        with track("bootstrap", bootstrap, unit="replicate") as advance:
            fit = with_replicates(fit, n=bootstrap, seed=seed, advance=advance)
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
    fit: "LawFit",
    batch: Path | None,
    flop: list[float],
    *,
    ratio: float,
    bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    from quantascope.laws.planning.advice import with_replicates
    from quantascope.laws.planning.steps import plan_steps

    if batch is None:
        raise ValueError(f"--batch: missing; a fit of {_STEPS} needs the fit of critical-batch")
    law_of_batch = read_fit(batch)
    plan_steps(
        fit, law_of_batch, flop, batch_ratio=ratio
    )  # refuses before the bootstrap is paid for
    if bootstrap:
        fit = with_replicates(fit, n=bootstrap, seed=seed)
        law_of_batch = with_replicates(law_of_batch, n=bootstrap, seed=seed + 1)
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
    data: Path | None,
    x: list[str] | None,
    y: str,
    run: str | None,
    tolerance: float,
    seed: int,
) -> dict[str, Any]:
    """Add approaches 1 and 2 and the consistency of all, where there is a table of runs."""
    from quantascope.laws.planning.consistency import compare_approaches, parametric_frontier
    from quantascope.laws.planning.envelope import training_envelope
    from quantascope.laws.planning.isoflop import isoflop_profiles

    third = parametric_frontier(fit)
    if data is None:
        if x or run:
            raise ValueError("--x, --run: they name columns of --data, which is missing")
        return {"frontiers": [third]}
    columns = _read_runs(data, x, y=y, run=run)
    runs = columns.pop("run", None)
    profiles = isoflop_profiles(
        columns if runs is None else _last_of_each(columns, runs), tolerance=tolerance, seed=seed
    )
    found: dict[str, Any] = {"isoflop": profiles}
    frontiers = [profiles.frontier, third]
    if runs is not None:
        found["envelope"] = training_envelope(columns, run=runs, seed=seed)
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


def _refuse_with_steps(*, plot: Path | None, data: Path | None, shrink: list[float] | None) -> None:
    for option, value in (("--plot", plot), ("--data", data), ("--shrink", shrink)):
        if value:
            raise ValueError(f"{option}: not for a fit of {_STEPS}; it needs a law of N and D")


def _plain(value: Any) -> Any:  # noqa: ANN401  (JSON)
    if isinstance(value, list):
        return [_plain(item) for item in value]
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
