"""Whether the text measured was among the text trained on, told from training fingerprints."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantascope.lm.documents import Document
from quantascope.lm.fingerprint import Fingerprint, SeenReport
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
        self.n_documents = self.n_seen = self.n_lines = self.n_known = 0

    def passing(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield documents as they are, counting each."""
        for document in documents:
            if self.fingerprint is not None:
                self._count(self.fingerprint, document.text)
            yield document

    def report(self) -> dict[str, Any] | None:
        """Give the counts, JSON-able; None where it cannot be known."""
        if self.fingerprint is None:
            return None
        share = self.n_known / self.n_lines if self.n_lines else 0.0
        return asdict(SeenReport(self.n_documents, self.n_seen, share))

    def _count(self, fingerprint: Fingerprint, text: str) -> None:
        whole, n_lines, n_known = fingerprint.shared(text)
        self.n_documents += 1
        self.n_seen += whole or (n_known > 0 and 2 * n_known >= n_lines)
        self.n_lines += n_lines
        self.n_known += n_known
