"""Commands of the Quantization Model: theory predict, exponents, invert."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from quantascope.cli.theory_inverse import exponents, invert
from quantascope.cli.theory_options import (
    MAX_VALUES,
    OPTIONS,
    AsJson,
    High,
    Low,
    Tasks,
    check_tasks,
    numbers,
    one_of,
    print_columns,
    print_json,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quantascope.theory.resources import QuantaModel

__all__ = ["register"]

_RESOURCES: Final = ("N", "D", "S")
_FORMS: Final = ("exact", "integral", "midpoint")
_MOST_BY_DEFAULT: Final = 10_000.0  # quanta at the end of the default range


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
    one_of("--by", by, _RESOURCES)
    one_of("--form", form, _FORMS)
    by_default = at is None and (first is None or last is None)
    check_tasks(n_tasks, least=3 if by_default else 1, where=" without --at" if by_default else "")
    with said_as(OPTIONS | {by: f"--at ({by})", "n (integral form)": "--at (quanta)"}):
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
        print_json(found)
        return
    _print_prediction(found)
    if plot:
        print(plot)


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
        return numbers("--at", at)
    if not 2 <= points <= MAX_VALUES:
        raise ValueError(f"--points: {points} found; allowed: 2 to {MAX_VALUES}")
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
    print_columns(columns)
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
