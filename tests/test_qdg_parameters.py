"""Parameters are chosen by module: golden dimensions of the published setting."""

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from quantascope.qdg.parameters import choose_parameters, decoder_blocks


@pytest.fixture(scope="module")
def pythia_70m() -> GPTNeoXForCausalLM:
    with torch.device("meta"):
        return GPTNeoXForCausalLM(
            GPTNeoXConfig(
                vocab_size=50304,
                hidden_size=512,
                num_hidden_layers=6,
                num_attention_heads=8,
                intermediate_size=2048,
            )
        )


def test_pythia_70m_has_18902016_linear_block_parameters(pythia_70m):
    """Attention and MLP weights and biases of six blocks."""
    choice = choose_parameters(pythia_70m)
    assert choice.n_params == 18_902_016
    assert len(choice.blocks) == 24


def test_official_dimension_is_ours_and_the_final_norm(pythia_70m):
    """The published script's name filter lets the final norm, 2 x 512, through."""
    choice = choose_parameters(pythia_70m, norms=True)
    final = [block for block in choice.blocks if block.name.startswith("gpt_neox.final_layer_norm")]
    linear = sum(block.n_params for block in choice.blocks if block.kind == "linear")
    assert linear + sum(block.n_params for block in final) == 18_903_040


def test_with_norms_it_is_the_published_non_embedding_count(pythia_70m):
    """18,915,328 is the paper's non-embedding size of this model."""
    assert choose_parameters(pythia_70m, norms=True).n_params == 18_915_328


def test_embeddings_are_chosen_by_flag_and_tied_ones_counted_once(pythia_70m):
    choice = choose_parameters(pythia_70m, embeddings=True)
    assert choice.n_params == 18_902_016 + 2 * 50304 * 512
    tied = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=50,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            tie_word_embeddings=True,
        )
    )
    extra = choose_parameters(tied, embeddings=True).n_params - choose_parameters(tied).n_params
    assert extra == 50 * 8


def test_choice_does_not_depend_on_names(pythia_70m):
    """Renaming every module's attribute would defeat a name filter; types and places stay."""
    names = [block.name for block in choose_parameters(pythia_70m).blocks]
    unembedding = [n for n, m in pythia_70m.named_modules() if m is pythia_70m.lm_head]
    assert unembedding[0] not in names
    assert "embed" not in unembedding[0]  # a filter by this word would let 25.7 M numbers in


def test_a_module_without_blocks_is_refused_with_advice():
    with pytest.raises(ValueError, match="use discover"):
        decoder_blocks(torch.nn.Sequential(torch.nn.Linear(2, 2)))


def naive_passes(n_preds: int, block: int) -> int:
    """Gradients computed by the published scheme, which forgets them from block pair to block pair.

    Every block's rows once, and for each of them all blocks from its own onward again.
    """
    n_blocks = n_preds // block
    return n_preds + block * n_blocks * (n_blocks + 1) // 2


def test_naive_scheme_takes_215000_passes_and_ours_one_a_prediction():
    """Ours: every prediction stands in exactly one pass of the engine's plan."""
    from quantascope.qdg.batched import plan_passes

    assert naive_passes(10_000, 250) == 215_000
    positions = list(range(1, 401))
    counts = plan_passes(positions, most=16, overhead=30, fits=lambda k, t: k * t < 4000)
    assert sum(counts) == len(positions)
    assert max(counts) <= 16
