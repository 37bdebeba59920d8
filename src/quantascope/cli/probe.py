"""`probe DIR`: what a family's checkpoints can do, skill by skill, and when they learned it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from quantascope.cli.family_options import AsJson, Incomplete, Plot, Seed, said_as_options
from quantascope.cli.probe_text import print_probes
from quantascope.cli.run import Dir, Workers, announce, processes

if TYPE_CHECKING:
    from quantascope.reader.probes import ProbeReport

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(probe)


def probe(
    folder: Dir,
    set_: Annotated[
        list[Path] | None,
        typer.Option("--set", help="JSON lines: skill, context, answers, wrong; repeatable."),
    ] = None,
    skills: Annotated[
        str | None, typer.Option(help="Bundled sets between commas, as in counting,dates; or all.")
    ] = None,
    over: Annotated[
        Literal["sizes", "steps"], typer.Option(help="Along what: sizes or steps.")
    ] = "sizes",
    at: Annotated[
        float | None,
        typer.Option(help="Step at which sizes are compared, or size whose steps are taken."),
    ] = None,
    level: Annotated[float, typer.Option(help="Confidence of the intervals.")] = 0.95,
    score: Annotated[
        Literal["token_loss", "exact", "choice", "brier"],
        typer.Option(help="What to draw: token_loss, exact, choice or brier."),
    ] = "token_loss",
    incomplete: Incomplete = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or auto.")] = None,
    workers: Workers = 0,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Table to write, a row a skill and level: .parquet.")
    ] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Ask every checkpoint of a run the questions of probe sets; bundled ones without --set."""
    from quantascope.cli.output import answer, check_targets, write_table
    from quantascope.reader.probes import run_probes
    from quantascope.store.folder import RunFolder

    check_targets(out=out, plot=plot, inputs=set_ or [])
    run = RunFolder(folder)
    run.require("losses")
    _make(run, _wanted(run, set_ or [], skills), device=device, dtype=dtype, workers=workers)
    with said_as_options():
        found = run_probes(run, over=over, at=at, complete=not incomplete, level=level, seed=seed)
    if plot is not None:
        _draw(found, score, plot)
    write_table(_table(found), out)
    answer(
        found.as_dict(),
        as_json=as_json,
        show=lambda: print_probes(found),
        path=plot or out or folder / "probes",
    )


def _wanted(run: Any, files: list[Path], skills: str | None) -> tuple[str, ...]:
    """Name the sets: those asked for, else those of the run, else all that are bundled."""
    from quantascope.lm.probes.items import BUNDLED
    from quantascope.pipeline.config import load_config

    if not files and skills is None:
        before = load_config(run.config_path).probes.sets
        return before or BUNDLED
    names = [] if skills is None else [name.strip() for name in skills.split(",")]
    names = list(BUNDLED) if names == ["all"] else names
    if unknown := [name for name in names if name not in BUNDLED]:
        raise ValueError(f"--skills: {unknown[0]!r} unknown; allowed are {', '.join(BUNDLED)}, all")
    return (*names, *(str(path.resolve()) for path in files))


def _make(
    run: Any, sets: tuple[str, ...], *, device: str | None, dtype: str | None, workers: int
) -> None:
    from quantascope.pipeline.config import load_config, replace_values
    from quantascope.pipeline.probes import probe_digest
    from quantascope.pipeline.runner import run_stages

    values = {
        "probes.sets": sets,
        "probes.sha256": probe_digest(sets),
        "probes.device": device,
        "probes.dtype": dtype,
    }
    config = replace_values(load_config(run.config_path), values)
    run_stages(run, config, kinds=["probes"], workers=processes(workers), on_stage=announce)


def _table(found: "ProbeReport") -> Any:
    import pyarrow as pa

    rows = []
    for skill in found.as_dict()["skills"]:
        for each in skill["levels"]:
            row = {"skill": skill["skill"], "n_items": skill["n_items"], "chance": skill["chance"]}
            for name, value in each.items():
                if isinstance(value, dict):
                    row |= {f"{name}_{end}": value[end] for end in ("mean", "lo", "hi")}
                else:
                    row[name] = value
            rows.append(row)
    return pa.Table.from_pylist(rows)


def _draw(found: "ProbeReport", score: str, plot: Path) -> None:
    from quantascope.cli.output import save_figure
    from quantascope.plots.probes import plot_skills

    if score not in found.means:
        raise ValueError(f"--score: no item has {score}, for none has wrong answers; draw another")
    means = found.means[score]
    save_figure(
        plot,
        lambda ax: plot_skills(
            found.series.x,
            (means.mean, means.lo, means.hi),
            names=found.skills,
            score=score,
            scale=found.series.scale,
            ax=ax,
        ),
    )
