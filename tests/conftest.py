"""Fixtures that several areas share: tiny saved models with their tokenizers, and small texts."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# one thread, as in every run: two would sum in another order from time to time
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("untimed", deadline=None, derandomize=True)
settings.load_profile("untimed")  # no test depends on the clock, or on a new seed every day

TEXT = [
    f"Item {i}: the quick brown fox number {i} jumps over {i % 7} lazy dogs.\n"
    f"def f_{i}(x):\n    return x + {i}\n\n<p>Paragraph {i}</p>\n" * (1 + i % 3)
    for i in range(120)
]


def _architectures() -> dict:
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
    )

    small = {"vocab_size": 400, "bos_token_id": None, "eos_token_id": 0}
    return {
        "gpt_neox": lambda: GPTNeoXForCausalLM(
            GPTNeoXConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=64,
                max_position_embeddings=64,
                **small,
            )
        ),
        "llama": lambda: LlamaForCausalLM(
            LlamaConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=48,
                max_position_embeddings=64,
                **small,
            )
        ),
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, **small)
        ),
    }


def save_tiny_model(folder: Path, *, architecture: str = "gpt_neox", seed: int = 0) -> Path:
    """Save an untrained model with a tokenizer, as a hub download would lie on disk."""
    import torch
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    from quantascope.lm.tokenizer import train_bpe

    logging.disable_progress_bar()
    torch.manual_seed(seed)
    _architectures()[architecture]().save_pretrained(folder)
    tokenizer = train_bpe(TEXT, vocab_size=400)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_family(tmp_path_factory) -> list[Path]:
    """Two GPT-NeoX models of equal shape and other weights, with one tokenizer."""
    root = tmp_path_factory.mktemp("models")
    return [save_tiny_model(root / f"neox-{seed}", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="session")
def text_file(tmp_path_factory) -> Path:
    """Write a small text."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(TEXT), encoding="utf-8")
    return path
