"""Train all members of a suite side by side, one thread each, and write the suite's folder.

Work in progress lies in ``work/`` inside the folder: the tokens, and one file with the whole
state of each member, replaced atomically. A killed training goes on from there when started
again and ends, on the same machine, with the same bytes.
"""

import dataclasses
import json
import platform
import shutil
import signal
from collections.abc import Callable, Iterator
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open

from quantascope.core.errors import DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.lm.architecture import has_fast_bfloat16
from quantascope.lm.checkpoints import read_cards, save_tensors, write_checkpoint
from quantascope.lm.suite_folder import (
    FINGERPRINT_FILE,
    LOG_FILE,
    SUITE_FILE,
    TOKENIZER_FILE,
    read_suite,
    write_json,
)
from quantascope.lm.suite_text import SuiteText, named_suite_text
from quantascope.lm.suites import SUITES, Member, Suite, suite_from_dict
from quantascope.lm.training import (
    LogRow,
    TrainingState,
    pack_state,
    start_training,
    train,
    unpack_state,
)

__all__ = ["train_named_suite", "train_suite"]

_WORK: Final = "work"
_RECIPE_FILE: Final = "recipe.json"
_SECONDS_TO_STOP: Final = 60.0
_VERSIONED: Final = ("quantascope", "torch", "transformers", "tokenizers", "safetensors", "numpy")


def train_named_suite(
    name: str, *, out: Path, workers: int = 2, advance: Advance = ignore_progress
) -> Path:
    """Train a suite of `SUITES` on its own text; see `train_suite`.

    Raises
    ------
    ValueError
        If no suite has this name.
    """
    if name not in SUITES:
        raise ValueError(f"suite: {name!r} unknown; choose from {', '.join(SUITES)}")
    return train_suite(SUITES[name], named_suite_text, out=out, workers=workers, advance=advance)


def train_suite(
    suite: Suite,
    make_text: Callable[[Suite], SuiteText],
    *,
    out: Path,
    workers: int = 2,
    advance: Advance = ignore_progress,
) -> Path:
    """Train every member of a suite into a folder, or go on where a killed training stopped.

    Parameters
    ----------
    suite
        The recipe.
    make_text
        Makes the text of the recipe; its tokens are kept, so a resumed training skips it.
    out
        Folder of the suite; made if missing.
    workers
        Members trained at the same time, one process with one thread each, at least 1.
    advance
        Told of work done; the total is ``suite.work``.

    Returns
    -------
    Path
        `out`, now a finished suite.

    Raises
    ------
    DataError
        If the folder holds another suite, or training diverges.
    """
    if workers < 1:
        raise ValueError(f"workers: {workers} found; give at least 1")
    if (out / SUITE_FILE).exists():
        _check_same(suite, read_suite(out).suite, out)
        return out
    recipe = _prepare(suite, make_text, out)
    _train_members(suite, out, workers=workers, advance=advance)
    pq.write_table(_log_table(suite, out), out / LOG_FILE, compression="zstd")
    cards = [dataclasses.asdict(card) for card in read_cards(out)]
    write_json(out / SUITE_FILE, recipe | {"models": cards, "versions": _versions()})
    shutil.rmtree(out / _WORK)
    return out


def _prepare(suite: Suite, make_text: Callable[[Suite], SuiteText], out: Path) -> dict[str, Any]:
    """Write the tokens unless they are there; the recipe is written last."""
    work = out / _WORK
    path = work / _RECIPE_FILE
    if path.exists():
        recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _check_same(suite, suite_from_dict(recipe["suite"]), out)
        return recipe
    work.mkdir(parents=True, exist_ok=True)
    text = make_text(suite)
    np.save(work / "tokens.npy", text.tokens, allow_pickle=False)
    np.save(work / "validation.npy", text.validation, allow_pickle=False)
    text.tokenizer.save(str(out / TOKENIZER_FILE))
    text.fingerprint.save(out / FINGERPRINT_FILE)
    recipe = {"suite": dataclasses.asdict(suite), "text": text.facts}
    write_json(path, recipe)
    return recipe


def _check_same(wanted: Suite, found: Suite, out: Path) -> None:
    if wanted != found:
        raise DataError(
            f"{out}: holds suite {found.name!r} of another recipe; choose another folder or "
            "remove it"
        )


def _train_members(suite: Suite, out: Path, *, workers: int, advance: Advance) -> None:
    """Keep `workers` processes busy until every member is trained; stop all on any exception."""
    context = get_context("spawn")
    stop = context.Event()
    waiting = list(suite.members)
    running: dict[Connection, tuple[Member, SpawnProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                member = waiting.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_worker, args=(suite, member, out, sender, stop))
                process.start()
                sender.close()
                running[receiver] = member, process
            ready = wait(list(running))
            for receiver in [receiver for receiver in running if receiver in ready]:
                _receive(receiver, running, advance)
    finally:
        stop.set()
        for _, process in running.values():
            process.join(_SECONDS_TO_STOP)
            process.kill()


def _receive(
    receiver: Connection, running: dict[Connection, tuple[Member, SpawnProcess]], advance: Advance
) -> None:
    """Take one message: work done, an error's text, or the end of the process."""
    try:
        message = receiver.recv()
    except EOFError:
        member, process = running.pop(receiver)
        process.join()
        if process.exitcode:
            raise DataError(
                f"training {member.name}: its process ended with code {process.exitcode}; "
                "start again to resume"
            ) from None
        return
    if isinstance(message, str):
        raise DataError(message)
    advance(message)


def _worker(suite: Suite, member: Member, out: Path, sender: Connection, stop: Event) -> None:
    """Train one member in a process of its own; the parent decides about Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    parent = parent_process()

    def should_stop() -> bool:  # an orphan must not write beside its successor
        return stop.is_set() or (parent is not None and not parent.is_alive())

    try:
        _train_member(suite, member, out, should_stop=should_stop, advance=sender.send)
    except DataError as error:
        sender.send(str(error))
    except BrokenPipeError:
        return


def _train_member(
    suite: Suite,
    member: Member,
    out: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    advance: Advance = ignore_progress,
) -> bool:
    work = out / _WORK
    path = _state_path(out, member)
    state = _read_state(suite, member, path)

    def save(state: TrainingState) -> None:
        tensors, metadata = pack_state(state)
        save_tensors(path, tensors, metadata=metadata)

    return train(
        state,
        np.load(work / "tokens.npy", mmap_mode="r", allow_pickle=False),
        validation=np.load(work / "validation.npy", mmap_mode="r", allow_pickle=False),
        keep=lambda state: write_checkpoint(out, state),
        save=save,
        should_stop=should_stop,
        advance=advance,
    )


def _state_path(out: Path, member: Member) -> Path:
    return out / _WORK / f"{member.name}.safetensors"


def _read_state(suite: Suite, member: Member, path: Path) -> TrainingState:
    if not path.exists():
        return start_training(suite, member, bfloat16=has_fast_bfloat16())
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        return unpack_state(suite, member, tensors=tensors, metadata=file.metadata())


def _log_table(suite: Suite, out: Path) -> pa.Table:
    """Join the logs of all members: one row for size, seed, step."""
    rows = [
        {"size": member.size.name, "seed": member.seed} | _budget(member) | dataclasses.asdict(row)
        for member, row in _logs(suite, out)
    ]
    return pa.Table.from_pylist(rows)


def _budget(member: Member) -> dict[str, str]:
    return {"budget": member.budget.name} if member.budget else {}


def _logs(suite: Suite, out: Path) -> Iterator[tuple[Member, LogRow]]:
    for member in suite.members:
        state = _read_state(suite, member, _state_path(out, member))
        yield from ((member, row) for row in state.log)


def _versions() -> dict[str, str]:
    own = {name: version(name) for name in _VERSIONED}
    return own | {"python": platform.python_version(), "machine": platform.machine()}
