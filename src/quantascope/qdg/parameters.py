"""Which parameters a gradient is taken of, chosen by module and never by name.

A causal language model enters, a list of parameter blocks leaves: one block a weight matrix of the
decoder blocks, and by flags the norms and the embeddings. Names of modules change between releases
of a library (the unembedding of GPT-NeoX was renamed), types and places do not.

References
----------
Michaud et al. 2023, arXiv 2303.13506, section 5: gradients of attention and MLP weights and biases.
"""

from dataclasses import dataclass
from typing import Final, Literal, cast

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

__all__ = [
    "LAYERS",
    "LINEAR_TYPES",
    "ParameterBlock",
    "ParameterChoice",
    "choose_parameters",
    "decoder_blocks",
]

LINEAR_TYPES: Final = (nn.Linear, Conv1D)
LAYERS: Final = ("lower", "all")


@dataclass(frozen=True, kw_only=True, eq=False)
class ParameterBlock:
    """One gradient matrix of shape (n_out, n_in): a linear map, an embedding, or a vector."""

    name: str
    """Path of the module, for the record only."""
    kind: Literal["linear", "embedding", "vector"]
    weight: nn.Parameter
    bias: nn.Parameter | None
    """Counted as one more input that is always 1."""
    modules: tuple[nn.Module, ...]
    """The linear layer; for a (tied) embedding the embedding and the unembedding, where chosen."""

    @property
    def n_out(self) -> int:
        """Rows of the gradient matrix."""
        return _as_matrix(self.weight, self.modules).shape[0]

    @property
    def n_in(self) -> int:
        """Columns of the gradient matrix, the bias included."""
        columns = _as_matrix(self.weight, self.modules).shape[1]
        return columns + (self.bias is not None)

    @property
    def n_params(self) -> int:
        """Number of gradient components."""
        return self.n_out * self.n_in

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """Weight, and the bias where it is chosen."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def matrix(self, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Arrange gradients of weight and bias as one matrix, shape (n_out, n_in)."""
        matrix = _as_matrix(weight, self.modules)
        return matrix if bias is None else torch.cat([matrix, bias[:, None]], dim=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class ParameterChoice:
    """The chosen blocks, in the order of the model."""

    blocks: tuple[ParameterBlock, ...]

    @property
    def n_params(self) -> int:
        """Dimension of one gradient."""
        return sum(block.n_params for block in self.blocks)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape (n_out, n_in) of each block."""
        return tuple((block.n_out, block.n_in) for block in self.blocks)


def choose_parameters(
    module: PreTrainedModel,
    *,
    layers: str = "all",
    biases: bool = True,
    norms: bool = False,
    embeddings: bool = False,
) -> ParameterChoice:
    """Choose the parameters whose gradients describe a prediction.

    Parameters
    ----------
    module
        A causal language model of transformers, on any device, the meta device included.
    layers
        ``all`` decoder blocks, or ``lower``: the first half of them, the middle one included.
    biases
        Include the biases of chosen linear layers.
    norms
        Include weights and biases of normalisation layers, the final one too.
    embeddings
        Include input embedding and unembedding; tied ones are one block.

    Returns
    -------
    ParameterChoice
        Linear layers of the decoder blocks, then norms, then embeddings.

    Raises
    ------
    ValueError
        If the model has no repeated blocks with linear layers, or `layers` is unknown.
    """
    if layers not in LAYERS:
        raise ValueError(f"layers: {layers!r} found; allowed are {', '.join(LAYERS)}")
    names = {id(part): name for name, part in module.named_modules()}
    blocks = [
        _linear_block(part, names[id(part)], biases=biases)
        for layer in _chosen_layers(decoder_blocks(module), layers)
        for part in layer.modules()
        if isinstance(part, LINEAR_TYPES)
    ]
    if norms:
        blocks += _norm_blocks(module)
    if embeddings:
        blocks += _embedding_blocks(module, names, biases=biases)
    return ParameterChoice(blocks=tuple(blocks))


def _chosen_layers(layers: nn.ModuleList, which: str) -> list[nn.Module]:
    return list(layers)[: (len(layers) + 1) // 2 if which == "lower" else None]


def decoder_blocks(module: nn.Module) -> nn.ModuleList:
    """Find the repeated blocks: the list of modules that holds most linear-layer parameters.

    Raises
    ------
    ValueError
        If there is none.
    """
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    best = max(lists, key=_n_linear_params, default=None)  # the outermost wins a tie
    if best is None or not _n_linear_params(best):
        raise ValueError(
            f"module: {type(module).__name__} has no list of blocks with Linear or Conv1D layers; "
            "use discover(module, batches, loss_per_sample) for such a model"
        )
    return best


def _n_linear_params(part: nn.Module) -> int:
    linear = (layer for layer in part.modules() if isinstance(layer, LINEAR_TYPES))
    return sum(layer.weight.numel() for layer in linear)


def _as_matrix(weight: torch.Tensor, modules: tuple[nn.Module, ...]) -> torch.Tensor:
    if weight.ndim == 1:
        return weight[:, None]
    return weight.T if modules and isinstance(modules[0], Conv1D) else weight


def _linear_block(part: nn.Linear | Conv1D, name: str, *, biases: bool) -> ParameterBlock:
    weight = cast("nn.Parameter", part.weight)
    bias = part.bias if biases else None
    return ParameterBlock(name=name, kind="linear", weight=weight, bias=bias, modules=(part,))


def _norm_blocks(module: nn.Module) -> list[ParameterBlock]:
    """Leaf modules that own nothing but vectors and are no linear layers: the norms."""
    blocks = []
    for name, part in module.named_modules():
        own = dict(part.named_parameters(recurse=False))
        vectors_only = own and all(value.ndim == 1 for value in own.values())
        if vectors_only and not list(part.children()) and not isinstance(part, LINEAR_TYPES):
            blocks += [
                ParameterBlock(
                    name=f"{name}.{key}", kind="vector", weight=value, bias=None, modules=()
                )
                for key, value in own.items()
            ]
    return blocks


def _embedding_blocks(
    module: PreTrainedModel, names: dict[int, str], *, biases: bool
) -> list[ParameterBlock]:
    lower, upper = module.get_input_embeddings(), module.get_output_embeddings()
    if type(lower).forward is not nn.Embedding.forward:
        raise ValueError(
            f"embeddings: input embedding {type(lower).__name__} is not a plain nn.Embedding, "
            "so its gradient is not a sum of rows; set embeddings to false"
        )
    bias = upper.bias if biases else None
    low, up = names[id(lower)], names[id(upper)]
    if lower.weight is upper.weight:
        return [_embedding_block(f"{low} = {up}", (lower, upper), bias)]
    return [_embedding_block(low, (lower,), None), _embedding_block(up, (upper,), bias)]


def _embedding_block(
    name: str, modules: tuple[nn.Module, ...], bias: nn.Parameter | None
) -> ParameterBlock:
    weight = cast("nn.Parameter", modules[0].weight)
    return ParameterBlock(name=name, kind="embedding", weight=weight, bias=bias, modules=modules)
