"""Summaries of sweeps: what was not equal is not mixed, what stopped or diverged is still read."""

from dataclasses import replace

import numpy as np
import pytest

from quantascope.core.errors import DataError
from quantascope.pipeline.parity import read_sweep, run_sweep
from quantascope.pipeline.parity_families import curves_of
from quantascope.pipeline.parity_summary import measure_exponents, summarise_runs
from quantascope.toys.parity import ParityTask
from quantascope.toys.runs import ParityRun, ParitySweep
from quantascope.toys.training import Schedule, Stopping

TASK = ParityTask(n_tasks=4, n=8, k=2, seed=1)
RUN = ParityRun(task=TASK, width=8, batch_size=60, n_test=100, n_test_per_subtask=20)
SCHEDULE = Schedule(n_steps=60, n_evals=12, first_eval=2)


def sweep_of(runs, tmp_path, **settings):
    sweep = ParitySweep(runs=tuple(runs), schedule=SCHEDULE, precision="float32", **settings)
    return run_sweep(sweep, tmp_path)


def by_name(tables):
    return {each.name: each for each in measure_exponents(tables)}


def test_other_settings_are_not_mixed_into_one_fit(tmp_path):
    """Two widths over samples: a fit for each, whatever their order."""
    runs = [
        replace(RUN, n_samples=n, width=width) for width in (2, 16) for n in (60, 120, 240, 480)
    ]
    forth = sweep_of(runs, tmp_path / "forth")
    back = sweep_of(runs[::-1], tmp_path / "back")
    first = [e.estimate for e in measure_exponents(forth) if e.name == "quanta of data"]
    second = [e.estimate for e in measure_exponents(back) if e.name == "quanta of data"]
    assert len(first) == 2
    assert sorted(map(str, first)) == sorted(map(str, second))


def test_networks_that_stopped_at_different_steps_are_fitted_on_the_steps_they_share(tmp_path):
    runs = [replace(RUN, seed=seed, learning_rate=3e-2) for seed in range(4)]
    tables = sweep_of(runs, tmp_path, stopping=Stopping(patience=1, least_steps=4))
    assert len({len(curve.steps) for curve in curves_of(tables)}) > 1
    assert "convergence" in by_name(tables)


def test_a_diverged_network_keeps_its_row_and_moves_no_other(tmp_path):
    runs = [replace(RUN, learning_rate=1e30), RUN, replace(RUN, width=4)]
    with np.errstate(all="ignore"):
        rows = summarise_runs(sweep_of(runs, tmp_path / "with"))
    alone = summarise_runs(sweep_of(runs[1:], tmp_path / "without"))
    assert rows["width"].tolist() == [8, 8, 4]
    assert np.isnan(rows["final_nats"][0])
    assert rows["final_nats"][1:].to_numpy() == pytest.approx(
        alone["final_nats"].to_numpy(), abs=1e-3
    )


def test_theory_is_only_put_beside_its_own_frequencies(tmp_path):
    widths = (4, 8, 12)
    zipf = by_name(sweep_of([replace(RUN, width=w) for w in widths], tmp_path / "zipf"))["alpha_N"]
    even = replace(TASK, distribution="uniform")
    runs = [replace(RUN, width=w, task=even) for w in widths]
    flat = by_name(sweep_of(runs, tmp_path / "even"))["alpha_N"]
    assert zipf.asymptotic == 0.4
    assert np.isfinite(zipf.finite)
    assert np.isnan(flat.asymptotic)
    assert np.isnan(flat.finite)


def test_subtasks_that_never_come_are_left_out_of_the_times(tmp_path):
    task = ParityTask(n_tasks=4, n=8, k=1, distribution="given", given=(2.0, 1.0, 1.0, 0.0))
    found = by_name(sweep_of([replace(RUN, task=task, learning_rate=3e-2)], tmp_path))
    assert found["convergence"].n_points in (0, 3)


def test_further_measures_are_columns_and_part_of_what_a_folder_holds(tmp_path):
    """A measure equal to a built-in one gives its numbers."""
    sweep = ParitySweep(runs=(RUN,), schedule=SCHEDULE, precision="float32")
    found = run_sweep(sweep, tmp_path / "with", measures={"right": lambda m: (m > 0).float()})
    assert found.subtasks["right"].equals(found.subtasks["accuracy"])
    plain = run_sweep(sweep, tmp_path / "without")
    assert found.subtasks.drop_columns("right").equals(plain.subtasks)
    with pytest.raises(DataError, match="another sweep"):
        run_sweep(sweep, tmp_path / "without", measures={"right": lambda m: m})
    with pytest.raises(ValueError, match="fourier"):
        run_sweep(sweep, tmp_path / "new", measures={"fourier": lambda m: m})


def test_an_interrupted_compaction_goes_on_to_the_same_bytes(tmp_path):
    """The state is saved after members have been taken out, and continued."""
    runs = [replace(RUN, seed=seed, learning_rate=rate) for seed, rate in ((0, 3e-2), (1, 1e-4))]
    stopping = Stopping(patience=1, least_steps=4)
    sweep = ParitySweep(runs=tuple(runs), schedule=SCHEDULE, precision="float32", stopping=stopping)
    whole = run_sweep(sweep, tmp_path / "whole")
    shorter = replace(sweep, schedule=replace(SCHEDULE, n_steps=60))
    assert run_sweep(shorter, tmp_path / "again").curves.equals(whole.curves)
    assert read_sweep(tmp_path / "whole").runs["stopped_early"].to_pylist()[0]


@pytest.mark.slow
def test_three_bits_of_twenty_four_are_learned_in_the_order_of_use(tmp_path):
    """N 24, k 3, 5,000 steps: first subtask near step 450, exponent of convergence near -.9."""
    run = ParityRun(
        task=ParityTask(n_tasks=50, n=24, k=3),
        width=128,
        batch_size=1000,
        learning_rate=2e-3,
        n_test=20_000,
        n_test_per_subtask=200,
    )
    sweep = ParitySweep(runs=(run,), schedule=Schedule(n_steps=5000, n_evals=60, first_eval=50))
    tables = run_sweep(sweep, tmp_path)
    found, curve = by_name(tables), curves_of(tables)[0]
    learned = curve.subtasks[-1] < 0.1 * np.log(2)
    assert learned[:2].all()
    assert not learned[20:].any()
    assert -1.4 < found["convergence"].estimate < -0.6
    falling = (curve.test < 0.9 * np.log(2)) & (curve.test > 1.3 * curve.final)
    slope = np.polyfit(np.log(curve.steps[falling]), np.log(curve.test[falling]), 1)[0]
    assert -slope > 0.4 / 1.4  # steeper than endlessly many subtasks would give
    assert curve.final / np.log(2) == pytest.approx(0.23, abs=0.1)
