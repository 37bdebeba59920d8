"""Load models and their tokenizers: members of our suites, folders, hub models, GGUF files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from quantascope.core.errors import DataError
from quantascope.lm.architecture import count_params, has_fast_bfloat16, weights_sha256
from quantascope.lm.checkpoints import load_checkpoint
from quantascope.lm.models import ModelCard, ModelSource
from quantascope.lm.suite_folder import TOKENIZER_FILE, read_suite
from quantascope.lm.tokenizer import encode
from quantascope.lm.tokenizer import load_tokenizer as load_tokenizer_file

__all__ = [
    "LOAD_ERRORS",
    "ModelTokenizer",
    "context_length",
    "load_model",
    "load_tokenizer",
    "one_line",
    "pretrained_arguments",
    "shared_tokenizer",
    "torch_dtype",
]

_HUB_SECONDS: Final = 5.0
_UNLIMITED: Final = 1 << 20  # recurrent models state no context length
_ANY_TEXT: Final = (
    "The 2,048 cats'\u00e9\u00c9  didn't;\r\n\t\tif (x_1 != 3.5):\n"
    "    \u4f60\u597d \U0001f600 e\u0301 .\n\n\n"
)
"""White space, digits, accents, signs: where the ways to cut text differ."""
_SAME: Final = 0.01  # rounding in half precision, against the effect of the changed token itself
_DTYPES: Final = ("float32", "bfloat16", "float16")
LOAD_ERRORS: Final = (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError)


@dataclass(frozen=True, kw_only=True)
class ModelTokenizer:
    """A tokenizer as a model was trained with it."""

    tokenizer: Tokenizer
    bos_id: int | None
    """Token that the model expects before every document; None where it expects none."""
    sha256: str
    """Of vocabulary and merges."""


def load_model(
    source: ModelSource, *, device: str = "cpu", dtype: str = "float32"
) -> tuple[PreTrainedModel, ModelCard]:
    """Load a model for evaluation.

    Parameters
    ----------
    source
        As `models.resolve_models` gives it.
    device
        Device of torch, ``cpu`` or ``cuda``.
    dtype
        Type of the weights in memory; the card's hash is of the weights as stored.

    Raises
    ------
    ValueError
        If there is no such device or dtype.
    DataError
        If it cannot be reached or read, or is no causal language model.
    """
    _check_device(device)
    module = _load_stored(source)
    n_params, n_params_total = count_params(module)
    card = ModelCard(
        name=source.name,
        n_params=n_params,
        n_params_total=n_params_total,
        step=source.step,
        n_tokens=source.n_tokens,
        n_unique=source.n_unique,
        seed=source.seed,
        weights_sha256=weights_sha256(module),
        context_length=context_length(module.config),
    )
    torch.nn.Module.to(module, device, torch_dtype(dtype, device=device))
    module.eval()
    _check_causal(module, source.name)
    return module, card


def load_tokenizer(source: ModelSource) -> ModelTokenizer:
    """Load the tokenizer of one model.

    Raises
    ------
    DataError
        If there is none, or it has no fast form.
    """
    if source.kind == "suite":
        own = load_tokenizer_file(Path(source.location) / TOKENIZER_FILE)
        return ModelTokenizer(tokenizer=own, bos_id=None, sha256=_tokenizer_sha256(own))
    try:
        loaded = AutoTokenizer.from_pretrained(**pretrained_arguments(source))
    except LOAD_ERRORS as error:
        raise DataError(f"model {source.name}: no tokenizer ({one_line(error)})") from error
    backend = getattr(loaded, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise DataError(f"model {source.name}: its tokenizer has no fast form; convert it first")
    first = loaded("a")["input_ids"][0]
    bos_id = first if first == loaded.bos_token_id else None
    return ModelTokenizer(tokenizer=backend, bos_id=bos_id, sha256=_tokenizer_sha256(backend))


def shared_tokenizer(sources: Sequence[ModelSource]) -> ModelTokenizer:
    """Load the one tokenizer of all models of a run.

    Raises
    ------
    DataError
        If two models differ in vocabulary or merges: their losses are not of the same tokens.
    """
    places: dict[tuple[str, str], ModelSource] = {}
    for source in sources:
        places.setdefault(_tokenizer_place(source), source)
    first, *others = places.values()
    shared = load_tokenizer(first)
    for source in others:
        other = load_tokenizer(source)
        what = "tokenizers"
        if other.sha256 == shared.sha256:
            if _ids(other) == _ids(shared):
                continue
            what = "ids for the same text"
        raise DataError(
            f"models {first.name} and {source.name} have different {what}; "
            "run them apart, for their losses are of different tokens"
        )
    return shared


def _tokenizer_place(source: ModelSource) -> tuple[str, str]:
    """Say where a tokenizer comes from, so that equal files are read once."""
    path = Path(source.location) / TOKENIZER_FILE
    if source.kind != "folder" or not path.is_file():
        return source.kind, source.location
    rest = b"".join(
        file.read_bytes() for file in sorted(path.parent.glob("*token*.json")) if file.is_file()
    )
    return source.kind, hashlib.sha256(rest).hexdigest()


def _ids(found: ModelTokenizer) -> tuple[int | None, list[int]]:
    return found.bos_id, encode(found.tokenizer, _ANY_TEXT)


def torch_dtype(name: str, *, device: str = "cpu") -> torch.dtype:
    """Turn a config's dtype into torch's; ``auto`` is bfloat16 where the device is fast at it."""
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if name not in _DTYPES:
        raise ValueError(f"dtype: {name!r} found; choose auto, {', '.join(_DTYPES)}")
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device: {device!r} cannot be used here ({one_line(error)})") from error


def _load_stored(source: ModelSource) -> PreTrainedModel:
    """Load the weights in the type they are stored in."""
    if source.kind == "suite":
        folder = read_suite(Path(source.location))
        card = next(card for card in folder.cards if card.file == source.revision)
        return load_checkpoint(folder.path / card.file, suite=folder.suite, card=card)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            **pretrained_arguments(source),
            dtype="auto",
            output_loading_info=True,
            use_safetensors=None if source.kind == "gguf" else True,  # a .bin file is a pickle
        )
    except LOAD_ERRORS as error:
        raise DataError(
            f"model {source.name}: not a causal language model that can be loaded "
            f"({one_line(error)})"
        ) from error
    module, report = loaded
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise DataError(f"model {source.name}: weights missing, {missing[0]} and others")
    return _without_quantized_mark(module) if source.kind == "gguf" else module


def _without_quantized_mark(module: PreTrainedModel) -> PreTrainedModel:
    """Move a model from GGUF into a fresh one: its weights are plain, but it refuses casts."""
    config = module.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(module.state_dict())
    return plain


def context_length(config: Any) -> int:
    """Read the longest input [token] from a model's config."""
    return int(getattr(config, "max_position_embeddings", 0) or _UNLIMITED)


def pretrained_arguments(source: ModelSource) -> dict[str, Any]:
    """Arguments of ``from_pretrained``."""
    if source.kind == "gguf":
        path = Path(source.location)
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    if source.kind == "hub":
        return {
            "pretrained_model_name_or_path": source.location,
            "revision": source.revision or "main",
            "local_files_only": not _is_on_hub(source),
        }
    return {"pretrained_model_name_or_path": source.location, "local_files_only": True}


def _is_on_hub(source: ModelSource) -> bool:
    """Ask the hub once, briefly; False if it is out of reach but the model was loaded before.

    Raises
    ------
    DataError
        If the hub does not have the model, or is out of reach and the cache has none either.
    """
    name, revision = source.location, source.revision or "main"
    try:
        url = hf_hub_url(name, "config.json", revision=revision)
        get_hf_file_metadata(url, timeout=_HUB_SECONDS)
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise DataError(
            f"model {name}@{revision}: the hub has no such model ({type(error).__name__}); "
            "check its id and revision, or log in if it is private"
        ) from error
    except Exception as error:  # every transport has its own errors; all mean: not reachable
        if isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
            return False
        raise DataError(
            f"model {name}@{revision}: no model hub can be reached and no copy is cached "
            f"({type(error).__name__}); give a local folder or a .gguf file"
        ) from error
    return True


def _check_causal(module: PreTrainedModel, name: str) -> None:
    """Stop at models in which a token sees the ones behind it."""
    ids = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]], device=torch.device(module.device))
    with torch.inference_mode():
        first, second = module(input_ids=ids).logits.float()
    change = (first - second).abs().amax(dim=1)
    if change[:3].max() > _SAME * change[3]:
        raise DataError(f"model {name}: not causal, its predictions depend on later tokens")


def _tokenizer_sha256(tokenizer: Tokenizer) -> str:
    model = json.loads(tokenizer.to_str())["model"]
    relevant = [model.get("vocab"), model.get("merges")]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def one_line(error: Exception) -> str:
    """Give the first line of a library's error, bounded."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
