"""Short trainings of one size at several settings; prints validation losses for docs/lablog.md.

The run is shortened, not cut: warm-up and decay fit its own number of steps.
"""

import argparse
import dataclasses
import itertools
import math
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from quantascope.lm.architecture import has_fast_bfloat16
from quantascope.lm.sources.mixture import CORPUS_FOLDER, training_documents
from quantascope.lm.suite_text import suite_text
from quantascope.lm.suites import SUITES, Member, Suite
from quantascope.lm.training import start_training, train

_VALIDATION_TOKENS = 32_769  # settings are compared on the same tokens, so few suffice


def main() -> None:
    """Read the arguments, train, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="demo")
    parser.add_argument("--size", required=True)
    parser.add_argument("--n-tokens", type=int, default=700_000)
    parser.add_argument("--vocab-size", type=int, nargs="+", default=[4096])
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=[4096])
    parser.add_argument("--learning-rate", type=float, nargs="+", required=True)
    parser.add_argument("--corpus", type=Path, default=CORPUS_FOLDER)
    parser.add_argument("--cache", type=Path, required=True, help="folder for encoded text")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    grid = itertools.product(arguments.vocab_size, arguments.batch_tokens, arguments.learning_rate)
    for vocab_size, batch_tokens, learning_rate in grid:
        suite = dataclasses.replace(
            SUITES[arguments.suite],
            n_tokens=arguments.n_tokens,
            vocab_size=vocab_size,
            batch_tokens=batch_tokens,
        )
        size = next(size for size in suite.sizes if size.name == arguments.size)
        member = Member(size=dataclasses.replace(size, learning_rate=learning_rate), seed=0)
        _report(suite, member, *_text(suite, arguments.corpus, arguments.cache))


def _report(
    suite: Suite, member: Member, text: tuple[np.ndarray, np.ndarray], chars: float
) -> None:
    start = time.process_time()
    state = start_training(suite, member, bfloat16=has_fast_bfloat16())
    train(state, text[0], validation=text[1][:_VALIDATION_TOKENS])
    loss = state.log[-1].validation_loss_nats or math.nan
    print(
        f"{member.size.name} vocab {suite.vocab_size} batch {suite.batch_tokens} "
        f"lr {member.size.learning_rate:g}: {loss:.4f} nat/token, {loss / chars:.4f} nat/char, "
        f"{time.process_time() - start:.0f} CPU-s",
        flush=True,
    )


def _text(suite: Suite, corpus: Path, cache: Path) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    """Encode once for each vocabulary; also give validation characters a token."""
    folder = cache / f"vocab{suite.vocab_size}"
    if not folder.exists():
        documents = training_documents(
            n_chars=suite.n_chars, seed=suite.data_seed, held_out=None, folder=corpus
        )
        text = suite_text(suite, (document.text for document in documents))
        folder.mkdir(parents=True)
        np.save(folder / "tokens.npy", text.tokens)
        np.save(folder / "validation.npy", text.validation)
        text.tokenizer.save(str(folder / "tokenizer.json"))
    tokens, validation = (np.load(folder / f"{name}.npy") for name in ("tokens", "validation"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    n_chars = len(tokenizer.decode(validation[:-1].tolist()))
    return (tokens, validation), n_chars / (len(validation) - 1)


if __name__ == "__main__":
    main()
