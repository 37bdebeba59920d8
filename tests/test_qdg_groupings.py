"""Leiden and spectral groupings find what was planted, and say how stable they are."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import SpectralClustering
from sklearn.manifold import spectral_embedding as sklearn_embedding

from quantascope.core.units import angular_similarity
from quantascope.qdg.agreement import (
    adjusted_rand,
    best_jaccard,
    jaccard_matrix,
    mean_pairwise_rand,
)
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.leiden import Grouping, by_size, leiden_groupings, most_stable
from quantascope.qdg.spectral import paper_counts, spectral_embedding, spectral_groupings

SIZES = (120, 70, 40, 20)


def planted(*, cosine: float = 0.5, dim: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw unit vectors around four directions, shuffled, with their group."""
    random = np.random.default_rng(seed)
    truth = random.permutation(np.repeat(np.arange(len(SIZES)), SIZES))
    centres = np.linalg.qr(random.standard_normal((dim, len(SIZES))))[0].T
    noise = random.standard_normal((len(truth), dim)) / np.sqrt(dim)
    vectors = np.sqrt(cosine) * centres[truth] + np.sqrt(1 - cosine) * noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), truth


def grouping(labels: list[int], stability: float, name: str = "g") -> Grouping:
    return Grouping(
        name=name, method="leiden", parameter=1.0, labels=np.array(labels), stability=stability
    )


def test_leiden_finds_planted_groups_and_calls_them_stable():
    vectors, truth = planted()
    groupings = leiden_groupings(knn_graph(vectors), resolutions=(0.25, 0.5, 1.0, 8.0))
    best = most_stable(groupings)
    assert adjusted_rand(best.labels, truth) > 0.95
    assert best.stability > 0.95


def test_unrelated_vectors_are_called_unstable():
    """The twin: the same procedure on noise gives no stability near 1."""
    vectors = planted(cosine=0.0)[0]
    best = most_stable(leiden_groupings(knn_graph(vectors), resolutions=(1.0, 2.0, 4.0)))
    assert best.labels.max() > 0
    assert best.stability < 0.6


def test_leiden_repeats_itself_and_listens_to_the_seed():
    graph = knn_graph(planted(cosine=0.1)[0])
    first, again, other = (
        leiden_groupings(graph, resolutions=(1.0,), seed=seed)[0] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.stability == again.stability
    assert first.stability != other.stability


def test_a_resolution_alone_gives_what_it_gives_among_others():
    graph = knn_graph(planted(cosine=0.2)[0])
    alone = leiden_groupings(graph, resolutions=(2.0,))[0]
    among = leiden_groupings(graph, resolutions=(0.5, 2.0))[1]
    np.testing.assert_array_equal(alone.labels, among.labels)
    assert alone.stability == among.stability


def test_predictions_without_positive_similarity_stay_alone():
    """Three mutually orthogonal or opposed vectors have edges of weight zero."""
    graph = knn_graph(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]), n_neighbors=2)
    found = leiden_groupings(graph, resolutions=(1.0,), n_resamples=0)[0]
    assert sorted(found.labels) == [0, 1, 2]


def test_trivial_groupings_are_passed_over():
    whole, dust = grouping([0] * 9, 1.0, "whole"), grouping(list(range(9)), 1.0, "dust")
    useful = grouping([0, 0, 0, 1, 1, 1, 2, 2, 2], 0.7, "useful")
    assert most_stable([whole, useful, dust]).name == "useful"
    assert most_stable([whole, dust]).name == "whole"  # nothing better: the fewest groups


def test_groups_are_numbered_by_size_then_by_first_member():
    assert by_size(np.array([7, 3, 3, 9, 5, 5])).tolist() == [2, 0, 0, 3, 1, 1]


@pytest.mark.parametrize(
    "arguments",
    [{"resolutions": ()}, {"resolutions": (0.0,)}, {"resolutions": (1.0,), "resample_share": 0.0}],
)
def test_leiden_refuses_impossible_settings(arguments):
    with pytest.raises(ValueError, match="resol|resample"):
        leiden_groupings(sparse.csr_array(np.ones((3, 3)) / 2), **arguments)


def test_paper_counts_end_at_a_tenth():
    assert paper_counts(10_000)[-1] == 1000
    assert paper_counts(4000)[:3] == (10, 20, 30)
    assert len(paper_counts(15_000)) == 30  # the paper's thirty
    assert paper_counts(60) == (6,)


def test_embedding_spans_what_scikit_learn_solves_for():
    """Equal up to sign: columns of both, scaled to length 1, have cosine 1."""
    vectors, _ = planted()
    ours = spectral_embedding(vectors, 4).astype(np.float64)
    cosine = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    theirs = sklearn_embedding(
        angular_similarity(cosine), n_components=4, drop_first=False, random_state=0
    )
    for first, second in zip(ours.T, theirs.T, strict=True):
        agreement = abs(first @ second) / np.linalg.norm(first) / np.linalg.norm(second)
        assert agreement > 1 - 1e-5


def test_spectral_finds_planted_groups_as_scikit_learn_does():
    vectors, truth = planted()
    found = spectral_groupings(vectors, n_clusters=(4, 10), n_init=10)
    cosine = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    theirs = SpectralClustering(4, affinity="precomputed", random_state=0).fit_predict(
        angular_similarity(cosine)
    )
    assert adjusted_rand(found[0].labels, truth) == pytest.approx(1.0)
    assert adjusted_rand(found[0].labels, theirs) == pytest.approx(1.0)
    assert [grouping.name for grouping in found] == ["spectral-4", "spectral-10"]


def test_spectral_repeats_itself_and_measures_stability_where_asked():
    vectors = planted(cosine=0.3)[0]
    first, again = (
        spectral_groupings(vectors, n_clusters=(3, 5, 8), stability_counts=2) for _ in range(2)
    )
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
    assert [np.isnan(grouping.stability) for grouping in first] == [False, True, False]


def test_spectral_refuses_more_clusters_than_predictions():
    with pytest.raises(ValueError, match="allowed are 2 to 250"):
        spectral_groupings(planted()[0], n_clusters=(251,))


def test_jaccard_by_hand():
    first, second = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    np.testing.assert_allclose(jaccard_matrix(first, second), [[2 / 3, 1 / 5], [0, 2 / 3]])
    np.testing.assert_allclose(best_jaccard(first, second), [2 / 3, 2 / 3])
    np.testing.assert_allclose(best_jaccard(first, np.array([0, 0, 0, -1, -1])), [1, np.nan])


def test_agreement_ignores_the_numbers_of_groups():
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2])) == 1.0
    assert np.isnan(mean_pairwise_rand([np.array([0, 1])]))
