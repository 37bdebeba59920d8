"""Discovery in memory: per-sample gradients of any module, and clusters of a known world."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from quantascope.qdg.agreement import adjusted_rand
from quantascope.qdg.discover import discover
from quantascope.qdg.persample import chosen_parameters, sample_gradients


def squared_loss(module: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return ((module(batch["x"]) - batch["y"]) ** 2).mean(dim=1)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 10), nn.LayerNorm(10), nn.Tanh(), nn.Linear(10, 3))


def batch(n: int = 12) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return {
        "x": torch.randn(n, 6, generator=random),
        "y": torch.randn(n, 3, generator=random),
    }


class Branching(nn.Module):
    """A data-dependent branch, which vmap cannot take."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale by a branch."""
        return self.linear(x) * (2.0 if bool(x.sum() > 0) else 1.0)


@pytest.mark.parametrize("how", ["vmap", "loop"])
def test_sample_gradients_equal_autograd_one_at_a_time(how):
    module, samples = network(), batch()
    names = list(chosen_parameters(module))
    found = list(sample_gradients(module, samples, squared_loss, names=names, how=how))
    for index, loss in enumerate(squared_loss(module, samples)):
        parameters = [module.get_parameter(name) for name in names]
        plain = torch.autograd.grad(loss, parameters, retain_graph=True)
        for place, expected in enumerate(plain):
            gradient = torch.cat([part[place] for part in found])[index]
            torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_norms_and_embeddings_are_left_out():
    module = nn.ModuleList([nn.Embedding(5, 4), nn.LayerNorm(4), nn.Conv2d(1, 2, 3)])
    assert list(chosen_parameters(module)) == ["2.weight", "2.bias"]
    with pytest.raises(ValueError, match="no layer"):
        chosen_parameters(nn.LayerNorm(3))


def test_a_module_that_vmap_cannot_take_is_looped_and_says_so():
    torch.manual_seed(0)
    found = discover(Branching(), [batch(40)], squared_loss)
    assert found.how == "loop"
    assert discover(network(), [batch(40)], squared_loss).how == "vmap"


def test_batches_do_not_change_the_sketch():
    whole = discover(network(), [batch(40)], squared_loss)
    halves = [{k: v[rows] for k, v in batch(40).items()} for rows in (slice(0, 13), slice(13, 40))]
    np.testing.assert_allclose(
        discover(network(), halves, squared_loss).sketch, whole.sketch, atol=1e-3
    )


def test_sketch_keeps_the_cosines_of_whole_gradients():
    """4,096 numbers: standard deviation 1/64 of a cosine; five of them over 780 pairs."""
    module, samples = network(), batch(40)
    names = list(chosen_parameters(module))
    found = sample_gradients(module, samples, squared_loss, names=names, how="vmap")
    rows = torch.cat([torch.cat([g.flatten(1) for g in part], dim=1) for part in found]).numpy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = discover(module, [samples], squared_loss, method="published")
    sketch = found.sketch.astype(np.float32)
    assert np.abs(sketch @ sketch.T - rows @ rows.T).max() < 5 * np.sqrt(2) / 64


def test_clusters_are_the_parts_of_a_network_that_samples_use():
    """Four separate linear maps, each sample uses one: their gradients are orthogonal."""
    torch.manual_seed(0)
    maps = nn.Linear(32, 4)
    task = torch.arange(160) % 4
    inputs = torch.zeros(160, 4, 8)
    inputs[torch.arange(160), task] = 1.0 + 0.3 * torch.randn(160, 8)
    samples = (inputs.flatten(1), task)

    def loss(module: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return functional.cross_entropy(module(batch[0]), batch[1], reduction="none")

    found = discover(maps, [samples], loss)
    assert adjusted_rand(found.labels, task.numpy()) > 0.95
    assert found.default.stability > 0.9
    assert found.clusters["size"].sum() == 160
    assert found.clusters["coherent"].all()


def test_a_loss_that_is_one_number_is_refused_with_advice():
    with pytest.raises(ValueError, match="reduction='none'"):
        discover(network(), [batch()], lambda m, b: squared_loss(m, b).mean())


def test_samples_whose_loss_rounds_to_zero_keep_their_gradient():
    """Logits 120 apart: exp(-120) = 8e-53 is 0 in single precision, not in double."""
    torch.manual_seed(0)
    maps = nn.Linear(8, 2)
    inputs = torch.randn(40, 8)
    with torch.no_grad():
        maps.weight.copy_(torch.stack([torch.ones(8), -torch.ones(8)]))
        inputs += (60 - inputs.sum(dim=1, keepdim=True) + torch.arange(40)[:, None] % 2) / 8
    samples = (inputs, torch.zeros(40, dtype=torch.long))

    def loss(module: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return functional.cross_entropy(module(batch[0]), batch[1], reduction="none")

    def in_single(module: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return functional.cross_entropy(module(batch[0]).float(), batch[1], reduction="none")

    assert (loss(maps, samples) == 0).all()
    assert discover(maps, [samples], loss).n_zero == 0
    silent = discover(maps, [samples], in_single)  # twin: zeros are counted, and groups of one
    assert silent.n_zero == 40
    assert len(np.unique(silent.labels)) == 40


@pytest.mark.parametrize(
    ("batches", "parameters", "message"),
    [
        ([{"x": torch.zeros(0, 6), "y": torch.zeros(0, 3)}], None, "batch 0 is empty"),
        ([batch()], [], "parameters: none found"),
        ([batch()], ["no.such"], "parameters: no.such found; allowed are one or more of 0.weight"),
    ],
)
def test_odd_input_is_one_clear_line(batches, parameters, message):
    with pytest.raises(ValueError, match=message):
        discover(network(), batches, squared_loss, parameters=parameters)


def test_no_batch_is_refused():
    with pytest.raises(ValueError, match="batches"):
        discover(network(), [], squared_loss)
