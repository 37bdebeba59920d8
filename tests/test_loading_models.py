"""Tests of the way from a name to a model: folders, GGUF, suites, hub ids, and what goes wrong."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertLMHeadModel, LlamaForCausalLM

from quantascope.core.errors import DataError
from quantascope.lm.config import ModelsConfig
from quantascope.lm.loading import load_model, load_tokenizer, shared_tokenizer, torch_dtype
from quantascope.lm.losses import document_losses
from quantascope.lm.models import ModelSource, resolve_models
from quantascope.pipeline.loss_columns import check_cards
from tests.conftest import save_tiny_model


def _only(entry: object) -> ModelSource:
    (source,) = resolve_models(ModelsConfig(model=(str(entry),)))
    return source


@pytest.fixture(scope="module", params=["gpt_neox", "gpt2", "llama"])
def saved(request, tmp_path_factory) -> Path:
    return save_tiny_model(
        tmp_path_factory.mktemp("saved") / request.param, architecture=request.param
    )


def test_a_saved_model_goes_through_to_its_losses(saved):
    source = _only(saved)
    module, card = load_model(source)
    tokens = np.array(load_tokenizer(source).tokenizer.encode("the quick brown fox").ids)
    losses = document_losses(module, tokens, np.array([0, len(tokens)]), max_length=64)
    ids = torch.tensor(tokens)[None]
    own = module(input_ids=ids, labels=ids).loss.item()
    assert np.nanmean(losses) == pytest.approx(own, abs=1e-5)
    assert card.name == saved.name
    assert card.context_length == 64
    assert card.n_params < card.n_params_total
    assert not module.training
    assert (card.step, card.n_tokens, card.seed) == (None, None, None)


def test_the_hash_of_weights_does_not_depend_on_the_dtype_in_memory(saved):
    source = _only(saved)
    module, card = load_model(source, dtype="bfloat16")
    assert next(module.parameters()).dtype == torch.bfloat16
    assert card.weights_sha256 == load_model(source)[1].weights_sha256


def test_equal_weights_under_two_names_are_refused(saved):
    card = load_model(_only(saved))[1]
    twin = dataclasses.replace(card, name="twin")
    with pytest.raises(DataError, match=f"models {card.name} and twin have equal weights"):
        check_cards([dataclasses.asdict(card), dataclasses.asdict(twin)])
    other = dataclasses.replace(twin, weights_sha256="other")
    check_cards([dataclasses.asdict(card), dataclasses.asdict(other)])


def test_bos_is_known_from_what_the_tokenizer_does(tmp_path):
    folder = save_tiny_model(tmp_path / "llama", architecture="llama")
    assert load_tokenizer(_only(folder)).bos_id is None
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            "<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}
        },
    }
    path.write_text(json.dumps(content))
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"bos_token": "<|endoftext|>"}))
    assert load_tokenizer(_only(folder)).bos_id == 0


def test_models_of_a_run_must_share_their_tokenizer(tiny_family, tmp_path):
    sources = [_only(folder) for folder in tiny_family]
    assert shared_tokenizer(sources).sha256 == load_tokenizer(sources[1]).sha256
    other = save_tiny_model(tmp_path / "other", seed=2)
    path = other / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["merges"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="neox-0 and other have different tokenizers"):
        shared_tokenizer([*sources, _only(other)])


def test_a_gguf_file_gives_the_weights_that_were_written(tmp_path):
    """Written with the `gguf` package as converters do, q and k rows permuted."""
    folder = save_tiny_model(tmp_path / "llama", architecture="llama")
    path = _write_gguf(folder, tmp_path / "tiny.gguf")
    module, card = load_model(_only(path))
    original = load_model(_only(folder))[0]
    assert card.name == "tiny"
    assert not hasattr(module.config, "quantization_config")
    ids = torch.arange(1, 20)[None]
    torch.testing.assert_close(module(ids).logits, original(ids).logits)
    assert load_model(_only(path), dtype="bfloat16")[0].dtype == torch.bfloat16


def _write_gguf(folder: Path, path: Path) -> Path:
    import gguf

    model = LlamaForCausalLM.from_pretrained(folder)
    config = model.config
    head_dim = config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_dim)
    writer.add_vocab_size(config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, weight in model.state_dict().items():
        n_heads = heads.get(name.split(".")[-2], 0)
        stored = _interleaved(weight, n_heads, head_dim) if n_heads else weight
        stem = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(stem, stored.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _interleaved(weight: torch.Tensor, n_heads: int, head_dim: int) -> torch.Tensor:
    """Order rows from half-split to interleaved rotary, as llama.cpp keeps them."""
    halves = weight.reshape(n_heads, 2, head_dim // 2, -1)
    return halves.swapaxes(1, 2).reshape(weight.shape)


def test_a_hub_id_keeps_its_revision_and_step():
    source = _only("EleutherAI/pythia-70m@step512")
    assert (source.kind, source.location) == ("hub", "EleutherAI/pythia-70m")
    assert (source.name, source.revision, source.step) == ("pythia-70m@step512", "step512", 512)
    assert _only("EleutherAI/pythia-70m").step is None


def test_names_of_a_family_are_unique(tmp_path):
    for owner in ("a", "b"):
        save_tiny_model(tmp_path / owner / "model")
    entries = tuple(str(tmp_path / owner / "model") for owner in ("a", "b"))
    assert [source.name for source in resolve_models(ModelsConfig(model=entries))] == list(entries)
    with pytest.raises(ValueError, match="given twice"):
        resolve_models(ModelsConfig(model=entries[:1] * 2))


def test_an_unreachable_hub_is_one_line(monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("quantascope.lm.loading.get_hf_file_metadata", refuse)
    with pytest.raises(DataError, match=r"no model hub can be reached .* a \.gguf file$") as error:
        load_model(_only("nobody/nothing@step1"))
    assert "\n" not in str(error.value)


def _bert(folder: Path) -> Path:
    config = BertConfig(
        vocab_size=400, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    BertLMHeadModel(config).save_pretrained(folder)
    return folder


def _without_weights(folder: Path) -> Path:
    save_tiny_model(folder)
    (folder / "model.safetensors").unlink()
    return folder


def _with_half_the_weights(folder: Path) -> Path:
    from safetensors.torch import load_file, save_file

    save_tiny_model(folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "layers.1" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_bert, "not causal"),
        (_without_weights, "not a causal language model that can be loaded"),
        (_with_half_the_weights, "weights missing"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_line(make, message, tmp_path):
    folder = make(tmp_path / "model")
    with pytest.raises(DataError, match=f"model model: {message}") as error:
        load_model(_only(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("missing.gguf", "no such file"),
        ("./missing/folder/deep", "no such folder"),
        ("a/b/c", "not a hub id"),
        (".", "no config.json"),
    ],
)
def test_an_entry_that_names_nothing_is_refused(entry, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        resolve_models(ModelsConfig(model=(entry,)))


def test_steps_and_suite_must_be_known():
    with pytest.raises(ValueError, match="steps: 'some' found"):
        resolve_models(ModelsConfig(steps="some"))
    with pytest.raises(ValueError, match="neither a folder nor one of demo"):
        resolve_models(ModelsConfig(suite="unheard"))
    with pytest.raises(DataError, match="quantascope suite train study"):
        resolve_models(ModelsConfig(suite="study"))


def test_dtype_names_are_checked():
    assert torch_dtype("float32") == torch.float32
    assert torch_dtype("auto") in (torch.float32, torch.bfloat16)
    with pytest.raises(ValueError, match="dtype: 'int8' found"):
        torch_dtype("int8")


def test_a_device_that_is_not_there_is_a_usage_error(tiny_family):
    with pytest.raises(ValueError, match="device: 'nonsense' cannot be used here"):
        load_model(_only(tiny_family[0]), device="nonsense")
