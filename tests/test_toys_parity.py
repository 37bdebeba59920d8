"""Sparse parity: subsets, frequencies, labels and test points are what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from quantascope.toys.bits import draw_bytes, n_bytes, spread
from quantascope.toys.dense import DenseStream, coded_task, compositional_task
from quantascope.toys.measures import MEASURES, fourier_share
from quantascope.toys.parity import ParityTask, allocate
from quantascope.toys.parity_net import n_params, parity_labels
from quantascope.toys.streams import FiniteStream, OnlineStream

CPU = torch.device("cpu")
SMALL = ParityTask(n_tasks=12, n=10, k=3, seed=4)
FALSE_ALARM = 1e-6


def naive_batch(task, count, seed):
    """Sample as the task is defined: one subtask at a time, in a loop."""
    rng = np.random.default_rng(seed)
    subtasks = rng.choice(task.n_tasks, size=count, p=task.frequencies)
    bits = rng.integers(0, 2, size=(count, task.n))
    labels = [int(bits[row, list(task.subsets[s])].sum() % 2) for row, s in enumerate(subtasks)]
    return subtasks, bits, np.array(labels)


def test_frequencies_of_the_paper_to_six_digits():
    """p_1 over 500 subtasks: computed from the definition in arXiv 2303.13506, section 3."""
    expected = {0.1: 0.191814, 0.4: 0.345126, 0.8: 0.533740}
    for alpha, p_1 in expected.items():
        assert ParityTask(alpha=alpha).frequencies[0] == pytest.approx(p_1, rel=3e-6)
    assert ParityTask().frequencies[9] == pytest.approx(0.0137397, rel=5e-6)
    assert ParityTask().frequencies[-1] == pytest.approx(5.7467e-5, rel=1e-5)


@pytest.mark.parametrize(("width", "count"), [(9, 5429), (20, 12062), (50, 30152), (500, 301_502)])
def test_parameters_of_the_paper_are_exact(width, count):
    assert n_params(ParityTask(), width) == count


def test_offset_uniform_and_given_frequencies():
    shifted = ParityTask(n_tasks=3, offset=1.0, alpha=1.0).frequencies
    assert shifted == pytest.approx(np.array([1 / 4, 1 / 9, 1 / 16]) / (1 / 4 + 1 / 9 + 1 / 16))
    assert ParityTask(n_tasks=4, distribution="uniform").frequencies.tolist() == [0.25] * 4
    given = ParityTask(n_tasks=2, distribution="given", given=(3.0, 1.0))
    assert given.frequencies.tolist() == [0.75, 0.25]


@pytest.mark.parametrize("task", [SMALL, ParityTask(n_tasks=45, n=10, k=2), ParityTask()])
def test_subsets_are_distinct_sorted_and_in_range(task):
    subsets = task.subsets
    assert subsets.shape == (task.n_tasks, task.k)
    assert (np.diff(subsets, axis=1) > 0).all()
    assert len({tuple(row) for row in subsets.tolist()}) == task.n_tasks
    assert subsets.min() >= 0
    assert subsets.max() < task.n


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"k": 11, "n": 10}, "k"),
        ({"k": 0}, "k"),
        ({"n_tasks": 46, "n": 10, "k": 2}, "n_tasks"),
        ({"n_tasks": 0}, "n_tasks"),
        ({"offset": -1.0}, "offset"),
        ({"distribution": "normal"}, "distribution"),
        ({"given": (1.0,)}, "given"),
        ({"distribution": "given", "given": (1.0,), "n_tasks": 2}, "given"),
        ({"distribution": "given", "given": (-1.0, 2.0), "n_tasks": 2}, "given"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(fields, named):
    with pytest.raises(ValueError, match=f"^{named}:") as error:
        ParityTask(**fields)
    assert "\n" not in str(error.value)


def test_largest_remainders_sum_exactly_and_stay_within_one():
    for n_points in (0, 1, 7, 30_000):
        counts = allocate(ParityTask().frequencies, n_points)
        assert counts.sum() == n_points
        assert (np.abs(counts - ParityTask().frequencies * n_points) < 1).all()


def test_rounding_down_loses_points():
    """The twin: the published rule leaves rare subtasks of a small test set with none."""
    shares = ParityTask().frequencies * 30_000
    assert np.floor(shares).sum() < 30_000 - 100


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 65, 100])
def test_bits_survive_packing_and_padding_is_zero(n):
    generator = torch.Generator().manual_seed(3)
    packed = draw_bytes(500, n, generator=generator)
    bits = spread(packed, torch.float32).numpy()
    unpacked = np.unpackbits(packed.numpy(), axis=1, bitorder="little")
    assert (bits == unpacked).all()
    assert packed.shape[1] == n_bytes(n)
    assert not bits[:, n:].any()
    # each of n columns is Bernoulli(1/2) over 500 rows: 6 sigma is .13
    assert np.abs(bits[:, :n].mean(axis=0) - 0.5).max() < 0.135


def test_vectorised_sampler_draws_subtasks_like_the_naive_one():
    """Chi-square of both histograms against each other and against the law."""
    batch = OnlineStream(SMALL, batch_size=20_000, seed=1, device=CPU).batch(0)
    subtasks, _, _ = naive_batch(SMALL, 20_000, 1)
    table = np.stack(
        [np.bincount(found, minlength=SMALL.n_tasks) for found in (batch.subtask.numpy(), subtasks)]
    )
    assert stats.chi2_contingency(table).pvalue > FALSE_ALARM
    expected = SMALL.frequencies * 20_000
    assert stats.chisquare(table[0], expected).pvalue > FALSE_ALARM


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_labels_equal_the_naive_ones_bit_for_bit(dtype):
    subtasks, bits, labels = naive_batch(SMALL, 500, 2)
    found = parity_labels(
        torch.from_numpy(bits)[None].to(dtype),
        torch.from_numpy(subtasks)[None],
        torch.from_numpy(SMALL.subsets)[None],
    )
    assert found[0].tolist() == labels.tolist()
    assert 0.3 < labels.mean() < 0.7


def test_another_law_fails_the_same_chi_square():
    batch = OnlineStream(replace(SMALL, alpha=0.6), batch_size=20_000, seed=1, device=CPU).batch(0)
    counts = np.bincount(batch.subtask.numpy(), minlength=SMALL.n_tasks)
    assert stats.chisquare(counts, SMALL.frequencies * 20_000).pvalue < FALSE_ALARM


def test_batches_depend_on_seed_and_step_alone():
    first, again = (OnlineStream(SMALL, batch_size=50, seed=2, device=CPU) for _ in range(2))
    for _ in range(3):
        first.batch(0)
    assert torch.equal(first.batch(7).packed, again.batch(7).packed)
    assert not torch.equal(first.batch(7).packed, first.batch(8).packed)


@pytest.mark.parametrize(("n_samples", "batch"), [(100, 30), (60, 30), (20, 30)])
def test_an_epoch_reads_every_sample_once(n_samples, batch):
    stream = FiniteStream(SMALL, n_samples=n_samples, batch_size=batch, seed=5, device=CPU)
    for epoch in range(2):
        steps = range(epoch * stream.steps_per_epoch, (epoch + 1) * stream.steps_per_epoch)
        batches = [stream.batch(step) for step in steps]
        rows = torch.cat([torch.cat([b.subtask[:, None], b.packed.long()], 1) for b in batches])
        if epoch == 0:
            once = rows
    assert len(rows) == n_samples
    assert sorted(rows.tolist()) == sorted(once.tolist())
    assert all((b.subtask.diff() >= 0).all() for b in batches)


def test_fourier_share_is_one_for_a_pure_parity_and_zero_for_noise():
    margin = torch.tensor([2.0, 2.0, 2.0])
    means = {name: measure(margin).mean().item() for name, measure in MEASURES.items()}
    assert fourier_share(means["margin"], means["margin_square"]) == pytest.approx(1.0)
    assert fourier_share(np.zeros(2), np.array([0.0, 4.0])).tolist() == [0.0, 0.0]
    assert means["accuracy"] == 1.0
    assert means["strength"] == pytest.approx(np.tanh(1.0))
    assert means["loss"] == pytest.approx(np.log1p(np.exp(-2.0)))


def test_composite_labels_are_the_parity_over_their_atoms():
    task = compositional_task(n=12, n_atoms=4, k=2, composites=[(0, 1), (1, 2, 3)])
    batch = DenseStream(task, batch_size=400, seed=0, device=CPU).batch(0)
    bits = batch.inputs.numpy()[:, task.n_control :]
    shown = batch.inputs.numpy()[:, : task.n_control]
    assert (shown == task.control[batch.subtask.numpy()]).all()
    assert task.counted.sum(axis=1).tolist() == [2, 2, 2, 2, 4, 6]
    assert (task.counted[4] == (task.counted[0] | task.counted[1])).all()
    expected = (bits * task.counted[batch.subtask.numpy()]).sum(axis=1) % 2
    assert (batch.label.numpy() == expected).all()


@pytest.mark.parametrize("order", [2, 3])
def test_a_code_hides_the_subtask_from_every_single_bit_and_pair_below_its_order(order):
    task = coded_task(replace(SMALL, distribution="uniform"), code_order=order)
    stream = DenseStream(task, batch_size=8000, seed=0, device=CPU)
    batch = stream.samples(np.repeat(np.arange(12), 2000), seed=1)
    code = batch.inputs.numpy()[:, : task.n_control].reshape(len(batch.label), order, -1)
    said = code.sum(axis=1) % 2
    assert (said == task.control[batch.subtask.numpy()]).all()
    # any order - 1 of the bits are independent of the subtask: means of 2,000, 6 sigma is .067
    seen = code[:, : order - 1].sum(axis=1) % 2
    means = seen.reshape(12, 2000, -1).mean(axis=1)
    assert np.abs(means - 0.5).max() < 0.07
    assert np.abs(said.reshape(12, 2000, -1).mean(axis=1) - 0.5).min() == 0.5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"n": 7, "n_atoms": 4, "k": 2}, "n, n_atoms, k"),
        ({"n": 8, "n_atoms": 4, "k": 2, "composites": [(0, 4)]}, "composites"),
        ({"n": 8, "n_atoms": 4, "k": 2, "composites": [(1, 1)]}, "composites"),
        ({"n": 8, "n_atoms": 4, "k": 2, "weights": [1.0]}, "weights"),
    ],
)
def test_compositions_that_do_not_fit_are_refused(arguments, named):
    with pytest.raises(ValueError, match=f"^{named}:"):
        compositional_task(**arguments)
