"""Distribution of losses: one pass, in parts, equals counting all at once."""

import numpy as np
import pytest

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.core.units import NATS_PER_BIT
from quantascope.families.distribution import FIRST_BIN, LossDistribution, merge_distributions


def losses(n=20_000, n_models=5):
    rng = stream(0, "distribution")
    return (rng.exponential(2.0, (n, n_models)) * np.linspace(1, 0.3, n_models)).astype(np.float32)


def counted(values, **options):
    found = LossDistribution(values.shape[1], **options)
    found.add(values)
    return found


def test_counts_are_those_of_a_plain_histogram():
    values = losses()
    found = counted(values)
    for model in range(5):
        plain, _ = np.histogram(values[:, model].astype(np.float64), bins=found.edges)
        moved = np.abs(found.counts[model, :-1] - plain).sum()
        assert moved <= 4  # single precision may put a loss at an edge into the neighbour
        assert found.counts[model].sum() == len(values)


def test_parts_in_any_order_add_up_to_the_whole():
    values = losses()
    parts = [counted(part) for part in np.array_split(values, 7)]
    whole, merged = counted(values), merge_distributions(parts[::-1])
    np.testing.assert_array_equal(merged.counts, whole.counts)
    np.testing.assert_allclose(merged.mean(), whole.mean(), rtol=1e-12)
    for one, other in zip(merged.persistence(), whole.persistence(), strict=True):
        np.testing.assert_array_equal(one.stayed_below, other.stayed_below)
        np.testing.assert_array_equal(one.first_below, other.first_below)


def test_the_share_solved_is_that_below_the_first_edge():
    """0.018 bit, arXiv:2303.13506 figure 3 (1,000 bins over 18 bit); an edge is not below."""
    assert pytest.approx(0.018 * NATS_PER_BIT, rel=1e-12) == FIRST_BIN
    values = np.array([[0.0], [0.99 * FIRST_BIN], [1.01 * FIRST_BIN], [5.0]])
    assert counted(values).share_solved().tolist() == [0.5]


def test_density_has_mass_one_and_weighted_density_the_mean():
    """The middle of a bin is off by half a width at most."""
    found = counted(np.minimum(losses(), 12.0))
    width = found.edges[1]
    np.testing.assert_allclose(found.density().sum(axis=1) * width, 1.0)
    mean = found.weighted_density().sum(axis=1) * width
    assert (np.abs(mean - found.mean()) <= width / 2).all()


def test_persistence_counts_those_that_come_and_stay():
    """Against a loop over predictions."""
    values = losses(500)
    for found in counted(values).persistence():
        came, stayed = np.zeros((2, 5), dtype=int)
        for row in values < np.float32(found.threshold):
            if row.any():
                first = int(np.flatnonzero(row)[0])
                came[first] += 1
                stayed[first] += row[first:].all()
        assert found.first_below.tolist() == came.tolist()
        assert found.stayed_below.tolist() == stayed.tolist()
        assert found.share[-1] == 1.0


def test_persistence_depends_on_the_order_of_checkpoints():
    """Twin: reversed, other predictions are the first to come."""
    values = losses(500)
    there, back = (counted(v).persistence()[0] for v in (values, values[:, ::-1]))
    assert there.first_below.tolist() != back.first_below.tolist()


def test_losses_beyond_the_last_edge_are_counted_apart():
    found = counted(np.array([[1.0], [1e6]]))
    assert found.counts[0, -1] == 1
    assert found.mean().tolist() == [500_000.5]
    assert found.to_table()["hi"].to_pylist()[-1] == np.inf


def test_first_tokens_of_documents_are_passed_over():
    values = losses(100)
    holes = values.copy()
    holes = np.insert(holes, [0, 50], np.nan, axis=0)
    np.testing.assert_array_equal(counted(holes).counts, counted(values).counts)
    assert counted(np.full((3, 2), np.nan)).n_preds == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_what_is_no_loss_is_refused(value):
    values = losses(10)
    values[3, 2] = value
    with pytest.raises(DataError, match="losses: values"):
        counted(values)


def test_parts_counted_otherwise_do_not_merge():
    values = losses(10)
    with pytest.raises(ValueError, match="differ"):
        merge_distributions([counted(values), counted(values, n_bins=3)])
    with pytest.raises(ValueError, match="parts: none"):
        merge_distributions([])
    with pytest.raises(DataError, match="one column a checkpoint"):
        counted(values).add(values[:, :2])
    with pytest.raises(ValueError, match="upper"):
        counted(values, upper=0)
    with pytest.raises(ValueError, match="thresholds"):
        counted(values, thresholds=(np.nan,))
