"""Families on disk as a hub would lay them out: a folder a model, in it a folder a revision."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import TEXT

WIDTHS = {"14m": 16, "31m": 24, "70m": 32}


def save_family(
    root: Path,
    *,
    names: Sequence[str] = ("pythia-14m", "pythia-31m", "pythia-70m"),
    steps: Sequence[int] = (1, 1000, 143_000),
) -> list[Path]:
    """Save tiny GPT-NeoX models with Pythia's names: other weights at every step."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    from quantascope.lm.tokenizer import train_bpe

    logging.disable_progress_bar()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_bpe(TEXT, vocab_size=400))
    tokenizer.save_pretrained(root / "tokenizer")
    for number, name in enumerate(names):
        width = WIDTHS[name.split("-")[1]]
        config = GPTNeoXConfig(
            vocab_size=400,
            hidden_size=width,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=2 * width,
            max_position_embeddings=64,
            bos_token_id=None,
            eos_token_id=0,
        )
        torch.manual_seed(number)
        model = GPTNeoXForCausalLM(config)
        for step in steps:
            for weight in model.parameters():  # as if trained: another step, other weights
                weight.data.mul_(0.8)
            folder = root / name / f"step{step}"
            model.save_pretrained(folder)
            for file in (root / "tokenizer").iterdir():
                shutil.copy(file, folder)
    shutil.rmtree(root / "tokenizer")
    return [root / name for name in names]
