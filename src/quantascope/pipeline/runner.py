"""The stage graph at work: plan what is missing or stale, then do it, resuming where it stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from threadpoolctl import threadpool_limits

from quantascope.core.progress import track
from quantascope.pipeline.config import RunConfig, dump_config, stage_config
from quantascope.pipeline.context import StageContext
from quantascope.pipeline.executor import Executor
from quantascope.pipeline.stages import STAGES
from quantascope.store.check import StageStatus, stage_status
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import Manifest
from quantascope.store.schema import KINDS

__all__ = ["ancestors", "plan_run", "run_stages", "write_config"]

_REDO: Final = ("stale", "missing", "partial", "damaged")


@dataclass(frozen=True)
class Step:
    """One stage of a plan: what would be done and why."""

    kind: str
    todo: bool
    why: str


def ancestors(kind: str) -> list[str]:
    """List a stage and all stages it rests on, in the order of the way of data."""
    needed = {kind}
    for name in reversed(list(KINDS)):
        if name in needed:
            needed.update(KINDS[name].parents)
    return [name for name in KINDS if name in needed]


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
    for kind in kinds:
        status = stage_status(run, kind, stage_config(config, kind))
        why = _reason(status, overwrite=overwrite, redone=redone)
        if why:
            redone.add(kind)
        steps.append(Step(kind, bool(why), why))
    return steps


def run_stages(
    run: RunFolder,
    config: RunConfig,
    *,
    kinds: Sequence[str] = tuple(KINDS),
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
        write_config(run, config)
        manifests = []
        for step in plan_run(run, config, kinds=kinds, overwrite=overwrite):
            if _is_current(run, config, step.kind) and step.kind not in overwrite:
                manifests.append(run.require(step.kind))
                continue
            on_stage(step.kind, None)
            manifests.append(_make(run, config, step.kind, executor=executor))
            on_stage(step.kind, manifests[-1])
        return manifests


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
    return stage_status(run, kind, stage_config(config, kind)).state == "done"


def _make(run: RunFolder, config: RunConfig, kind: str, *, executor: Executor) -> Manifest:
    workspace = run.open_workspace(kind, stage_config(config, kind))
    context = StageContext(
        run=run, config=config, workspace=workspace, executor=executor, track=track
    )
    facts: dict[str, Any] = STAGES[kind](context)
    return workspace.finish(facts, device=context.device(kind))
