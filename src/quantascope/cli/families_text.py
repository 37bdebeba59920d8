"""What the commands on curves of a family print for people."""

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quantascope.reader.families import Emerged
    from quantascope.reader.genicity import GenicityReport
    from quantascope.reader.run import Run

__all__ = ["print_emergence", "print_examples", "print_genicity", "print_models"]

_SHOWN: Final = 20
_UNITS: Final = {"n_params": "parameters", "step": "steps", "n_unique": "distinct tokens"}
_WIDEST: Final = 32  # characters of a name


def print_models(found: dict[str, Any]) -> None:
    """Print a row a checkpoint."""
    from quantascope.cli.output import aligned

    print(
        f"{found['n_predictions']:,} predictions; curves of {found['n_curves']:,}, "
        f"{found['n_sampled']:,} of them a random sample"
    )
    rows = [("model", "size", "step", "seed", "loss [nat]", "solved", "context gain [nat]")]
    for row in found["models"]:
        gain = row["context_gain_nats"]
        rows.append(
            (
                row["name"],
                f"{row['n_params']:,}",
                "-" if row["step"] is None else f"{row['step']:.0f}",
                "-" if row["seed"] is None else f"{row['seed']:.0f}",
                f"{row['mean_loss_nats']:.4f}",
                f"{row['share_solved']:.4f}",
                "-" if gain is None else f"{gain:.3f}",
            )
        )
    print(aligned(rows))
    print("solved: share of losses below 0.018 bit; context gain: position 50 against 500")


def print_genicity(found: "GenicityReport") -> None:
    """Print what the rules pick by seed, how far seeds agree, and the classes of the picks."""
    from quantascope.cli.output import aligned

    facts = found.as_dict()
    levels = ", ".join(f"{x:,.0f}" for x in facts["levels"])
    what = "sizes" if facts["over"] == "n_params" else "steps"
    print(f"{facts['n_preds']:,} predictions at {what} {levels}; runs at each: {facts['runs']}")
    rows: list[tuple[str, ...]] = [("rule of the paper", "seed", "picked", "")]
    for seed, picked in facts["rules"].items():
        rows += [(rule, str(seed), f"{n:,}", "") for rule, n in picked.items()]
    if facts["rules"]:
        print(aligned(rows))
    for rule, table in facts["agreement"].items():
        others = [v for i, row in enumerate(table) for j, v in enumerate(row) if i != j]
        others = [v for v in others if not math.isnan(v)]
        if others:
            share = sum(others) / len(others)
            print(f"what one seed calls {rule} another does too in {share:.3f} of cases")
    if facts["classes"] is None:
        print(f"not tested against seeds: {facts['method']}")
        return
    print(f"tested at level {facts['level']:g}; {facts['method']}\nflat: no change is shown")
    rows = [("class", "predictions", *(f"of {rule}" for rule in facts["by_class"]), "")]
    for name, n in facts["classes"].items():
        shares = [
            next((f"{row['share']:.3f}" for row in table if row["class"] == name), "-")
            for table in facts["by_class"].values()
        ]
        rows.append((name, f"{n:,}", *shares, ""))
    print(aligned(rows))


def print_examples(found: "GenicityReport", run: "Run") -> None:
    """Print how many predictions have each rare shape, and the surest of them with their text."""
    if found.shapes is None:
        return
    print("rare shapes, each a claim of its own (a double descent is a U and a bump as well):")
    for shape, n in found.shapes.counts.items():
        print(f"{shape}: {n:,}")
        for pred in found.examples(shape).tolist():
            print(f"  {run.pred(pred)!r}")


def print_emergence(found: "Emerged") -> None:
    """Print when the first curves that change were learned, in which order, in which metric."""
    import numpy as np

    from quantascope.cli.output import aligned

    each, unit = found.found, _UNITS[found.series.scale]
    changed = np.flatnonzero(found.changed)
    print(
        f"{len(found.keys):,} curves over {len(found.series.x)} levels [{unit}]; {len(changed):,} "
        f"change (share of false ones among them {1 - each.level:.3g} or less)\n{each.method}"
    )
    _print_order(found)
    _print_metrics(found)
    if not len(changed):
        return
    order = changed[np.argsort(np.nan_to_num(each.at[changed], nan=np.inf), kind="stable")][:_SHOWN]
    share = f"{100 * each.level:.10g} %"
    head = ("curve", "predictions", "learned at", share, "drop [nat]", "width [ln]", "p change", "")
    rows = [head]
    for i in order:
        rows.append(
            (
                str(found.keys[i])[:_WIDEST],
                str(found.n_preds[i]),
                f"{each.at[i]:.3g}",
                f"{each.lo[i]:.3g} to {each.hi[i]:.3g}",
                f"{each.drop[i]:.3f}",
                f"{each.width[i]:.2f}",
                f"{each.p_change[i]:.2g}",
                "" if each.monotone[i] else "turns",
            )
        )
    print(aligned(rows))
    if len(changed) > _SHOWN:
        print(f"the first {_SHOWN} of {len(changed):,} that change; --out or --json gives all")


def _print_order(found: "Emerged") -> None:
    order = found.order
    if order is None or order.n < 3:
        return
    print(
        f"share of {found.frequency_of}: {order.n_learned:,} of {order.n:,} learned; frequency "
        f"against order, rank correlation {order.correlation:.2f} [{order.lo:.2f}, {order.hi:.2f}]"
    )
    slope, theory = order.slope, "-1/(1 + alpha)" if found.series.scale == "n_params" else "-1"
    known = f"[{slope.lo:.2f}, {slope.hi:.2f}]" if slope.identified else f"({slope.reason})"
    print(
        f"slope of ln(learned at) in ln(frequency), those not learned censored: "
        f"{slope.exponent:.2f} {known}; theory {theory}"
    )


def _print_metrics(found: "Emerged") -> None:
    """Print how wide the drop is in each metric, and how many curves are sharp by it alone."""
    import numpy as np

    from quantascope.cli.output import aligned

    if found.metrics is None or not found.changed.any():
        return
    table = found.metrics.to_pandas()
    rows = [("metric", "median width [ln]", "median learned at", "narrower than the loss", "")]
    for name, curves in table.groupby("metric", sort=False):
        mine = curves[found.changed]
        narrower = 0 if name == "loss" else int(found.sharp_by_metric(str(name)).sum())
        width, at = (np.nanmedian(mine[column]) for column in ("width", "at"))
        rows.append((str(name), f"{width:.2f}", f"{at:.3g}", f"{narrower:,}", ""))
    print(aligned(rows))
    print("narrower by a gap between levels or more: sharp by the metric, not by the loss")
