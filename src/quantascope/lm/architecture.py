"""GPT-NeoX models of a suite, the counts of their parameters, the hash of their weights."""

import hashlib

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from quantascope.core.rng import derive_seed
from quantascope.lm.suites import Member, Suite

__all__ = ["build_model", "count_params", "has_fast_bfloat16", "weights_sha256"]


def build_model(suite: Suite, member: Member) -> GPTNeoXForCausalLM:
    """Build an untrained member of a suite, in float32.

    Weights are normal with variance 2/(5 width) ("small init", arXiv 1910.05895, as in
    GPT-NeoX), drawn from a stream of the member's seed; embedding and unembedding are tied.
    """
    size = member.size
    config = GPTNeoXConfig(
        vocab_size=suite.vocab_size,
        hidden_size=size.width,
        num_hidden_layers=size.n_layers,
        num_attention_heads=size.n_heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=suite.context_length,
        # Narrow heads need more than NeoX's quarter of their numbers to tell positions apart.
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "partial_rotary_factor": 0.5,
        },
        initializer_range=(2 / (5 * size.width)) ** 0.5,
        tie_word_embeddings=True,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(member.seed, "init", size.name))
        return GPTNeoXForCausalLM(config)


def count_params(module: PreTrainedModel) -> tuple[int, int]:
    """Count parameters without and with the vocabulary's matrices.

    Returns
    -------
    tuple[int, int]
        Non-embedding parameters (all minus input embedding and unembedding, biases and norms
        included), and all parameters; a tied matrix counts once.

    References
    ----------
    arXiv 2303.13506, appendix on Pythia: 18,915,328 and 70,426,624 for pythia-70m.
    """
    vocabulary = {
        id(weight)
        for part in (module.get_input_embeddings(), module.get_output_embeddings())
        if part is not None
        for weight in part.parameters()
    }
    total = sum(weight.numel() for weight in module.parameters())
    non_embedding = sum(w.numel() for w in module.parameters() if id(w) not in vocabulary)
    return non_embedding, total


def weights_sha256(module: torch.nn.Module) -> str:
    """Hash the parameters: names in sorted order, dtype, shape, bytes.

    Tied parameters count once and buffers not at all, so the hash does not depend on the file
    format the weights came from.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(module.named_parameters()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        flat = weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()


def has_fast_bfloat16(device: str = "cpu") -> bool:
    """Tell whether the device multiplies bfloat16 in hardware (AMX or AVX512-BF16 on a CPU)."""
    if device != "cpu":
        return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    probe = getattr(torch.cpu, "get_capabilities", None)  # older torch: not known, hence no
    capabilities = probe() if probe is not None else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
