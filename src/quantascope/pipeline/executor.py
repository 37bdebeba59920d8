"""Work on shards, in this process or in several side by side; results come back to one writer.

Workers hold one thread each. They watch their parent and leave when it is killed, so a killed run
leaves no process behind.
"""

import importlib.util
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_connection
from typing import Any, Final, Self, TypeVar

from threadpoolctl import threadpool_limits

__all__ = ["Executor"]

T = TypeVar("T")

_QUEUED_PER_WORKER: Final = 2  # bounds what is in memory: results are written as they come


class Executor:
    """Runs tasks on shards; its processes start when first needed and serve every stage.

    Use it as a context manager: leaving it stops the processes, at once when an error leaves it.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers: {workers} found; give at least 1")
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop the processes."""
        if self._pool is None:
            return
        if kind is not None:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()  # a task in hand may take minutes; no public way is at once
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None

    def run(
        self,
        task: Callable[[T], Any],
        shards: Iterable[T],
        *,
        on_done: Callable[[T, Any], None],
        here: bool = False,
    ) -> None:
        """Run `task` on every shard and hand each result to `on_done` in this process.

        Parameters
        ----------
        task
            A module-level function; with several workers it and the shards are pickled to them.
        shards
            Descriptions of the work, small.
        on_done
            Called with shard and result, in order of completion.
        here
            Work in this process whatever the number of workers (an accelerator is not shared).
        """
        shards = list(shards)
        if here or self.workers == 1 or len(shards) <= 1:
            for shard in shards:
                on_done(shard, task(shard))
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
            )
        limit = self.workers * _QUEUED_PER_WORKER
        try:
            _feed(self._pool, task, shards=shards, limit=limit, on_done=on_done)
        except BrokenProcessPool as error:
            raise MemoryError(
                "a worker process was killed, most likely for want of memory; "
                "run again with --workers 1, or lower batch_tokens"
            ) from error


def _feed(
    pool: ProcessPoolExecutor,
    task: Callable[[T], Any],
    *,
    shards: list[T],
    limit: int,
    on_done: Callable[[T, Any], None],
) -> None:
    waiting = iter(shards)
    running: dict[Future[Any], T] = {}
    while True:
        while len(running) < limit and (shard := next(waiting, None)) is not None:
            running[pool.submit(task, shard)] = shard
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            on_done(running.pop(future), future.result())


def _start_worker() -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()  # before the long import
    threadpool_limits(1)
    if importlib.util.find_spec("torch") is not None:  # the base install clusters without it
        import torch

        torch.set_num_threads(1)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_connection([parent.sentinel])
        os._exit(1)
