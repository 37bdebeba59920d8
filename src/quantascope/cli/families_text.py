"""What the commands on curves of a family print for people."""

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quantascope.reader.families import Emerged, GenicityReport

__all__ = ["print_emergence", "print_genicity", "print_models"]

_SHOWN: Final = 20
_UNITS: Final = {"n_params": "parameters", "step": "steps", "n_unique": "distinct tokens"}


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
    sizes = ", ".join(f"{x:,.0f}" for x in facts["n_params"])
    print(f"{facts['n_preds']:,} predictions at sizes {sizes}; runs a size: {facts['runs']}")
    rows: list[tuple[str, ...]] = [("rule of the paper", "seed", "picked", "")]
    for seed, picked in facts["rules"].items():
        rows += [(rule, str(seed), f"{n:,}", "") for rule, n in picked.items()]
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


def print_emergence(found: "Emerged") -> None:
    """Print when the first curves that change were learned."""
    import numpy as np

    from quantascope.cli.output import aligned

    each, unit = found.found, _UNITS[found.series.scale]
    changed = np.flatnonzero(found.changed)
    print(
        f"{len(found.keys):,} curves over {len(found.series.x)} levels [{unit}]; {len(changed):,} "
        f"change (share of false ones among them {1 - each.level:.3g} or less)\n{each.method}"
    )
    if not len(changed):
        return
    order = changed[np.argsort(np.nan_to_num(each.at[changed], nan=np.inf), kind="stable")][:_SHOWN]
    share = f"{100 * each.level:.10g} %"
    head = ("curve", "predictions", "learned at", share, "drop [nat]", "width [ln]", "p change", "")
    rows = [head]
    for i in order:
        rows.append(
            (
                str(found.keys[i]),
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
