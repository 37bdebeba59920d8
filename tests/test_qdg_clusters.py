"""Tables of clusters: ids that last, coherence against chance, ranks, labels."""

import re

import numpy as np
import pytest

from quantascope.core.units import angular_similarity
from quantascope.qdg.clusters import assemble_clusters, cluster_ids
from quantascope.qdg.coherence import null_similarity, within_similarity
from quantascope.qdg.labels import label_clusters
from quantascope.qdg.leiden import Grouping
from quantascope.qdg.ranks import envelope, envelope_slope, rank_range, rank_sizes


def units(n: int, dim: int, *, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_ids_depend_on_clustering_and_members_alone():
    labels, pred = np.array([0, 1, 0, 1]), np.array([10, 20, 30, 40])
    first = cluster_ids(labels, pred, name="leiden-1")
    shuffled = cluster_ids(labels[::-1], pred[::-1], name="leiden-1")
    assert first.tolist() == shuffled.tolist()
    assert all(re.fullmatch("c[0-9a-f]{8}", identity) for identity in first)
    assert set(first).isdisjoint(cluster_ids(labels, pred, name="leiden-2"))


def test_ids_are_carried_to_the_largest_overlap_once_each():
    """Of two halves of an old cluster the larger keeps its id; the rest is new."""
    pred = np.arange(12)
    old = np.repeat(["caaaaaaaa", "cbbbbbbbb"], 6)
    labels = np.array([0] * 4 + [1] * 2 + [2] * 6)
    found = cluster_ids(labels, pred, name="x", previous=(pred, old))
    assert found[0] == "caaaaaaaa"  # Jaccard 4/6
    assert found[2] == "cbbbbbbbb"
    assert found[1] not in {"caaaaaaaa", "cbbbbbbbb"}  # 2/6


def test_an_extended_run_keeps_its_ids():
    """Growth is no loss of identity: overlap is counted on predictions that both states have."""
    old_pred = np.arange(0, 100, 2)
    old = np.where(old_pred < 50, "caaaaaaaa", "cbbbbbbbb")
    found = cluster_ids(
        (np.arange(300) >= 50).astype(int), np.arange(300), name="x", previous=(old_pred, old)
    )
    assert found.tolist() == ["caaaaaaaa", "cbbbbbbbb"]


def test_within_similarity_is_that_of_all_pairs():
    vectors, labels = units(30, 8), np.repeat([0, 1, 2], (15, 14, 1))
    found = within_similarity(vectors, labels)
    block = (vectors @ vectors.T)[:15, :15]
    mean = block[np.triu_indices(15, 1)].mean()
    assert found[0] == pytest.approx(angular_similarity(mean), abs=1e-6)
    assert np.isnan(found[2])


def test_random_groups_rarely_exceed_the_null():
    """The 99th percentile: of 300 fresh groups 3 on average; 12 has a chance below 1e-4."""
    vectors = units(600, 32)
    null = null_similarity(vectors, np.array([6]), n_shuffles=20, seed=0)[6]
    labels = np.repeat(np.arange(100), 6)
    fresh = [
        within_similarity(vectors[np.random.default_rng(seed).permutation(600)], labels)
        for seed in range(1, 4)
    ]
    assert (np.concatenate(fresh) > null).sum() < 12


def test_tables_mark_planted_clusters_coherent_and_random_ones_not():
    random = np.random.default_rng(0)
    centre = units(1, 64)[0]
    vectors = units(120, 64, seed=1)
    vectors[:30] = 0.6 * centre + 0.8 * vectors[:30]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.repeat([1, 0, 2], (30, 60, 30))
    rerun = labels.copy()
    rerun[random.choice(np.arange(30, 120), 45, replace=False)] = -1
    grouping = Grouping(
        name="leiden-1",
        method="leiden",
        parameter=1.0,
        labels=labels,
        stability=0.9,
        reruns=(labels, rerun),
    )
    pred = np.arange(120) + 1000
    tables = assemble_clusters([grouping], sketch=vectors, pred=pred, doc=np.arange(120) // 10)
    clusters = tables.clusters.to_pandas()
    assert clusters["size"].tolist() == [60, 30, 30]
    assert clusters["rank"].tolist() == [1, 2, 3]
    assert clusters["coherent"].tolist()[1]
    assert clusters["coherent"].sum() <= 2
    assert clusters["n_documents"].tolist() == [6, 3, 3]
    np.testing.assert_allclose(clusters["stability"], 1.0)
    members = tables.members.to_pandas()
    sizes = members.groupby("cluster", observed=True).size()
    assert sizes.to_dict() == dict(zip(clusters["cluster"], clusters["size"], strict=True))
    assert members["pred"].tolist() == pred.tolist()
    assert tables.clusterings.column("default").to_pylist() == [True]


def test_the_default_is_a_leiden_clustering_even_beside_a_more_stable_spectral_one():
    labels = np.repeat([0, 1, 2], 10)
    groupings = [
        Grouping(name=name, method=method, parameter=1.0, labels=labels, stability=stability)
        for name, method, stability in (
            ("leiden-1", "leiden", 0.5),
            ("leiden-2", "leiden", 0.6),
            ("spectral-3", "spectral", 1.0),
        )
    ]
    index = np.arange(30)
    tables = assemble_clusters(groupings, sketch=units(30, 8), pred=index, doc=index)
    assert tables.clusterings.column("default").to_pylist() == [False, True, False]
    assert len(set(tables.clusters.column("cluster").to_pylist())) == 9


def test_envelope_by_hand():
    size, n_clusters = envelope({2: np.array([7, 3]), 4: np.array([5, 3, 1, 1])})
    assert size.tolist() == [7, 3, 1, 1]
    assert n_clusters.tolist() == [2, 2, 4, 4]


def test_rank_range_scales_the_papers():
    assert rank_range(10_000) == (101, 1000)
    assert rank_range(4000) == (40, 400)
    assert rank_range(4000, rank_lo=7, rank_hi=50) == (7, 50)


def test_slope_of_planted_sizes_is_recovered():
    """Sizes 3000 / rank exactly; rounding moves the slope by less than 0.02."""
    sizes = np.round(3000 / np.arange(1, 201)).astype(int)
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(200), sizes))
    assert rank_sizes(labels).tolist() == sizes.tolist()
    fit = envelope_slope({200: labels}, rank_lo=10, rank_hi=150, n_boot=50)
    assert abs(fit.exponent + 1) < 0.02
    assert fit.lo < fit.exponent < fit.hi
    assert fit.hi - fit.lo < 0.2


def test_a_range_of_few_ranks_identifies_nothing():
    fit = envelope_slope({9: np.repeat(np.arange(9), 5)}, rank_lo=1, rank_hi=9)
    assert not fit.identified
    assert "at least 10" in fit.reason


N_PREDS = 2000


@pytest.fixture(scope="module")
def text() -> dict[str, np.ndarray]:
    """Draw tokens; targets of cluster 1 are 7, those of cluster 2 stand behind the pair (8, 9)."""
    random = np.random.default_rng(0)
    pred = np.arange(N_PREDS) * 8 + 7
    tokens = random.integers(20, 60, size=pred[-1] + 1)
    labels = random.integers(0, 5, size=N_PREDS)
    tokens[pred[labels == 1]] = 7
    tokens[pred[labels == 2] - 1] = 9
    tokens[pred[labels == 2] - 2] = 8
    return {"labels": labels, "tokens": tokens, "pred": pred, "pos": np.full(N_PREDS, 7)}


def test_labels_find_the_planted_features(text):
    ids = np.array([f"c{k:08x}" for k in range(5)])
    table = label_clusters(ids=ids, **text).to_pandas().set_index(["cluster", "place"])
    target = table.loc[(ids[1], 1)]
    assert (target["feature"], target["token_ids"].tolist()) == ("next", [7])
    assert target["count"] == (text["labels"] == 1).sum()
    assert target["auc"] == 1.0
    before = table.loc[ids[2]]
    assert ["last2", [8, 9]] in [
        [f, t.tolist()] for f, t in zip(before["feature"], before["token_ids"], strict=True)
    ]


def test_held_out_auc_of_chance_features_is_near_one_half(text):
    """Clusters 0, 3 and 4 share nothing: what was picked by chance does not hold up."""
    ids = np.array([f"c{k:08x}" for k in range(5)])
    table = label_clusters(ids=ids, **text).to_pandas()
    chance = table[table["cluster"].isin(ids[[0, 3, 4]])]
    assert (chance["auc"] < 0.6).all()


def test_features_do_not_reach_across_documents(text):
    """At position 1 of a document only the next and the last token are known."""
    ids = np.array([f"c{k:08x}" for k in range(5)])
    table = label_clusters(ids=ids, **(text | {"pos": np.ones(N_PREDS, dtype=int)}))
    assert set(table.column("feature").to_pylist()) <= {"next", "last"}


def test_labels_refuse_an_impossible_share(text):
    with pytest.raises(ValueError, match="held_out_share"):
        label_clusters(ids=np.array(["c0"] * 5), held_out_share=1.0, **text)


def test_a_feature_that_every_prediction_has_is_no_label(text):
    """All predictions follow one token: nobody is set apart by it, and no odds are infinite."""
    ids = np.array([f"c{k:08x}" for k in range(5)])
    tokens = text["tokens"].copy()
    tokens[text["pred"] - 1] = 3
    table = label_clusters(ids=ids, **(text | {"tokens": tokens})).to_pandas()
    assert "last" not in set(table["feature"])
    assert np.isfinite(table["log_odds"]).all()


def test_clusters_without_any_common_token_have_no_labels(text):
    ids = np.array([f"c{k:08x}" for k in range(5)])
    tokens = np.arange(len(text["tokens"]))  # no token occurs twice
    assert label_clusters(ids=ids, **(text | {"tokens": tokens})).num_rows == 0
