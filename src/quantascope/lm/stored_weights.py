"""Which weights lie behind a source, without loading them: what tells wrong revisions early."""

import hashlib
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url

from quantascope.lm.models import ModelSource
from quantascope.lm.suite_folder import read_suite

__all__ = ["stored_weights"]

_HUB_SECONDS = 5.0
_FILE = "model.safetensors"


def stored_weights(source: ModelSource) -> str | None:
    """Identify the weights of a model by their files; None where that needs the weights themselves.

    Equal answers mean equal weights; different ones mean little, for a file also holds dtypes and
    remarks. Folders and files are hashed, suites have the hash on their cards, and the hub knows
    the hash of each file that it stores (of models in one file).
    """
    if source.kind == "suite":
        cards = read_suite(Path(source.location)).cards
        return next(card.weights_sha256 for card in cards if card.file == source.revision)
    if source.kind == "hub":
        return _hash_on_hub(source)
    path = Path(source.location)
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    return _hash_of(files) if files else None


def _hash_of(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _hash_on_hub(source: ModelSource) -> str | None:
    try:
        url = hf_hub_url(source.location, _FILE, revision=source.revision or "main")
        return get_hf_file_metadata(url, timeout=_HUB_SECONDS).etag
    except Exception:  # no such file, or no hub: the weights are hashed when they are loaded
        return None
