"""The command `tails`: numbers in, the exponent of their tail with its interval out."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quantascope.laws.tails import GoodnessOfFit, PowerTail, RankSizeSlope, TailComparison

__all__ = ["register"]

_IMPLAUSIBLE: Final = 0.1  # arXiv 0706.1062, section 4.1
_FEWEST_SAMPLES: Final = 20
_MAX_DRAWN: Final = 300


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tails)


def tails(
    file: Annotated[
        Path,
        typer.Argument(
            help="Table (.csv, .tsv, .jsonl, .parquet), or plain text, a number a line."
        ),
    ],
    column: Annotated[str | None, typer.Option(help="Column of the values; for tables.")] = None,
    counts: Annotated[
        str | None, typer.Option(help="Column that says how often each value occurs.")
    ] = None,
    xmin: Annotated[str, typer.Option(help="Cut-off: auto (by KS distance) or a number.")] = "auto",
    discrete: Annotated[
        bool | None,
        typer.Option("--discrete/--continuous", help="Whole numbers or real ones; default: seen."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare with four other shapes, and rank-size.")
    ] = False,
    bootstrap: Annotated[
        int,
        typer.Option(help="Samples for an interval that includes xmin's choice, and for a test."),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit the exponent of a power-law tail, p(x) ~ x^-exponent for x >= xmin."""
    from quantascope.cli.output import check_targets, save_figure
    from quantascope.core.numbers import plain

    check_targets(plot=plot, inputs=[file])
    if bootstrap and bootstrap < _FEWEST_SAMPLES:
        raise ValueError(f"--bootstrap: {bootstrap}; allowed are 0 and from {_FEWEST_SAMPLES} on")
    cutoff = _cutoff(xmin)
    values, number = _read(file, column, counts)
    options: dict[str, Any] = {"xmin": cutoff, "discrete": discrete, "counts": number}
    fit, good = _fit(values, options, n_boot=bootstrap, seed=seed)
    others, slope = _compare(values, fit, options, seed=seed) if compare else ((), None)
    if as_json:
        print(json.dumps(plain(_object(fit, good, others, slope)), allow_nan=False))
    else:
        print(_text(fit, good, others, slope))
    if plot:
        save_figure(plot, lambda ax: _draw(values, number, fit, ax))
        print(plot, file=sys.stderr if as_json else sys.stdout)


def _cutoff(given: str) -> float | None:
    if given == "auto":
        return None
    try:
        return float(given)
    except ValueError:
        raise ValueError(f"--xmin: {given!r}; allowed are auto and numbers") from None


def _read(
    file: Path, column: str | None, counts: str | None
) -> "tuple[NDArray[np.float64], NDArray[np.float64] | None]":
    from quantascope.cli.tables import is_table, read_columns, read_numbers

    if not is_table(file):
        if column or counts:
            raise ValueError(
                f"--column, --counts: {file.name} is read as plain numbers; name a table .csv,"
                " .tsv, .jsonl or .parquet"
            )
        return read_numbers(file), None
    if column is None:
        raise ValueError(f"--column: needed for the table {file.name}; name the values' column")
    found = read_columns(file, {"values": column} | ({"counts": counts} if counts else {}))
    return found["values"], found.get("counts")


def _fit(
    values: "NDArray[np.float64]", options: dict[str, Any], *, n_boot: int, seed: int
) -> "tuple[PowerTail, GoodnessOfFit | None]":
    from quantascope.core.progress import track
    from quantascope.laws.tails import bootstrap_tail, fit_power_tail, goodness_of_fit

    if not n_boot:
        return fit_power_tail(values, **options), None
    options = options | {"n_boot": n_boot, "seed": seed}
    with track("bootstrap", n_boot, unit="sample") as advance:
        fit = bootstrap_tail(values, **options, advance=advance)
    if not fit.identified:
        return fit, None
    with track("goodness of fit", n_boot, unit="sample") as advance:
        return fit, goodness_of_fit(values, **options, advance=advance)


def _compare(
    values: "NDArray[np.float64]", fit: "PowerTail", options: dict[str, Any], *, seed: int
) -> "tuple[tuple[TailComparison, ...], RankSizeSlope | None]":
    from quantascope.laws.tails import compare_tails, rank_size_slope

    if not fit.identified:
        return (), None
    known = options | {"xmin": fit.xmin}
    return compare_tails(values, **known), rank_size_slope(values, **known, seed=seed)


def _warnings(fit: "PowerTail", good: "GoodnessOfFit | None") -> list[str]:
    found = [] if fit.identified else [f"not identified: {fit.reason}"]
    if fit.identified and "taken as known" in fit.method:
        found.append("the interval leaves out the choice of xmin; --bootstrap 200 includes it")
    if good is not None and good.hi < _IMPLAUSIBLE:
        found.append(f"a power law is implausible here: p = {good.p:.3g}")
    return found


def _object(
    fit: "PowerTail",
    good: "GoodnessOfFit | None",
    others: "tuple[TailComparison, ...]",
    slope: "RankSizeSlope | None",
) -> dict[str, Any]:
    return {
        **asdict(fit),
        "goodness_of_fit": None if good is None else asdict(good),
        "comparisons": [asdict(other) for other in others],
        "rank_size": None if slope is None else asdict(slope),
        "warnings": _warnings(fit, good),
    }


def _text(
    fit: "PowerTail",
    good: "GoodnessOfFit | None",
    others: "tuple[TailComparison, ...]",
    slope: "RankSizeSlope | None",
) -> str:
    from quantascope.cli.output import aligned

    kind = "whole" if fit.discrete else "real"
    lines = [f"p(x) ~ x^-exponent for x >= xmin, {kind} numbers"]
    if fit.identified:
        rows = [
            ("exponent", f"{fit.exponent:.4f}", f"[{fit.lo:.4f}, {fit.hi:.4f}]"),
            ("standard error", f"{fit.stderr:.4f}", "Fisher information, xmin as known"),
            ("xmin", f"{fit.xmin:g}", _range(fit.xmin_lo, fit.xmin_hi)),
            ("in the tail", f"{fit.n_tail:,}", f"of {fit.n:,} values"),
            ("KS distance", f"{fit.ks:.4f}", _plausible(good)),
        ]
        lines += [aligned(rows), f"interval: 95 %, {fit.method}"]
    if others:
        table = [("power law against", "ln ratio", "p", "favoured", "")]
        for other in others:
            scores = (f"{other.ratio:.2f}", f"{other.p:.2g}")
            table.append((other.alternative, *scores, other.verdict, other.note))
        lines += ["", aligned(table)]
    if slope is not None and slope.identified:
        lines.append(f"rank-size slope {slope.slope:.3f}, read as exponent {slope.exponent:.3f}")
    lines += [f"warning: {warning}" for warning in _warnings(fit, good)]
    if slope is not None:
        lines.append(f"warning: {slope.warning}")
    return "\n".join(lines)


def _range(lo: float, hi: float) -> str:
    return f"[{lo:g}, {hi:g}]" if lo <= hi else ""


def _plausible(good: "GoodnessOfFit | None") -> str:
    if good is None:
        return ""
    return f"p = {good.p:.3f} [{good.lo:.3f}, {good.hi:.3f}] if it is a power law"


def _draw(
    values: "NDArray[np.float64]",
    counts: "NDArray[np.float64] | None",
    fit: "PowerTail",
    ax: Any,  # noqa: ANN401  (matplotlib is imported late)
) -> None:
    import numpy as np

    from quantascope.laws.tails.power import log_survival
    from quantascope.laws.tails.sample import read_sample
    from quantascope.plots.tails import plot_tail

    sample = read_sample(values, counts=counts, discrete=fit.discrete)
    share = np.cumsum(sample.counts[::-1])[::-1] / sample.n
    line, label = None, ""
    if fit.identified:
        x = np.geomspace(fit.xmin, sample.values[-1], 100)
        at_cutoff = fit.n_tail / fit.n
        fitted, lo, hi = (
            at_cutoff * np.exp(log_survival(x, max(a, 1 + 1e-9), fit.xmin, discrete=fit.discrete))
            for a in (fit.exponent, fit.hi, fit.lo)
        )
        line = (x, fitted, lo, hi)
        label = f"exponent {fit.exponent:.3f} [{fit.lo:.3f}, {fit.hi:.3f}]"
    shown = np.flatnonzero(sample.values > 0)
    if len(shown) > _MAX_DRAWN:  # evenly along the logarithmic axis of shares
        wanted = np.geomspace(share[shown[0]], share[shown[-1]], _MAX_DRAWN)
        shown = np.unique(shown[np.searchsorted(-share[shown], -wanted).clip(max=len(shown) - 1)])
    plot_tail(sample.values[shown], share[shown], n=sample.n, line=line, label=label, ax=ax)
