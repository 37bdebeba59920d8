"""What `probe` prints for people."""

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quantascope.reader.probes import ProbeReport

__all__ = ["print_probes"]

_LEVELS: Final = 7
_UNITS: Final = {"n_params": "parameters", "step": "steps"}
_WORDS: Final = {"exact": "exact match", "choice": "choice", "brier": "Brier score", "loss": "loss"}


def print_probes(found: "ProbeReport") -> None:
    """Print a table a score, then when each skill was learned, then what only a metric shows."""
    facts = found.as_dict()
    runs = sorted(set(found.series.n_runs.tolist()))
    print(
        f"{facts['n_items']:,} items of {facts['n_skills']} skills under {facts['n_models']} "
        f"checkpoints; runs a level: {', '.join(map(str, runs))}"
        + ("" if facts["size"] is None else f"; steps of size {facts['size']:,.0f}")
    )
    for name, count in (("n_cut", "lost the beginning of their context"),
                        ("n_off_boundary", "do not begin at a token's boundary")):  # fmt: skip
        if facts[name]:
            print(f"{facts[name]:,} items {count}")
    _print_scores(found, facts, "token_loss", title="loss [nat per token of the answer]")
    if "choice" in found.means:
        _print_scores(found, facts, "choice", title="share of choices that are right")
        print("*: above chance, -: below it; unmarked: at chance level")
    _print_scores(found, facts, "exact", title="share of answers that a greedy model writes")
    print(f"intervals at {100 * facts['level']:g} %: {found.means['token_loss'].method}")
    _print_learned(found, facts)


def _print_scores(found: "ProbeReport", facts: dict[str, Any], score: str, *, title: str) -> None:
    from quantascope.cli.output import aligned

    x = found.series.x
    shown = _some(len(x))
    choice = score == "choice"
    marks = found.means[score].against(found.chance if choice else found.chance * math.nan)
    head = [title, "items", *(["chance"] if choice else []), *(f"{x[k]:,.0f}" for k in shown)]
    rows = [(*head, "")]
    for i, row in enumerate(facts["skills"]):
        if choice and not row["n_choices"]:
            continue
        cells = [row["skill"], str(row["n_choices"] if choice else row["n_items"])]
        cells += [f"{row['chance']:.2f}"] if choice else []
        for k in shown:
            value = row["levels"][k][score]
            mark = {"above": "*", "below": "-"}.get(str(marks[i, k]), "")
            cells.append(f"{value['mean']:.2f}{mark} [{value['lo']:.2f}, {value['hi']:.2f}]")
        rows.append((*cells, ""))
    print()
    print(aligned(rows))
    if len(shown) < len(x):
        print(f"{len(shown)} of {len(x)} levels [{_UNITS[facts['over']]}]; --json gives all")


def _print_learned(found: "ProbeReport", facts: dict[str, Any]) -> None:
    from quantascope.cli.output import aligned

    print()
    if found.untested:
        print(f"when they were learned cannot be said: {found.untested}")
        return
    unit = _UNITS[facts["over"]]
    head = ("learned, by the loss", f"at [{unit}]", "interval", "drop [nat]", "p change", "course")
    rows = [(*head, "in other scores")]
    for row in facts["skills"]:
        each = row["learned"]
        if not each["changed"]:
            rows.append((row["skill"], "-", "-", f"{each['drop']:.2f}", f"{each['p_change']:.2g}",
                         "no change shown", ""))  # fmt: skip
            continue
        course = "" if each["monotone"] else ", turns"
        course = ("falls" if each["drop"] > 0 else "rises") + course
        others = [
            f"{_WORDS[m['metric']]}: {m['verdict']}"
            for m in row["metrics"]
            if m["metric"] in ("exact", "choice", "brier")
            and m["verdict"] not in ("as the loss", "no change")
        ]
        at = f"{each['at']:.3g}" if each["at"] and math.isfinite(each["at"]) else "-"
        ends = f"{each['lo']:.3g} to {each['hi']:.3g}"
        rows.append((row["skill"], at, ends, f"{each['drop']:.2f}", f"{each['p_change']:.2g}",
                     course, "; ".join(others)))  # fmt: skip
    print(aligned(rows))
    print(f"changes: share of false ones {1 - facts['level']:.3g} or less; "
          f"{found.found['token_loss'].method}")  # fmt: skip


def _some(n: int) -> list[int]:
    """Choose the levels shown: all, or first, last and some between, evenly."""
    if n <= _LEVELS:
        return list(range(n))
    return sorted({round(i * (n - 1) / (_LEVELS - 1)) for i in range(_LEVELS)})
