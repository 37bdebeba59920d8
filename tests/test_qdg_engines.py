"""Engines agree: `batched` against the oracle, over architectures, flags and layouts."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from quantascope.qdg import batched, taps
from quantascope.qdg.config import SketchConfig
from quantascope.qdg.engines import make_engine
from quantascope.qdg.parameters import ParameterChoice, choose_parameters
from quantascope.qdg.sketch import GradientSketch, sketch_predictions

N_VOCABULARY = 101
SHAPE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
POSITIONS = [39, 1, 7, 20, 21, 33, 5]


def neox(**extra: object) -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=N_VOCABULARY,
        intermediate_size=64,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
        **SHAPE,
        **extra,
    )
    return GPTNeoXForCausalLM(config)


def gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=N_VOCABULARY,
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def llama() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=N_VOCABULARY,
        intermediate_size=64,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=5,
        bos_token_id=0,
        eos_token_id=0,
        **SHAPE,
    )
    return LlamaForCausalLM(config)


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt-neox": neox,
    "gpt-neox, sequential, tied": lambda: neox(
        use_parallel_residual=False, tie_word_embeddings=True
    ),
    "gpt-2 (Conv1D, tied)": gpt2,
    "llama (grouped heads)": llama,
}
FLAGS = {
    "weights and biases": {},
    "norms": {"norms": True},
    "embeddings": {"embeddings": True},
    "no biases, all else": {"biases": False, "norms": True, "embeddings": True},
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return MODELS[request.param]()


@pytest.fixture
def input_ids() -> torch.Tensor:
    return torch.randint(0, N_VOCABULARY, (40,), generator=torch.Generator().manual_seed(1))


def all_gradients(
    name: str, model: PreTrainedModel, choice: ParameterChoice, input_ids: torch.Tensor, **extra
) -> list[list[torch.Tensor]]:
    """Gradients in the order of POSITIONS, a list of block arrays for each prediction."""
    projections = extra.pop("projections", [None] * len(choice.blocks))
    engine = make_engine(name, model, choice, projections=projections, **extra)
    found: dict[int, list[torch.Tensor]] = {}
    for indices, gradients in engine.gradients(input_ids, POSITIONS):
        for row, index in enumerate(indices):
            found[index] = [block[row] for block in gradients]
    return [found[index] for index in range(len(POSITIONS))]


def largest_difference(first: list[list[torch.Tensor]], second: list[list[torch.Tensor]]) -> float:
    """Largest norm of a block's difference over the norm of the whole gradient."""
    worst = 0.0
    for one, other in zip(first, second, strict=True):
        whole = torch.cat([block.flatten() for block in one]).norm()
        for a, b in zip(one, other, strict=True):
            worst = max(worst, float((a - b).norm() / whole))
    return worst


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS.keys())
@pytest.mark.parametrize("input_dim", [0, 8])
def test_batched_equals_reference(model, input_ids, flags, input_dim):
    """Rounding only: 1e-5 is about 100 roundings of single precision."""
    choice = choose_parameters(model, **flags)
    sketch = GradientSketch(choice.shapes, dim=64, input_dim=input_dim, seed=0)
    gradients = [
        all_gradients(
            name, model, choice, input_ids, projections=sketch.projections, targets_per_pass=3
        )
        for name in ("reference", "batched")
    ]
    assert largest_difference(*gradients) < 1e-5


def test_a_wrong_position_is_far_from_the_reference(input_ids):
    """The comparison can fail: one token's shift is no rounding."""
    torch.manual_seed(0)
    model = neox()
    choice = choose_parameters(model)
    right = all_gradients("reference", model, choice, input_ids)
    shifted = all_gradients("batched", model, choice, torch.roll(input_ids, 1))
    assert largest_difference(right, shifted) > 0.1


def test_reference_is_the_plain_gradient_of_the_tokens_own_loss(model, input_ids):
    """Against autograd on the model's loss, by the chain rule of two prefixes' mean losses."""
    choice = choose_parameters(model)
    position = POSITIONS[0]
    weights = [block.weight for block in choice.blocks]
    total = []
    for length in (position + 1, position):
        out = model.eval()(input_ids[None, :length], labels=input_ids[None, :length])
        total.append(out.loss * (length - 1))  # transformers averages over length - 1 predictions
    plain = torch.autograd.grad(total[0] - total[1], weights)
    found = all_gradients("reference", model, choice, input_ids)[0]
    for block, expected, gradient in zip(choice.blocks, plain, found, strict=True):
        matrix = gradient.T[:, : expected.numel() // block.n_out]
        torch.testing.assert_close(matrix, block.matrix(expected, None), rtol=1e-4, atol=1e-5)


def test_passes_do_not_change_gradients(model, input_ids):
    choice = choose_parameters(model)
    one, many = (
        all_gradients("batched", model, choice, input_ids, targets_per_pass=most) for most in (1, 7)
    )
    assert largest_difference(one, many) < 1e-5


def test_tokens_behind_the_target_do_not_matter(model, input_ids):
    """The cut context: changing what follows the last target changes no bit."""
    choice = choose_parameters(model)
    longer = torch.cat([input_ids, torch.randint(0, N_VOCABULARY, (10,))])
    first, second = (all_gradients("batched", model, choice, ids) for ids in (input_ids, longer))
    assert largest_difference(first, second) == 0.0


def test_the_last_block_is_treated_by_rows(monkeypatch, input_ids):
    """Behind the last attention a cotangent lives on its own row: three of twelve layers."""
    found = []

    def spy(cotangents: torch.Tensor) -> torch.Tensor | None:
        found.append(original(cotangents))
        return found[-1]

    original = taps.single_rows
    monkeypatch.setattr(taps, "single_rows", spy)
    torch.manual_seed(0)
    model = neox()
    engine = make_engine("batched", model, choose_parameters(model), projections=[None] * 12)
    list(engine.gradients(input_ids, [20, 39]))
    n_passes = len(found) // 12
    assert sum(rows is not None for rows in found) == 3 * n_passes


def test_model_comes_back_as_it_was(input_ids):
    model = neox().train()
    model.gpt_neox.embed_in.weight.requires_grad_(False)
    before = [value.requires_grad for value in model.parameters()]
    attention = model.config._attn_implementation
    for name in ("reference", "batched"):
        all_gradients(name, model, choose_parameters(model), input_ids)
    assert model.training
    assert [value.requires_grad for value in model.parameters()] == before
    assert model.config._attn_implementation == attention
    assert not any(len(part._forward_hooks) for part in model.modules())
    assert all(value.grad is None for value in model.parameters())


def test_plan_covers_every_prediction_once_at_no_more_cost_than_simple_plans():
    positions = sorted(np.random.default_rng(0).integers(1, 512, size=40).tolist())

    def cost(counts: list[int]) -> float:
        ends = np.cumsum(counts)
        return sum(30 + positions[end - 1] * (k + 1) for end, k in zip(ends, counts, strict=True))

    counts = batched.plan_passes(positions, most=8, overhead=30, fits=lambda k, t: k * t < 3000)
    assert sum(counts) == 40
    assert max(counts) <= 8
    assert cost(counts) <= min(cost([1] * 40), cost([4] * 10), cost([5] * 8))


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="allowed are"):
        make_engine("fast", neox(), ParameterChoice(blocks=()), projections=[])


def sequences(n: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(3)
    return [(random.integers(0, N_VOCABULARY, 30 + k), np.array([29, 3 + k, 11])) for k in range(n)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_engines_give_one_sketch(model, dtype):
    """Whole gradients and factors meet in the same numbers; bfloat16 within its own rounding."""
    model = model.to(dtype)
    first, second = (
        sketch_predictions(
            model, sequences(2), config=SketchConfig(engine=engine, dim=256, input_dim=8)
        )
        for engine in ("reference", "batched")
    )
    cosine = (first[0].astype(np.float64) * second[0]).sum(axis=1)
    # half precision of 256 numbers: 2^-11 each; bfloat16 keeps 8 bits through some 30 operations
    tolerance = 2e-3 if dtype == torch.float32 else 3e-2
    assert np.all(np.abs(cosine - 1) < tolerance)
    np.testing.assert_allclose(first[1], second[1], rtol=tolerance)


def test_grouping_into_calls_changes_no_bit():
    torch.manual_seed(0)
    model, config = neox(), SketchConfig(dim=128)
    whole = sketch_predictions(model, sequences(), config=config)
    parts = [sketch_predictions(model, [one], config=config) for one in sequences()[::-1]][::-1]
    for place in (0, 1):
        np.testing.assert_array_equal(whole[place], np.concatenate([part[place] for part in parts]))


def test_order_of_targets_is_kept():
    torch.manual_seed(0)
    model, config = neox(), SketchConfig(dim=128)
    ids, positions = sequences(1)[0]
    there = sketch_predictions(model, [(ids, positions)], config=config)[0]
    back = sketch_predictions(model, [(ids, positions[::-1])], config=config)[0]
    np.testing.assert_array_equal(there, back[::-1])


def test_a_position_without_context_is_refused():
    with pytest.raises(ValueError, match="allowed are 1 to 9"):
        sketch_predictions(neox(), [(np.arange(10), np.array([0, 3]))], config=SketchConfig(dim=16))


@pytest.mark.parametrize("name", ["batched", "reference"])
def test_a_loss_of_a_billionth_has_the_right_direction(name):
    """Logits scaled until a loss is below 1e-9: the cosine with the gradient in doubles is 1."""
    torch.manual_seed(0)
    model = neox().eval()
    ids = torch.randint(0, N_VOCABULARY, (12,))
    with torch.no_grad():
        hidden = model.gpt_neox(ids[None]).last_hidden_state[0, 5]
        model.get_output_embeddings().weight[ids[6]] += 27.0 * hidden / hidden.square().sum()
    exact = copy.deepcopy(model).double()

    def gradient(module, engine):
        choice = choose_parameters(module)
        made = make_engine(engine, module, choice, projections=[None] * len(choice.blocks))
        ((_, blocks),) = made.gradients(ids, [6])
        return torch.cat([block.flatten() for block in blocks]).double()

    logits = exact(ids[None]).logits[0, 5]
    assert 0 < float(torch.nn.functional.cross_entropy(logits, ids[6]).detach()) < 1e-9
    wanted, found = gradient(exact, "reference"), gradient(model, name)
    assert float((wanted / wanted.norm()) @ (found / found.norm())) > 0.9999
    single = torch.nn.functional.softmax(model(ids[None]).logits[0, 5], dim=0)
    assert float(single[ids[6]].detach()) == 1.0  # twin: the plain difference would be 0
