"""Laws of vectors that a user gives in the place of gradients."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from quantascope.core.errors import DataError
from quantascope.pipeline.config import set_values
from quantascope.pipeline.runner import run_stages
from quantascope.store.arrays import open_array
from quantascope.store.check import validate_run
from quantascope.store.folder import RunFolder
from tests.test_pipeline import small_config

N_WORDS = 3


@pytest.fixture(scope="module")
def begun(tiny_family, text_file, tmp_path_factory):
    run = RunFolder(tmp_path_factory.mktemp("vectors") / "run")
    config = small_config(tiny_family, text_file)
    run_stages(run, config, kinds=["corpus", "losses", "selection"])
    return run, config, pq.read_table(run.stage("selection") / "preds.parquet").num_rows


def given(begun, path, vectors):
    run, config, _ = begun
    np.save(path, vectors)
    wanted = set_values(config, [f"sketch.vectors={path}", "clusters.spectral=false"])
    run_stages(run, wanted, kinds=["sketch", "graph", "clusters"])
    return run


def test_clusters_of_given_vectors_are_those_of_their_directions(begun, tmp_path):
    n = begun[2]
    word = np.arange(n) % N_WORDS
    vectors = np.eye(N_WORDS)[word] * np.linspace(1, 9, n)[:, None] + 0.01
    run = given(begun, tmp_path / "v.npy", vectors)
    assert validate_run(run) == []
    rows = open_array(run.stage("sketch"), "sketch", name="sketch.zarr")[:]
    assert np.allclose(np.linalg.norm(rows.astype(float), axis=1), 1, atol=1e-3)
    facts = run.require("sketch").facts
    assert (facts["n_preds"], facts["dim"], facts["exact"]) == (n, N_WORDS, True)
    members = pq.read_table(run.stage("clusters") / "members.parquet").to_pandas()
    members = members[members["clustering"] == run.require("clusters").facts["default"]]
    preds = pq.read_table(run.stage("selection") / "preds.parquet").column("pred").to_numpy()
    of_pred = dict(zip(preds.tolist(), word.tolist(), strict=True))
    found = {
        frozenset({of_pred[p] for p in part["pred"]}) for _, part in members.groupby("cluster")
    }
    assert all(len(words) == 1 for words in found)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda n: np.ones((n - 1, 3)), "rows for"),
        (np.ones, "allowed are numbers"),
        (lambda n: np.full((n, 2), np.nan), "row 0 is not finite"),
        (lambda n: np.full((n, 2), "a"), "allowed are numbers"),
        (lambda n: np.full((n, 2), None), "no .npy file of numbers"),
    ],
)
def test_vectors_that_do_not_fit_are_one_line_and_nothing_is_lost(begun, tmp_path, make, said):
    with pytest.raises(DataError, match=said) as caught:
        given(begun, tmp_path / "v.npy", make(begun[2]))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(begun):
    run, config, _ = begun
    with pytest.raises(DataError, match="no such file"):
        run_stages(run, set_values(config, ["sketch.vectors=none.npy"]), kinds=["sketch"])
