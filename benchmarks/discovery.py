"""Claim: everything after the sketches of 10,000 predictions costs at most 12 CPU-minutes, 6 GB.

Sketches of 4,096 numbers with planted power-law groups (a sixth of the predictions belongs to
none); graph, Leiden with stability, the spectral family of the paper, tables, ranks with bootstrap,
labels on random text. One thread. The plain baseline solves the spectral problem anew for one
number of clusters with scikit-learn; the paper's way does that for each of thirty.

    python benchmarks/discovery.py [--n 10000] [--skip-baseline]
"""

import argparse
import platform
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import SpectralClustering

from quantascope.core.units import angular_similarity
from quantascope.qdg.agreement import adjusted_rand
from quantascope.qdg.clusters import assemble_clusters
from quantascope.qdg.config import ClustersConfig
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.labels import label_clusters
from quantascope.qdg.leiden import leiden_groupings, most_stable
from quantascope.qdg.ranks import envelope_slope
from quantascope.qdg.spectral import paper_counts, spectral_groupings

BASELINE_CLUSTERS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--skip-baseline", action="store_true")
    options = parser.parse_args()
    print(f"machine {platform.processor() or platform.machine()}, numpy {np.__version__}")
    sketch, truth = planted(options.n)
    known = truth >= 0
    start = time.process_time()
    graph = timed("graph", lambda: knn_graph(sketch))
    leiden = timed(
        "leiden", lambda: leiden_groupings(graph, resolutions=ClustersConfig().resolutions)
    )
    spectral = timed("spectral family", lambda: spectral_groupings(sketch))
    pred = 8 * np.arange(options.n) + 7
    groupings = leiden + spectral
    tables = timed(
        "tables", lambda: assemble_clusters(groupings, sketch=sketch, pred=pred, doc=pred // 64)
    )
    by_count = {int(grouping.parameter): grouping.labels for grouping in spectral}
    slope = timed("ranks", lambda: envelope_slope(by_count))
    best = most_stable(leiden)
    tokens = np.random.default_rng(0).integers(0, 4096, size=8 * options.n)
    ids = np.array([f"c{k:08x}" for k in range(best.labels.max() + 1)])
    timed(
        "labels",
        lambda: label_clusters(
            best.labels, tokens=tokens, pred=pred, pos=np.full(options.n, 7), ids=ids
        ),
    )
    total = time.process_time() - start
    print(f"{'all':<18}{total:8.1f} CPU-s (claim: at most 720 at 10,000)")
    print(
        f"default {best.name}: {len(ids)} clusters, stability {best.stability:.2f}, "
        f"agreement with the planted groups {adjusted_rand(best.labels[known], truth[known]):.2f}"
    )
    middle = min(spectral, key=lambda grouping: abs(grouping.parameter - 200))
    print(f"{middle.name}: agreement {adjusted_rand(middle.labels[known], truth[known]):.2f}")
    print(f"envelope slope {slope.exponent:.2f} [{slope.lo:.2f}, {slope.hi:.2f}] (planted -1.2)")
    print(f"coherent clusters {np.mean(tables.clusters.column('coherent').to_numpy()):.2f}")
    if not options.skip_baseline:
        baseline(sketch)


def baseline(sketch: np.ndarray) -> None:
    vectors = sketch.astype(np.float64)
    affinity = angular_similarity(vectors @ vectors.T)
    model = SpectralClustering(BASELINE_CLUSTERS, affinity="precomputed", n_init=1, random_state=0)
    start = time.process_time()
    model.fit(affinity)
    once = time.process_time() - start
    counts = len(paper_counts(len(sketch)))
    print(
        f"baseline: scikit-learn, {BASELINE_CLUSTERS} clusters alone: {once:.1f} CPU-s "
        f"(the family has {counts} counts)"
    )


def timed(name: str, work: Callable[[], Any]) -> Any:
    start = time.process_time()
    result = work()
    spent = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name:<18}{spent:8.1f} CPU-s, peak {peak:.2f} GB", flush=True)
    return result


def planted(n: int, *, dim: int = 4096, n_groups: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    share = np.arange(1, n_groups + 1) ** -1.2
    truth = random.choice(n_groups, n, p=share / share.sum())
    parents = random.standard_normal((40, dim))[random.integers(0, 40, n_groups)]
    centres = np.sqrt(2 / 3) * random.standard_normal((n_groups, dim)) + np.sqrt(1 / 3) * parents
    vectors = np.sqrt(0.3) * centres[truth] + np.sqrt(0.7) * random.standard_normal((n, dim))
    loose = random.random(n) < 1 / 6
    vectors[loose] = random.standard_normal((int(loose.sum()), dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16), np.where(loose, -1, truth)


if __name__ == "__main__":
    main()
