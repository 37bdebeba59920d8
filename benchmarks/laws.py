"""The fitter against plain SciPy loops on the 240 Chinchilla points, and broken laws.

Claims: 4,000 bootstrap replicates at least 10 times as fast as a SciPy BFGS loop with analytic
gradient; a point fit at least 50 times as fast as a grid of 4,500 L-BFGS-B starts; a broken law
with one break in at most 0.5 CPU-s a curve. Both sides run in this process, one thread.

    python benchmarks/laws.py
"""

import platform
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from scipy import optimize

from quantascope.core.rng import stream
from quantascope.laws import find_law, fit
from quantascope.laws.fitting.data import read_points
from quantascope.laws.fitting.frame import choose_frame
from quantascope.laws.fitting.objective import Objective
from quantascope.laws.fitting.resample import replicate
from quantascope.laws.fitting.search import search

TABLE = Path(__file__).parents[1] / "examples" / "data" / "chinchilla_points.csv"
N_REPLICATES = 4000
N_SCIPY = 400  # the loop is timed on these, its time is scaled to all
N_STARTS = 4500  # the grid of arXiv:2203.15556, appendix D.2
N_TIMED_STARTS = 90


def main() -> None:
    table = np.genfromtxt(TABLE, delimiter=",", names=True)
    kept = table[table["outlier_top5"] == 0]
    data = {"N": kept["params_N"], "D": kept["tokens_D"], "loss": kept["loss"]}
    print(f"{platform.processor() or platform.machine()}, NumPy {np.__version__}, CPU seconds")
    baseline = _Baseline(data)
    _bootstrap(data, baseline)
    _point_fit(data, baseline)
    _broken_law()


class _Baseline:
    """The summed Huber loss of Chinchilla's law with its gradient, one replicate at a time."""

    def __init__(self, data: dict[str, np.ndarray]) -> None:
        n, d = np.log(data["N"]), np.log(data["D"])
        self.n, self.d = n - n.mean(), d - d.mean()
        self.log_n, self.log_d, self.loss = n, d, np.log(data["loss"])

    def value(
        self, theta: np.ndarray, cases: np.ndarray, centred: bool
    ) -> tuple[float, np.ndarray]:
        n, d = (self.n, self.d) if centred else (self.log_n, self.log_d)
        e, a, b, alpha, beta = theta
        terms = np.stack([np.full_like(n, e), a - alpha * n, b - beta * d])
        most = terms.max(axis=0)
        share = np.exp(terms - most)  # SciPy's logsumexp is slower
        sums = share.sum(axis=0)
        total = most + np.log(sums)
        share /= sums
        residual = self.loss - total
        clipped = np.clip(residual, -1e-3, 1e-3)
        value = (cases * np.abs(clipped) * (np.abs(residual) - 0.5 * np.abs(clipped))).sum()
        pull = -cases * clipped
        gradient = np.array(
            [
                (pull * share[0]).sum(),
                (pull * share[1]).sum(),
                (pull * share[2]).sum(),
                -(pull * share[1] * n).sum(),
                -(pull * share[2] * d).sum(),
            ]
        )
        return float(value), gradient


def _bootstrap(data: dict[str, np.ndarray], baseline: _Baseline) -> None:
    law, goal = find_law("chinchilla"), Objective()
    points = read_points(law, data, response="loss")
    frame = choose_frame(law, points, fixed={}, tied={})
    theta = search(frame, points, goal).theta
    ours = _timed(
        lambda: replicate(
            frame, points, goal, theta=theta, kind="case", n_replicates=N_REPLICATES, seed=0
        )
    )
    start = theta.copy()
    start[:3] += frame.log_unit  # the baseline's loss is not divided by its mean
    counts = stream(0, "cases").multinomial(240, np.full(240, 1 / 240), size=N_SCIPY)

    def loop() -> None:
        for cases in counts.astype(float):
            optimize.minimize(baseline.value, start, args=(cases, True), jac=True, method="BFGS")

    theirs = _timed(loop) * N_REPLICATES / N_SCIPY
    _report(f"{N_REPLICATES} bootstrap replicates", ours=ours, theirs=theirs, target=10)


def _point_fit(data: dict[str, np.ndarray], baseline: _Baseline) -> None:
    law, goal = find_law("chinchilla"), Objective()
    points = read_points(law, data, response="loss")

    def point() -> None:
        search(choose_frame(law, points, fixed={}, tied={}), points, goal)

    meaning = {"N": "total", "D": "tokens"}
    ours = min(_timed(point) for _ in range(5))
    whole = min(_timed(lambda: fit("chinchilla", data, meaning=meaning)) for _ in range(3))
    grid = list(
        product(
            np.arange(-1.0, 1.1, 0.5),
            np.arange(0.0, 25.1, 5.0),
            np.arange(0.0, 25.1, 5.0),
            np.arange(0.0, 2.1, 0.5),
            np.arange(0.0, 2.1, 0.5),
        )
    )
    chosen = stream(0, "starts").choice(len(grid), N_TIMED_STARTS, replace=False)
    every = np.ones(len(data["loss"]))

    def loop() -> None:
        for index in chosen:
            optimize.minimize(
                baseline.value,
                np.array(grid[index]),
                args=(every, True),
                jac=True,
                method="L-BFGS-B",
            )

    theirs = _timed(loop) * N_STARTS / N_TIMED_STARTS
    _report("point fit, against 4,500 L-BFGS-B starts", ours=ours, theirs=theirs, target=50)
    _report("the same with profile intervals", ours=whole, theirs=theirs, target=50)


def _broken_law() -> None:
    law = find_law("bnsl-1")
    x = np.geomspace(1e3, 1e9, 50)
    truth = {"a": 0.5, "b": 3.0, "c0": 0.1, "c1": 0.5, "d1": 1e6, "f1": 0.3}
    times = []
    for seed in range(10):
        noise = np.exp(0.02 * stream(seed, "noise").normal(size=50))
        points = read_points(law, {"x": x, "loss": law(truth, x=x) * noise}, response="loss")
        frame = choose_frame(law, points, fixed={}, tied={})
        times.append(_timed(lambda f=frame, p=points: search(f, p, Objective())))  # type: ignore[misc]
    print(f"{'broken law, one break, a curve':<44} {np.mean(times):8.3f} s (target 0.5)")


def _timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _report(what: str, *, ours: float, theirs: float, target: float) -> None:
    ratio = theirs / ours
    print(f"{what:<44} {ours:8.3f} s  plain {theirs:8.2f} s  ratio {ratio:6.1f} (target {target})")


if __name__ == "__main__":
    main()
