"""Discovery on a small classifier of handwritten digits, with a control.

    python examples/discover_digits.py [RUN]

Trains a network of 64-64-10 units for a few seconds, clusters the gradients of held-out images that
it classifies well, and compares the clusters with the digits. The control clusters the raw pixels
by the same means: what it finds already lies on the surface, and only what gradients find beyond it
can say something about the network. Note that the loss knows the digit, so its gradient does too:
this example shows the way, it proves no skill. With a folder RUN the finding is kept as a run that
`quantascope report RUN` and `quantascope.load(RUN)` open.
"""

import sys

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import quantascope
from quantascope.qdg.agreement import adjusted_rand
from quantascope.qdg.config import ClustersConfig
from quantascope.qdg.discover import cluster_vectors
from quantascope.qdg.leiden import most_stable

N_TRAIN = 900


def main() -> None:
    torch.manual_seed(0)
    digits = load_digits()
    pixels = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    classes = torch.tensor(digits.target)
    network = train(pixels[:N_TRAIN], classes[:N_TRAIN])

    held_out = (pixels[N_TRAIN:], classes[N_TRAIN:])
    learned = loss_per_sample(network, held_out).detach() < 0.5  # nats
    images, truth = (part[learned] for part in held_out)
    run = sys.argv[1] if len(sys.argv) > 1 else None
    found = quantascope.discover(
        network, [(images, truth)], loss_per_sample, run=run, render=render, name="digits"
    )

    centred = images.numpy() - images.numpy().mean(axis=0)
    control = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    _, groupings, _ = cluster_vectors(control, clusters=ClustersConfig(spectral=False), exact=True)
    surface = most_stable(groupings)

    print(f"{len(truth)} held-out images with a loss below 0.5 nat")
    for name, best in (("gradients", found.default), ("raw pixels (control)", surface)):
        agreement = adjusted_rand(best.labels, truth.numpy())
        print(
            f"{name}: {best.labels.max() + 1} clusters ({best.name}), "
            f"stability {best.stability:.2f}, agreement with the digit {agreement:.2f}"
        )
    print(found.clusters.head(12).to_string(index=False, float_format="%.3f"))


def loss_per_sample(module: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    images, truth = batch
    return functional.cross_entropy(module(images), truth, reduction="none")


def render(batch: tuple[torch.Tensor, torch.Tensor]) -> list[tuple[str, str]]:
    """Draw each image in eight lines of shades; the target is its digit."""
    shades = np.array(list(" .:-=+*#%@"))
    drawn = shades[(batch[0].numpy().reshape(-1, 8, 8) * 9).astype(int)]
    texts = ["\n".join("".join(row) for row in image) + "\n" for image in drawn]
    return [(text, str(int(digit))) for text, digit in zip(texts, batch[1], strict=True)]


def train(images: torch.Tensor, truth: torch.Tensor) -> nn.Module:
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(300):
        optimiser.zero_grad()
        loss_per_sample(network, (images, truth)).mean().backward()
        optimiser.step()
    return network


if __name__ == "__main__":
    main()
