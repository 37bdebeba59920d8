"""Commands of the Quantization Model: theory predict, exponents, invert."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quantascope.theory.resources import QuantaModel

__all__ = ["register"]

_RESOURCES: Final = ("N", "D", "S")
_FORMS: Final = ("exact", "integral", "midpoint")
_MAX_VALUES: Final = 100_000
_SLOPE_RANGE: Final = (1, 30)  # learned quanta over which a finite set's slope is read
_OPTIONS: Final = {
    name: f"--{name.replace('_', '-')}"
    for name in (
        *("alpha", "n_tasks", "capacity", "threshold", "first_step", "a", "b"),
        *("loss", "slope", "n_params", "n_samples", "n_steps"),
    )
} | {"b - a": "--b less --a"}
"""Arguments of the library, and what the user typed for them."""
_MOST_BY_DEFAULT: Final = 10_000.0  # quanta at the end of the default range

AsJson = Annotated[bool, typer.Option("--json", help="Print one object.")]
Tasks = Annotated[float, typer.Option(help="Quanta, a whole number; inf is the paper's theory.")]
Low = Annotated[float, typer.Option("--a", help="Loss where a sample's quantum is learned [nat].")]
High = Annotated[float, typer.Option("--b", help="Loss where it is not [nat].")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    theory = typer.Typer(
        help="Predict from the Quantization Model, or read its constants off a loss.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (predict, exponents, invert):
        theory.command()(command)
    app.add_typer(theory, name="theory")


def predict(
    alpha: Annotated[float, typer.Option(help="Quantum k has use ~ k^-(alpha+1).")],
    by: Annotated[str, typer.Option(help="N parameters, D samples, or S steps.")],
    n_tasks: Tasks = math.inf,
    at: Annotated[str | None, typer.Option(help="Amounts, as 1e6,1e7.")] = None,
    first: Annotated[float | None, typer.Option("--from", help="Smallest amount.")] = None,
    last: Annotated[float | None, typer.Option("--to", help="Largest amount.")] = None,
    points: Annotated[int, typer.Option(help="Number of amounts, evenly in logarithms.")] = 9,
    capacity: Annotated[float, typer.Option(help="C: parameters a quantum takes.")] = 1.0,
    threshold: Annotated[float, typer.Option(help="tau: samples a quantum takes.")] = 1.0,
    first_step: Annotated[float, typer.Option(help="T: steps of the first quantum.")] = 1.0,
    a: Low = 0.0,
    b: High = 1.0,
    form: Annotated[str, typer.Option(help="exact, integral or midpoint.")] = "exact",
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")] = None,
) -> None:
    """Predict the mean loss at amounts of one resource, the others being plentiful."""
    from quantascope.cli.output import check_targets, said_as
    from quantascope.theory.resources import QuantaModel

    check_targets(plot=plot)
    _one_of("--by", by, _RESOURCES)
    _one_of("--form", form, _FORMS)
    by_default = at is None and (first is None or last is None)
    _check_tasks(n_tasks, least=3 if by_default else 1, where=" without --at" if by_default else "")
    with said_as(_OPTIONS | {by: f"--at ({by})", "n (integral form)": "--at (quanta)"}):
        model = QuantaModel(
            alpha=alpha,
            n_tasks=n_tasks,
            capacity=capacity,
            threshold=threshold,
            first_step=first_step,
            a=a,
            b=b,
        )
        amount = _amounts(model, by, at=at, ends=(first, last), points=points)
        found = _prediction(model, by, amount, form=form)
    if plot:
        found["plot"] = str(_draw(model, found, plot))
    if as_json:
        _print_json(found)
        return
    _print_prediction(found)
    if plot:
        print(plot)


def exponents(
    alpha: Annotated[str | None, typer.Option(help="alpha, or several: 0.3,0.4.")] = None,
    alpha_n: Annotated[str | None, typer.Option("--alpha-N", help="Exponent in N.")] = None,
    alpha_d: Annotated[str | None, typer.Option("--alpha-D", help="Exponent in D.")] = None,
    alpha_s: Annotated[str | None, typer.Option("--alpha-S", help="Exponent in S.")] = None,
    zipf: Annotated[str | None, typer.Option(help="Exponent of the frequencies.")] = None,
    n_tasks: Tasks = math.inf,
    as_json: AsJson = False,
) -> None:
    """Convert one exponent into all others; give the ends of an interval as two values.

    The last column is the slope that a fit over 1 to 30 learned quanta shows.
    """
    import numpy as np

    from quantascope.cli.output import said_as
    from quantascope.theory.finite import fitted_slope
    from quantascope.theory.resources import alpha_from_exponent
    from quantascope.theory.resources import exponents as convert

    _check_tasks(n_tasks)
    given = {
        "--alpha": ("alpha_N", alpha),  # alpha_N is alpha
        "--alpha-N": ("alpha_N", alpha_n),
        "--alpha-D": ("alpha_D", alpha_d),
        "--alpha-S": ("alpha_S", alpha_s),
        "--zipf": ("zipf_exponent", zipf),
    }
    option = _exactly_one({name: text for name, (_, text) in given.items()})
    kind, text = given[option]
    values = _numbers(option, text or "")
    meant = option if kind == "alpha_N" else f"alpha, which {option} means"
    with said_as({kind: option, "alpha": meant}):
        all_of = convert(alpha_from_exponent(values, kind=kind))  # type: ignore[arg-type]
    lo, hi = _SLOPE_RANGE
    columns = {name: np.asarray(value).tolist() for name, value in vars(all_of).items()}
    said = []
    if n_tasks > hi:
        slope = fitted_slope(all_of.alpha, n_tasks=n_tasks, n_lo=lo, n_hi=hi)
        columns[f"slope_{lo}_to_{hi}"] = slope.tolist()
    else:
        said = [f"slope_{lo}_to_{hi} needs more than {hi} quanta; --n-tasks is {n_tasks:g}"]
    if as_json:
        _print_json({"n_tasks": n_tasks, **columns, "warnings": said})
        return
    _print_columns(columns)
    for warning in said:
        print(f"warning: {warning}")


def invert(
    loss: Annotated[str | None, typer.Option(help="Mean loss [nat], or several.")] = None,
    slope: Annotated[str | None, typer.Option(help="Slope fitted over 1 to 30 quanta.")] = None,
    alpha: Annotated[float | None, typer.Option(help="alpha, to get n from a loss.")] = None,
    quanta: Annotated[float | None, typer.Option(help="n, to get alpha from a loss.")] = None,
    n_tasks: Tasks = math.inf,
    a: Low = 0.0,
    b: High = 1.0,
    n_params: Annotated[float | None, typer.Option(help="N of that model; gives C.")] = None,
    n_samples: Annotated[float | None, typer.Option(help="D of that model; gives tau.")] = None,
    n_steps: Annotated[float | None, typer.Option(help="S of that model; gives T.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read learned quanta, alpha, C, tau, T off a loss, or alpha off the slope of a finite set."""
    from quantascope.cli.output import said_as

    option = _exactly_one({"--loss": loss, "--slope": slope})
    known = "--quanta" if quanta is not None else "n, the learned quanta of this loss"
    with said_as(_OPTIONS | {"n": known, "n_tasks - n": "--n-tasks less --quanta"}):
        if option == "--slope":
            _check_tasks(n_tasks, least=_SLOPE_RANGE[1] + 1, where=" with --slope")
            columns = _invert_slope(_numbers(option, slope or ""), n_tasks)
        else:
            _check_tasks(n_tasks)
            _exactly_one({"--alpha": alpha, "--quanta": quanta})
            losses = _numbers(option, loss or "")
            columns = _invert_loss(losses, n_tasks, ends=(a, b), alpha=alpha, quanta=quanta)
            columns |= _unit_costs(
                columns["n"], columns["alpha"], n_tasks, amounts=(n_params, n_samples, n_steps)
            )
    plain = {name: values.tolist() for name, values in columns.items()}
    if as_json:
        _print_json({"n_tasks": n_tasks, "a": a, "b": b, **plain})
        return
    _print_columns(plain)


def _invert_slope(
    slopes: "NDArray[np.float64]", n_tasks: float
) -> "dict[str, NDArray[np.float64]]":
    from quantascope.theory.inverse import alpha_from_fitted_slope

    lo, hi = _SLOPE_RANGE
    found = alpha_from_fitted_slope(slopes, n_tasks=n_tasks, n_lo=lo, n_hi=hi)
    return {"slope": slopes, "alpha": found}


def _invert_loss(
    losses: "NDArray[np.float64]",
    n_tasks: float,
    *,
    ends: tuple[float, float],
    alpha: float | None,
    quanta: float | None,
) -> "dict[str, NDArray[np.float64]]":
    from quantascope.theory import inverse

    a, b = ends
    if alpha is not None:
        n = inverse.quanta_from_loss(losses, alpha, a=a, b=b, n_tasks=n_tasks)
        return {"loss": losses, "alpha": 0 * losses + alpha, "n": n}
    n = 0 * losses + float(quanta or 0)
    return {
        "loss": losses,
        "n": n,
        "alpha": inverse.alpha_from_loss(losses, n, a=a, b=b, n_tasks=n_tasks),
    }


def _unit_costs(
    n: "NDArray[np.float64]",
    alpha: "NDArray[np.float64]",
    n_tasks: float,
    *,
    amounts: tuple[float | None, float | None, float | None],
) -> "dict[str, NDArray[np.float64]]":
    """Give C, tau and T for the resources that are known."""
    from quantascope.theory import inverse

    N, D, S = amounts  # noqa: N806  (symbols of the theory)
    found = {}
    if N is not None:
        found["C"] = inverse.capacity_from_quanta(N, n)
    if D is not None:
        found["tau"] = inverse.threshold_from_quanta(D, n, alpha, n_tasks=n_tasks)
    if S is not None:
        found["T"] = inverse.first_step_from_quanta(S, n, alpha)
    return found


def _amounts(
    model: "QuantaModel",
    by: str,
    *,
    at: str | None,
    ends: tuple[float | None, float | None],
    points: int,
) -> "NDArray[np.float64]":
    """List the amounts asked for; by default those that buy from 1 to many quanta."""
    import numpy as np

    from quantascope.theory.resources import required_resource

    first, last = ends
    if at is not None:
        if first is not None or last is not None:
            raise ValueError("--at: given with --from or --to; allowed: one way to name amounts")
        return _numbers("--at", at)
    if not 2 <= points <= _MAX_VALUES:
        raise ValueError(f"--points: {points} found; allowed: 2 to {_MAX_VALUES}")
    most = max(min(model.n_tasks / 2, _MOST_BY_DEFAULT), 1.0)
    usual = required_resource(model, by, [1.0, most])  # type: ignore[arg-type]
    first = float(usual[0]) if first is None else first
    last = float(usual[1]) if last is None else last
    if not (0 < first < last < math.inf):
        raise ValueError(f"--from, --to: {first:g}, {last:g} found; allowed: 0 < from < to")
    return np.geomspace(first, last, points)


def _prediction(
    model: "QuantaModel", by: str, amount: "NDArray[np.float64]", *, form: str
) -> dict[str, Any]:
    """Collect what is printed: quanta, loss, and the exact local exponent at each amount."""
    import numpy as np

    from quantascope.theory.finite import local_slope
    from quantascope.theory.resources import leading_law, learned_quanta, predict_loss

    n = learned_quanta(model, by, amount)  # type: ignore[arg-type]
    loss = predict_loss(model, by, amount, form=form)  # type: ignore[arg-type]
    exponent, prefactor = leading_law(model, by)  # type: ignore[arg-type]
    inside = (n > 0) & (n < model.n_tasks)
    local = np.full(n.shape, np.nan)
    local[inside] = local_slope(n[inside], model.alpha, n_tasks=model.n_tasks)
    local *= exponent / model.alpha  # of n in the amount
    return {
        "model": {
            "alpha": model.alpha,
            "n_tasks": model.n_tasks,
            "capacity": model.capacity,
            "threshold": model.threshold,
            "first_step": model.first_step,
            "a": model.a,
            "b": model.b,
        },
        "by": by,
        "form": form,
        "amount": amount.tolist(),
        "quanta": n.tolist(),
        "loss": loss.tolist(),
        "local_exponent": local.tolist(),
        "leading_law": {"exponent": exponent, "prefactor": prefactor},
    }


def _print_prediction(found: Mapping[str, Any]) -> None:
    columns = {
        found["by"]: found["amount"],
        "quanta": found["quanta"],
        "loss [nat]": found["loss"],
        "local exponent": found["local_exponent"],
    }
    _print_columns(columns)
    law, model = found["leading_law"], found["model"]
    power = f"{law['prefactor']:.6g} {found['by']}^-{law['exponent']:.6g}"
    floor = f"{model['a']:g} + " if model["a"] else ""
    if math.isinf(model["n_tasks"]):
        print(f"tends to L = {floor}{power}")
    else:
        print(f"no pure power law: {model['n_tasks']:g} quanta run out; without an end, {power}")


def _draw(model: "QuantaModel", found: Mapping[str, Any], path: Path) -> Path:
    import numpy as np

    from quantascope.cli.output import save_figure
    from quantascope.plots.theory import plot_prediction

    order = np.argsort(found["amount"])
    amount, loss = (np.array(found[name])[order] for name in ("amount", "loss"))
    if not ((amount > 0) & (loss > model.a)).any():
        raise ValueError("--plot: no amount above 0 with a loss above a; name smaller amounts")
    law = found["leading_law"]
    with np.errstate(all="ignore"):  # what is not finite is left out of the figure
        leading = law["prefactor"] * amount ** -law["exponent"]
    tasks = "infinitely many" if math.isinf(model.n_tasks) else f"{model.n_tasks:g}"
    label = f"{tasks} quanta, alpha {model.alpha:g}"
    return save_figure(
        path,
        lambda ax: plot_prediction(
            amount, loss - model.a, by=found["by"], leading=leading, label=label, ax=ax
        ),
    )


def _print_columns(columns: Mapping[str, Sequence[float]]) -> None:
    from quantascope.cli.output import aligned

    cells = [[_shown(value) for value in values] for values in columns.values()]
    rows = [list(columns), *(list(row) for row in zip(*cells, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[c.rjust(w) for c, w in zip(row, widths, strict=True)] for row in rows]
    print(aligned(padded))


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.6g}"


def _print_json(found: Mapping[str, Any]) -> None:
    from quantascope.cli.output import finite

    print(json.dumps(finite(found), indent=2, allow_nan=False))


def _numbers(option: str, text: str) -> "NDArray[np.float64]":
    """Read finite numbers parted by commas."""
    import numpy as np

    parts = [part.strip() for part in text.split(",")]
    if len(parts) > _MAX_VALUES:
        raise ValueError(f"{option}: {len(parts)} values; allowed: at most {_MAX_VALUES}")
    try:
        values = np.array([float(part) for part in parts])
    except ValueError:
        raise ValueError(f"{option}: {text[:40]!r}; allowed: numbers as 1e6,1e7") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{option}: {text[:40]!r}; allowed: finite numbers")
    return values


def _check_tasks(n_tasks: float, *, least: int = 1, where: str = "") -> None:
    if not (n_tasks >= least and (math.isinf(n_tasks) or n_tasks == int(n_tasks))):
        raise ValueError(
            f"--n-tasks: {n_tasks:g} found; allowed{where}: whole numbers from {least} on, and inf"
        )


def _one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{option}: {value[:40]!r}; allowed: {', '.join(allowed)}")


def _exactly_one(options: Mapping[str, object]) -> str:
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"{', '.join(options)}: {len(given)} of them given; allowed: exactly one")
    return given[0]
