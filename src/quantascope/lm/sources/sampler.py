"""The `sampler`: free texts that ship with the package, two megabytes in a dozen domains."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

import numpy as np

from quantascope.core.rng import derive_seed, hash_order
from quantascope.lm.documents import Document, cut_stream
from quantascope.lm.fingerprint import Fingerprint

__all__ = ["sampler_documents", "sampler_fingerprint", "shuffled"]

_LICENCES = "LICENSES"


def sampler_documents(*, seed: int = 0) -> Iterator[Document]:
    """Yield the sampler's documents, domains mixed in seeded hash order."""
    documents = [
        Document(piece, f"sampler/{domain.name}/{file.name}", offset, domain.name)
        for domain in _domains()
        for file in domain.iterdir()
        for offset, piece in cut_stream([file.read_bytes().decode()])
    ]
    yield from shuffled(documents, seed=seed)


def sampler_fingerprint() -> Fingerprint:
    """Take all line hashes of the sampler: what training text must not share."""
    return Fingerprint.from_texts((doc.text for doc in sampler_documents()), keep_one_in=1)


def shuffled(documents: list[Document], *, seed: int) -> list[Document]:
    """Order documents by a hash of source and offset: one more file moves no other document."""
    keys = [derive_seed(0, doc.domain, doc.source, doc.offset) for doc in documents]
    order = hash_order(np.array(keys, dtype=np.int64), seed=seed)
    return [documents[at] for at in np.argsort(order, kind="stable")]


def _domains() -> list[Traversable]:
    root = files("quantascope") / "data" / "sampler"
    return [folder for folder in root.iterdir() if folder.is_dir() and folder.name != _LICENCES]
