"""Angular similarity and the neighbour graph, by hand and by law."""

import subprocess
import sys

import numpy as np
import pytest

from quantascope.core.units import angular_similarity
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.similarity import edge_weight


def random_units(n: int, dim: int, *, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def test_angular_similarity_golden_values():
    found = angular_similarity(np.array([1.0, 0.0, -1.0, 1 + 1e-7, -1 - 1e-7, 0.5]))
    np.testing.assert_allclose(found, [1, 0.5, 0, 1, 0, 2 / 3], atol=1e-12)
    assert not np.isnan(found).any()


def test_edge_weight_is_what_exceeds_the_background():
    assert edge_weight(np.array([0.3, 0.5, 0.75, 1.0])).tolist() == [0.0, 0.0, 0.5, 1.0]


def test_four_predictions_written_out():
    """Angles 0, 30, 90 and 180 degrees: nearest of each, by hand."""
    angles = np.deg2rad([0, 30, 90, 180])
    graph = knn_graph(np.stack([np.cos(angles), np.sin(angles)], axis=1), n_neighbors=1).toarray()
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 1 - 30 / 180
    expected[1, 2] = expected[2, 1] = 1 - 60 / 180
    expected[2, 3] = expected[3, 2] = 1 - 90 / 180
    np.testing.assert_allclose(graph, expected, atol=1e-6)


@pytest.mark.parametrize("n_neighbors", [1, 5, 200])
def test_graph_is_symmetric_loopless_and_complete(n_neighbors):
    graph = knn_graph(random_units(60, 16), n_neighbors=n_neighbors)
    dense = graph.toarray()
    np.testing.assert_array_equal(dense, dense.T)
    assert np.all(np.diag(dense) == 0)
    assert np.all((dense > 0).sum(axis=1) >= min(n_neighbors, 59))


def test_neighbours_are_the_exact_nearest():
    units = random_units(80, 16).astype(np.float32)
    graph = knn_graph(units, n_neighbors=4, block=7).toarray()
    cosine = units @ units.T
    np.fill_diagonal(cosine, -2)
    for row in range(80):
        assert np.all(graph[row, np.argsort(-cosine[row])[:4]] > 0)


def test_ties_go_to_the_first():
    """Five equal vectors: each takes the first two others."""
    graph = knn_graph(np.tile([[1.0, 0.0]], (5, 1)), n_neighbors=2).toarray() > 0
    assert np.flatnonzero(graph[4]).tolist() == [0, 1]
    assert np.flatnonzero(graph[0]).tolist() == [1, 2, 3, 4]  # the others' choices count too


def test_block_size_changes_nothing():
    units = random_units(90, 64)
    first, second = (knn_graph(units, n_neighbors=6, block=block) for block in (13, 90))
    np.testing.assert_array_equal(first.indices, second.indices)
    np.testing.assert_allclose(first.data, second.data, atol=1e-6)


def test_permuting_predictions_permutes_the_graph():
    units, order = random_units(50, 32), np.random.default_rng(1).permutation(50)
    plain, mixed = (knn_graph(u, n_neighbors=5).toarray() for u in (units, units[order]))
    np.testing.assert_allclose(mixed, plain[np.ix_(order, order)], atol=1e-6)


def test_a_single_prediction_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        knn_graph(np.ones((1, 3)))


def test_discovery_after_the_sketch_needs_no_torch():
    """Graph, clusters, ranks and labels belong to the base install."""
    modules = "similarity graph agreement leiden spectral coherence clusters ranks labels config"
    code = "".join(f"import quantascope.qdg.{name}\n" for name in modules.split())
    code += "import sys\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
