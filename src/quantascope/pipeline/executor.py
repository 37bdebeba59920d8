"""Work on shards, in this process or in several side by side; results come back to one writer.

Workers hold one thread each. They watch their parent and leave when it is killed, so a killed run
leaves no process behind.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.connection import wait as wait_for_connection
from typing import Any, Final, TypeVar

__all__ = ["run_shards"]

T = TypeVar("T")

_QUEUED_PER_WORKER: Final = 2  # bounds what is in memory: results are written as they come


def run_shards(
    task: Callable[[T], Any],
    shards: Iterable[T],
    *,
    workers: int,
    on_done: Callable[[T, Any], None],
) -> None:
    """Run `task` on every shard and hand each result to `on_done` in this process.

    Parameters
    ----------
    task
        A module-level function; with several workers it and the shards are pickled to them.
    shards
        Descriptions of the work, small.
    workers
        Processes, at least 1; with 1 everything runs here.
    on_done
        Called with shard and result, in order of completion.
    """
    shards = list(shards)
    if workers <= 1 or len(shards) <= 1:
        for shard in shards:
            on_done(shard, task(shard))
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(shards)), mp_context=context, initializer=_start_worker
    )
    try:
        _feed(pool, task, shards=shards, limit=workers * _QUEUED_PER_WORKER, on_done=on_done)
    except BaseException:
        for process in list((pool._processes or {}).values()):  # no public way to stop them at once
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_connection([parent.sentinel])
        os._exit(1)
