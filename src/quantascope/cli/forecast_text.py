"""What the commands on forecasts print for people."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quantascope.reader.forecast import Foretold
    from quantascope.reader.outcomes import Outcome

__all__ = ["print_forecast", "print_ledger_line", "print_outcomes"]

_SHOWN: Final = 20


def print_forecast(found: "Foretold") -> None:
    """Print the mean loss, and the groups likeliest to be learned next."""
    import numpy as np

    from quantascope.cli.output import aligned

    main, shown = found.main, found.shown
    unit = "parameters" if shown.scale == "n_params" else "steps"
    levels = ", ".join(f"{x:,.0f}" for x in shown.x)
    print(f"{len(shown):,} groups (by {found.grouped.by}) at {levels} {unit}")
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in main.weights.items())
    print(f"method {main.method}{f': {weights}' if weights else ''}; losses in {main.unit.name}")
    known = shown.losses[:, -1] < main.threshold
    rows = [("at", "mean loss [nat]", "90 %", "learned of groups", "before", "")]
    for i, (target, mean) in enumerate(zip(main.targets, main.mean, strict=True)):
        ends = [float(mean.quantile(q)[0]) for q in (0.5, 0.05, 0.95)]
        rows.append(
            (
                f"{target:,.0f}",
                f"{ends[0]:.4f}",
                f"{ends[1]:.4f} to {ends[2]:.4f}",
                f"{main.learned()[:, i].sum():.1f}",
                str(int(known.sum())),
                "in hindsight: the run knows it" if found.hindsight[i] else "",
            )
        )
    print(aligned(rows))
    _print_next(found, np.flatnonzero(~known))
    for note in (*main.notes, *filter(None, [found.grouped.caution])):
        print(f"note: {note}")


def _print_next(found: "Foretold", unlearned: Any) -> None:
    import numpy as np

    from quantascope.cli.output import aligned

    main, shown = found.main, found.shown
    chance = main.learned()
    order = unlearned[np.argsort(-chance[unlearned, 0], kind="stable")][:_SHOWN]
    if not len(order):
        print("every group is learned already")
        return
    heads = [f"learned by {t:,.0f}" for t in main.targets]
    rows = [("next to be learned", "predictions", "loss now", "loss then", "90 %", *heads, "")]
    middle, low, high = (main.groups[0].rows(order).quantile(q) for q in (0.5, 0.05, 0.95))
    for place, i in enumerate(order):
        rows.append(
            (
                str(found.grouped.keys[i]),
                str(shown.n_preds[i]),
                f"{shown.losses[i, -1]:.3f}",
                f"{middle[place]:.3f}",
                f"{low[place]:.3f} to {high[place]:.3f}",
                *(f"{p:.2f}" for p in chance[i]),
                "",
            )
        )
    print(aligned(rows))
    if len(unlearned) > len(order):
        print(f"the {len(order)} likeliest of {len(unlearned):,} not yet learned; --json gives all")


def print_outcomes(outcomes: "Sequence[Outcome]", *, made: Mapping[str, float]) -> None:
    """Print how forecasts came out, a row a forecast, target and method."""
    from quantascope.cli.output import aligned

    if not outcomes:
        print("nothing that was foretold has come")
        return
    head: tuple[str, ...] = (
        "forecast",
        "made",
        "at",
        "method",
        "log score",
        "CRPS [nat]",
        "in 50 %",
        "in 90 %",
    )
    head += ("learned", "came", "right", "of", "mean loss in 90 %", "")
    rows: list[tuple[str, ...]] = [head]
    for each in outcomes:
        s = each.score
        rows.append(
            (
                each.forecast,
                _date(made[each.forecast]) if each.forecast in made else "backtest",
                f"{each.came:,.0f}",
                each.method + ("*" if each.is_main else ""),
                f"{s.log_score:.3f}",
                f"{s.crps_nats:.3f}",
                f"{s.within_50:.2f}",
                f"{s.within_90:.2f}",
                f"{s.learned_forecast:.1f}",
                str(s.learned_came),
                str(s.learned_right),
                str(s.n_groups),
                f"{s.mean_nats:.3f} in {s.mean_lo_nats:.3f} to {s.mean_hi_nats:.3f}"
                if s.mean_within
                else f"{s.mean_nats:.3f} not in {s.mean_lo_nats:.3f} to {s.mean_hi_nats:.3f}",
                "hindsight" if each.hindsight and each.forecast in made else "",
            )
        )
    print(aligned(rows))
    print("log score: mean log density of what came [ln 1/nat], more is better; * was asked for")


def print_ledger_line(entry: Mapping[str, Any], *, n: int) -> None:
    """Print the ledger's last hash, to be kept elsewhere."""
    print(f"ledger entry {n}, {_date(entry['time'])}, hash {entry['sha256']}")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
