"""Claim: losses are never slower than a plain batch-1 loop and take at most half its memory.

The plain side is what the paper's script does: documents one by one, autograd on, full logits,
float32, losses kept as Python floats. Both sides see the same documents (lengths 32 to the limit,
mixed). Times are CPU seconds of one thread, both sides in one process, best of the repeats. Peak
memory is the high-water mark of the resident set (Linux) above its level before, each side in a
spawned child of its own.

    python benchmarks/losses.py [--small] [--tokens 16384]
"""

import argparse
import multiprocessing
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from quantascope.lm.architecture import has_fast_bfloat16
from quantascope.lm.losses import document_losses

SHAPES = {
    "0.92M": ({"vocab_size": 4096, "hidden_size": 160, "num_hidden_layers": 3,
               "num_attention_heads": 5, "intermediate_size": 640,
               "max_position_embeddings": 256, "tie_word_embeddings": True}, 256),
    "pythia-70m": ({"vocab_size": 50304, "hidden_size": 512, "num_hidden_layers": 6,
                    "num_attention_heads": 8, "intermediate_size": 2048,
                    "max_position_embeddings": 2048, "tie_word_embeddings": False}, 512),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the 0.92 M shape only")
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"machine: {machine()}")
    for name in ["0.92M"] if options.small else list(SHAPES):
        report(name, n_tokens=options.tokens, repeats=options.repeats)


def report(name: str, *, n_tokens: int, repeats: int) -> None:
    seconds = {side: best_cpu_seconds(name, side, n_tokens, repeats) for side in SIDES}
    peaks = {side: peak_in_child(name, side, n_tokens) for side in SIDES}
    for side in ("float32", "bfloat16"):
        print(
            f"{name} {side}: {seconds['plain'] / seconds[side]:.2f}x "
            f"(plain {seconds['plain']:.2f} CPU-s, ours {seconds[side]:.2f} CPU-s, "
            f"{n_tokens:,} tokens); peak memory {peaks[side] / peaks['plain']:.2f} "
            f"(plain {peaks['plain']:.0f} MB, ours {peaks[side]:.0f} MB)",
            flush=True,
        )


def plain(model: GPTNeoXForCausalLM, tokens: np.ndarray, offsets: np.ndarray) -> list[float]:
    losses: list[float] = []
    for start, stop in zip(offsets[:-1], offsets[1:], strict=True):
        ids = torch.from_numpy(tokens[start:stop])[None]
        logits = model(input_ids=ids).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        losses.extend(loss.tolist())
    return losses


def ours(dtype: torch.dtype) -> Callable[..., object]:
    def run(model: GPTNeoXForCausalLM, tokens: np.ndarray, offsets: np.ndarray) -> object:
        return document_losses(model, tokens, offsets, max_length=2048, dtype=dtype)

    return run


SIDES = {"plain": plain, "float32": ours(torch.float32), "bfloat16": ours(torch.bfloat16)}


def setting(
    name: str, side: str, n_tokens: int
) -> tuple[GPTNeoXForCausalLM, np.ndarray, np.ndarray]:
    """Build the model in the dtype of the side, as a run loads it, and random documents."""
    shape, longest = SHAPES[name]
    torch.manual_seed(0)
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**shape, use_cache=False)).eval()
    if side == "bfloat16":
        model.bfloat16()
    rng = np.random.default_rng(0)
    stops = np.cumsum(rng.integers(32, longest + 1, n_tokens))
    offsets = np.concatenate([[0], stops[stops < n_tokens], [n_tokens]])
    return model, rng.integers(0, shape["vocab_size"], n_tokens), offsets


def best_cpu_seconds(name: str, side: str, n_tokens: int, repeats: int) -> float:
    arguments = setting(name, side, n_tokens)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        SIDES[side](*arguments)
        times.append(time.process_time() - start)
    return min(times)


def peak_in_child(name: str, side: str, n_tokens: int) -> float:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak_growth, (name, side, n_tokens))


def peak_growth(name: str, side: str, n_tokens: int) -> float:
    """Peak above the level before [MB], after a short run that loads what torch loads once."""
    torch.set_num_threads(1)
    model, tokens, offsets = setting(name, side, n_tokens)
    SIDES[side](model, tokens[:64], np.array([0, 32, 64]))
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = status_mb("VmRSS")
    SIDES[side](model, tokens, offsets)
    return status_mb("VmHWM") - before


def status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def machine() -> str:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = [key for key in ("amx_bf16", "avx512_bf16", "avx512_f") if capabilities.get(key)]
    return (
        f"{capabilities.get('cpu_name', platform.processor())}, {', '.join(names) or 'plain'}, "
        f"fast bfloat16: {has_fast_bfloat16()}, torch {torch.__version__}, one thread"
    )


if __name__ == "__main__":
    main()
