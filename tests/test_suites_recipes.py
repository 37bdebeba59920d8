"""Tests of suites as data, of architectures and counts, and of schedules."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from quantascope.lm.architecture import build_model, count_params, weights_sha256
from quantascope.lm.schedule import learning_rate_factor, log_spaced_steps, row_order
from quantascope.lm.suites import SUITES, Member, suite_from_dict


def test_pythia_70m_has_the_published_parameter_counts():
    """18,915,328 without vocabulary and 70,426,624 in all: arXiv 2303.13506, appendix."""
    config = GPTNeoXConfig(
        vocab_size=50_304,
        hidden_size=512,
        num_hidden_layers=6,
        num_attention_heads=8,
        intermediate_size=2048,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        model = GPTNeoXForCausalLM(config)
    assert count_params(model) == (18_915_328, 70_426_624)


@pytest.mark.parametrize("name", SUITES)
def test_sizes_are_named_by_their_block_weights(name):
    for size in SUITES[name].sizes:
        assert float(size.name.removesuffix("M")) == pytest.approx(
            size.n_block_weights / 1e6, rel=0.1
        )
        assert size.width % size.n_heads == 0


def test_demo_has_the_five_sizes_of_its_specification():
    weights = [size.n_block_weights for size in SUITES["demo"].sizes]
    assert weights == [6_144, 24_576, 98_304, 331_776, 921_600]


@pytest.mark.parametrize("size", SUITES["study"].sizes, ids=lambda size: size.name)
def test_counted_parameters_are_block_weights_biases_and_norms(size):
    """Biases 3d+d+4d+d and two norms of 2d a layer, one final norm of 2d; tied matrix once."""
    suite = SUITES["study"]
    with torch.device("meta"):
        model = build_model(suite, Member(size=size, seed=0))
    expected = size.n_block_weights + 13 * size.width * size.n_layers + 2 * size.width
    assert count_params(model) == (expected, expected + suite.vocab_size * size.width)


def test_a_recipe_survives_json():
    for suite in SUITES.values():
        assert suite_from_dict(json.loads(json.dumps(dataclasses.asdict(suite)))) == suite


def test_members_come_costliest_first():
    weights = [member.size.n_block_weights for member in SUITES["small"].members]
    assert weights == sorted(weights, reverse=True)
    assert len(weights) == 18


def test_initial_weights_depend_on_seed_and_on_nothing_else():
    suite, size = SUITES["demo"], SUITES["demo"].sizes[0]
    torch.manual_seed(1)
    first = build_model(suite, Member(size=size, seed=0))
    state = torch.get_rng_state()
    again = build_model(suite, Member(size=size, seed=0))
    other = build_model(suite, Member(size=size, seed=1))
    assert torch.equal(state, torch.get_rng_state())
    assert weights_sha256(first) == weights_sha256(again) != weights_sha256(other)


def test_the_hash_of_weights_sees_name_dtype_shape_and_bytes():
    layer = torch.nn.Linear(2, 3)
    base = weights_sha256(layer)
    assert weights_sha256(torch.nn.Sequential(layer)) != base
    assert weights_sha256(torch.nn.Linear(2, 3)) != base
    layer.weight.data = layer.weight.data.reshape(2, 3)
    assert weights_sha256(layer) != base
    layer.weight.data = layer.weight.data.reshape(3, 2)
    assert weights_sha256(layer) == base
    assert weights_sha256(layer.double()) != base


def test_learning_rate_rises_to_its_peak_and_falls_towards_zero():
    factors = [learning_rate_factor(s, n_steps=100, warmup_share=0.1) for s in range(1, 101)]
    assert factors[9] == max(factors) == 1.0
    assert np.all(np.diff(factors[:10]) > 0)
    assert np.all(np.diff(factors[9:]) < 0)
    assert factors[0] == pytest.approx(0.1)
    assert factors[-1] == pytest.approx(1 / 91)  # 90 equal falls lead to zero one step later


@pytest.mark.parametrize("n_steps", [1, 2, 3, 64, 65, 2441])
def test_checkpoints_are_powers_of_two_and_the_last_step(n_steps):
    steps = log_spaced_steps(n_steps)
    assert steps[0] == 1
    assert steps[-1] == n_steps
    assert list(steps) == sorted(set(steps))
    assert all(step & (step - 1) == 0 for step in steps[:-1])


def test_every_row_is_read_once_an_epoch_and_epochs_differ():
    order = row_order(10, n_wanted=25, seed=0)
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert list(order[:10]) != list(order[10:20])
    np.testing.assert_array_equal(row_order(10, n_wanted=7, seed=0), order[:7])
    assert list(row_order(10, n_wanted=10, seed=1)) != list(order[:10])
