"""The own-position engine: exact but for what earlier rows computed in layers below."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from torch.nn import functional

from quantascope.qdg.engines import make_engine
from quantascope.qdg.factors import add_gram
from quantascope.qdg.gram import exact_gram, own_position_gram
from quantascope.qdg.modes import gradients_of
from quantascope.qdg.parameters import choose_parameters, decoder_blocks
from tests.test_qdg_engines import MODELS, N_VOCABULARY, POSITIONS

REORDERED = 2e-5
"""Of the largest entry: sums of 40 rows and 3 layers in another order, in float32."""


@contextmanager
def cut_below(module, row: int) -> Iterator[None]:
    """Let rows before `row` enter every decoder block as constants."""

    def before(part, args):
        del part
        hidden = args[0]
        return (torch.cat([hidden[:, :row].detach(), hidden[:, row:]], dim=1), *args[1:])

    with ExitStack() as hooks:
        for layer in decoder_blocks(module):
            hooks.callback(layer.register_forward_pre_hook(before).remove)
        yield


def by_definition(module, choice, input_ids, position):
    """Whole gradients of one prediction, blocks ``(n_in, n_out)``, through autograd alone."""
    parameters = [value for block in choice.blocks for value in block.parameters]
    with cut_below(module, position - 1), gradients_of(module, parameters):
        logits = module(input_ids[None, :position], use_cache=False).logits[0, -1].double()
        loss = functional.cross_entropy(logits, input_ids[position])
        flat = iter(torch.autograd.grad(loss, parameters, materialize_grads=True))
    return [
        block.matrix(next(flat), None if block.bias is None else next(flat)).T
        for block in choice.blocks
    ]


@pytest.fixture(params=list(MODELS), scope="module")
def case(request):
    torch.manual_seed(0)
    module = MODELS[request.param]()
    for value in module.parameters():
        value.data += 0.05 * torch.randn_like(value)
    input_ids = torch.randint(0, N_VOCABULARY, (41,))
    return module, choose_parameters(module), input_ids


def own(module, choice, input_ids, *, positions=POSITIONS, **options):
    none = [None] * len(choice.blocks)
    engine = make_engine("own_position", module, choice, **{"projections": none} | options)
    found = [None] * len(positions)
    for indices, blocks in engine.gradients(input_ids, positions):
        for row, index in enumerate(indices):
            found[index] = [block[row] for block in blocks]
    return found


def test_gradients_are_exact_but_for_what_earlier_rows_computed_below(case):
    module, choice, input_ids = case
    found = own(module, choice, input_ids, targets_per_pass=3)
    for position, blocks in zip(POSITIONS, found, strict=True):
        wanted = by_definition(module, choice, input_ids, position)
        for block, here, there in zip(choice.blocks, blocks, wanted, strict=True):
            error = float((here - there).abs().max())
            assert error <= REORDERED * max(float(t.abs().max()) for t in wanted), block.name


def test_the_twin_without_the_share_of_earlier_keys_and_values_differs(case):
    module, choice, input_ids = case
    exact = own(module, choice, input_ids, positions=[39])[0]
    engine = make_engine("own_position", module, choice, projections=[None] * len(choice.blocks))
    engine._of = lambda *_: ()  # no layer counts as one of keys or values
    ((_, blocks),) = engine.gradients(input_ids, [39])
    assert any(
        float((a - b[0]).abs().max()) > 0.1 * float(a.abs().max())
        for a, b in zip(exact, blocks, strict=True)
    )


def test_maps_of_both_sides_are_taken_on_the_factors(case):
    module, choice, input_ids = case
    inside = [torch.randn(n_in, 5) for _, n_in in choice.shapes]
    outside = [torch.randn(n_out, 4) for n_out, _ in choice.shapes]
    whole = own(module, choice, input_ids)
    mapped = own(module, choice, input_ids, projections=inside, outputs=outside)
    for here, there in zip(whole, mapped, strict=True):
        for k, (a, b) in enumerate(zip(here, there, strict=True)):
            wanted = inside[k].T @ a @ outside[k]
            assert torch.allclose(b, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def test_inner_products_from_factors_are_those_of_the_gradients(case):
    module, choice, input_ids = case
    whole = own(module, choice, input_ids)
    flat = torch.stack([torch.cat([block.flatten() for block in each]) for each in whole])
    engine = make_engine("own_position", module, choice, projections=[None] * len(choice.blocks))
    ((indices, found),) = engine.parts(input_ids, POSITIONS)
    gram = torch.zeros(len(indices), len(indices))
    for parts in found:
        add_gram(gram, parts, parts)
    wanted = (flat @ flat.T)[indices][:, indices]
    assert torch.allclose(gram, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def test_grams_are_those_of_the_gradients(case):
    module, choice, input_ids = case
    sequences = [
        (input_ids.numpy(), np.array([39, 1, 7])),
        (input_ids.flip(0).numpy(), np.array([4])),
    ]
    rows = []
    for ids, positions in sequences:
        here = own(module, choice, torch.from_numpy(ids.copy()), positions=positions.tolist())
        rows += [torch.cat([block.flatten() for block in each]) for each in here]
    wanted = (torch.stack(rows) @ torch.stack(rows).T).double().numpy()
    found = own_position_gram(module, sequences, choice=choice)
    assert np.allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    whole = exact_gram(module, sequences, choice=choice)
    grouped = exact_gram(module, sequences, choice=choice, engine="reference", max_bytes=1.0)
    assert np.allclose(whole, grouped, rtol=1e-3, atol=1e-4 * np.abs(whole).max())
    assert not np.allclose(whole, found, rtol=0.02)  # twin: an approximation
