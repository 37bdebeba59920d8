"""Laws of merging: fragments of one subspace join, strangers do not, and the cut lies between."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.qdg import merge_tree
from quantascope.qdg.agreement import adjusted_rand
from quantascope.qdg.config import ClustersConfig
from quantascope.qdg.graph import knn_graph
from quantascope.qdg.merge_tree import common_number, merge_groups
from quantascope.qdg.merging import group_overlaps, merged_grouping

DIM, RANK = 400, 8


def subspaces(n_groups, n_each, *, signed=True, seed=0):
    """Draw samples near a few axes of one subspace each, of either sign: fragments of a group."""
    rng = stream(seed, "test", "subspaces")
    rows, labels = [], []
    for group in range(n_groups):
        basis = np.linalg.qr(rng.normal(size=(DIM, RANK)))[0]
        axes = rng.integers(0, RANK, n_each)
        weights = 0.5 * rng.normal(size=(n_each, RANK)) / np.sqrt(RANK)
        weights[np.arange(n_each), axes] += 1.0
        signs = rng.choice([-1, 1], n_each) if signed else np.ones(n_each)
        rows.append(signs[:, None] * (weights @ basis.T))
        labels += [group] * n_each
    vectors = np.concatenate(rows)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.array(labels)


def test_overlaps_are_sums_of_squared_cosines_over_other_members():
    vectors, _ = subspaces(2, 30)
    labels = np.arange(60) % 3
    labels[:5] = -1
    cosines = (vectors @ vectors.T).astype(np.float64) ** 2
    np.fill_diagonal(cosines, 0.0)
    found = group_overlaps(vectors, [labels])[0]
    for a in range(3):
        for b in range(3):
            wanted = cosines[np.ix_(labels == a, labels == b)].sum()
            assert found[a, b] == pytest.approx(wanted, rel=1e-5)


def test_mean_overlap_of_groups_is_that_of_their_subspaces():
    """The mean squared cosine is tr(C_1 C_2) with C the mean of x x'."""
    vectors, labels = subspaces(2, 50)
    first, second = (vectors[labels == g].astype(np.float64) for g in (0, 1))
    trace = np.trace((first.T @ first / 50) @ (second.T @ second / 50))
    assert group_overlaps(vectors, [labels])[0][0, 1] / 2500 == pytest.approx(trace, rel=1e-4)


def test_hand_made_fragments_are_joined_and_strangers_are_not():
    """Six fragments of ten, in pairs: .2 within a pair, .01 between pairs, .5 inside each."""
    overlap = np.full((6, 6), 0.01)
    for pair in range(3):
        overlap[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = 0.2
    np.fill_diagonal(overlap, 0.5)
    tree = merge_groups(overlap * 100, np.full(6, 10))
    assert tree.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert tree.n_groups.tolist() == [6, 5, 4, 3, 2, 1]
    assert tree.overlap[1:].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.01, 0.01])
    assert tree.contrast[3] == pytest.approx(np.log(0.2 / 0.01))


def test_families_of_groups_do_not_hide_the_groups():
    """Groups in two families, .01 within and .001 between: families have contrast too."""
    overlap = np.full((16, 16), 0.001)
    overlap[:8, :8] = overlap[8:, 8:] = 0.01
    for pair in range(8):
        overlap[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = 0.2
    tree = merge_groups(overlap * 100, np.full(16, 10))
    assert tree.labels.max() + 1 == 8


def blocks(overlap_of_pieces, *, strangers):
    """Overlaps of groups in pieces of ten; .5 inside a piece, each group's own between pieces."""
    sizes = [len(rows) + 1 for rows in overlap_of_pieces]
    overlap, at = np.full((sum(sizes), sum(sizes)), strangers), 0
    for size, rows in zip(sizes, overlap_of_pieces, strict=True):
        for place, value in enumerate(rows, start=1):  # a piece is as near to all before it
            overlap[at + place, at : at + place] = overlap[at : at + place, at + place] = value
        at += size
    np.fill_diagonal(overlap, 0.5)
    return overlap * 100, np.full(len(overlap), 10)


def test_a_large_group_in_loose_pieces_is_joined_up_to_the_break():
    """Five pairs at .2, one group in four pieces at .08, .045, .025; strangers at .002.

    Falls at 9, 8, 7 and 6 groups: 2.5, 1.8, 1.8, 12.5.
    """
    tree = merge_groups(*blocks([[0.2]] * 5 + [[0.08, 0.045, 0.025]], strangers=0.002))
    assert tree.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]
    twin = merge_groups(*blocks([[0.2]] * 5 + [[0.08, 0.045, 0.025]], strangers=0.02))
    assert twin.labels.max() + 1 > 6  # the last fall is 1.25: the break is before the pieces


def unlike(dim, *, seed):
    """Draw six quanta of 120 samples: one of a single direction, five subspaces of rank 8."""
    rng, rows = stream(seed, "test", "unlike"), []
    for group in range(6):
        basis = np.linalg.qr(rng.normal(size=(dim, RANK)))[0]
        weights = 0.5 * rng.normal(size=(120, RANK)) / np.sqrt(RANK)
        weights[np.arange(120), rng.integers(0, RANK, 120)] += 1.0
        if group == 0:
            weights = 0.02 * rng.normal(size=(120, RANK))
            weights[:, 0] += 1.0
        rows.append(weights @ basis.T)
    vectors = np.concatenate(rows)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.repeat(np.arange(6), 120)


def test_a_break_decides_where_the_contrast_stops_too_early(monkeypatch):
    vectors, labels = unlike(1600, seed=1)
    graph = knn_graph(vectors, sign_free=True)
    config = ClustersConfig(leiden_seeds=1, resamples=0)
    found = merged_grouping(graph, vectors, config=config, exact=True)
    assert adjusted_rand(found.labels, labels) == 1.0
    monkeypatch.setattr(merge_tree, "_breaks", lambda _, n_groups: np.zeros(len(n_groups)))
    twin = merged_grouping(graph, vectors, config=config, exact=True)  # contrast alone: 21 groups
    assert adjusted_rand(twin.labels, labels) < 0.6


def test_the_end_of_one_tight_quantum_is_no_break():
    """Its pieces join first; the fall after them is steep, but most predictions are not joined."""
    vectors, labels = unlike(400, seed=0)
    graph = knn_graph(vectors, sign_free=True)
    config = ClustersConfig(leiden_seeds=1, resamples=0)
    found = merged_grouping(graph, vectors, config=config, exact=True)
    assert adjusted_rand(found.labels, labels) == 1.0


def test_the_share_joined_counts_predictions_of_given_groups_that_met_another():
    tree = merge_groups(*blocks([[0.4], [0.1, 0.1]], strangers=0.001))
    assert tree.joined.tolist() == pytest.approx([0, 0.4, 0.8, 1.0, 1.0])


@pytest.mark.parametrize("n_quanta", [4, 10])
def test_orthogonal_modules_do_not_hide_their_quanta(n_quanta):
    """Two modules share no parameter: .2 between pieces, .01 within a module, 0 between modules."""
    half = 2 * n_quanta
    overlap = np.zeros((2 * half, 2 * half))
    overlap[:half, :half] = overlap[half:, half:] = 0.01
    for pair in range(half):
        overlap[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = 0.2
    assert merge_groups(overlap * 100, np.full(2 * half, 10)).labels.max() + 1 == half


def test_the_number_is_that_of_all_trees():
    """Reruns with other fine groups: the mean of their falls decides, not the first tree's."""
    clear = merge_groups(*blocks([[0.2]] * 6, strangers=0.002))
    odd = merge_groups(*blocks([[0.2]] * 4 + [[0.2, 0.2], [0.06]], strangers=0.002))
    assert (len(clear.n_groups), len(odd.n_groups)) == (12, 13)
    assert common_number([odd]) == common_number([clear, odd]) == common_number([clear] * 2) == 6
    apart = merge_groups(*blocks([[0.2]] * 4, strangers=0.002))  # four groups in eight pieces
    assert common_number([apart]) == 4
    assert common_number([clear, clear, apart]) == 6


def test_without_a_break_the_contrast_decides():
    """Pairs at 1.3^1 to 1.3^14 times the overlap of strangers: no fall of 1.5 before the floor."""
    pairs = [[0.001 * 1.3**power] for power in range(14, 0, -1)]
    tree = merge_groups(*blocks(pairs, strangers=0.001))
    falls = tree.overlap[1:-1] / tree.overlap[2:]
    assert falls[: 28 - tree.fewest].max() < 1.31
    assert 14 < tree.labels.max() + 1 == tree.fewest < 28
    assert tree.contrast[28 - tree.fewest] == tree.contrast[: 29 - tree.fewest].max()


def test_orthogonal_strangers_have_no_logarithm_of_nothing():
    """Overlaps of exactly 0 count as rounding, so that the fall to them is finite and the break."""
    tree = merge_groups(*blocks([[0.2], [0.1], [0.05]], strangers=0.0))
    assert tree.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert np.isfinite(tree.log_excess(np.arange(1, 6))).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_subspaces_are_found_where_leiden_leaves_fragments(seed):
    """Eight axes a group: Leiden alone finds axes, or all in one; merging finds the groups."""
    vectors, labels = subspaces(5, 120, seed=seed)
    graph = knn_graph(vectors, sign_free=True)
    config = ClustersConfig(leiden_seeds=1, resamples=0)
    found = merged_grouping(graph, vectors, config=config, exact=True)
    assert adjusted_rand(found.labels, labels) > 0.95
    shuffled = stream(seed, "test", "twin").permutation(labels)
    assert adjusted_rand(found.labels, shuffled) < 0.05


def test_signs_hide_the_subspace_from_the_plain_cosine():
    vectors, labels = subspaces(5, 120)
    inside = np.mean([vectors[labels == g].mean(axis=0) @ vectors[labels == g].T for g in range(5)])
    squares = (vectors[labels == 0] @ vectors[labels == 0].T) ** 2
    assert abs(inside) < 0.02 < squares.mean()


def directions(n_groups, n_each, *, dim, seed):
    """Draw samples about one direction a group, of either sign; squared cosines about .45."""
    rng = stream(seed, "test", "directions")
    labels = np.repeat(np.arange(n_groups), n_each)
    centres, noise = rng.normal(size=(n_groups, dim)), 0.7 * rng.normal(size=(len(labels), dim))
    vectors = rng.choice([-1, 1], len(labels))[:, None] * (centres[labels] + noise)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_whole_groups_are_left_whole(seed):
    """Strangers above the floor: 7.5 % of such worlds (measured in 300), none of these three."""
    vectors, labels = directions(40, 30, dim=400, seed=seed)
    tree = merge_groups(group_overlaps(vectors, [labels])[0], np.full(40, 30), chance=1 / 400)
    assert tree.labels.tolist() == list(range(40))
    halves = 2 * labels + np.arange(len(labels)) % 2  # twin: halves of these groups are joined
    sums = group_overlaps(vectors, [halves])[0]
    joined = merge_groups(sums, np.full(80, 15), chance=1 / 400).labels
    assert adjusted_rand(joined[halves], labels) == 1.0


def test_strangers_without_the_floor_would_be_joined():
    """The largest overlap of strangers is above the median of all: only the floor says no."""
    vectors, labels = directions(40, 30, dim=400, seed=0)
    tree = merge_groups(group_overlaps(vectors, [labels])[0], np.full(40, 30), chance=1 / 400)
    assert tree.fewest == 40
    assert tree.contrast.max() > np.log(1.5) > tree.contrast[0] == 0.0


def test_many_small_fragments_of_few_directions_are_joined():
    """Noise peaks of contrast, below log 1.5, do not stop the joins."""
    rng = stream(0, "test", "dust")
    labels = np.repeat(np.arange(5), 160)
    vectors = rng.normal(size=(5, 2000))[labels] + 1.5 * rng.normal(size=(800, 2000))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    graph = knn_graph(vectors, sign_free=True)
    config = ClustersConfig(leiden_seeds=2, resamples=1)
    found = merged_grouping(graph, vectors, config=config, exact=False)
    assert adjusted_rand(found.labels, labels) == 1.0


def test_predictions_without_gradient_are_groups_of_their_own():
    vectors, labels = subspaces(5, 120)
    silent = np.arange(0, 600, 50)
    vectors[silent] = 0.0
    graph = knn_graph(vectors, sign_free=True)
    assert graph[silent].nnz == 0
    config = ClustersConfig(leiden_seeds=1, resamples=1)
    found = merged_grouping(graph, vectors, config=config, exact=True)
    assert (np.bincount(found.labels)[found.labels[silent]] == 1).all()
    kept = np.setdiff1d(np.arange(600), silent)
    assert adjusted_rand(found.labels[kept], labels[kept]) > 0.95


def test_running_maxima_join_what_a_full_search_would():
    """Twin of the running maxima: at each step the largest mean overlap of all pairs."""
    rng = stream(3, "test", "linkage")
    sums = rng.gamma(0.5, size=(25, 25))
    sums += sums.T
    sizes = rng.integers(1, 9, 25)
    tree = merge_groups(sums, sizes)
    for step in range(1, 25):
        before = tree.cut(int(tree.n_groups[step - 1]))
        member = np.eye(before.max() + 1)[before]
        means = (member.T @ sums @ member) / np.outer(member.T @ sizes, member.T @ sizes)
        np.fill_diagonal(means, -np.inf)
        assert tree.overlap[step] == pytest.approx(means.max(), rel=1e-9)


def test_like_groups_and_a_single_one_are_left_as_they_are():
    for n in (1, 2):
        tree = merge_groups(np.ones((n, n)), np.full(n, 3))
        assert tree.labels.tolist() == list(range(n))
