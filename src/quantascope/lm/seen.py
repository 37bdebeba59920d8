"""Whether the text measured was among the text trained on, told from training fingerprints."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantascope.lm.documents import Document
from quantascope.lm.fingerprint import Fingerprint, report_seen
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
        self._counts: list[tuple[bool, int, int]] = []

    def passing(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield documents as they are, counting each."""
        for document in documents:
            if self.fingerprint is not None:
                self._counts.append(self.fingerprint.shared(document.text))
            yield document

    def report(self) -> dict[str, Any] | None:
        """Give the counts, JSON-able; None where it cannot be known."""
        return None if self.fingerprint is None else asdict(report_seen(self._counts))
