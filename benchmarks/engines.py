"""Claim: the batched engine with its sketch is at least 6 times the reference, equal to 1e-5.

Pythia-70m shape with random weights, one sequence of 512 tokens, 16 predictions spread over it,
float32, one thread. Both engines end in the same sketch; times are CPU seconds for each gradient.
The reference differentiates the chosen parameters only and keeps the attention that transformers
chooses by itself, so it is somewhat faster than the published script.

    python benchmarks/engines.py [--small]
"""

import argparse
import platform
import time

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from quantascope.qdg.engines import make_engine
from quantascope.qdg.parameters import choose_parameters
from quantascope.qdg.sketch import GradientSketch

PYTHIA_70M = {
    "vocab_size": 50304,
    "hidden_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "intermediate_size": 2048,
    "max_position_embeddings": 2048,
}
SMALL = {
    "vocab_size": 4096,
    "hidden_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "intermediate_size": 640,
    "max_position_embeddings": 512,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="0.92 M parameters instead of 18.9 M")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--targets", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**(SMALL if options.small else PYTHIA_70M))).eval()
    input_ids = torch.randint(0, model.config.vocab_size, (options.length,))
    positions = (torch.randperm(options.length - 1)[: options.targets] + 1).tolist()
    choice = choose_parameters(model)
    sketch = GradientSketch(choice.shapes, dim=4096, input_dim=32, seed=0)

    def sketches(name: str, chosen: list[int]) -> torch.Tensor:
        engine = make_engine(name, model, choice, projections=sketch.projections)
        rows = torch.empty(len(chosen), sketch.dim)
        for indices, gradients in engine.gradients(input_ids, chosen):
            rows[indices] = sketch.compress(gradients)
        return rows

    few = positions[:3]
    exact, slow = best_of(lambda: sketches("reference", few), repeats=3)
    batched, fast = best_of(lambda: sketches("batched", positions), repeats=3)
    error = ((batched[:3] - exact).norm(dim=1) / exact.norm(dim=1)).max().item()
    slow, fast = slow / len(few), fast / len(positions)
    print(f"machine        {platform.processor() or platform.machine()}, torch {torch.__version__}")
    print(f"gradient       {choice.n_params:,} numbers, {options.targets} predictions a sequence")
    print(f"reference      {slow:.4f} CPU-s a gradient")
    print(f"batched        {fast:.4f} CPU-s a gradient")
    claim = "" if options.small else " (claim: at least 6)"
    print(f"ratio          {slow / fast:.1f}{claim}")
    print(f"difference     {error:.1e} relative (claim: at most 1e-5)")


def best_of(work, *, repeats: int) -> tuple[torch.Tensor, float]:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return result, min(times)


if __name__ == "__main__":
    main()
