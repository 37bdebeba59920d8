"""What `decompose` prints for people."""

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from quantascope.families.breakdown import Breakdown
    from quantascope.families.exponents import Measured, Predicted

__all__ = ["print_breakdown"]

_SHOWN: Final = 15
_WIDEST: Final = 32  # characters of a name


def print_breakdown(found: "Breakdown") -> None:
    """Print the parts of the drop, their concentration, and the exponents."""
    split, series = found.found, found.found.parts.series
    unit = {"n_params": "parameters", "step": "steps", "n_unique": "distinct tokens or samples"}
    ends = (series.x[split.first], series.x[split.last])
    print(
        f"mean loss from {ends[0]:,.6g} to {ends[1]:,.6g} {unit[series.scale]}: it "
        + (f"falls by {split.total:.4f} nat" if split.total > 0 else "does not fall: no shares")
        + f"; {split.parts.n_groups:,} groups"
    )
    covered = split.covered
    print(
        f"groups hold {covered['predictions']:.2%} of the predictions, "
        f"{_percent(covered['loss_first'])} of the mean loss at first, "
        f"{_percent(covered['loss_last'])} at last, {_percent(covered['drop'])} of the drop"
    )
    for note in found.notes:
        print(note)
    _print_parts(found)
    _print_concentration(found)
    _print_exponents(found)


def _print_parts(found: "Breakdown") -> None:
    import numpy as np

    from quantascope.cli.output import aligned

    split, parts = found.found, found.found.parts
    n, means = parts.n_groups, parts.level_means()
    order = np.argsort(-split.drop[:n], kind="stable")[:_SHOWN].tolist()
    names = [*found.names.tolist(), "in no group"]
    rows: list[tuple[str, ...]] = [
        (
            "part",
            "share",
            "loss at first",
            "at last [nat]",
            "of the drop",
            "+- seeds",
            "+- preds",
            "",
        )
    ]
    for i in order + [n] * parts.has_rest:
        errors = (split.seed_error[i], split.pred_error[i])
        rows.append(
            (
                str(names[i])[:_WIDEST],
                f"{parts.share[i]:.3%}",
                f"{means[i, split.first]:.3f}",
                f"{means[i, split.last]:.3f}",
                *(_percent(value, 3) for value in (split.share_of_drop[i], *errors)),
                "",
            )
        )
    print(aligned(rows))
    if n > _SHOWN:
        print(f"the {_SHOWN} that carry most of {n:,}; --out or --json gives all")


def _print_concentration(found: "Breakdown") -> None:
    from quantascope.cli.output import aligned
    from quantascope.families.concentration import TOP

    spread = found.spread
    rows = [
        ("largest groups", "number", "of the groups' drop", "chosen on half", "their share", "")
    ]
    for i, top in enumerate(TOP):
        rows.append(
            (
                f"{top:.0%}",
                str(spread.n_top[i]),
                _percent(spread.share[i], 1),
                _percent(spread.share_crossed[i], 1),
                f"{spread.preds[i]:.1%}",
                "",
            )
        )
    print(aligned(rows))
    halved = {
        "runs": "chosen on half of the runs and measured on the others",
        "predictions": "chosen on half of the predictions and measured on the others, same runs",
        "nothing": "they cannot be chosen on one half and measured on the other",
    }
    risen = _percent(spread.risen, 1)
    print(f"Gini {spread.gini:.2f}; groups that rise add {risen}; {halved[spread.halves]}")


def _print_exponents(found: "Breakdown") -> None:
    from quantascope.cli.output import aligned

    measured, predicted = found.measured, found.predicted
    rows: list[tuple[str, ...]] = [(measured.name, "value", "95 %", "")]
    rows.append(("measured, no floor", *_interval(measured.exponent, measured.lo, measured.hi), ""))
    floor = measured.with_floor
    rows.append(("measured, with floor", *_interval(floor.exponent, floor.lo, floor.hi), ""))
    if predicted is not None:
        rows.append(_predicted_row("predicted, endless", predicted, finite=False, found=found))
        rows.append(_predicted_row("predicted, finite", predicted, finite=True, found=found))
    print(aligned(rows))
    for line in _remarks(measured, predicted):
        print(line)


def _predicted_row(
    name: str, predicted: "Predicted", *, finite: bool, found: "Breakdown"
) -> tuple[str, str, str, str]:
    ends = (
        (predicted.finite, predicted.finite_lo, predicted.finite_hi)
        if finite
        else (predicted.exponent, predicted.lo, predicted.hi)
    )
    return (name, *_interval(*ends), found.verdicts["finite" if finite else "endless"])


def _remarks(measured: "Measured", predicted: "Predicted | None") -> list[str]:
    """Say how the exponents were made, and why one is missing."""
    lines = [f"{measured.n_levels} levels; {measured.method}"]
    if measured.reason:
        lines.append(measured.reason)
    floor = measured.with_floor
    lines.append(
        f"no floor is identified ({floor.reason})"
        if floor.reason
        else f"floor {floor.floor:.3f} nat"
    )
    if predicted is None:
        return [*lines, "nothing is known of the frequencies of use: no exponent is predicted"]
    calibrated = "" if predicted.calibrated else "; NOT CALIBRATED, so it is not judged"
    lines.append(f"use frequencies: {predicted.source}{calibrated}")
    if predicted.reason:
        lines.append(predicted.reason)
    if math.isfinite(predicted.scatter):
        lines.append(
            f"finite: one quantum takes {predicted.constant:.4g} (fitted); the curve lies "
            f"{predicted.scatter:.3f} off it in ln(loss), root mean square"
        )
    elif math.isfinite(predicted.exponent):
        lines.append("finite: not predicted, as the loss with nothing learned is not known")
    return lines


def _interval(value: float, lo: float, hi: float) -> tuple[str, str]:
    if math.isnan(value):
        return "-", "-"
    return f"{value:.3f}", f"[{lo:.3f}, {hi:.3f}]"


def _percent(share: float, digits: int = 2) -> str:
    return "-" if math.isnan(share) else f"{share:.{digits}%}"
