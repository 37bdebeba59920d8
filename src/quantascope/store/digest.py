"""Digests: SHA-256 of canonical JSON and of files."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

__all__ = ["digest_file", "digest_json"]

_BLOCK_BYTES: Final = 1 << 20


def digest_json(value: Any) -> str:
    """Digest a JSON-able value; key order and spacing do not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Digest a file's bytes, reading it in blocks."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
    return sha.hexdigest()
