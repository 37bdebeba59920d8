"""Laws of whitening: moments become isotropic, rank-one factors are whitened apart, maps pack."""

import pytest
import torch

from quantascope.core.errors import DataError
from quantascope.qdg.sketch import GradientSketch
from quantascope.qdg.whitening import GradientMoments, Whitening

N, N_IN, N_OUT = 400, 6, 4


def factors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    stretch = torch.diag(torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.25]))
    inputs = torch.randn(N, N_IN, generator=generator) @ stretch
    signals = torch.randn(N, N_OUT, generator=generator) * torch.tensor([3.0, 1.0, 1.0, 0.3])
    return inputs, signals


def whiten(gradients, damping):
    moments = GradientMoments([(N_OUT, N_IN)])
    moments.add([gradients])
    maps = moments.whitening(damping=damping)
    return maps.inputs[0] @ gradients @ maps.signals[0], maps


def spread(moment):
    """Ratio of the largest to the smallest eigenvalue."""
    values = torch.linalg.eigvalsh(moment)
    return float(values[-1] / values[0])


def test_second_moments_of_unit_gradients_become_isotropic():
    """With B = I the input map alone makes A^-1/2 A A^-1/2 = I, to rounding."""
    inputs, signals = factors()
    gradients = inputs[:, :, None] * signals[:, None, :]
    unit = gradients / gradients.flatten(1).norm(dim=1)[:, None, None]
    _, maps = whiten(gradients, 1e-9)
    moment = torch.einsum("nio,njo->ij", unit, unit) / N
    white = maps.inputs[0] @ moment @ maps.inputs[0]
    torch.testing.assert_close(white, torch.eye(N_IN), atol=1e-3, rtol=1e-3)
    assert spread(moment) > 50  # twin: before, it is not


def test_whitened_products_are_isotropic_on_both_sides():
    """Rank-one gradients ``u s'`` with independent factors: each side's moment is a multiple of 1.

    The input side's is ``A^-1/2 E[u u'] A^-1/2 E[s' B^-1 s]``. Of 400 samples in 6 dimensions the
    ratio of extreme eigenvalues is about ``((1 + sqrt(6/400)) / (1 - sqrt(6/400)))^2 = 1.6``.
    """
    inputs, signals = factors()
    gradients = inputs[:, :, None] * signals[:, None, :]
    unit = gradients / gradients.flatten(1).norm(dim=1)[:, None, None]
    _, maps = whiten(gradients, 1e-9)

    def spreads(product):
        return (
            spread(torch.einsum("nio,njo->ij", product, product)),
            spread(torch.einsum("nio,nip->op", product, product)),
        )

    both = spreads(maps.inputs[0] @ unit @ maps.signals[0])
    assert max(both) < 2
    assert spreads(maps.inputs[0] @ unit)[1] > 5  # twin: signal maps left out
    assert spreads(unit @ maps.signals[0])[0] > 15  # twin: input maps left out


def test_a_sketch_applies_both_maps():
    """The sketch of G is the plain sketch of A^-1/2 G B^-1/2: same places, same signs."""
    inputs, signals = factors()
    gradients = inputs[:, :, None] * signals[:, None, :]
    white, maps = whiten(gradients, 0.01)
    setting = {"dim": 64, "input_dim": 0, "seed": 0}
    sketch = GradientSketch([(N_OUT, N_IN)], whitening=maps, **setting)
    found = sketch.compress([sketch.projections[0].T @ gradients @ sketch.outputs[0]])
    plain = GradientSketch([(N_OUT, N_IN)], **setting)
    torch.testing.assert_close(found, plain.compress([white]), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(found, plain.compress([maps.inputs[0] @ gradients]), atol=0.1)


def test_gradients_that_are_not_finite_are_refused_and_tiny_ones_count():
    moments = GradientMoments([(N_OUT, N_IN)])
    with pytest.raises(DataError, match="not finite"):
        moments.add([torch.full((2, N_IN, N_OUT), float("nan"))])
    moments.add([torch.full((2, N_IN, N_OUT), 1e-30)])  # the square vanishes in single precision
    assert not torch.equal(moments.whitening(damping=0.1).inputs[0], torch.eye(N_IN))


def test_damping_limits_how_far_a_silent_direction_is_raised():
    """Eigenvalues from 0 to 1 become factors of at most (damping / n)^-1/2."""
    gradients = torch.zeros(10, N_IN, N_OUT)
    gradients[:, 0, 0] = 1.0
    _, maps = whiten(gradients, 0.01)
    assert torch.linalg.eigvalsh(maps.inputs[0])[-1] == pytest.approx((0.01 / N_IN) ** -0.5)


def test_the_order_and_grouping_of_samples_do_not_matter():
    inputs, signals = factors()
    gradients = inputs[:, :, None] * signals[:, None, :]
    _, whole = whiten(gradients, 0.01)
    moments = GradientMoments([(N_OUT, N_IN)])
    for part in gradients.flip(0).split(37):
        moments.add([part])
    again = moments.whitening(damping=0.01)
    torch.testing.assert_close(again.inputs[0], whole.inputs[0], rtol=1e-3, atol=1e-4)


def test_a_block_without_gradient_is_left_as_it_is():
    _, maps = whiten(torch.zeros(5, N_IN, N_OUT), 0.01)
    assert torch.equal(maps.inputs[0], torch.eye(N_IN))


def test_packed_maps_come_back():
    inputs, signals = factors()
    _, maps = whiten(inputs[:, :, None] * signals[:, None, :], 0.01)
    back = Whitening.unpack(maps.pack(), [(N_OUT, N_IN)])
    assert torch.equal(back.inputs[0], maps.inputs[0])
    assert torch.equal(back.signals[0], maps.signals[0])


def test_no_damping_is_refused():
    with pytest.raises(ValueError, match="damping: 0 found; allowed is any share above 0"):
        GradientMoments([(2, 2)]).whitening(damping=0)
