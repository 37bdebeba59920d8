"""`family run DIR`: from models and text to what the family shows, in one command, no gradients."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from quantascope.cli.family_options import AsJson, Plot, Seed
from quantascope.cli.family_text import print_family
from quantascope.cli.run import Dir, Set, Workers, announce, processes, start_config

if TYPE_CHECKING:
    from quantascope.pipeline.config import RunConfig
    from quantascope.reader.family import FamilyFindings

__all__ = ["register"]

_KINDS: Final = ("corpus", "losses", "selection", "curves")


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="Families of models: what their losses show, over sizes, steps and seeds.",
        no_args_is_help=True,
    )
    group.callback()(_group)
    group.command("run")(run)
    app.add_typer(group, name="family")


def _group() -> None:
    """Make `run` a command of a group, though it is alone."""


def run(
    folder: Dir,
    suite: Annotated[
        str | None, typer.Option(help="Suite by name, or a folder made by suite train.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Hub id (@REVISION), or folder (with one a revision); repeatable."),
    ] = None,
    revisions: Annotated[
        str | None,
        typer.Option(help="Checkpoints of each: log:1..143000:24, or step1000,step2000,main."),
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Checkpoints of a suite: last, all, or steps like 16,256.")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="File, folder, hf:ID, sampler, local, debian; repeatable."),
    ] = None,
    n_tokens: Annotated[
        int | None, typer.Option(min=2, help="Stop reading text after this many tokens.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or auto.")] = None,
    keep_downloads: Annotated[
        bool | None,
        typer.Option(
            "--keep-downloads/--drop-downloads",
            help="Keep, or drop behind it, what each checkpoint fetched from the hub.",
        ),
    ] = None,
    set_: Set = None,
    workers: Workers = 0,
    seed: Seed = 0,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Compute a family's losses and curves, and say what they show; resumes where it stopped."""
    from quantascope.cli.output import answer, check_targets
    from quantascope.pipeline.config import replace_values, set_values
    from quantascope.pipeline.family import misnamed_models
    from quantascope.reader.family import family_findings
    from quantascope.store.folder import RunFolder

    if suite is not None and (model or revisions):
        raise ValueError("--suite: give it without --model and --revisions; its steps by --steps")
    check_targets(plot=plot)
    values = {
        "models.suite": suite,
        "models.model": model or ([] if suite is not None else None),
        "models.revisions": revisions or ("" if suite or model else None),
        "models.steps": steps,
        "corpus.source": text or None,
        "corpus.n_tokens": n_tokens,
        "losses.device": device,
        "losses.dtype": dtype,
        "losses.keep_downloads": keep_downloads,
    }
    config = set_values(replace_values(start_config(folder, None), values), set_ or [])
    _make(folder, config, workers=workers)
    found = family_findings(RunFolder(folder), seed=seed)
    found = replace(found, noticed=(*misnamed_models(RunFolder(folder)), *found.noticed))
    if plot is not None:
        _draw(found, plot)
    answer(found.as_dict(), as_json=as_json, show=lambda: print_family(found), path=plot or folder)


def _make(folder: Path, config: "RunConfig", *, workers: int) -> None:
    from quantascope.pipeline.config import stage_config
    from quantascope.pipeline.family import check_family
    from quantascope.pipeline.runner import run_stages
    from quantascope.store.folder import RunFolder
    from quantascope.store.status import stage_status

    where = RunFolder(folder)
    configs = {kind: stage_config(config, kind) for kind in _KINDS}
    computed = stage_status(where, "losses", configs).state == "done"
    if config.losses.source == "models" and not computed:
        check_family(config.models)  # before anything is written
    run_stages(where, config, kinds=_KINDS, workers=processes(workers), on_stage=announce)


def _draw(found: "FamilyFindings", plot: Path) -> None:
    from quantascope.cli.output import save_figure
    from quantascope.plots.family import plot_loss_by_size

    fit, sizes = found.fit, found.sizes
    law = (fit.exponent, fit.lo, fit.hi, fit.prefactor) if fit.identified else None

    def draw(ax: Any) -> None:
        plot_loss_by_size(
            sizes["n_params"].to_numpy(dtype=float),
            sizes["mean_loss_nats"].to_numpy(dtype=float),
            fit=law,
            ax=ax,
        )

    save_figure(plot, draw)
