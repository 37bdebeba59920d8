"""The stacked trainer: gradients are right, stacking changes nothing, a killed sweep goes on."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from quantascope.core.errors import ArtefactError, DataError
from quantascope.pipeline.parity import read_sweep, run_sweep
from quantascope.toys.adam import adam_step, start_moments
from quantascope.toys.bits import spread
from quantascope.toys.dense import DenseStream, compositional_task
from quantascope.toys.mlp import MLPStack, make_module
from quantascope.toys.modules import parity_inputs, parity_module
from quantascope.toys.parity import ParityTask
from quantascope.toys.runs import ParityRun, ParitySweep, build_stack, plan_stacks, uses_half
from quantascope.toys.state import pack_state, unpack_state
from quantascope.toys.training import Schedule, Stopping, eval_steps, start, train

CPU = torch.device("cpu")
TASK = ParityTask(n_tasks=8, n=10, k=2, seed=1)
RUN = ParityRun(task=TASK, width=12, batch_size=200, n_test=400, n_test_per_subtask=40)


def stack_of(runs, *, half=False):
    return build_stack(runs, plan_stacks(runs)[0], device=CPU, half=half)[0]


def hidden_slices(widths):
    ends = np.cumsum(widths).tolist()
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


def trained(runs, n_steps=60, **settings):
    stack, places = build_stack(runs, plan_stacks(runs)[0], device=CPU, half=False)
    assert len(places) == len(runs)
    state = train(
        stack,
        start(stack),
        schedule=Schedule(n_steps=n_steps, n_evals=4, first_eval=5),
        rates=np.array([runs[place].learning_rate for place in places]),
        decays=np.array([runs[place].weight_decay for place in places]),
        **settings,
    )
    order = np.argsort(places)
    return {name: state.history.table(name)[:, order] for name in state.history.rows[0]}


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_hand_derived_gradients_equal_autograd_of_the_paper_s_network(n_seeds):
    """Same batch, dense one-hot input, torch's cross-entropy: equal up to float32 rounding."""
    runs = [replace(RUN, seed=s, width=w) for s in range(n_seeds) for w in (3, 12)]
    stack = stack_of(runs)
    params = stack.start()
    found = stack.gradients(params, 0)
    for place in range(n_seeds):
        batch = stack.streams[place].samples.batch(0)
        bits = spread(batch.packed, torch.float32)[:, : TASK.n]
        inputs = parity_inputs(TASK, batch.subtask, bits)
        subset = torch.from_numpy(TASK.subsets)[batch.subtask]
        label = bits.gather(1, subset).sum(dim=1).long() % 2
        for member, hidden in enumerate(hidden_slices([3, 12])):
            module = parity_module(stack, params, place=place, member=member)
            functional.cross_entropy(module(inputs), label).backward()
            first = module[0].weight.grad.T
            pairs = [
                (found["control"][place, :, hidden], first[: TASK.n_tasks]),
                (found["bits"][place, : TASK.n, hidden], first[TASK.n_tasks :]),
                (found["bias"][place, 0, hidden], module[0].bias.grad),
                (found["readout"][place, hidden], module[2].weight.grad.T),
                (found["offset"][place, member], module[2].bias.grad),
            ]
            for ours, theirs in pairs:
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert not found["bits"][:, TASK.n :].any()


def test_a_wrong_label_would_be_seen_in_the_gradient():
    stack, other = stack_of([RUN]), stack_of([replace(RUN, task=replace(TASK, seed=2))])
    params = stack.start()
    gap = stack.gradients(params, 0)["bits"] - other.gradients(params, 0)["bits"]
    assert gap.abs().max() > 1e-3


def test_stacked_and_single_training_give_the_same_losses_to_rounding():
    """Sums in another order differ by 1e-7; 60 steps of Adam amplify that to below 1e-3."""
    runs = [
        replace(RUN, width=width, seed=seed, learning_rate=rate, weight_decay=decay)
        for seed in (0, 1)
        for width, rate, decay in ((6, 1e-3, 0.0), (12, 4e-3, 0.1), (12, 1e-3, 0.0))
    ]
    together = trained(runs)
    for place, run in enumerate(runs):
        alone = trained([run])
        for name in ("loss", "mean_loss_test", "accuracy"):
            gap = np.abs(together[name][:, place] - alone[name][:, 0]).max()
            assert gap < (0.03 if name == "accuracy" else 1e-3)
    assert np.abs(together["loss"][:, 0] - together["loss"][:, 1]).max() > 0.01


def test_streams_of_equal_shape_are_planned_into_one_stack():
    runs = [replace(RUN, seed=seed, width=width) for seed in (0, 1, 2) for width in (6, 12)]
    assert plan_stacks(runs) == [[[0, 1], [2, 3], [4, 5]]]
    large = [replace(run, batch_size=40_000) for run in runs]
    assert [len(stack) for stack in plan_stacks(large)] == [1, 1, 1]


def test_every_run_is_planned_once_whatever_its_kind():
    runs = [
        replace(RUN, seed=seed, width=width, n_samples=n_samples)
        for seed in (0, 1)
        for width in (5, 700)
        for n_samples in (0, 100, 450)
    ]
    places = sorted(place for stack in plan_stacks(runs) for part in stack for place in part)
    assert places == list(range(len(runs)))


def test_half_products_disturb_a_gradient_far_less_than_another_batch_does():
    """Rounding to 8 bits, signs at random, against sampling: a twentieth is allowed, not none."""
    runs = [RUN, replace(RUN, width=6)]
    params = stack_of(runs).start()

    def gradient(*, half, step):
        found = stack_of(runs, half=half).gradients(params, step)
        return torch.cat([value.flatten() for value in found.values()])

    exact = gradient(half=False, step=0)
    rounding = (gradient(half=True, step=0) - exact).norm()
    sampling = (gradient(half=False, step=1) - exact).norm()
    assert 0 < rounding < sampling / 20


def test_adam_equals_torch_adamw():
    torch.manual_seed(0)
    value = torch.randn(4, 3)
    ours, theirs = {"w": value.clone()}, torch.nn.Parameter(value.clone())
    moments = start_moments(ours)
    adam = torch.optim.AdamW([theirs], lr=0.02, weight_decay=0.3)
    rate, decay = {"w": torch.tensor(0.02)}, {"w": torch.tensor(0.3)}
    for step in range(1, 30):
        gradient = torch.randn(4, 3)
        theirs.grad = gradient.clone()
        adam.step()
        adam_step(ours, {"w": gradient}, moments, step=step, rates=rate, decays=decay)
    torch.testing.assert_close(ours["w"], theirs.data, rtol=1e-5, atol=1e-6)


def test_the_mean_loss_is_that_of_the_network_on_its_test_points():
    """An independent estimate on 40,000 fresh samples; 6 standard errors of both."""
    runs = [replace(RUN, n_test=40_000)]
    stack = stack_of(runs)
    params = stack.start()
    params["readout"] *= 5  # losses away from ln 2
    measured = stack.evaluate(params)
    rng = np.random.default_rng(0)
    subtask = torch.from_numpy(rng.choice(TASK.n_tasks, size=40_000, p=TASK.frequencies))
    bits = torch.from_numpy(rng.integers(0, 2, size=(40_000, TASK.n))).float()
    label = bits.gather(1, torch.from_numpy(TASK.subsets)[subtask]).sum(dim=1).long() % 2
    module = parity_module(stack, params)
    with torch.no_grad():
        logits = module(parity_inputs(TASK, subtask, bits))
    losses = functional.cross_entropy(logits, label, reduction="none")
    error = float(losses.std()) * np.sqrt(2 / 40_000)
    for name in ("mean_loss_test", "mean_loss_validation"):
        assert abs(float(measured[name][0]) - float(losses.mean())) < 6 * np.sqrt(2) * error
    weighted = measured["loss"][0] @ TASK.frequencies
    assert abs(weighted - losses.mean().item()) < 6 * error


def test_early_stopping_takes_members_out_and_leaves_the_rest_unchanged():
    runs = [
        replace(RUN, n_samples=150, width=w, learning_rate=r) for w, r in ((12, 2e-2), (6, 1e-4))
    ]
    free = trained(runs, n_steps=400)
    stopped = trained(runs, n_steps=400, stopping=Stopping(patience=1, least_steps=20))
    over = np.isnan(stopped["mean_loss_test"])
    assert over[-1, 0]
    kept = ~over[:, 1]
    assert kept.all()
    np.testing.assert_allclose(
        stopped["mean_loss_test"][:, 1], free["mean_loss_test"][:, 1], atol=1e-4
    )


def test_a_state_survives_packing_and_goes_on_to_the_same_numbers():
    runs = [RUN, replace(RUN, width=5)]
    settings = {
        "schedule": Schedule(n_steps=50, n_evals=5, first_eval=5),
        "rates": np.full(2, 1e-3),
        "decays": np.zeros(2),
    }
    whole = train(stack_of(runs), start(stack_of(runs)), **settings)
    part = train(stack_of(runs), start(stack_of(runs)), on_step=lambda s: s.step == 23, **settings)
    assert part.step == 23
    again = train(stack_of(runs), unpack_state(pack_state(part), device=CPU), **settings)
    first, second = pack_state(whole), pack_state(again)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_evaluations_are_rising_and_end_with_the_last_step():
    steps = eval_steps(Schedule(n_steps=1000, n_evals=20, first_eval=10))
    assert (np.diff(steps) > 0).all()
    assert steps[0] == 10
    assert steps[-1] == 1000
    assert eval_steps(Schedule(n_steps=25, every=10)).tolist() == [10, 20, 25]
    assert eval_steps(Schedule(n_steps=3)).tolist() == [3]
    with pytest.raises(ValueError, match="n_steps"):
        eval_steps(Schedule(n_steps=0))


def test_callbacks_see_every_evaluation_and_further_measures_are_kept():
    seen = []
    stack = stack_of([RUN])
    test = stack.streams[0].test
    test.measures["surprise"] = lambda margin: (margin < 0).float()
    state = train(
        stack,
        start(stack),
        schedule=Schedule(n_steps=20, n_evals=3, first_eval=5),
        rates=np.full(1, 1e-3),
        decays=np.zeros(1),
        on_eval=lambda step, problem, params: seen.append((step, problem.n_members, set(params))),
    )
    assert [step for step, _, _ in seen] == state.history.steps
    wrong, right = state.history.table("surprise"), state.history.table("accuracy")
    np.testing.assert_allclose(
        wrong + right, 1.0, atol=0.03
    )  # margins of exactly 0 count as neither


def test_plain_stacks_train_like_single_networks():
    task = compositional_task(n=6, n_atoms=2, k=2, composites=[(0, 1)])
    stream = DenseStream(task, batch_size=100, seed=0, device=CPU)
    settings = {"hidden": [16, 16], "n_per_subtask": 40}
    schedule = Schedule(n_steps=60, n_evals=2)
    together = MLPStack([stream] * 3, [0, 1, 2], **settings)
    state = train(
        together, start(together), schedule=schedule, rates=np.full(3, 3e-3), decays=np.zeros(3)
    )
    alone = MLPStack([stream], [1], **settings)
    single = train(
        alone, start(alone), schedule=schedule, rates=np.full(1, 3e-3), decays=np.zeros(1)
    )
    gap = state.history.table("loss")[:, 1] - single.history.table("loss")[:, 0]
    assert np.abs(gap).max() < 1e-3
    batch = stream.batch(0)
    module = make_module(state.params, 1)
    single_logits = make_module(single.params, 0)(batch.inputs)
    torch.testing.assert_close(module(batch.inputs), single_logits, rtol=1e-2, atol=1e-2)


SWEEP = ParitySweep(
    runs=tuple(replace(RUN, seed=seed, width=width) for seed in (0, 1) for width in (6, 12)),
    schedule=Schedule(n_steps=40, n_evals=3, first_eval=10),
    precision="float32",
)


def test_a_sweep_is_read_back_whole_and_refuses_another_in_its_folder(tmp_path):
    tables = run_sweep(SWEEP, tmp_path)
    assert tables.sweep == SWEEP
    assert tables.runs.num_rows == 4
    assert tables.subtasks.num_rows == 4 * 3 * TASK.n_tasks
    assert {path.name for path in tmp_path.iterdir()} == {
        "sweep.json", "runs.parquet", "curves.parquet", "subtasks.parquet", "networks"
    }  # fmt: skip
    with pytest.raises(DataError, match="another sweep"):
        run_sweep(replace(SWEEP, schedule=Schedule(n_steps=41)), tmp_path)
    (tmp_path / "curves.parquet").write_bytes(b"x")
    with pytest.raises(ArtefactError):
        read_sweep(tmp_path)


def test_workers_change_no_byte(tmp_path):
    runs = (*SWEEP.runs, replace(RUN, n_samples=90))
    sweep = replace(SWEEP, runs=runs)
    run_sweep(sweep, tmp_path / "one")
    run_sweep(sweep, tmp_path / "two", workers=2)
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            other = tmp_path / "two" / path.relative_to(tmp_path / "one")
            assert other.read_bytes() == path.read_bytes()


KILLED = """
import os, signal, sys
from pathlib import Path
import quantascope.pipeline.parity as parity
from tests.test_toys_training import SWEEP

parity._SECONDS_BETWEEN_SAVES = -1.0
write, count = parity._write_state, [0]
def write_and_die(path, state):
    write(path, state)
    count[0] += 1
    if count[0] == 17:
        os.kill(os.getpid(), signal.SIGKILL)
parity._write_state = write_and_die
parity.run_sweep(SWEEP, Path(sys.argv[1]))
"""


def test_a_killed_sweep_resumes_to_the_same_bytes(tmp_path):
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "sweep.json").exists()
    run_sweep(SWEEP, tmp_path / "killed")
    run_sweep(SWEEP, tmp_path / "whole")
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file():
            other = tmp_path / "killed" / path.relative_to(tmp_path / "whole")
            assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"width": 0}, "width"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"init_scale": float("inf")}, "init_scale"),
        ({"n_samples": -1}, "n_samples"),
        ({"n_test_per_subtask": 1}, "n_test_per_subtask"),
    ],
)
def test_runs_that_cannot_be_trained_are_refused(fields, named):
    with pytest.raises(ValueError, match=f"^{named}:"):
        replace(RUN, **fields)


def test_precision_is_what_was_asked_for():
    assert uses_half("bfloat16", "cpu")
    assert not uses_half("float32", "cpu")
    with pytest.raises(ValueError, match="precision"):
        replace(SWEEP, precision="half")
    with pytest.raises(ValueError, match="runs"):
        replace(SWEEP, runs=(RUN, RUN))
