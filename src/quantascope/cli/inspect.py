"""Commands that look: status, validate, report, doctor."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from quantascope.store.folder import RunFolder

__all__ = ["register"]

Dir = Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    for command in (status, validate, report, doctor):
        app.command()(command)


def status(folder: Dir) -> None:
    """Say for each stage whether it stands, its size and age, and why it is stale."""
    from quantascope.pipeline.config import RunConfig, load_config, stage_config
    from quantascope.store.folder import RunFolder
    from quantascope.store.schema import KINDS
    from quantascope.store.status import stage_status

    run = _existing(folder)
    config = load_config(run.config_path) if run.config_path.is_file() else RunConfig()
    configs = {kind: stage_config(config, kind) for kind in KINDS}
    print(f"{'stage':<10} {'state':<8} {'size':>9} {'age':>7}  why")
    for kind in KINDS:
        found = stage_status(RunFolder(folder), kind, configs)
        if KINDS[kind].on_request and found.state == "missing":
            continue
        size = f"{found.n_bytes / 1e6:.2f} MB" if found.n_bytes else "-"
        age = _age(found.age_s)
        print(f"{kind:<10} {found.state:<8} {size:>9} {age:>7}  {found.why}".rstrip())
    print(folder)


def validate(folder: Dir) -> None:
    """Check hashes, axes, and invariants between stages; exit 1 names every damaged file."""
    from quantascope.store.check import validate_run

    damage = validate_run(_existing(folder))
    for line in damage:
        print(line)
    if damage:
        raise typer.Exit(1)
    print(f"sound: {folder}")


def report(folder: Dir) -> None:
    """Write report.html, one offline file."""
    from quantascope.reader.report import write_report

    _existing(folder)
    print(write_report(folder))


def doctor() -> None:
    """Say what this machine has: versions, threads, bf16, GPU, disk, hub."""
    from quantascope.pipeline.doctor import examine_machine

    for name, value in examine_machine().items():
        print(f"{name:<14} {value}")
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    print(f"{'disk':<14} {free:.1f} GB free here")
    print(f"{'threads':<14} OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}")


def _existing(folder: Path) -> "RunFolder":
    from quantascope.core.errors import ArtefactError
    from quantascope.store.folder import CONFIG, RunFolder

    if not folder.is_dir():
        raise ArtefactError(f"{folder}: no such run folder; make one with `quantascope demo`")
    if not (folder / CONFIG).is_file():
        raise ArtefactError(f"{folder}: not a run folder ({CONFIG} is missing)")
    return RunFolder(folder)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
