"""Whether the text measured was among the text trained on, told from training fingerprints."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantascope.lm.documents import Document
from quantascope.lm.fingerprint import Fingerprint, document_hash, report_seen
from quantascope.lm.models import ModelSource
from quantascope.lm.suite_folder import FINGERPRINT_FILE

__all__ = ["SeenCounter", "training_fingerprint"]


def training_fingerprint(sources: Sequence[ModelSource]) -> Fingerprint | None:
    """Load the fingerprint of the models' training text; None where any model lacks one."""
    folders = {source.location if source.kind == "suite" else "" for source in sources}
    if len(folders) != 1 or "" in folders:
        return None
    return Fingerprint.load(Path(folders.pop()) / FINGERPRINT_FILE)


class SeenCounter:
    """Watch documents pass and count those that a fingerprint knows."""

    def __init__(self, fingerprint: Fingerprint | None) -> None:
        self.fingerprint = fingerprint
        self._counts: dict[int, tuple[bool, int, int]] = {}

    def passing(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield documents as they are, counting each."""
        for document in documents:
            if self.fingerprint is not None:
                self._counts[document_hash(document.text)] = self.fingerprint.shared(document.text)
            yield document

    def report(self, kept: Iterable[int]) -> dict[str, Any] | None:
        """Give the counts of the documents kept, by hash, JSON-able; None where unknown."""
        if self.fingerprint is None:
            return None
        return asdict(report_seen([self._counts[document] for document in sorted(set(kept))]))
