"""Tests of losses: against a plain loop, against the model's own loss, under trouble."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from quantascope.core.errors import DataError
from quantascope.lm.losses import document_losses, shard_documents

N_WORDS = 50
LENGTHS = [7, 1, 12, 3, 2, 12, 5]
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
CONFIGS = {
    "gpt_neox": GPTNeoXConfig(
        vocab_size=N_WORDS,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
    ),
    "gpt2": GPT2Config(vocab_size=N_WORDS, n_embd=16, n_layer=2, n_head=2, n_positions=16),
    "llama": LlamaConfig(
        vocab_size=N_WORDS,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=16,
    ),
}


def _model(config: PretrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.5)  # far from uniform predictions
    return model


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return _model(CONFIGS[request.param])


@pytest.fixture
def tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(0, N_WORDS, OFFSETS[-1])


def _plain_loop(
    model: PreTrainedModel, tokens: np.ndarray, *, max_length: int, bos_id: int | None = None
) -> np.ndarray:
    """One document at a time, one position at a time, full logits."""
    losses = np.full(len(tokens), np.nan)
    prefix = [] if bos_id is None else [bos_id]
    for start, stop in zip(OFFSETS[:-1], OFFSETS[1:], strict=True):
        ids = prefix + tokens[start:stop].tolist()
        for at in range(1 + len(prefix), min(len(ids), max_length)):
            with torch.no_grad():
                logits = model(torch.tensor([ids[:at]])).logits[0, -1]
            losses[start + at - len(prefix)] = -logits.log_softmax(0)[ids[at]]
    return losses


@pytest.mark.parametrize("bos_id", [None, 3])
@pytest.mark.parametrize("max_length", [4, 16])
def test_losses_equal_a_loop_over_documents_and_positions(model, tokens, bos_id, max_length):
    ours = document_losses(model, tokens, OFFSETS, max_length=max_length, bos_id=bos_id)
    plain = _plain_loop(model, tokens, max_length=max_length, bos_id=bos_id)
    np.testing.assert_allclose(ours, plain, atol=1e-5, rtol=1e-5)
    assert ours.dtype == np.float32


def test_mean_loss_of_a_document_equals_the_models_own(model, tokens):
    document = tokens[:12]
    ours = document_losses(model, document, np.array([0, 12]), max_length=16)
    ids = torch.tensor(document)[None]
    own = model(input_ids=ids, labels=ids).loss.item()
    assert np.nanmean(ours) == pytest.approx(own, abs=1e-5)


def test_batch_size_and_order_of_documents_change_nothing(model, tokens):
    one = document_losses(model, tokens, OFFSETS, max_length=16, batch_tokens=1)
    many = document_losses(model, tokens, OFFSETS, max_length=16, batch_tokens=10_000)
    np.testing.assert_allclose(one, many, atol=1e-5)
    order = [4, 2, 6, 0, 5, 1, 3]
    parts = [tokens[OFFSETS[doc] : OFFSETS[doc + 1]] for doc in order]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    moved = document_losses(model, np.concatenate(parts), offsets, max_length=16)
    back = np.concatenate([many[OFFSETS[doc] : OFFSETS[doc + 1]] for doc in order])
    np.testing.assert_allclose(moved, back, atol=1e-5)


def test_a_document_does_not_see_its_neighbour(tokens):
    """Twin: changing a token inside the document does change its later losses."""
    model = _model(CONFIGS["llama"])
    before = document_losses(model, tokens, OFFSETS, max_length=16)
    changed = tokens.copy()
    changed[:7] = (changed[:7] + 1) % N_WORDS
    after = document_losses(model, changed, OFFSETS, max_length=16)
    np.testing.assert_allclose(before[7:], after[7:], atol=1e-5)
    assert np.nanmax(np.abs(before[:7] - after[:7])) > 0.1


def test_a_slice_of_the_offsets_gives_that_slice_of_the_losses(tokens):
    model = _model(CONFIGS["gpt_neox"])
    whole = document_losses(model, tokens, OFFSETS, max_length=16)
    part = document_losses(model, tokens, OFFSETS[2:5], max_length=16)
    np.testing.assert_allclose(part, whole[OFFSETS[2] : OFFSETS[4]], atol=1e-5)


def test_bfloat16_agrees_to_its_precision(tokens):
    """Eight bits of mantissa: logits of about 10 err by a few times 2^-8 of that."""
    model = _model(CONFIGS["gpt_neox"])
    exact = document_losses(model, tokens, OFFSETS, max_length=16)
    rough = document_losses(model, tokens, OFFSETS, max_length=16, dtype=torch.bfloat16)
    error = np.nanmax(np.abs(exact - rough))
    assert 0 < error < 0.5


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("you tried to allocate memory")])
def test_running_out_of_memory_halves_the_batch_and_goes_on(tokens, monkeypatch, error):
    model = _model(CONFIGS["gpt_neox"])
    expected = document_losses(model, tokens, OFFSETS, max_length=16)
    rows_tried = []
    whole = type(model.base_model).forward

    def forward(self, input_ids, **kwargs):
        rows_tried.append(len(input_ids))
        if len(input_ids) > 2:
            raise error
        return whole(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(type(model.base_model), "forward", forward)
    losses = document_losses(model, tokens, OFFSETS, max_length=16, batch_tokens=64)
    np.testing.assert_allclose(losses, expected, atol=1e-5)
    assert max(rows_tried) > 2


def test_another_runtime_error_is_not_taken_for_lack_of_memory(tokens, monkeypatch):
    model = _model(CONFIGS["gpt_neox"])
    monkeypatch.setattr(
        "quantascope.lm.losses._batch_losses",
        lambda *_, **__: (_ for _ in ()).throw(RuntimeError("shapes differ")),
    )
    with pytest.raises(RuntimeError, match="shapes differ"):
        document_losses(model, tokens, OFFSETS, max_length=16)


def test_nan_weights_stop_with_model_and_document(model, tokens):
    with torch.no_grad():
        next(model.base_model.parameters())[int(tokens[0])] = torch.nan
    with pytest.raises(DataError, match="model broken: .* in document 4\\d"):
        document_losses(model, tokens, OFFSETS, max_length=16, name="broken", first_document=40)


def test_capped_logits_are_refused(tokens):
    model = _model(CONFIGS["llama"])
    whole = model.forward

    def capped(*args, **kwargs):
        output = whole(*args, **kwargs)
        output.logits = output.logits.tanh()
        return output

    model.forward = capped
    with pytest.raises(DataError, match="caps or scales"):
        document_losses(model, tokens, OFFSETS, max_length=16)


def test_max_length_must_leave_a_prediction(tokens):
    with pytest.raises(ValueError, match="max_length"):
        document_losses(_model(CONFIGS["llama"]), tokens, OFFSETS, max_length=1)


def test_shards_are_whole_documents_and_cover_all():
    shards = shard_documents(OFFSETS, shard_tokens=10)
    assert shards[0][0] == 0
    assert shards[-1][1] == len(LENGTHS)
    assert all(a[1] == b[0] for a, b in zip(shards, shards[1:], strict=False))
    sizes = [OFFSETS[stop] - OFFSETS[start] for start, stop in shards]
    assert all(size >= 10 for size in sizes[:-1])
    assert max(sizes) < 10 + max(LENGTHS)
