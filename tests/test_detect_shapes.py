"""Laws of rare shapes: noise and plain curves have none beyond the rate, planted ones are found."""

import numpy as np
import pytest

from quantascope.core.errors import DataError
from quantascope.core.rng import stream
from quantascope.families.detect import SHAPES, detect_shapes
from tests.families_worlds import make_series

N = 2000
DESIGNS = {
    "7 sizes, 3 seeds": (7, 3, False),
    "12 steps, 3 runs": (12, 3, True),
    "20 steps, 1 run": (20, 1, True),
}


def curves(shape: np.ndarray, design: str, *, noise: str = "normal", n: int = N):
    n_levels, n_runs, tracked = DESIGNS[design]
    rng = stream(0, "shapes", design, noise)
    axes = (n, n_runs, n_levels) if tracked else (n, n_levels, n_runs)
    chance = rng.standard_normal(axes) if noise == "normal" else rng.laplace(size=axes)
    shared = rng.standard_normal(axes[1:])  # of a run, on all its curves
    along = shape[None, None, :] if tracked else shape[None, :, None]
    losses = 100 + along + np.sqrt(0.7) * chance + np.sqrt(0.3) * shared
    return make_series(losses, n_runs=n_runs, tracked=tracked)


def unit(design: str) -> np.ndarray:
    return np.linspace(0, 1, DESIGNS[design][0])


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("noise", ["normal", "laplace"])
def test_noise_has_a_rare_shape_at_most_at_the_nominal_rate(design, noise):
    """Effects of runs are shared: of one family, not 2,000 independent curves."""
    found = detect_shapes(curves(0 * unit(design), design, noise=noise))
    # 4 sigma of 2,000, and half as much again for what the curves of a family share
    assert (found.p < 0.05).mean(axis=0).max() < 0.05 + 4 * np.sqrt(0.05 * 0.95 / N) + 0.025
    # corrected, a claim in pure noise is a false family: none of six here (chance .26 at 5 % each)
    assert found.claimed.sum() <= 2


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(
    "shape", [lambda t: -20 * t, lambda t: 20 * np.exp(-4 * t), lambda t: -20 * t**2]
)
def test_a_curve_that_falls_by_and_by_has_no_rare_shape(design, shape):
    found = detect_shapes(curves(shape(unit(design)), design))
    assert (found.p < 0.05).mean(axis=0).max() < 0.05 + 4 * np.sqrt(0.05 * 0.95 / N)


def test_a_plateau_that_loses_a_quarter_of_what_follows_is_at_the_edge():
    t = unit("12 steps, 3 runs")
    half = t[6]
    edge = np.where(t <= half, -4 * t / half, -4 - 16 * (t - half) / (1 - half))
    found = detect_shapes(curves(edge, "12 steps, 3 runs"))
    assert (found.p[:, 4] < 0.05).mean() < 0.05 + 4 * np.sqrt(0.05 * 0.95 / N)


PLANTED = {
    "inverse scaling": lambda t: 15 * t,
    "U-shape": lambda t: 30 * np.abs(t - 0.5),
    "bump": lambda t: -30 * np.abs(t - 0.5),
    "double descent": lambda t: 14 * np.cos(3 * np.pi * t),
    "delayed drop": lambda t: -25.0 * (t > 0.8),
}


@pytest.mark.parametrize("shape", PLANTED)
def test_planted_shapes_are_found_and_placed(shape):
    design = "12 steps, 3 runs"
    t = unit(design)
    found = detect_shapes(curves(PLANTED[shape](t), design, n=500))
    column = SHAPES.index(shape)
    assert found.claimed[:, column].mean() > 0.95
    others = {"double descent": {1, 2, 3, 4}}.get(shape, {column})
    rest = [i for i in range(len(SHAPES)) if i not in others]
    assert found.claimed[:, rest].mean(axis=0).max() < 0.1
    x = np.geomspace(1e2, 1e5, 12)
    middle = {"U-shape": 5.5, "bump": 5.5, "double descent": 7.3, "delayed drop": 7.0}
    if shape in middle:
        off = np.abs(np.searchsorted(x * 0.999, found.at[:, column]) - 1 - middle[shape])
        assert np.median(off) <= 2
    first = found.first(shape, 3)
    assert len(first) == 3
    assert found.claimed[first, column].all()
    assert found.counts[shape] == found.claimed[:, column].sum()


def test_a_mixture_keeps_the_rate_of_false_ones():
    """200 delayed drops among 1,800 curves that fall by and by: false ones among those claimed."""
    design = "12 steps, 3 runs"
    t = unit(design)
    real = curves(-25.0 * (t > 0.8), design, n=200).losses
    plain = curves(-25.0 * t, design, n=1800)
    both = make_series(
        np.concatenate([real, plain.losses]).reshape(2000, 3, 12), n_runs=3, tracked=True
    )
    claimed = detect_shapes(both).claimed[:, 4]
    assert claimed[:200].mean() > 0.9
    assert claimed[200:].sum() <= 0.05 * claimed.sum() + 4 * np.sqrt(0.05 * claimed.sum())


def test_too_few_levels_for_a_plateau_are_not_tested_and_faults_are_one_line():
    rng = stream(1, "few")
    series = make_series(9 + rng.standard_normal((50, 2, 3)), n_runs=3)
    found = detect_shapes(series)
    assert np.isnan(found.p[:, 4]).all()
    assert not found.claimed[:, 4].any()
    assert found.to_table().num_rows == 50
    for call, words in (
        (lambda: detect_shapes(series, level=2), "level: 2 found"),
        (lambda: detect_shapes(series, correction="x"), "correction: 'x' found"),
        (lambda: found.first("W", 2), "shape: 'W' found"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="nothing can be tested"):
        detect_shapes(make_series(9 + rng.standard_normal((5, 3, 1)), n_runs=1))
