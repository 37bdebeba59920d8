"""Claims: `batched` is at least 6 times the reference and equal to 1e-5; `own_position` 300 times.

Pythia-70m shape with random weights, one sequence of 512 tokens, float32, one thread. The reference
reads the whole sequence and goes back into every chosen parameter for each prediction. The others
end in a sketch of 4,096 numbers: input side to 32 and CountSketch, or both sides to 64 and
CountSketch. Times are CPU seconds for each gradient; the reference differentiates the chosen
parameters only and keeps the attention that transformers chooses by itself, so it is somewhat
faster than the published script. `own_position` is an approximation, whose error depends on the
weights and is measured on every run; here it is timed.

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
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**(SMALL if options.small else PYTHIA_70M))).eval()
    input_ids = torch.randint(0, model.config.vocab_size, (options.length,))
    order = (torch.randperm(options.length - 1) + 1).tolist()
    choice = choose_parameters(model)
    print(f"machine        {platform.processor() or platform.machine()}, torch {torch.__version__}")
    print(f"gradient       {choice.n_params:,} numbers, sequence of {options.length} tokens")

    def sketches(name: str, chosen: list[int], sketch: GradientSketch) -> torch.Tensor:
        engine = make_engine(
            name,
            model,
            choice,
            projections=sketch.projections,
            outputs=sketch.outputs,
            targets_per_pass=16,
        )
        rows = torch.empty(len(chosen), sketch.dim)
        for indices, gradients in engine.gradients(input_ids, chosen):
            rows[indices] = sketch.compress(gradients)
        return rows

    narrow = GradientSketch(choice.shapes, dim=4096, input_dim=32, seed=0)
    both = GradientSketch(choice.shapes, dim=4096, input_dim=64, output_dim=64, seed=0)
    few = order[:3]
    exact, slow = best_of(lambda: sketches("reference", few, narrow), repeats=3)
    slow /= len(few)
    print(f"{'engine':<14} {'sketch':<10} predictions  CPU-s each   ratio")
    print(f"{'reference':<14} {'32 in':<10} {1:>11}  {slow:10.5f}   1")
    for name, label, sketch in (
        ("batched", "32 in", narrow),
        ("batched", "64 x 64", both),
        ("own_position", "32 in", narrow),
        ("own_position", "64 x 64", both),
    ):
        counts = (16,) if name == "batched" else (16, 64, options.length - 1)
        for n in counts:
            found, took = best_of(
                lambda c=order[:n], s=sketch, e=name: sketches(e, c, s), repeats=2
            )
            print(f"{name:<14} {label:<10} {n:>11}  {took / n:10.5f}   {slow * n / took:.1f}")
        if name == "batched" and sketch is narrow:
            error = ((found[:3] - exact).norm(dim=1) / exact.norm(dim=1)).max().item()
            print(f"difference of batched from the reference: {error:.1e} relative")


def best_of(work, *, repeats: int) -> tuple[torch.Tensor, float]:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return result, min(times)


if __name__ == "__main__":
    main()
