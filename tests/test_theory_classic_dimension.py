"""Intrinsic dimension: recovered where the theory holds, low where it must be, honest errors."""

import numpy as np
import pytest

from quantascope.core.rng import stream
from quantascope.theory.dimension import (
    dimension_from_exponent,
    extrapolate_dimension,
    knn_dimension,
    two_nn_dimension,
)


def torus(n, dim, *, seed):
    """Draw points of a flat torus: uniform, without edges."""
    angles = 2 * np.pi * stream(seed, "torus", dim).random((n, dim))
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize("estimate", [two_nn_dimension, knn_dimension])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_sheet_without_edges_has_its_dimension(estimate, dim):
    """Five standard errors plus 2 % for curvature over a neighbour distance."""
    found = estimate(torus(4000, dim, seed=0))
    assert abs(found.dim - dim) < 5 * found.stderr + 0.02 * dim


@pytest.mark.parametrize("estimate", [two_nn_dimension, knn_dimension])
def test_edges_bias_high_dimensions_low(estimate):
    """The bias that the module states: a 12-cube of 3,000 points reads below 11."""
    found = estimate(stream(0, "cube").random((3000, 12)))
    assert found.hi < 11


@pytest.mark.parametrize("estimate", [two_nn_dimension, knn_dimension])
def test_stderr_is_the_spread_between_samples(estimate):
    """60 samples: log of the ratio has sd sqrt(1/118 + 1/1080) = .097; five of them, e^.48."""
    found = [estimate(torus(400, 2, seed=seed), seed=seed) for seed in range(60)]
    spread = np.std([f.dim for f in found], ddof=1)
    stated = np.sqrt(np.mean([f.stderr**2 for f in found]))
    assert abs(np.log(stated / spread)) < 0.48


def test_independence_would_understate_the_error_of_many_neighbours():
    """Twin: neighbourhoods overlap, the spread is 1.3 d / sqrt(n (k - 1)); 200 samples, sd 5 %."""
    found = [knn_dimension(torus(400, 2, seed=seed)).dim for seed in range(200)]
    assert np.std(found, ddof=1) > 1.05 * np.mean(found) / np.sqrt(400 * 9)


def test_extrapolation_moves_towards_the_truth():
    """Ten other seeds: limits of mean 6.11 and sd .21 where 4,000 points read 5.43.

    The mean of four lies within 5 * .21 / 2 of that; stated errors (.09 to .18) are too small for
    a single one, as the documentation of recipes says.
    """
    trends = [
        extrapolate_dimension(stream(seed, "cube", 6).random((4000, 6)), method="knn")
        for seed in range(10, 14)
    ]
    for trend in trends:
        assert trend.identified
        assert trend.dim[-1] < trend.dim[0]  # fewer points, lower
    limit = np.mean([trend.limit for trend in trends])
    assert abs(limit - 6.11) < 5 * 0.21 / 2
    assert abs(limit - 6) < abs(np.mean([trend.dim[0] for trend in trends]) - 6)


def test_scale_rotation_and_order_do_not_matter():
    points = torus(500, 2, seed=0)
    rotation = np.linalg.qr(stream(0, "rotation").standard_normal((4, 4)))[0]
    moved = 7.0 * points[::-1] @ rotation + 3.0
    assert two_nn_dimension(moved).dim == pytest.approx(two_nn_dimension(points).dim, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-300, 1e150])
def test_no_unit_overflows(unit):
    points = torus(500, 2, seed=0)
    assert two_nn_dimension(unit * points).dim == pytest.approx(two_nn_dimension(points).dim)


def test_duplicates_are_counted_and_left_out():
    points = torus(500, 2, seed=0)
    found = two_nn_dimension(np.concatenate([points, points[:100]]))
    assert found.n_duplicates == 100
    assert found.dim == two_nn_dimension(points).dim


def test_what_is_not_identified_says_why():
    few = two_nn_dimension(torus(30, 2, seed=0))
    same = two_nn_dimension(np.ones((100, 3)))
    grid = np.stack(np.meshgrid(*[np.arange(12.0)] * 2), axis=-1).reshape(-1, 2)
    assert not few.identified
    assert "60 needed" in few.reason
    assert not same.identified
    assert same.n_duplicates == 99
    assert "equally far" in two_nn_dimension(grid).reason
    assert not extrapolate_dimension(torus(30, 2, seed=0)).identified


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: two_nn_dimension(np.ones(3)), "points"),
        (lambda: two_nn_dimension(np.empty((0, 2))), "points"),
        (lambda: two_nn_dimension([[np.nan, 1.0]]), "points"),
        (lambda: two_nn_dimension(np.ones((3, 2)), discard=1.0), "discard"),
        (lambda: knn_dimension(np.ones((3, 2)), n_neighbours=1), "n_neighbours"),
        (lambda: extrapolate_dimension(np.ones((3, 2)), method="box"), "method"),
        (lambda: dimension_from_exponent(0.0), "alpha"),
    ],
)
def test_bad_arguments_are_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_exponent_and_dimension_invert_each_other():
    """Dimensions are 4 / alpha and 2 / alpha, arXiv 2004.10802."""
    assert dimension_from_exponent([0.25, 1.0]).tolist() == [16.0, 4.0]
    assert dimension_from_exponent(0.5, cells="constant", power=1.0) == 2.0
