"""One smooth cross-entropy through four metrics: sharpness that is the metric's."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.families.metrics import METRICS, emergence_by_metric, seen_as
from quantascope.theory.metrics import power_law_cross_entropy
from tests.families_worlds import make_series

SIZES = np.geomspace(1e2, 1e5, 13)


def smooth(noise=0.0):
    """Give a power law from 2.5 nat down at 13 sizes, three runs."""
    loss = power_law_cross_entropy(SIZES, scale=1e3, exponent=0.4)
    error = noise * stream(0, "metrics").standard_normal((1, 13, 3))
    return make_series(loss[None, :, None] * np.exp(error), n_runs=3)


def test_a_smooth_loss_is_late_and_sharp_in_exact_match():
    """The longer the answer, the later and the narrower; the loss is as wide as it was."""
    late, narrow = [], []
    for n_tokens in (1, 5, 20):
        table = emergence_by_metric(smooth(0.01), n_tokens=n_tokens, n_shuffles=50).to_pylist()
        row = {each["metric"]: each for each in table}["exact match"]
        late.append(row["at"])
        narrow.append(row["drop"])
    assert late == sorted(late)
    loss = next(each for each in table if each["metric"] == "loss")
    assert row["at"] > 10 * loss["at"]
    assert len(table) == len(METRICS)
    assert narrow == sorted(narrow, reverse=True)  # a score near 0 has dropped less by the end


def test_half_of_an_exact_match_is_where_the_formula_has_it():
    """``p^L`` at the place found is half-way between its ends, within the line between sizes."""
    series = seen_as(smooth(), "exact match", n_tokens=5)
    table = emergence_by_metric(smooth(), n_tokens=5, n_shuffles=50).to_pylist()
    row = {each["metric"]: each for each in table}["exact match"]
    middle = (series.losses[0, 0] + series.losses[0, -1]) / 2
    there = 1 - np.exp(-5 * power_law_cross_entropy(row["at"], scale=1e3, exponent=0.4))
    gap = np.abs(np.diff(series.losses[0, ::3])).max()
    assert abs(float(there) - middle) < gap**2  # a line is off by the second order of the gap


def test_metrics_are_taken_before_the_mean_over_a_cluster():
    losses = np.stack([np.full((7, 3), 0.1), np.full((7, 3), 3.0)])
    series = make_series(losses, n_runs=3)
    mean = seen_as(series, "accuracy").averaged(np.zeros(2, dtype=int)).losses[0, 0]
    assert mean == pytest.approx(1 - (np.exp(-0.1) + np.exp(-3.0)) / 2)
    other = seen_as(series.averaged(np.zeros(2, dtype=int)), "accuracy").losses[0, 0]
    assert abs(other - mean) > 0.1  # twin: the other order is another number


def test_a_loss_just_below_zero_counts_as_zero_and_unknown_metrics_are_refused():
    series = make_series(np.full((1, 7, 3), -1e-6), n_runs=3)
    assert (seen_as(series, "brier").losses == 0).all()
    assert (seen_as(series, "loss").losses == series.losses).all()
    with pytest.raises(ValueError, match="metric: 'no' found"):
        seen_as(series, "no")
