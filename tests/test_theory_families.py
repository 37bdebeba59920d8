"""Synthetic families: closed forms hold on them, chance effects are shared, draws are stable."""

import math
from dataclasses import replace

import numpy as np
import pytest

from quantascope.theory.families import FamilyConfig, sample_family
from quantascope.theory.resources import predict_loss

SIZES = (1e4, 3e4, 1e5, 3e5, 1e6)


def test_expected_losses_are_the_closed_form():
    """Strict thresholds, no chance: the finite-task theory with whole quanta, in N, D and S."""
    plenty = {"n_params": (math.inf,), "n_tokens": (math.inf,), "n_steps": (math.inf,)}
    amounts = {"n_params": SIZES, "n_tokens": (1e4, 1e5, 1e6), "n_steps": (200.0, 1e4, 1e5)}
    for by, name in zip("NDS", amounts, strict=True):
        config = FamilyConfig(n_samples=1, a=0.3, **{**plenty, name: amounts[name]})
        theory = predict_loss(config.theory, by, amounts[name])
        found = sample_family(config, seed=0).expected_loss
        np.testing.assert_allclose(found, theory, rtol=1e-12)


@pytest.mark.parametrize("quanta_per_sample", [1, 4])
@pytest.mark.parametrize("learning", ["threshold", "smooth"])
def test_measured_means_agree_with_expected_ones(quanta_per_sample, learning):
    """Five standard errors of 20,000 samples: false alarm 6e-7 a model."""
    config = FamilyConfig(
        n_samples=20_000, learning=learning, quanta_per_sample=quanta_per_sample,
        gain_spread=0.4, quantum_shift=0.3, run_shift=0.2, noise=0.1, n_params=SIZES,
    )  # fmt: skip
    family = sample_family(config, seed=1)
    error = family.losses.std(axis=0, ddof=1) / math.sqrt(config.n_samples)
    assert (np.abs(family.mean_loss - family.expected_loss) < 5 * error).all()


def test_frequencies_of_drawn_quanta():
    """Counts of the first ten quanta within five binomial standard deviations."""
    family = sample_family(FamilyConfig(n_samples=100_000), seed=2)
    counts = np.bincount(family.quanta[:, 0], minlength=500)[:10]
    p = family.frequency[:10]
    assert (np.abs(counts - 1e5 * p) < 5 * np.sqrt(1e5 * p * (1 - p))).all()


def test_losses_are_put_together_from_strengths():
    config = FamilyConfig(n_samples=300, quanta_per_sample=3, learning="smooth", gain_spread=0.5)
    family = sample_family(config, seed=3)
    missing = family.gain * (1 - family.strength.astype(np.float64))  # model, quantum
    expected = config.a + missing[:, family.quanta].mean(axis=-1).T
    np.testing.assert_allclose(family.losses, expected, atol=1e-6)  # float32


def test_chance_effects_are_shared_by_the_curves_of_a_model():
    """Two samples of one quantum have equal curves; another seed moves both alike."""
    config = FamilyConfig(
        n_samples=2000, learning="smooth", quantum_shift=0.5, run_shift=0.3, seeds=(0, 1)
    )
    family = sample_family(config, seed=4)
    own = np.flatnonzero(family.quanta[:, 0] == 5)
    assert len(own) > 2
    assert (family.losses[own] == family.losses[own[0]]).all()
    by_seed = family.losses[own[0]].reshape(len(config.n_params), 2)
    assert (by_seed[:, 0] != by_seed[:, 1]).any()


def test_checkpoints_of_a_run_share_its_chance_effects():
    config = FamilyConfig(n_samples=1, n_steps=(1e2, 1e3, 1e4), quantum_shift=0.5, seeds=(0, 1))
    family = sample_family(config, seed=5)
    assert family.shift.shape == (10, 500)
    assert family.models["run"].tolist() == [run for run in range(10) for _ in range(3)]
    ordered = family.strength.reshape(10, 3, 500)
    assert (np.diff(ordered, axis=1) >= 0).all()  # nothing is unlearned


def test_shifts_have_the_stated_spread():
    """Standard deviation of 2,500 draws: 7 standard errors of 1.4 % are 10 %."""
    config = FamilyConfig(n_samples=1, quantum_shift=0.5, n_params=SIZES)
    shift = sample_family(config, seed=6).shift
    assert shift.std() == pytest.approx(0.5, rel=0.1)
    common = replace(config, quantum_shift=0.0, run_shift=0.5)
    assert np.ptp(sample_family(common, seed=6).shift, axis=1).max() == 0


def test_more_samples_and_models_leave_the_old_ones():
    """Each draw has its own stream, so a family grows without changing."""
    small = FamilyConfig(n_samples=500, n_params=(1e4, 1e5), quantum_shift=0.4, run_shift=0.1)
    large = replace(small, n_samples=900, n_params=(1e5, 1e4, 1e6), noise=0.0)
    one, two = sample_family(small, seed=7), sample_family(large, seed=7)
    np.testing.assert_array_equal(one.losses, two.losses[:500, [1, 0]])
    np.testing.assert_array_equal(one.losses, sample_family(small, seed=7).losses)
    assert (sample_family(small, seed=8).quanta != one.quanta).any()


def test_classes_follow_the_first_quantum_as_often_as_stated():
    """Agreement ``purity + (1 - purity) / classes`` within five binomial standard deviations."""
    config = FamilyConfig(n_samples=20_000, n_classes=10, class_purity=0.6, quanta_per_sample=2)
    family = sample_family(config, seed=9)
    agree = (family.sample_class == family.class_of_quantum[family.quanta[:, 0]]).mean()
    assert abs(agree - 0.64) < 5 * math.sqrt(0.64 * 0.36 / 20_000)


def test_narrow_smooth_learning_is_a_threshold():
    """A logistic of width 1e-6 differs only where a resource equals a threshold: nowhere here."""
    sizes = tuple(1.055 * size for size in SIZES)
    sharp = FamilyConfig(n_samples=1, n_params=sizes)
    smooth = replace(sharp, learning="smooth", width=1e-6)
    np.testing.assert_array_equal(
        sample_family(sharp, seed=0).strength, sample_family(smooth, seed=0).strength
    )


def test_noise_has_the_stated_size():
    """Difference of noisy and clean losses: 5,000 draws, 7 standard errors of 1 % are 7 %."""
    config = FamilyConfig(n_samples=1000, noise=0.2)
    noisy, clean = (sample_family(c, seed=0) for c in (config, replace(config, noise=0.0)))
    assert (noisy.losses - clean.losses).std() == pytest.approx(0.2, rel=0.07)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0.0),
        ("n_quanta", 0),
        ("noise", -1.0),
        ("noise", math.nan),
        ("seeds", ()),
        ("n_params", (0.0,)),
        ("learning", "sudden"),
        ("class_purity", 1.5),
        ("quanta_per_sample", 0),
        ("n_samples", 2.5),
        ("n_quanta", math.nan),
    ],
)
def test_impossible_configs_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        FamilyConfig(**{field: value})
