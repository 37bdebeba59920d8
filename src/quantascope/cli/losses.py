"""`losses DIR` computes a run's losses, `losses import FILE --run DIR` takes them from a file."""

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
