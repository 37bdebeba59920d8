"""Weights in the cache of the model hub's client: whether they are there, and how they go."""

from pathlib import Path

from huggingface_hub import scan_cache_dir, try_to_load_from_cache
from huggingface_hub.errors import CacheNotFound

from quantascope.lm.models import ModelSource

__all__ = ["is_downloaded", "drop_download"]

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def is_downloaded(source: ModelSource, *, cache: Path | None = None) -> bool:
    """Tell whether weights need not be fetched: they lie in the cache, or are no hub's.

    Parameters
    ----------
    source
        A model.
    cache
        Folder of the client's cache; None takes its own.
    """
    if source.kind != "hub":
        return True
    revision = source.revision or "main"
    return any(
        isinstance(
            try_to_load_from_cache(source.location, name, cache_dir=cache, revision=revision), str
        )
        for name in _WEIGHTS
    )


def drop_download(source: ModelSource, *, cache: Path | None = None) -> int:
    """Delete one revision of a model from the cache; files that others share stay.

    Parameters
    ----------
    source, cache
        As `is_downloaded`; a model that is no hub's stays.

    Returns
    -------
    int
        Bytes freed.
    """
    if source.kind != "hub":
        return 0
    try:
        found = scan_cache_dir(cache)
    except CacheNotFound:
        return 0
    commits = [
        revision.commit_hash
        for repo in found.repos
        if repo.repo_type == "model" and repo.repo_id == source.location
        for revision in repo.revisions
        if (source.revision or "main") in (*revision.refs, revision.commit_hash)
    ]
    strategy = found.delete_revisions(*commits)
    strategy.execute()
    return int(strategy.expected_freed_size)
