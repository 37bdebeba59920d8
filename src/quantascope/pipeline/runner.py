"""The stage graph at work: plan what is missing or stale, then do it, resuming where it stopped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from threadpoolctl import threadpool_limits

from quantascope.core.errors import ArtefactError, DataError
from quantascope.core.progress import track
from quantascope.pipeline.config import RunConfig, dump_config, stage_config
from quantascope.pipeline.context import StageContext
from quantascope.pipeline.executor import Executor
from quantascope.pipeline.stages import STAGES
from quantascope.store.check import file_damage
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import Manifest
from quantascope.store.schema import KINDS, WAY
from quantascope.store.status import StageStatus, stage_status

__all__ = ["plan_run", "run_stages", "write_config"]

_REDO: Final = ("stale", "missing", "partial", "damaged")


@dataclass(frozen=True)
class Step:
    """One stage of a plan: what would be done and why."""

    kind: str
    todo: bool
    why: str


def plan_run(
    run: RunFolder, config: RunConfig, *, kinds: Sequence[str], overwrite: Sequence[str] = ()
) -> list[Step]:
    """Say for each stage whether it would be done, and why.

    Parameters
    ----------
    run, config
        The run and its config.
    kinds
        Stages wanted, in the order of the way of data.
    overwrite
        Stages to redo even where they stand.

    Returns
    -------
    list[Step]
        One a stage; a stage whose parent is redone is redone.
    """
    steps: list[Step] = []
    redone: set[str] = set()
    configs = _configs(config)
    for kind in kinds:
        status = stage_status(run, kind, configs)
        why = _reason(status, overwrite=overwrite, redone=redone)
        if why:
            redone.add(kind)
        steps.append(Step(kind, bool(why), why))
    return steps


def run_stages(
    run: RunFolder,
    config: RunConfig,
    *,
    kinds: Sequence[str] = WAY,
    overwrite: Sequence[str] = (),
    workers: int = 1,
    on_stage: Callable[[str, Manifest | None], None] = lambda _kind, _manifest: None,
) -> list[Manifest]:
    """Bring the wanted stages up to date.

    Parameters
    ----------
    run, config
        The run and its config; the config is written to ``run.toml`` first.
    kinds
        Stages wanted, in the order of the way of data; their parents must stand or be wanted.
    overwrite
        Stages to redo even where they stand.
    workers
        Processes side by side.
    on_stage
        Called with a stage's name and None before, and with its manifest after.

    Returns
    -------
    list[Manifest]
        Of the stages wanted.

    Raises
    ------
    ArtefactError
        If another process holds the run, or a parent is missing.
    """
    run.root.mkdir(parents=True, exist_ok=True)
    # one thread a process: sums come out the same every time, and threads do not fight for cores
    with threadpool_limits(1), run.lock(), Executor(workers) as executor:
        run.recover()
        _check_parents(run, config, kinds)
        with _config_in_force(run, config):
            return _bring_up_to_date(
                run, config, kinds=kinds, overwrite=overwrite, executor=executor, on_stage=on_stage
            )


def _bring_up_to_date(
    run: RunFolder,
    config: RunConfig,
    *,
    kinds: Sequence[str],
    overwrite: Sequence[str],
    executor: Executor,
    on_stage: Callable[[str, Manifest | None], None],
) -> list[Manifest]:
    manifests = []
    for step in plan_run(run, config, kinds=kinds, overwrite=overwrite):
        if _is_current(run, config, step.kind) and step.kind not in overwrite:
            manifests.append(run.require(step.kind))
            continue
        on_stage(step.kind, None)
        manifests.append(_make(run, config, step.kind, executor=executor))
        on_stage(step.kind, manifests[-1])
    return manifests


def _check_parents(run: RunFolder, config: RunConfig, kinds: Sequence[str]) -> None:
    """Refuse to make a stage alone from a parent that the config in force would redo."""
    for kind in kinds:
        for parent in set(KINDS[kind].parents) - set(kinds):
            status = stage_status(run, parent, _configs(config))
            if status.state != "done":
                raise ArtefactError(
                    f"{run.stage(parent)}: stage {parent!r}, which {kind!r} rests on, is "
                    f"{status.state}{' (' + status.why + ')' if status.why else ''}; "
                    f"run `quantascope run {run.root}`"
                )


@contextmanager
def _config_in_force(run: RunFolder, config: RunConfig) -> Iterator[None]:
    """Write the config; put the one before back if it turns out to be unusable."""
    before = run.config_path.read_bytes() if run.config_path.is_file() else None
    write_config(run, config)
    try:
        yield
    except (ValueError, DataError):
        if before is None:
            run.config_path.unlink()
        else:
            run.config_path.write_bytes(before)
        raise


def write_config(run: RunFolder, config: RunConfig) -> None:
    """Write the resolved config into the run, atomically."""
    temporary = run.config_path.with_suffix(".tmp")
    temporary.write_text(dump_config(config), encoding="utf-8")
    temporary.replace(run.config_path)


def _reason(status: StageStatus, *, overwrite: Sequence[str], redone: set[str]) -> str:
    parents = [parent for parent in KINDS[status.kind].parents if parent in redone]
    if status.kind in overwrite:
        return "overwrite asked for"
    if status.state in _REDO:
        return status.why or status.state
    return f"parent {parents[0]} is redone" if parents else ""


def _is_current(run: RunFolder, config: RunConfig, kind: str) -> bool:
    """Look again when the stage's turn comes: a redone parent may have come out the same."""
    return stage_status(run, kind, _configs(config)).state == "done"


def _configs(config: RunConfig) -> dict[str, dict[str, Any]]:
    return {kind: stage_config(config, kind) for kind in KINDS}


def _make(run: RunFolder, config: RunConfig, kind: str, *, executor: Executor) -> Manifest:
    for parent in KINDS[kind].parents:
        if damage := file_damage(run, parent):
            raise ArtefactError(damage[0])
    workspace = run.open_workspace(kind, stage_config(config, kind))
    context = StageContext(
        run=run, config=config, workspace=workspace, executor=executor, track=track
    )
    facts: dict[str, Any] = STAGES[kind](context)
    return workspace.finish(facts, device=context.device(kind))
