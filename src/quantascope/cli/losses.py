"""`losses DIR` computes a run's losses, `import` takes them from a file, `export` hands them on."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

__all__ = ["register"]

_COMPUTE: Final = "compute"


class _StageGroup(typer.core.TyperGroup):
    """A stage that is also a group: what names none of its commands goes to the stage."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the stage's own name before arguments that begin with none."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [_COMPUTE, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer, compute: Callable[..., None], *, text: str) -> None:
    """Add the group; `compute` is the stage's command, `text` its help."""
    group = typer.Typer(
        cls=_StageGroup,
        help=f"{text} `losses DIR` is `losses {_COMPUTE} DIR`.",
        no_args_is_help=True,
    )
    group.command(_COMPUTE, help=text)(compute)
    group.command("import")(import_file)
    group.command("export")(export_tables)
    app.add_typer(group, name="losses")


def import_file(
    file: Annotated[
        Path,
        typer.Argument(help="Parquet: pred (or doc and pos), model, loss [nat].", metavar="FILE"),
    ],
    run: Annotated[Path, typer.Option(help="Run folder whose corpus stands.")],
    models: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet: model, n_params; step, seed where known."),
    ] = None,
) -> None:
    """Take losses that were computed elsewhere, on the run's own predictions."""
    from quantascope.pipeline.config import load_config, replace_values
    from quantascope.pipeline.runner import run_stages
    from quantascope.store.folder import RunFolder

    folder = RunFolder(run)
    folder.require("corpus")
    values = {
        "losses.source": str(file.resolve()),
        "losses.models_table": str(models.resolve()) if models else "",
    }
    config = replace_values(load_config(folder.config_path), values)
    manifest = run_stages(folder, config, kinds=["losses"], overwrite=["losses"])[0]
    for name, value in manifest.facts.items():
        print(f"{name}: {value}")
    print(folder.stage("losses"))


def export_tables(
    run: Annotated[Path, typer.Argument(help="Run folder whose curves stand.", metavar="DIR")],
    out: Annotated[Path, typer.Option(help="Folder to write the tables into.")],
    n: Annotated[
        int | None, typer.Option(min=1, help="Sampled predictions to keep; default: all curves.")
    ] = None,
    steps: Annotated[
        str, typer.Option(help="Steps to keep beside the last of each run: 16,256,4096.")
    ] = "",
    half: Annotated[bool, typer.Option("--half", help="Losses in half precision.")] = False,
) -> None:
    """Write the losses of a run's curves, its models and its clusters for others to import."""
    from quantascope.core.errors import ArtefactError
    from quantascope.pipeline.exported import export_losses
    from quantascope.reader.run import load

    if steps and not all(part.strip().isdigit() for part in steps.split(",")):
        raise ValueError(f"--steps: {steps!r} found; give whole numbers between commas")
    loaded = load(run)
    try:
        clusters = loaded.clusters
        labels = dict(zip(clusters["cluster"], clusters["label"], strict=True))
    except ArtefactError:
        labels = {}
    found = export_losses(
        loaded.folder,
        out,
        n=n,
        steps=[int(part) for part in steps.split(",") if part],
        half=half,
        labels=labels,
    )
    for name, value in found.items():
        print(f"{name}: {value:,}")
    print(out)
