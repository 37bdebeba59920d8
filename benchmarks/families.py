"""Claims: a million curves of 20 points are classified in 4 CPU-minutes and 2 GB; losses stream.

A plain baseline fits a line and a logistic to curves one by one with SciPy and compares them by an
F test; it runs on a few and its time is scaled. One thread, CPU seconds.

    python benchmarks/families.py [--curves 1000000]
"""

import argparse
import platform
import resource
import time
import warnings

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import f as fisher

from quantascope.core.rng import stream
from quantascope.families.classes import classify
from quantascope.families.distribution import LossDistribution
from quantascope.families.genicity import paper_rules
from quantascope.families.series import Series

N_BASELINE = 100
N_BLOCK = 1 << 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=int, default=1_000_000)
    n = parser.parse_args().curves
    print(f"{platform.processor() or platform.machine()}, NumPy {np.__version__}, CPU seconds")
    for name, series in (
        ("20 steps of one run", make_series(n, n_levels=20, n_runs=1, tracked=True)),
        ("7 sizes, 3 seeds", make_series(n, n_levels=7, n_runs=3)),
        ("7 steps of 3 runs", make_series(n, n_levels=7, n_runs=3, tracked=True)),
    ):
        cpu, wall = time.process_time(), time.perf_counter()
        counts = classify(series).counts
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        plain = baseline(series) * n / N_BASELINE
        print(f"{name}: {n:,} curves {cpu:.0f} s (wall {wall:.0f} s), peak {peak():.2f} GB")
        print(f"  SciPy one by one {plain:.0f} s (scaled from {N_BASELINE}): {plain / cpu:.0f}x")
        print(f"  {counts}", flush=True)
    losses = make_series(n, n_levels=7, n_runs=1).losses
    start = time.process_time()
    paper_rules(losses, np.geomspace(1e7, 1e10, 7))
    print(f"the paper's rules: {n:,} predictions {time.process_time() - start:.1f} s")
    stream_losses(n)


def make_series(n: int, *, n_levels: int, n_runs: int, tracked: bool = False) -> Series:
    """Draw curves: two in five flat, the others falling or stepping, all with noise."""
    rng = stream(0, "benchmark", n_levels, n_runs)
    place = np.arange(n_levels * n_runs)
    level = place % n_levels if tracked else place // n_runs
    kind = rng.integers(5, size=(n, 1))
    losses = 0.3 * rng.standard_normal((n, len(place)), dtype=np.float32) + 6
    middle = rng.integers(1, n_levels, size=(n, 1))
    losses -= np.where(kind == 2, 4, 0).astype(np.float32) * (level >= middle)
    losses -= np.where(kind > 2, 4 / n_levels, 0).astype(np.float32) * level
    return Series(
        scale="step" if tracked else "n_params",
        x=np.geomspace(1e2, 1e5, n_levels),
        losses=losses,
        level=level,
        run=place // n_levels if tracked else place,
    )


def baseline(series: Series) -> float:
    """Time a loop over curves."""
    t = np.log(series.x)[series.level]
    t = (t - t.min()) / np.ptp(t)
    start = time.process_time()
    warnings.simplefilter("ignore", OptimizeWarning)
    for curve in series.losses[:N_BASELINE].astype(np.float64):
        line = ((curve - np.polyval(np.polyfit(t, curve, 1), t)) ** 2).sum()
        try:
            best, _ = curve_fit(logistic, t, curve, p0=(curve[0], curve[-1], 0.5, 0.1), maxfev=400)
        except RuntimeError:
            continue
        bent = ((curve - logistic(t, *best)) ** 2).sum()
        fisher.sf((line - bent) / 2 / (bent / (len(t) - 4)), 2, len(t) - 4)
    return time.process_time() - start


def logistic(t: np.ndarray, top: float, end: float, middle: float, width: float) -> np.ndarray:
    z = np.clip((t - middle) / max(abs(width), 1e-3), -50, 50)
    return end + (top - end) / (1 + np.exp(z))


def stream_losses(n: int) -> None:
    """Count losses under 140 checkpoints, block by block; the rate is what counts."""
    block = stream(0, "stream").exponential(2.0, (N_BLOCK, 140)).astype(np.float32)
    found = LossDistribution(140)
    start, done = time.process_time(), 0
    while done < n / 10:
        found.add(block)
        done += len(block)
    spent = time.process_time() - start
    print(
        f"distribution under 140 checkpoints: {done:,} predictions {spent:.0f} s, ten million "
        f"{spent * 1e7 / done:.0f} s, peak {peak():.2f} GB"
    )


def peak() -> float:
    """Give the most memory the process has held [GB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
