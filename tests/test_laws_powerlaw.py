"""Power-law fit: golden exponents, coverage of the interval, honest refusals."""

import numpy as np
import pytest
from scipy import stats

from quantascope.laws.powerlaw import fit_power_law, fit_replicates

PYTHIA_PARAMS = [18_915_328, 85_056_000, 302_311_424, 805_736_448, 1_208_602_624, 2_517_652_480]
PYTHIA_BITS = [4.22, 3.68, 3.29, 3.07, 2.98, 2.80]


def test_pythia_means_give_the_published_exponent():
    """alpha_N = 0.083, arXiv 2303.13506 section 4, from six of seven sizes."""
    fit = fit_power_law(PYTHIA_PARAMS, PYTHIA_BITS)
    assert abs(fit.exponent + 0.083) < 0.001
    assert fit.lo < -0.083 < fit.hi
    assert fit.n_points == 6


def test_exact_power_law_is_recovered():
    x = np.logspace(0, 4, 20)
    fit = fit_power_law(x, 3.0 * x**-1.4)
    assert fit.exponent == pytest.approx(-1.4, abs=1e-12)
    assert fit.prefactor == pytest.approx(3.0, rel=1e-10)
    assert fit.r2 == pytest.approx(1.0)


def test_t_interval_covers_95_percent():
    """2,000 replicates with five points: binomial sd 0.5 %, five of them 2.5 %."""
    random = np.random.default_rng(0)
    x = np.logspace(6, 9, 5)
    covered = [
        (fit := fit_power_law(x, x**-0.1 * np.exp(0.02 * random.standard_normal(5)))).lo
        <= -0.1
        <= fit.hi
        for _ in range(2000)
    ]
    assert abs(np.mean(covered) - 0.95) < 0.025


def test_a_normal_interval_would_not_cover():
    """The check can fail: with five points 1.96 standard errors cover 85 %, not 95 %."""
    assert 2 * stats.t.cdf(1.96, 3) - 1 < 0.87


def test_rescaling_changes_the_prefactor_alone():
    x = np.array([1.0, 3.0, 10.0, 40.0])
    y = np.array([5.0, 2.0, 1.5, 0.3])
    plain, scaled = fit_power_law(x, y), fit_power_law(10 * x, 7 * y)
    assert scaled.exponent == pytest.approx(plain.exponent)
    assert scaled.hi - scaled.lo == pytest.approx(plain.hi - plain.lo)


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([1.0], [1.0], "points"),
        ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], "one x"),
        ([1.0, 2.0], [1.0, 2.0], "no interval"),
        ([1.0, -2.0, 0.0], [1.0, np.nan, 2.0], "points"),
    ],
)
def test_what_is_not_identified_says_why(x, y, reason):
    fit = fit_power_law(x, y)
    assert not fit.identified
    assert reason in fit.reason


def test_unequal_counts_are_refused():
    with pytest.raises(ValueError, match="equal counts"):
        fit_power_law([1.0, 2.0], [1.0])


def test_replicates_are_centred_on_the_estimate():
    """Replicates with a common bias give an interval around the estimate, of their own width."""
    fit = fit_power_law([1.0, 10.0, 100.0], [1.0, 0.09, 0.01])
    biased = fit.exponent + 0.5 + np.linspace(-0.1, 0.1, 401)
    found = fit_replicates(fit, biased, method="bootstrap")
    assert found.lo == pytest.approx(fit.exponent - 0.095)
    assert found.hi == pytest.approx(fit.exponent + 0.095)
    assert found.method == "bootstrap"
    assert fit_replicates(fit, np.full(10, np.nan), method="bootstrap") == fit
