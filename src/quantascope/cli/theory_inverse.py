"""Commands of the Quantization Model backwards: theory exponents, invert."""

import math
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quantascope.cli.theory_options import (
    OPTIONS,
    AsJson,
    High,
    Low,
    Tasks,
    check_tasks,
    exactly_one,
    numbers,
    print_columns,
    print_json,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["exponents", "invert"]

_SLOPE_RANGE: Final = (1, 30)  # learned quanta over which a finite set's slope is read


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

    check_tasks(n_tasks)
    given = {
        "--alpha": ("alpha_N", alpha),  # alpha_N is alpha
        "--alpha-N": ("alpha_N", alpha_n),
        "--alpha-D": ("alpha_D", alpha_d),
        "--alpha-S": ("alpha_S", alpha_s),
        "--zipf": ("zipf_exponent", zipf),
    }
    option = exactly_one({name: text for name, (_, text) in given.items()})
    kind, text = given[option]
    values = numbers(option, text or "")
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
        print_json({"n_tasks": n_tasks, **columns, "warnings": said})
        return
    print_columns(columns)
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

    option = exactly_one({"--loss": loss, "--slope": slope})
    known = "--quanta" if quanta is not None else "n, the learned quanta of this loss"
    with said_as(OPTIONS | {"n": known, "n_tasks - n": "--n-tasks less --quanta"}):
        if option == "--slope":
            check_tasks(n_tasks, least=_SLOPE_RANGE[1] + 1, where=" with --slope")
            columns = _invert_slope(numbers(option, slope or ""), n_tasks)
        else:
            check_tasks(n_tasks)
            exactly_one({"--alpha": alpha, "--quanta": quanta})
            losses = numbers(option, loss or "")
            columns = _invert_loss(losses, n_tasks, ends=(a, b), alpha=alpha, quanta=quanta)
            columns |= _unit_costs(
                columns["n"], columns["alpha"], n_tasks, amounts=(n_params, n_samples, n_steps)
            )
    plain = {name: values.tolist() for name, values in columns.items()}
    if as_json:
        print_json({"n_tasks": n_tasks, "a": a, "b": b, **plain})
        return
    print_columns(plain)


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
