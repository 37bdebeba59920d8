"""Commands that foretell and keep score: forecast, score."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from quantascope.cli.forecast_text import print_forecast, print_ledger_line, print_outcomes
from quantascope.cli.run import Dir

if TYPE_CHECKING:
    from quantascope.reader.forecast import Foretold
    from quantascope.reader.outcomes import Outcome

__all__ = ["register"]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Plot = Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")]

_SCALES: Final = {"N": "sizes", "step": "steps"}
_DRAWN: Final = 5


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (forecast, score):
        app.command()(command)


def forecast(
    folder: Dir,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="What to foretell: N=1.2e9 (non-embedding) or step=4000; several by commas.",
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            help="Groups: cluster, ngram:N, probe, skill where known, or a table.parquet."
        ),
    ] = "cluster",
    method: Annotated[
        str,
        typer.Option(help="mixed, quantization, pooled, last_value, power_law, bnsl or one_skill."),
    ] = "mixed",
    upto: Annotated[
        float | None, typer.Option(help="Show it only sizes (or steps) up to this one.")
    ] = None,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="Foretell the last one and two that are known.")
    ] = False,
    over: Annotated[
        Literal["sizes", "steps"], typer.Option(help="Along what --backtest goes.")
    ] = "sizes",
    size: Annotated[
        float | None, typer.Option(help="Size whose steps are taken; default: most checkpoints.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Loss below which a group is learned [nat]; default: half-way from its first loss "
            "to what the best tenth loses at the last level."
        ),
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Allow sizes that lack a seed which others have.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of parts of many groups.")] = 0,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Foretell what groups of predictions lose at the next size, before it is known."""
    from quantascope.cli.output import check_targets, said_as
    from quantascope.reader.forecast import foretell
    from quantascope.reader.forecast_groups import group_run
    from quantascope.store.folder import RunFolder

    check_targets(plot=plot)
    if backtest == (at is not None):
        raise ValueError("--at: give what to foretell, N=SIZE or step=STEP, or --backtest instead")
    if backtest and (method != "mixed" or upto is not None):
        raise ValueError("--backtest: tries every method on all levels; leave --method, --upto out")
    targets, along = ([], over) if at is None else _targets(at)
    run = RunFolder(folder)
    grouped = group_run(
        run,
        by=by,
        over=along,
        at=size if along == "steps" else None,
        complete=not incomplete,
    )
    if backtest:
        _backtest(folder, grouped, threshold=threshold, seed=seed, plot=plot, as_json=as_json)
        return
    names = {"targets": "--at", "method": "--method", "threshold": "--threshold"}
    with said_as(names):
        found = foretell(grouped, targets, method=method, upto=upto, threshold=threshold, seed=seed)
    _put_down(folder, found, plot=plot, as_json=as_json)


def score(
    folder: Dir,
    forecast: Annotated[
        str | None, typer.Argument(help="Id of one forecast; default: all.", show_default=False)
    ] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Compare forecasts with what has come since, and enter the result in the ledger."""
    from quantascope.cli.output import check_targets
    from quantascope.core.errors import DataError
    from quantascope.core.numbers import plain
    from quantascope.pipeline.forecasts import record_score
    from quantascope.reader.outcomes import list_forecasts, read_ledger, score_forecast
    from quantascope.store.folder import RunFolder

    check_targets(plot=plot)
    run = RunFolder(folder)
    items = [forecast] if forecast is not None else list_forecasts(run)
    if not items:
        raise DataError(f"{folder}: no forecasts; make one with `quantascope forecast {folder}`")
    outcomes, waiting = [], []
    for item in items:
        manifest, found = score_forecast(run, item)
        if found:
            record_score(run, item, {"outcomes": [plain(each.as_dict()) for each in found]})
        outcomes += found
        came = {each.target for each in found}
        waiting += [(item, t) for t in manifest.config["at"] if t not in came]
    entries = read_ledger(run)
    made = {e["content"]["forecast"]: e["time"] for e in reversed(entries)}
    if plot is not None:
        _draw_calibration(outcomes, plot)
    if as_json:
        rows = [each.as_dict() | {"made": made[each.forecast]} for each in outcomes]
        facts = {"outcomes": rows, "not_come": [list(each) for each in waiting]}
        print(json.dumps(plain(facts | {"ledger": entries[-1]["sha256"]}), allow_nan=False))
        return
    print_outcomes(outcomes, made=made)
    for item, target in waiting:
        print(f"{item}: {target:g} has not come")
    print_ledger_line(entries[-1], n=len(entries))
    print(plot or folder / "forecasts")


def _targets(at: list[str]) -> tuple[list[float], Literal["sizes", "steps"]]:
    """Read ``N=1e9,2e9`` or ``step=4000``, several of one kind."""
    kinds, values = set(), []
    kind = ""
    for part in ",".join(at).split(","):
        name, equals, number = part.strip().rpartition("=")
        kind = name.strip() if equals else kind
        try:
            values.append(float(number))
        except ValueError:
            kind = ""
        kinds.add(kind)
    if len(kinds) != 1 or not kinds <= set(_SCALES) or not all(0 < v < 1e30 for v in values):
        raise ValueError(
            f"--at: {','.join(at)!r:.60} found; allowed are N=SIZE or step=STEP above 0, several "
            "of one kind by commas"
        )
    return values, "sizes" if kinds == {"N"} else "steps"


def _put_down(folder: Path, found: "Foretold", *, plot: Path | None, as_json: bool) -> None:
    from quantascope.core.numbers import plain
    from quantascope.pipeline.forecasts import write_forecast
    from quantascope.store.folder import RunFolder

    item, entry = write_forecast(
        RunFolder(folder),
        found.tables,
        config=found.config,
        parents=found.grouped.parents,
        facts=found.facts,
    )
    if plot is not None:
        _draw_fans(found, plot)
    path = folder / "forecasts" / item
    if as_json:
        columns = ["method", "target", "mean_nats", "p5_nats", "p50_nats", "p95_nats"]
        means = found.tables["means.parquet"].select(columns).to_pylist()
        table = found.main.to_table().drop_columns(["weight", "location", "scale"])
        keys = [found.grouped.keys[i] for i in table["group"].to_pylist()]
        rows = [row | {"key": str(key)} for row, key in zip(table.to_pylist(), keys, strict=True)]
        facts: dict[str, Any] = {"forecast": item, "made": entry["time"], "path": str(path)}
        facts |= {"ledger": entry["sha256"], "means": means, "rows": rows}
        print(json.dumps(plain(found.config | found.facts | facts), allow_nan=False))
        return
    print_forecast(found)
    print(f"forecast {item}, sealed; `quantascope score {folder} {item}` when it has come")
    print_ledger_line(entry, n=entry["entry"])
    print(plot or path)


def _backtest(
    folder: Path,
    grouped: Any,
    *,
    threshold: float | None,
    seed: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    from quantascope.core.numbers import plain
    from quantascope.reader.outcomes import backtest

    outcomes = backtest(grouped, threshold=threshold, seed=seed)
    if plot is not None:
        _draw_calibration(outcomes, plot)
    if as_json:
        facts = {"by": grouped.by, "caution": grouped.caution, "levels": grouped.whole.x}
        rows = [each.as_dict() for each in outcomes]
        print(json.dumps(plain(facts | {"outcomes": rows}), allow_nan=False))
        return
    print_outcomes(outcomes, made={})
    if grouped.caution:
        print(f"caution: {grouped.caution}")
    print(plot or folder)


def _draw_fans(found: "Foretold", plot: Path) -> None:
    import numpy as np

    from quantascope.cli.output import save_figure
    from quantascope.plots.forecast import plot_fans

    main, whole = found.main, found.grouped.whole
    drop = found.shown.losses[:, -1] - main.groups[-1].quantile(0.5)
    chosen = np.argsort(-drop * found.shown.share, kind="stable")[:_DRAWN]
    ends = [[m.rows(chosen).quantile(q) for q in (0.05, 0.5, 0.95)] for m in main.groups]
    save_figure(
        plot,
        lambda ax: plot_fans(
            whole.x,
            whole.losses[chosen],
            targets=main.targets,
            quantiles=np.array(ends).transpose(2, 0, 1),
            names=[str(key) for key in found.grouped.keys[chosen]],
            scale=whole.scale,
            n_shown=len(found.shown.x),
            ax=ax,
        ),
    )


def _draw_calibration(outcomes: "list[Outcome]", plot: Path) -> None:
    import numpy as np

    from quantascope.cli.output import save_figure
    from quantascope.core.errors import DataError
    from quantascope.families.forecast.scores import calibration_curve
    from quantascope.plots.forecast import plot_calibration

    if not outcomes:
        raise DataError("--plot: nothing has come that could be drawn")
    curves, stated = {}, np.zeros(0)
    for name in dict.fromkeys(each.method for each in outcomes):
        places = [each.score.places for each in outcomes if each.method == name]
        stated, share, error = calibration_curve(np.array(places))
        curves[name] = (share, error)
    save_figure(plot, lambda ax: plot_calibration(stated, curves, ax=ax))
