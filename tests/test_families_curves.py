"""Curves: what cannot be a family is refused in one line; series hold the right columns."""

import numpy as np
import pyarrow as pa
import pytest

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.families.curves import Checkpoints, make_curves
from quantascope.families.series import over_data, over_sizes, over_steps

KEYS = [(n, s, seed) for n in (1e5, 1e6, 1e7) for s in (0, 100, 1000) for seed in (0, 1)]


def checkpoints(keys=KEYS, **changed):
    n, step, seed = zip(*keys, strict=True)
    columns = {
        "name": np.array([f"m{i}" for i in range(len(keys))]),
        "n_params": np.array(n, dtype=float),
        "step": np.array(step, dtype=float),
        "n_tokens": np.array(step, dtype=float) * 500,
        "seed": np.array(seed),
    }
    return Checkpoints(**columns | changed)


def family(keys=KEYS, **changed):
    losses = stream(0, "curves").uniform(0.1, 9, (5, len(keys)))
    return make_curves(np.arange(5), losses, checkpoints=checkpoints(keys, **changed))


def test_curves_over_size_hold_the_last_step_of_every_run():
    curves = family()
    series = over_sizes(curves)
    last = [i for i, (_, step, _) in enumerate(KEYS) if step == 1000]
    np.testing.assert_array_equal(series.losses, curves.losses[:, last])
    assert series.x.tolist() == [1e5, 1e6, 1e7]
    assert series.level.tolist() == [0, 0, 1, 1, 2, 2]
    assert not series.tracked


def test_curves_over_size_at_a_step_hold_that_step():
    curves = family()
    at = [i for i, (_, step, _) in enumerate(KEYS) if step == 100]
    np.testing.assert_array_equal(over_sizes(curves, step=100).losses, curves.losses[:, at])


def test_curves_over_steps_follow_each_run_and_leave_step_0_out():
    curves = family()
    series = over_steps(curves, n_params=1e6)
    wanted = [KEYS.index((1e6, step, seed)) for seed in (0, 1) for step in (100, 1000)]
    np.testing.assert_array_equal(series.losses, curves.losses[:, wanted])
    assert series.run.tolist() == [0, 0, 1, 1]
    assert series.tracked


def test_the_order_of_checkpoints_does_not_matter():
    order = stream(1, "curves").permutation(len(KEYS))
    curves = family()
    shuffled = make_curves(
        curves.pred, curves.losses[:, order], checkpoints=checkpoints([KEYS[i] for i in order])
    )
    for series, other in (
        (over_sizes(curves), over_sizes(shuffled)),
        (over_steps(curves, n_params=1e7), over_steps(shuffled, n_params=1e7)),
    ):
        np.testing.assert_array_equal(series.losses, other.losses)
        assert series.level.tolist() == other.level.tolist()


def test_models_of_unknown_step_make_curves_over_size():
    last = [i for i, (_, step, _) in enumerate(KEYS) if step == 1000]
    keys = [KEYS[i] for i in last]
    assert over_sizes(family(keys, step=np.full(len(keys), np.nan))).x.tolist() == [1e5, 1e6, 1e7]


def test_means_of_clusters_are_taken_within_every_run():
    series = over_sizes(family())
    cluster = np.array([1, 0, 1, -1, 0])
    mean = series.averaged(cluster)
    np.testing.assert_allclose(mean.losses[1], series.losses[[0, 2]].mean(axis=0))
    np.testing.assert_allclose(mean.losses[0], series.losses[[1, 4]].mean(axis=0))
    with pytest.raises(ValueError, match="cluster: none of the curves is in cluster 1"):
        series.averaged(np.array([0, 0, 2, 2, 2]))
    with pytest.raises(ValueError, match="cluster: shape"):
        series.averaged(np.array([0, 1]))


def test_what_is_no_family_is_refused():
    twice = [*KEYS, KEYS[0]]
    hashes = np.array([f"h{i}" for i in range(len(KEYS))])
    hashes[4] = hashes[3]
    for wrong, message in (
        (lambda: family(KEYS[:1]), "checkpoints: 1 found"),
        (lambda: family(twice), "checkpoints m0, m18: equal size, step and seed"),
        (lambda: family(weights_sha256=hashes), "checkpoints m3, m4: equal weights"),
        (lambda: family(step=np.full(len(KEYS), np.nan)), "m0, m2, m4: equal size, step and seed"),
        (lambda: family(step=np.full(len(KEYS), -1.0)), "checkpoint m0: step is -1"),
        (lambda: family(n_params=np.zeros(len(KEYS))), "checkpoint m0: n_params is 0"),
        (lambda: over_sizes(family(KEYS[:6])), "1 size"),
        (lambda: over_sizes(family(), step=7), "0 size.*at step 7"),
        (lambda: over_sizes(family(KEYS[:-1])), ""),
        (lambda: over_steps(family()), "3 sizes found; name one"),
        (lambda: over_steps(family(), n_params=5), "0 step"),
        (lambda: over_steps(family(KEYS[:-1]), n_params=1e7), "seed 1: missing at step 1000"),
    ):
        if not message:
            wrong()  # seed 1 of the largest still has its step 100: the last of that run is taken
            continue
        with pytest.raises(DataError, match=message):
            wrong()


def test_a_missing_seed_is_named_and_can_be_allowed():
    keys = [key for key in KEYS if key[0] < 1e7 or key[2] == 0]
    with pytest.raises(DataError, match=r"seed 1: missing at size 1e\+07"):
        over_sizes(family(keys))
    assert over_sizes(family(keys), complete=False).n_runs.tolist() == [2, 2, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_what_is_no_loss_is_refused_with_its_place(value):
    losses = np.ones((3, len(KEYS)))
    losses[1, 2] = value
    with pytest.raises(DataError, match="prediction 11 under checkpoint m2"):
        make_curves(np.array([10, 11, 12]), losses, checkpoints=checkpoints())


def test_shapes_and_predictions_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="losses: shape"):
        make_curves(np.arange(2), np.ones((3, len(KEYS))), checkpoints=checkpoints())
    with pytest.raises(DataError, match="twice"):
        make_curves(np.zeros(2, int), np.ones((2, len(KEYS))), checkpoints=checkpoints())


def test_a_run_s_table_of_models_is_read():
    table = pa.table(
        {
            "name": ["a", "b"],
            "n_params": [10, 20],
            "step": [1, 1],
            "n_tokens": [None, 5],
            "seed": [None, 3],
            "weights_sha256": ["x", None],
        }
    )
    read = Checkpoints.from_table(table)
    assert read.seed.tolist() == [0, 3]
    assert np.isnan(read.n_tokens[0])
    assert len(make_curves(np.arange(1), np.ones((1, 2)), checkpoints=read).pred) == 1
    with pytest.raises(DataError, match="columns .'seed'. missing"):
        Checkpoints.from_table(table.drop_columns(["seed"]))


def data_series():
    """Two seeds on 100 to 400 distinct tokens, each read for 400: the step says nothing."""
    keys = [(1e5, 10, seed) for _ in (100, 200, 400) for seed in (0, 1)]
    return family(keys, n_unique=np.repeat([100.0, 200.0, 400.0], 2))


def test_curves_over_data_go_along_the_distinct_tokens_of_runs():
    curves = data_series()
    series = over_data(curves)
    assert (series.scale, series.x.tolist()) == ("n_unique", [100, 200, 400])
    assert series.level.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(series.losses, curves.losses)
    assert not series.tracked


def test_runs_on_other_text_are_no_steps_of_one_run():
    with pytest.raises(DataError, match="3 different amounts of text"):
        over_steps(data_series())
    with pytest.raises(DataError, match="equal size, step and seed"):
        family([(1e5, 10, 0)] * 2, n_unique=np.array([100.0, 100.0]))


def test_curves_over_data_need_amounts_of_text():
    with pytest.raises(DataError, match=r"0 amount\(s\) of text for size 1e\+06"):
        over_data(family(), n_params=1e6)
    with pytest.raises(DataError, match="3 sizes found"):
        over_data(family())


def test_levels_are_left_out_evenly_in_logs_and_the_ends_stay():
    keys = [(1e5, step, seed) for step in range(1, 144) for seed in (0, 1)]
    curves = family(keys)
    series = over_steps(curves)
    thinned = series.thinned(16)
    assert len(thinned.x) <= 16
    assert thinned.x[[0, -1]].tolist() == [1, 143]
    gaps = np.diff(np.log(thinned.x[thinned.x > 8]))  # below, steps are further apart than asked
    assert gaps.max() < 2.5 * np.log(143) / 15
    for level, x in enumerate(thinned.x):
        np.testing.assert_array_equal(
            thinned.losses[:, thinned.level == level],
            series.losses[:, series.level == np.flatnonzero(series.x == x)[0]],
        )
    assert series.thinned(200) is series
