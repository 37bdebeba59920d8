"""Measured parity exponents held against the theory of 500 quanta.

Mean losses [bit] at widths 9, 20, 50, 102, 209, 300, read from the results in
github.com/ejmichaud/quantization-model; exponents of arXiv 2303.13506 figure A4, which used 20
widths.
"""

import numpy as np
import pytest

from quantascope.laws.powerlaw import fit_power_law
from quantascope.theory.finite import fitted_exponent, parity_params
from quantascope.theory.inverse import capacity_from_quanta, quanta_from_loss
from quantascope.theory.resources import QuantaModel

SIZES = parity_params([9, 20, 50, 102, 209, 300])
LOSSES = {
    0.1: [0.796, 0.720, 0.615, 0.501, 0.408, 0.371],
    0.4: [0.604, 0.526, 0.413, 0.291, 0.192, 0.170],
    0.8: [0.455, 0.322, 0.209, 0.141, 0.071, 0.056],
}
PUBLISHED = {0.1: 0.229, 0.4: 0.378, 0.8: 0.608}


@pytest.mark.parametrize("alpha", LOSSES)
def test_six_widths_give_the_published_exponent(alpha):
    """Losses are read to 1 %: .02 / ln 33 = .006, and six of 20 widths as much again.

    Measured: .005, .001 and .006 off.
    """
    fit = fit_power_law(SIZES, LOSSES[alpha])
    assert -fit.exponent == pytest.approx(PUBLISHED[alpha], abs=0.01)


def test_500_quanta_explain_the_exponent_at_small_alpha():
    """Alpha 0.1 was measured as 0.229 +- .012: .247 from a finite set, .087 from an endless one.

    The finite set is .018 off, which reading alone does not explain, the other .142.
    """
    finite = QuantaModel(alpha=0.1, n_tasks=500, capacity=7000)
    endless = QuantaModel(alpha=0.1, capacity=7000)
    off = [abs(fitted_exponent(model, "N", SIZES) - 0.229) for model in (finite, endless)]
    assert off == pytest.approx([0.018, 0.142], abs=5e-4)


@pytest.mark.parametrize(("alpha", "median"), [(0.1, 7056), (0.4, 7088), (0.8, 8435)])
def test_every_width_asks_for_a_like_capacity(alpha, median):
    """Solved at each width, C varies by a factor of 1.63, 1.96, 1.92 while N grows 33-fold.

    Losses are read to 1 %, and at slopes of .25 and more that is 4 % in C, 8 % in a ratio: C is
    not constant, but far nearer to it than to the size. Medians are of the readings above.
    """
    n = quanta_from_loss(LOSSES[alpha], alpha, n_tasks=500)
    capacity = capacity_from_quanta(SIZES, n)
    assert capacity.max() / capacity.min() < 1.96 * 1.08
    assert SIZES.max() / SIZES.min() > 30
    assert np.median(capacity) == pytest.approx(median, abs=0.5)
