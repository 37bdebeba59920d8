"""Claims: forecasts for 10,000 clusters by all methods take 2 CPU-minutes; intervals are honest.

    python benchmarks/forecast.py                     # time, beside SciPy fits curve by curve
    python benchmarks/forecast.py --families 200 --out FILE.jsonl   # scores on synthetic families
    python benchmarks/forecast.py --planted DIR --out FILE.jsonl    # on runs on planted text

DIR holds a folder a run, each with `skills.parquet`: a row a skill and step, with the columns
skill, step, frequency (NaN for noise), n (answers) and loss. Steps up to a half and up to a quarter
of the last are shown.

Synthetic families (`quantascope.theory.families`): 50 to 500 groups, six or seven sizes of which
the last two are held out, one or three seeds, several alphas and noise levels, chance effects of
runs on all thresholds; learned at once, smoothly, or polygenic. Rows are appended as they come and
what stands in FILE is not computed again.
"""

import argparse
import json
import platform
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit

from quantascope.core.rng import stream
from quantascope.families.forecast.forecast import METHODS, forecasts
from quantascope.families.forecast.scores import Score, average, paired, score
from quantascope.families.forecast.seen import Seen, see
from quantascope.families.series import Series
from quantascope.theory.families import FamilyConfig, sample_family

N_BASELINE = 100
FIRST_SEED = 1000
HELD_OUT = 2
KINDS = ("threshold", "smooth", "polygenic")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=10_000)
    parser.add_argument("--families", type=int, default=0)
    parser.add_argument("--planted", type=Path)
    parser.add_argument("--out", type=Path, default=Path("forecast_families.jsonl"))
    arguments = parser.parse_args()
    if arguments.planted:
        run_planted(arguments.planted, arguments.out)
    elif arguments.families:
        run_families(arguments.families, arguments.out)
    else:
        print(f"{platform.processor() or platform.machine()}, NumPy {np.__version__}, CPU seconds")
        time_methods(arguments.groups)


def make_family(seed: int) -> tuple[str, Seen]:
    """Draw a family: what it is like, and its groups at all sizes."""
    rng = stream(seed, "forecast families")
    kind = KINDS[int(rng.integers(len(KINDS)))]
    n_quanta = int(np.exp(rng.uniform(np.log(50), np.log(500))))
    n_levels, capacity = int(rng.integers(6, 8)), 1e4
    reach = capacity * n_quanta * rng.uniform(0.3, 1.0)
    config = FamilyConfig(
        alpha=float(rng.uniform(0.2, 0.8)),
        n_quanta=n_quanta,
        n_params=tuple(np.geomspace(reach / rng.uniform(15, 60), reach, n_levels)),
        seeds=(0,) if rng.random() < 0.5 else (0, 1, 2),
        capacity=capacity,
        learning="threshold" if kind == "threshold" else "smooth",
        width=float(rng.uniform(0.3, 0.8)),
        run_shift=float(rng.uniform(0.0, 0.2)),
        quantum_shift=float(rng.uniform(0.0, 0.4)),
        noise=float(rng.uniform(0.1, 0.5)),
        a=2.0,
        gain=float(rng.uniform(1.5, 4.0)),
        gain_spread=float(rng.uniform(0.0, 0.4)),
        n_samples=60 * n_quanta,
        quanta_per_sample=int(rng.integers(3, 7)) if kind == "polygenic" else 1,
    )
    return kind, groups_of(config, seed)


def groups_of(config: FamilyConfig, seed: int) -> Seen:
    """Group samples by their first quantum."""
    family = sample_family(config, seed=seed)
    _, group = np.unique(family.quanta[:, 0], return_inverse=True)
    x, level = np.unique(family.models["n_params"], return_inverse=True)
    series = Series(
        scale="n_params",
        x=x,
        losses=np.maximum(family.losses, 0.0),
        level=level,
        run=np.arange(len(level)),
    )
    n = np.bincount(group)
    return see(series.averaged(group), frequency=n / n.sum(), n_preds=n)


def score_family(whole: Seen) -> list[dict[str, object]]:
    """Hide the last sizes, forecast them by every method, and score."""
    n_shown = len(whole.x) - HELD_OUT
    return score_levels(whole, n_shown, [n_shown, n_shown + 1])


def score_levels(whole: Seen, n_shown: int, levels: list[int]) -> list[dict[str, object]]:
    shown, rows = whole.upto(n_shown), []
    for method, found in forecasts(shown, whole.x[levels]).items():
        for i, level in enumerate(levels):
            came: Score = score(
                found.groups[i],
                whole.losses[:, level],
                threshold=found.threshold,
                mean=found.mean[i],
                share=whole.share,
            )
            rows.append({"method": method, "ahead": i + 1} | came.as_dict())
    return rows


def run_families(n: int, out: Path) -> None:
    """Score families that `out` has not, append them, and print means."""
    lines = out.read_text().splitlines() if out.exists() else []
    done = {json.loads(line)["family"] for line in lines}
    for seed in range(FIRST_SEED, FIRST_SEED + n):
        if seed not in done:
            kind, whole = make_family(seed)
            facts = {"family": seed, "kind": kind, "n_runs": whole.n_runs, "levels": len(whole.x)}
            with out.open("a") as file:
                file.writelines(json.dumps(facts | row) + "\n" for row in score_family(whole))
    print_families([json.loads(line) for line in out.read_text().splitlines()])


def run_planted(folder: Path, out: Path) -> None:
    """Score the skills of runs on planted text over steps, append, and print means."""
    lines = out.read_text().splitlines() if out.exists() else []
    done = {json.loads(line)["family"] for line in lines}
    for path in sorted(folder.glob("*/skills.parquet")):
        if path.parent.name in done:
            continue
        whole = planted_skills(path)
        last = len(whole.x) - 1
        for share, kind in ((2, "half"), (4, "quarter")):
            n_shown = int((whole.x <= whole.x[-1] / share * 1.001).sum())
            rows = score_levels(whole, n_shown, [(n_shown + last) // 2, last])
            facts = {"family": path.parent.name, "kind": kind, "n_runs": 1, "levels": n_shown}
            with out.open("a") as file:
                file.writelines(json.dumps(facts | row) + "\n" for row in rows)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    print_families(rows, kinds=("half", "quarter"))


def planted_skills(path: Path) -> Seen:
    """Read the skills of one run; steps before the eighth, and skills seldom tested, left out."""
    table = pd.read_parquet(path)
    table = table[table["frequency"].notna() & (table["n"] >= 3) & (table["step"] >= 8)]
    losses = table.pivot(index="skill", columns="step", values="loss")
    facts = table.groupby("skill")[["frequency", "n"]].first().loc[losses.index]
    level = np.arange(losses.shape[1])
    series = Series(
        scale="step",
        x=losses.columns.to_numpy(dtype=np.float64),
        losses=losses.to_numpy(),
        level=level,
        run=np.zeros_like(level),
    )
    return see(series, frequency=facts["frequency"].to_numpy(), n_preds=facts["n"].to_numpy())


def print_families(rows: list[dict], kinds: tuple[str, ...] = KINDS) -> None:
    """Print coverage and log scores by kind, and differences from the default by family."""
    for kind in (*kinds, "all"):
        mine = [row for row in rows if kind in ("all", row["kind"])]
        families = sorted({row["family"] for row in mine})
        print(f"\n{kind}: {len(families)} families")
        scores = {}
        for method in METHODS:
            table = [_by_family(mine, method, name, families) for name in COLUMNS]
            scores[method] = table[0]
            cells = [average(values[np.isfinite(values)]) for values in table]
            shown = "  ".join(f"{c.mean:7.3f} [{c.lo:6.3f},{c.hi:6.3f}]" for c in cells)
            print(f"{method:13} {shown}")
        for other, gap in paired(scores, METHODS[0]).items():
            print(f"  {METHODS[0]} less {other:13} {gap.mean:7.3f} [{gap.lo:.3f}, {gap.hi:.3f}]")


COLUMNS = ("log_score", "within_90", "within_50", "brier", "crps_nats", "mean_within")


def _by_family(rows: list[dict], method: str, column: str, families: list[int]) -> np.ndarray:
    found: dict[int, list[float]] = {family: [] for family in families}
    for row in rows:
        if row["method"] == method:
            found[row["family"]].append(float(row[column]))
    return np.array([np.mean(v) if v else np.nan for v in found.values()])


def time_methods(n: int) -> None:
    """Time all methods on five seen levels of three seeds, beside fits one by one."""
    config = FamilyConfig(
        alpha=0.1, n_quanta=n, n_params=tuple(np.geomspace(2e4, 4e3 * n, 7)), seeds=(0, 1, 2),
        run_shift=0.15, quantum_shift=0.3, noise=0.25, a=2.0, gain=2.5, gain_spread=0.3,
        n_samples=100 * n,
    )  # fmt: skip
    whole = groups_of(config, 0)
    shown = whole.upto(5)
    cpu, wall = time.process_time(), time.perf_counter()
    found = forecasts(shown, whole.x[5:])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{len(whole):,} groups, 5 levels of 3 seeds, {len(found)} methods, two targets: ")
    print(f"  {cpu:.0f} s (wall {wall:.0f} s), peak {peak:.2f} GB")
    plain = baseline(shown) * len(whole) / N_BASELINE
    print(f"  SciPy one by one {plain:.0f} s (scaled from {N_BASELINE}): {plain / cpu:.1f}x")


def baseline(seen: Seen) -> float:
    """Time a loop that fits a power law with floor and a logistic in ln x to every curve."""
    t = seen.t - seen.t[0]
    start = time.process_time()
    warnings.simplefilter("ignore", OptimizeWarning)
    for y in seen.losses[:N_BASELINE]:
        guess = (y[-1], y[0] - y[-1], 0.5)
        for curve, start_at in ((power, guess), (logistic, (*guess[:2], t.mean(), 0.5))):
            try:
                curve_fit(curve, t, y, p0=start_at, maxfev=2000)
            except RuntimeError:
                continue
    return time.process_time() - start


def power(t: np.ndarray, floor: float, fall: float, exponent: float) -> np.ndarray:
    return floor + fall * np.exp(-exponent * t)


def logistic(t: np.ndarray, floor: float, fall: float, middle: float, width: float) -> np.ndarray:
    return floor + fall / (1 + np.exp(np.clip((t - middle) / width, -50, 50)))


if __name__ == "__main__":
    main()
