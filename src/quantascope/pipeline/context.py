"""What a stage function gets: the run, its config, its workspace, and how many processes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantascope.core.progress import Advance
from quantascope.pipeline.config import RunConfig
from quantascope.pipeline.executor import Executor
from quantascope.store.arrays import open_array
from quantascope.store.folder import RunFolder, Workspace

__all__ = ["CorpusArrays", "StageContext"]

T = TypeVar("T")


@dataclass(frozen=True)
class StageContext:
    """Everything a stage function needs; `track` opens a progress display."""

    run: RunFolder
    config: RunConfig
    workspace: Workspace
    executor: Executor
    track: Callable[..., AbstractContextManager[Advance]]

    def device(self, kind: str) -> str:
        """Device that a stage computes on."""
        return str(getattr(getattr(self.config, kind, None), "device", "cpu"))

    def run_shards(
        self,
        kind: str,
        task: Callable[[T], Any],
        shards: list[T],
        *,
        on_done: Callable[[T, Any], None],
    ) -> None:
        """Run a stage's shards side by side, or here where it computes on an accelerator."""
        self.executor.run(task, shards, on_done=on_done, here=self.device(kind) != "cpu")


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
