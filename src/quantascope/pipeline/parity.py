"""A sweep of sparse parity runs as a folder: trained stack by stack, resumable, then tables.

    sweep.json         settings of all runs, schedule, versions; written last
    runs.parquet       one row a run: settings, parameters, last step, whether it stopped early
    curves.parquet     mean losses by run and step [nat]
    subtasks.parquet   loss, accuracy and progress of each subtask by run and step
    networks/          weights of the last step, one file a stack

A killed sweep continues from each stack's last saved state and ends with the same bytes.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from quantascope.core.errors import ArtefactError, DataError
from quantascope.core.progress import Advance, ignore_progress
from quantascope.pipeline.executor import Executor
from quantascope.store.digest import digest_json
from quantascope.toys.measures import MEASURES, Measure, fourier_share
from quantascope.toys.parity import ParityTask
from quantascope.toys.runs import ParityRun, ParitySweep, build_stack, plan_stacks, uses_half
from quantascope.toys.state import pack_state, unpack_state
from quantascope.toys.training import Schedule, Stopping, TrainingState, start, train

__all__ = ["SweepTables", "read_sweep", "run_sweep", "sweep_work"]

_SWEEP: Final = "sweep.json"
_WORK: Final = "work"
_KEY: Final = "key"
_NETWORKS: Final = "networks"
_SECONDS_BETWEEN_SAVES: Final = 60.0
_VERSIONS_OF: Final = ("quantascope", "torch", "numpy")
_CURVES: Final = {
    "mean_loss_validation": "loss_validation_nats",
    "mean_loss_test": "loss_test_nats",
}
_SUBTASKS: Final = {"loss": "loss_nats", "accuracy": "accuracy", "strength": "strength"}
_TAKEN: Final = {*MEASURES, *_CURVES, *_SUBTASKS.values(), "fourier", "run", "step", "subtask"}


@dataclass(frozen=True, kw_only=True)
class SweepTables:
    """A finished sweep."""

    sweep: ParitySweep
    runs: pa.Table
    """A row a run; the column ``run`` is its place in the sweep."""
    curves: pa.Table
    subtasks: pa.Table


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One stack to train, and where its state is kept."""

    sweep: ParitySweep
    stack: tuple[tuple[int, ...], ...]
    path: Path
    measures: Mapping[str, Measure]

    @property
    def work(self) -> int:
        return self.sweep.schedule.n_steps * sum(len(places) for places in self.stack)


def sweep_work(sweep: ParitySweep) -> int:
    """Give the steps of all networks together: the total that `run_sweep` reports."""
    return sweep.schedule.n_steps * len(sweep.runs)


def run_sweep(
    sweep: ParitySweep,
    out: Path,
    *,
    workers: int = 1,
    measures: Mapping[str, Measure] | None = None,
    advance: Advance = ignore_progress,
) -> SweepTables:
    """Train all runs into a folder, or go on where a killed sweep stopped.

    Parameters
    ----------
    sweep
        What to train.
    out
        Folder; made if missing.
    workers
        Stacks trained at the same time, one process with one thread each, at least 1.
    measures
        Further progress measures by name, each a column of `SweepTables.subtasks`; with several
        workers, functions of a module.
    advance
        Told network-steps done.

    Returns
    -------
    SweepTables
        As `read_sweep` gives them.

    Raises
    ------
    DataError
        If the folder holds another sweep, or one without these measures.
    ValueError
        If a measure takes a name that is in use.
    """
    measures = measures or {}
    if taken := sorted(_TAKEN & set(measures)):
        raise ValueError(f"measures: {taken} stand already; give another name")
    if (out / _SWEEP).exists():
        found = read_sweep(out)
        if found.sweep != sweep or not set(measures) <= set(found.subtasks.column_names):
            raise DataError(f"{out}: holds another sweep; choose another folder or remove it")
        shutil.rmtree(out / _WORK, ignore_errors=True)  # of one killed just after its end
        advance(sweep_work(sweep))
        return found
    work = out / _WORK
    half = uses_half(sweep.precision, sweep.device)  # a state is not continued in another precision
    named = {"measures": sorted(measures)} if measures else {}
    _claim(work, digest_json({"sweep": _plain(sweep), "half": half} | named), out)
    jobs = [
        _Job(
            sweep=sweep,
            stack=tuple(map(tuple, stack)),
            path=work / f"stack-{i:04d}.safetensors",
            measures=measures,
        )
        for i, stack in enumerate(plan_stacks(sweep.runs))
    ]
    with Executor(workers) as executor:
        if workers == 1 or sweep.device != "cpu":
            for job in jobs:
                _train_job(job, advance)
        else:
            executor.run(_train_job, jobs, on_done=lambda job, _: advance(job.work))
    _publish(sweep, jobs, out)
    return read_sweep(out)


def read_sweep(out: Path) -> SweepTables:
    """Read a finished sweep.

    Raises
    ------
    ArtefactError
        If there is none, or a file is damaged.
    """
    path = out / _SWEEP
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return SweepTables(
            sweep=_sweep_of(content["sweep"]),
            runs=pq.read_table(out / "runs.parquet"),
            curves=pq.read_table(out / "curves.parquet"),
            subtasks=pq.read_table(out / "subtasks.parquet"),
        )
    except FileNotFoundError as error:
        raise ArtefactError(f"{error.filename or path}: missing; run the sweep again") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path}: not a finished sweep; run the sweep again") from error


def _claim(work: Path, key: str, out: Path) -> None:
    """Take the work folder for this sweep; another's unfinished work is not touched."""
    marker = work / _KEY
    if marker.is_file():
        if marker.read_text(encoding="utf-8") != key:
            raise DataError(
                f"{out}: holds another, unfinished sweep; choose another folder or remove it"
            )
        return
    work.mkdir(parents=True, exist_ok=True)
    temporary = marker.with_suffix(".tmp")
    temporary.write_text(key, encoding="utf-8")
    temporary.replace(marker)


def _train_job(job: _Job, advance: Advance = ignore_progress) -> None:
    """Train one stack to its end; its last state stays on disk."""
    sweep, device = job.sweep, torch.device(job.sweep.device)
    half = uses_half(sweep.precision, sweep.device)
    problem, places = build_stack(
        sweep.runs, job.stack, device=device, half=half, measures=job.measures
    )
    state = _read_state(job.path, device) if job.path.exists() else start(problem)
    done = [state.step * len(places)]
    advance(done[0])

    def told(n: int) -> None:
        done[0] += n
        advance(n)

    runs = [sweep.runs[place] for place in places]
    trained = train(
        problem,
        state,
        schedule=sweep.schedule,
        rates=np.array([run.learning_rate for run in runs]),
        decays=np.array([run.weight_decay for run in runs]),
        stopping=sweep.stopping,
        on_step=_saver(job.path),
        advance=told,
    )
    _write_state(job.path, trained)
    advance(job.work - done[0])  # steps that early stopping saved


def _saver(path: Path) -> Callable[[TrainingState], bool]:
    last = [time.monotonic()]

    def save(state: TrainingState) -> bool:
        if time.monotonic() - last[0] > _SECONDS_BETWEEN_SAVES:
            _write_state(path, state)
            last[0] = time.monotonic()
        return False

    return save


def _write_state(path: Path, state: TrainingState) -> None:
    temporary = path.with_suffix(".tmp")
    save_file(pack_state(state), temporary)
    temporary.replace(path)


def _read_state(path: Path, device: torch.device) -> TrainingState:
    try:
        return unpack_state(load_file(path), device=device)
    except (SafetensorError, KeyError, OSError) as error:
        raise ArtefactError(f"{path}: damaged ({error}); remove it and run again") from error


def _publish(sweep: ParitySweep, jobs: list[_Job], out: Path) -> None:
    """Write tables and networks, the settings last."""
    device = torch.device("cpu")
    parts = [(_places(job), _read_state(job.path, device)) for job in jobs]
    pq.write_table(_runs_table(sweep, parts), out / "runs.parquet", compression="zstd")
    pq.write_table(_table(parts, _curve_columns), out / "curves.parquet", compression="zstd")
    pq.write_table(_table(parts, _subtask_columns), out / "subtasks.parquet", compression="zstd")
    (out / _NETWORKS).mkdir(exist_ok=True)
    for job, (places, state) in zip(jobs, parts, strict=True):
        weights = {name: value.contiguous() for name, value in state.params.items()}
        weights["run"] = torch.from_numpy(places[state.members])
        save_file(weights, out / _NETWORKS / job.path.name)
    content = {
        "sweep": _plain(sweep),
        "half": uses_half(sweep.precision, sweep.device),
        "versions": {name: version(name) for name in _VERSIONS_OF},
    }
    temporary = out / f"{_SWEEP}.tmp"
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(out / _SWEEP)
    shutil.rmtree(out / _WORK)


def _places(job: _Job) -> NDArray[np.intp]:
    return np.array([place for places in job.stack for place in places], dtype=np.intp)


_Part = tuple[NDArray[np.intp], TrainingState]


def _runs_table(sweep: ParitySweep, parts: list[_Part]) -> pa.Table:
    finished = np.full(len(sweep.runs), -1, dtype=np.int64)
    for places, state in parts:
        finished[places] = state.finished
    rows = []
    for place, (run, stop) in enumerate(zip(sweep.runs, finished.tolist(), strict=True)):
        fields = {f.name: getattr(run, f.name) for f in dataclasses.fields(run) if f.name != "task"}
        task = {f"task_{name}": value for name, value in asdict(run.task).items()}
        del task["task_given"]
        steps = sweep.schedule.n_steps if stop < 0 else stop
        known = {"run": place, "n_params": run.n_params, "n_steps": steps}
        rows.append(known | {"stopped_early": stop >= 0} | fields | task)
    return pa.Table.from_pylist(rows)


def _table(
    parts: list[_Part],
    columns: Callable[[TrainingState, NDArray[np.intp]], dict[str, NDArray[Any]]],
) -> pa.Table:
    tables = [pa.table(columns(state, places)) for places, state in parts]
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in _order(tables[0])])


def _order(table: pa.Table) -> list[str]:
    return [name for name in ("run", "step", "subtask") if name in table.column_names]


def _curve_columns(state: TrainingState, places: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    losses = {new: state.history.table(old) for old, new in _CURVES.items()}
    known = np.isfinite(next(iter(losses.values())))
    step, member = np.nonzero(known)
    steps = np.array(state.history.steps)[step]
    return {"run": places[member], "step": steps} | {n: v[known] for n, v in losses.items()}


def _subtask_columns(state: TrainingState, places: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    further = {name: name for name in state.history.rows[0] if name not in _TAKEN}
    table = {new: state.history.table(old) for old, new in (_SUBTASKS | further).items()}
    margin, square = state.history.table("margin"), state.history.table("margin_square")
    table["fourier"] = fourier_share(margin, square).astype(np.float32)
    known = np.isfinite(table["loss_nats"])
    step, member, subtask = np.nonzero(known)
    steps = np.array(state.history.steps)[step]
    index = {"run": places[member], "step": steps, "subtask": (subtask + 1).astype(np.int32)}
    return index | {name: values[known] for name, values in table.items()}


def _plain(sweep: ParitySweep) -> dict[str, Any]:
    """Give the settings as plain values, equal after a way through JSON."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(sweep)))
    return settings


def _sweep_of(fields: dict[str, Any]) -> ParitySweep:
    runs = []
    for entry in fields["runs"]:
        task = entry["task"] | {"given": tuple(entry["task"]["given"])}
        runs.append(ParityRun(**(entry | {"task": ParityTask(**task)})))
    stopping = fields["stopping"]
    return ParitySweep(
        **(
            fields
            | {
                "runs": tuple(runs),
                "schedule": Schedule(**fields["schedule"]),
                "stopping": None if stopping is None else Stopping(**stopping),
            }
        )
    )
