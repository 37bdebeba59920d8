"""Commands that make artefacts: demo, run, and each stage alone."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from quantascope.cli import losses
from quantascope.cli.suite import train_suite

if TYPE_CHECKING:
    from quantascope.pipeline.config import RunConfig
    from quantascope.store.manifest import Manifest

__all__ = [
    "COMMANDS",
    "Dir",
    "Set",
    "Workers",
    "announce",
    "make_stage",
    "processes",
    "register",
    "stage_command",
    "start_config",
]

_DEMO: Final = {"corpus.n_tokens": 300_000, "selection.n": 4000}
_PAPER_RESTARTS: Final = 30
_MAX_PROCESSES: Final = 8

Dir = Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Change one value of the config."),
]
Workers = Annotated[
    int, typer.Option("--workers", min=0, help="Processes side by side; 0 takes one a core.")
]

_STAGES: Final = {
    "corpus": "Read text, cut it into documents of tokens.",
    "losses": "Compute one loss for each prediction and model.",
    "selection": "Choose the predictions whose gradients are taken.",
    "curves": "Gather losses over sizes, steps and seeds, and how they are distributed.",
    "sketch": "Take their gradients and press each into a sketch.",
    "graph": "Find each prediction's neighbours by angular similarity.",
    "clusters": "Cluster the graph: Leiden over resolutions, and the paper's spectral family.",
    "ranks": "Count cluster sizes by rank, and their envelope.",
    "fits": "Fit exponents with intervals.",
    "labels": "Say from counts what each cluster has in common.",
}
COMMANDS: Final = ("demo", "run", *_STAGES)
"""All of this group: each finds what it has done before, and goes on."""


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command()(demo)
    app.command()(run)
    for kind, text in _STAGES.items():
        if kind == "losses":
            losses.register(app, stage_command(kind), text=text)
        elif kind not in ("curves", "labels"):  # these have options of their own
            app.command(kind, help=text)(stage_command(kind))


def demo(
    folder: Annotated[Path, typer.Option("--dir", help="Run folder.")] = Path("runs/demo"),
    train: Annotated[
        bool, typer.Option("--train", help="Train a reduced suite on the spot first.")
    ] = False,
    workers: Workers = 0,
) -> None:
    """See what a family of small language models has learned from real text."""
    from quantascope.pipeline.config import RunConfig, replace_values

    values: dict[str, Any] = dict(_DEMO)
    if train:
        values["models.suite"] = str(train_suite("demo-quick", folder / "suite", workers=workers))
    _run_all(folder, replace_values(RunConfig(), values), workers=workers)


def run(
    folder: Dir,
    suite: Annotated[
        str | None, typer.Option(help="Suite by name, or a folder made by suite train.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Hub id (@REVISION), local folder or .gguf; repeat for a family."),
    ] = None,
    revisions: Annotated[
        str | None,
        typer.Option(help="Checkpoints of each: log:1..143000:24, or step1000,step2000,main."),
    ] = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="File, folder, hf:ID, planted:NAME, sampler, local, debian; repeatable."),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the text in .parquet and .jsonl.")
    ] = None,
    n_tokens: Annotated[
        int | None, typer.Option(min=2, help="Stop reading text after this many tokens.")
    ] = None,
    max_mb: Annotated[float | None, typer.Option(help="Read at most this much text [MB].")] = None,
    n: Annotated[int | None, typer.Option("--n", min=2, help="Predictions to select.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda, losses and gradients.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or auto, for losses.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Padded tokens in one forward pass.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=2, help="Cut documents at this many tokens.")
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's 30 restarts of k-means, not 1.")
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Plant worlds for the slope if the table does not serve."),
    ] = False,
    method: Annotated[
        str | None, typer.Option(help="default, or published: plain cosines as in the paper.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A run.toml to start from.")] = None,
    set_: Set = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print plan, memory and time; do nothing.")
    ] = False,
    overwrite: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="Redo this stage; repeatable.")
    ] = None,
    workers: Workers = 0,
) -> None:
    """Discover what models have learned from text; resumes where an earlier run stopped."""
    from quantascope.pipeline.config import replace_values, set_values

    if suite is not None and (model or revisions):
        raise ValueError("--suite: give it without --model and --revisions")
    flags = {
        "models.suite": suite,
        "models.model": model or ([] if suite is not None else None),
        "models.revisions": revisions or ("" if suite or model else None),
        "corpus.source": corpus or None,
        "corpus.text_column": text_column,
        "corpus.n_tokens": n_tokens,
        "corpus.max_mb": max_mb,
        "corpus.max_length": max_length,
        "selection.n": n,
        "losses.device": device,
        "sketch.device": device,
        "losses.dtype": dtype,
        "losses.batch_tokens": batch_size,
        "clusters.n_init": _PAPER_RESTARTS if paper else None,
        "ranks.calibrate": calibrate or None,
    }
    resolved = replace_values(start_config(folder, config), flags)
    resolved = replace_values(resolved, _method_values(method))
    resolved = set_values(resolved, set_ or [])
    if dry_run:
        _print_plan(folder, resolved, overwrite or [])
        return
    _run_all(folder, resolved, workers=workers, overwrite=overwrite or [])


def _method_values(method: str | None) -> dict[str, Any]:
    """Give the settings of a named method: all that any method changes, so that names switch."""
    from quantascope.pipeline.config import RunConfig, get_value
    from quantascope.qdg.config import METHODS

    if method is None:
        return {}
    if method not in METHODS:
        raise ValueError(f"--method {method}: unknown; allowed are {', '.join(METHODS)}")
    changed = {address for values in METHODS.values() for address in values}
    base = RunConfig()
    return {address: get_value(base, address) for address in changed} | METHODS[method]


def _run_all(
    folder: Path, config: "RunConfig", *, workers: int, overwrite: list[str] | None = None
) -> None:
    from quantascope.pipeline.runner import run_stages
    from quantascope.reader.report import write_report
    from quantascope.store.folder import RunFolder

    _check_stages(overwrite or [])
    run_stages(
        RunFolder(folder),
        config,
        overwrite=overwrite or [],
        workers=processes(workers),
        on_stage=announce,
    )
    print(write_report(folder))


def stage_command(kind: str) -> Callable[..., None]:
    """Make the command of a stage alone."""

    def command(
        folder: Dir,
        set_: Set = None,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Redo the stage even where it stands.")
        ] = False,
        workers: Workers = 0,
    ) -> None:
        manifest = make_stage(folder, kind, set_=set_, overwrite=overwrite, workers=workers)
        for name, value in manifest.facts.items():
            print(f"{name}: {value}")
        print(folder / kind)

    return command


def make_stage(
    folder: Path, kind: str, *, set_: list[str] | None, overwrite: bool, workers: int
) -> "Manifest":
    """Bring one stage of a run up to date."""
    from quantascope.pipeline.config import set_values
    from quantascope.pipeline.runner import run_stages
    from quantascope.store.folder import RunFolder

    return run_stages(
        RunFolder(folder),
        set_values(start_config(folder, None), set_ or []),
        kinds=[kind],
        overwrite=[kind] if overwrite else [],
        workers=processes(workers),
        on_stage=announce,
    )[0]


def start_config(folder: Path, path: Path | None) -> "RunConfig":
    """Take --config, else the run's own config, else defaults."""
    from quantascope.pipeline.config import RunConfig, load_config
    from quantascope.store.folder import RunFolder

    own = RunFolder(folder).config_path
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; give a folder for the run")
    if path is not None:
        return load_config(path)
    return load_config(own) if own.is_file() else RunConfig()


def _print_plan(folder: Path, config: "RunConfig", overwrite: list[str]) -> None:
    from quantascope.pipeline.estimate import describe_plan
    from quantascope.store.folder import RunFolder

    _check_stages(overwrite)
    print(describe_plan(RunFolder(folder), config, overwrite=overwrite))


def _check_stages(names: list[str]) -> None:
    for name in names:
        if name not in _STAGES:
            raise ValueError(f"--overwrite {name}: unknown stage; allowed are {', '.join(_STAGES)}")


def processes(workers: int) -> int:
    """Take one process a core that this process may use, at most eight: each holds a model."""
    return workers or min(len(os.sched_getaffinity(0)), _MAX_PROCESSES)


def announce(kind: str, manifest: "Manifest | None") -> None:
    """Say on stderr which stage begins."""
    if manifest is None:
        print(f"{kind} ...", file=sys.stderr, flush=True)
