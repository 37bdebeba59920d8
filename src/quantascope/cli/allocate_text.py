"""What `allocate` prints: budgets with intervals, smaller models, approaches side by side."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quantascope.laws.planning.consistency import Consistency

__all__ = ["plan_text"]

_NAMES: Final = ("n_params", "n_tokens", "tokens_per_param", "loss")
_STEP_NAMES: Final = ("n_params", "batch", "n_steps", "n_tokens", "loss")


def plan_text(found: dict[str, Any]) -> str:
    """Lay out plans, smaller models, approaches and warnings, as `allocate` gathered them."""
    lines = [f"{found['law']}: {found['formula']}"]
    if "step_plans" in found:
        lines.append(_table(found["step_plans"], _STEP_NAMES, found["confidence"]))
    else:
        lines.append(_table(found["plans"], _NAMES, found["confidence"]))
    if found.get("overtrained"):
        lines.append(_overtrained(found["overtrained"]))
    if "consistency" in found:
        lines.append(_consistency(found["consistency"]))
    said = list(found["warnings"])
    for name in ("isoflop", "envelope"):
        if name in found:
            said += [f"{name}: {warning}" for warning in found[name].warnings]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in said)])


def _table(plans: list[Any], names: tuple[str, ...], confidence: float) -> str:
    from quantascope.cli.output import aligned, percent

    rows: list[tuple[str, ...]] = [("FLOP", *names, f"({percent(confidence)} intervals below)")]
    for one in plans:
        rows.append((f"{one.flop:.4g}", *(f"{getattr(one, name):.4g}" for name in names), ""))
        if one.intervals:
            ends = [one.intervals[name] for name in names]
            rows.append(("", *(f"[{lo:.4g}, {hi:.4g}]" for lo, hi in ends), ""))
    return aligned(rows)


def _overtrained(rows: list[Any]) -> str:
    from quantascope.cli.output import aligned

    head = ("FLOP", "share", "n_params", "n_tokens", "loss", "excess", "x compute", "")
    table: list[tuple[str, ...]] = [head]
    for row in rows:
        numbers = (row.n_params, row.n_tokens, row.loss, row.loss_excess, row.flop_factor)
        cells = (f"{number:.4g}" for number in numbers)
        table.append((f"{row.flop:.4g}", f"{row.shrink:g}", *cells, ""))
        if row.intervals:
            ends = (row.intervals[name] for name in ("loss", "loss_excess", "flop_factor"))
            table.append(("", "", "", "", *(f"[{lo:.3g}, {hi:.3g}]" for lo, hi in ends), ""))
    note = "smaller models at the same budget; x compute: for the optimum's loss"
    return f"{note}\n{aligned(table)}"


def _consistency(found: "Consistency") -> str:
    from quantascope.cli.output import aligned
    from quantascope.laws.planning.consistency import KAPLAN_EXPONENT

    rows = [("approach", "a", "interval", "budgets [FLOP]", "")]
    for one in found.frontiers:
        lo, hi = one.interval
        spread = "-" if not one.identified else f"[{lo:.3f}, {hi:.3f}]"
        reach = f"{one.flop_range[0]:.2g} to {one.flop_range[1]:.2g}" if one.identified else "-"
        a = f"{one.exponent:.3f}" if one.identified else "-"
        rows.append((one.approach, a, spread, reach, one.reason))
    rows.append(
        ("Kaplan et al. 2020, published", f"{KAPLAN_EXPONENT}", "none", "", "arXiv:2001.08361")
    )
    sizes = [("approach", "FLOP", "N_opt", "interval", "")]
    for row in found.optima:
        lo, hi = row["n_params_interval"]
        ends = f"[{lo:.3g}, {hi:.3g}]"
        sizes.append((row["approach"], f"{row['flop']:.4g}", f"{row['n_params']:.3g}", ends, ""))
    return f"N_opt ~ C^a\n{aligned(rows)}\n{aligned(sizes)}\nverdict: {found.verdict}"
