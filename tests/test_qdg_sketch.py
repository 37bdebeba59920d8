"""The sketch keeps inner products: unbiased, with the variance that theory gives.

For CountSketch with iid places and signs, and w numbers,
``Var<Sx, Sy> = (|x|^2 |y|^2 + <x,y>^2 - 2 sum x_i^2 y_i^2) / w``. For a sign projection P of width
m before it, with ``M = G' H``, ``Var<GP, HP> = (|M|^2 + tr(M^2) - 2 sum M_ii^2) / m``.

Tolerance: a mean of 400 squared errors, each near chi-squared with one degree of freedom, has a
relative standard deviation of at most sqrt(2/400) = 0.07; tests allow five of these, 0.35, a false
alarm below 1e-6.
"""

import numpy as np
import pytest
import torch

from quantascope.core.errors import DataError
from quantascope.qdg.sketch import GradientSketch, normalise
from quantascope.qdg.whitening import Whitening

N_SEEDS = 400
FIVE_SIGMA = 5 * np.sqrt(2 / N_SEEDS)
N_OUT, N_IN = 12, 40


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Two gradient matrices of low rank, as those of a few tokens are, of length 1, cosine 0.3."""
    random = torch.Generator().manual_seed(0)
    left = torch.randn(2, N_OUT, 3, generator=random)
    right = torch.randn(2, 3, N_IN, generator=random)
    first, other = (left @ right).double()
    first /= first.norm()
    other -= (first * other).sum() * first
    other = 0.3 * first + np.sqrt(1 - 0.09) * other / other.norm()
    return first, other


def inner(sketch: GradientSketch, pair: tuple[torch.Tensor, torch.Tensor]) -> float:
    projection = sketch.projections[0]
    rows = torch.stack([g if projection is None else g @ projection.double() for g in pair])
    compressed = sketch.compress([rows.transpose(1, 2)]).double()
    return float(compressed[0] @ compressed[1])


def count_variance(x: torch.Tensor, y: torch.Tensor) -> float:
    x, y = x.flatten(), y.flatten()
    return float((x @ x) * (y @ y) + (x @ y) ** 2 - 2 * (x**2 * y**2).sum())


@pytest.mark.parametrize("width", [64, 128, 256])
def test_countsketch_error_falls_as_one_over_root_width(pair, width):
    errors = [
        inner(GradientSketch([(N_OUT, N_IN)], dim=width, input_dim=0, seed=seed), pair) - 0.3
        for seed in range(N_SEEDS)
    ]
    expected = count_variance(*pair) / width
    assert abs(np.mean(np.square(errors)) / expected - 1) < FIVE_SIGMA
    assert abs(np.mean(errors)) < 5 * np.sqrt(expected / N_SEEDS)  # unbiased


def test_no_more_components_than_places_are_kept_whole(pair):
    shape = [(N_OUT, N_IN)]
    for dim in (N_OUT * N_IN, 1024):
        sketch = GradientSketch(shape, dim=dim, input_dim=0, seed=0)
        assert sketch.exact
        assert inner(sketch, pair) == pytest.approx(0.3, abs=1e-6)  # float32
    narrow = GradientSketch(shape, dim=N_OUT * N_IN - 1, input_dim=0, seed=0)  # twin: one too few
    assert not narrow.exact
    assert abs(inner(narrow, pair) - 0.3) > 1e-6
    assert not GradientSketch(shape, dim=1024, input_dim=8, seed=0).exact  # projected before


@pytest.mark.parametrize("width", [16, 64])
def test_with_a_first_stage_the_squared_error_is_a_plus_b_over_width(pair, width):
    m = 8
    product = pair[0].T @ pair[1]
    diagonal = torch.diagonal(product)
    a = float((product**2).sum() + (product * product.T).sum() - 2 * (diagonal**2).sum()) / m
    errors, b = [], []
    for seed in range(N_SEEDS):
        sketch = GradientSketch([(N_OUT, N_IN)], dim=width, input_dim=m, seed=seed)
        projected = [g @ sketch.projections[0].double() for g in pair]
        b.append(count_variance(*projected))
        errors.append(inner(sketch, pair) - 0.3)
    expected = a + np.mean(b) / width
    assert abs(np.mean(np.square(errors)) / expected - 1) < FIVE_SIGMA
    assert abs(np.mean(errors)) < 5 * np.sqrt(expected / N_SEEDS)  # unbiased
    # the test can fail: at width 64 the second stage alone is farther off than it allows
    assert width == 16 or a / expected > FIVE_SIGMA


def test_sketch_is_linear(pair):
    sketch = GradientSketch([(N_OUT, N_IN)], dim=32, input_dim=0, seed=0)
    first, other = (g.T[None].float() for g in pair)
    total = sketch.compress([2 * first - other])
    parts = 2 * sketch.compress([first]) - sketch.compress([other])
    torch.testing.assert_close(total, parts)


def test_layers_have_places_of_their_own():
    """Equal blocks under equal maps would add up in step; independent maps do not."""
    shapes = [(N_OUT, N_IN)] * 2
    sketch = GradientSketch(shapes, dim=512, input_dim=0, seed=0)
    one, none = torch.ones(1, N_IN, N_OUT), torch.zeros(1, N_IN, N_OUT)
    first, second = sketch.compress([one, none])[0], sketch.compress([none, one])[0]
    # 480 signs each on 512 places: cosine has a standard deviation of 1 / sqrt(512)
    assert abs(torch.cosine_similarity(first, second, dim=0)) < 5 / np.sqrt(512)


def test_preconditioner_acts_on_inputs_and_signals(pair):
    """Maps given to the sketch equal maps applied to the whole gradient beforehand."""
    random = torch.Generator().manual_seed(1)
    left = torch.randn(N_OUT, N_OUT, generator=random)
    right = torch.randn(N_IN, N_IN, generator=random)
    shape = [(N_OUT, N_IN)]
    plain = GradientSketch(shape, dim=64, input_dim=8, seed=0)
    maps = Whitening({0: right}, {0: left})
    mapped = GradientSketch(shape, dim=64, input_dim=8, seed=0, whitening=maps)
    gradient = pair[0].float()
    before = plain.compress([(left @ gradient @ right @ plain.projections[0]).T[None]])
    inside = mapped.compress([(gradient @ mapped.projections[0]).T[None] @ mapped.outputs[0]])
    torch.testing.assert_close(before, inside, rtol=1e-4, atol=1e-4)


def test_normalise_keeps_the_norm_apart_and_a_vanished_gradient_as_zeros():
    unit, norm = normalise(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0]], atol=5e-4)  # half precision
    assert norm.tolist() == [5.0, 0.0]
    assert unit.dtype == np.float16


def test_a_gradient_that_is_not_finite_stops_with_its_place():
    with pytest.raises(DataError, match="prediction 1"):
        normalise(np.array([[1.0], [np.inf]], dtype=np.float32))


@pytest.mark.parametrize(("dim", "input_dim"), [(0, 8), (16, -1)])
def test_impossible_widths_are_refused(dim, input_dim):
    with pytest.raises(ValueError, match="dim, input_dim"):
        GradientSketch([(2, 2)], dim=dim, input_dim=input_dim, seed=0)
