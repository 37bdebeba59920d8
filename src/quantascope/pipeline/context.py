"""What a stage function gets: the run, its config, its workspace, and how many processes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantascope.core.progress import Advance
from quantascope.pipeline.config import RunConfig
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder, Workspace

__all__ = ["CorpusArrays", "StageContext"]


@dataclass(frozen=True)
class StageContext:
    """Everything a stage function needs; `track` opens a progress display."""

    run: RunFolder
    config: RunConfig
    workspace: Workspace
    workers: int
    track: Callable[..., AbstractContextManager[Advance]]

    def device(self, kind: str) -> str:
        """Device that a stage computes on."""
        return str(getattr(getattr(self.config, kind, None), "device", "cpu"))

    def processes(self, kind: str) -> int:
        """Say how many processes a stage gets: one where it computes on an accelerator."""
        return self.workers if self.device(kind) == "cpu" else 1


@dataclass(frozen=True)
class CorpusArrays:
    """A run's tokens (memory-mapped), document bounds, and how documents were cut."""

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    max_length: int
    bos_id: int | None

    @classmethod
    def of(cls, run: RunFolder) -> "CorpusArrays":
        """Open the corpus of a run."""
        facts: dict[str, Any] = run.require("corpus").facts
        folder = run.stage("corpus")
        return cls(
            tokens=open_array(folder, "corpus", name="tokens.npy"),
            offsets=np.asarray(open_array(folder, "corpus", name="offsets.npy")),
            max_length=int(facts["max_length"]),
            bos_id=facts["bos_id"],
        )
