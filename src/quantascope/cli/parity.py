"""Commands for multitask sparse parity: train one network, or a sweep of them."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from quantascope.pipeline.parity import SweepTables
    from quantascope.toys.runs import ParityRun, ParitySweep

__all__ = ["register"]

_MILLISECONDS: Final = 120

Out = Annotated[
    Path, typer.Argument(help="Folder of the result; a stopped training goes on there.")
]
NTasks = Annotated[int, typer.Option(help="Subtasks.")]
Bits = Annotated[int, typer.Option("--n", help="Task bits.")]
Subset = Annotated[int, typer.Option("--k", help="Bits of a subtask.")]
Alpha = Annotated[float, typer.Option(help="Frequencies fall as rank^-(alpha + 1).")]
Alphas = Annotated[str, typer.Option("--alpha", help="Several, with commas.")]
Offset = Annotated[
    float, typer.Option(help="Flattens the commonest: (rank + offset)^-(alpha + 1).")
]
Law = Annotated[str, typer.Option("--distribution", help="zipf or uniform.")]
Width = Annotated[int, typer.Option(help="Hidden units.")]
Widths = Annotated[str, typer.Option("--width", help="Several, with commas.")]
Seed = Annotated[int, typer.Option(help="Seed of subsets, samples and weights.")]
Seeds = Annotated[str, typer.Option("--seeds", help="Several, with commas.")]
Samples = Annotated[int, typer.Option("--n-samples", help="Samples read again and again; 0: new.")]
SampleCounts = Annotated[str, typer.Option("--n-samples", help="Several, with commas; 0: new.")]
Steps = Annotated[int, typer.Option("--steps", help="Training steps.")]
Batch = Annotated[int, typer.Option("--batch-size", help="Samples of a step.")]
Rate = Annotated[float, typer.Option("--lr", help="Learning rate of Adam.")]
Decay = Annotated[float, typer.Option("--weight-decay", help="Decoupled weight decay.")]
Scale = Annotated[float, typer.Option("--init-scale", help="Factor on all initial weights.")]
Evals = Annotated[int, typer.Option(help="Evaluations, evenly spaced in the log of the step.")]
First = Annotated[int, typer.Option("--first-eval", help="Step of the first evaluation.")]
Test = Annotated[int, typer.Option("--n-test", help="Test points, shared by frequency.")]
TestEach = Annotated[int, typer.Option("--n-test-each", help="Least test points of a subtask.")]
Patience = Annotated[
    int, typer.Option(help="Stop a network after so many evaluations without a new best; 0: never.")
]
Least = Annotated[int, typer.Option("--least-steps", help="No network stops earlier.")]
Precision = Annotated[str, typer.Option(help="auto, float32 or bfloat16 products.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Workers = Annotated[int, typer.Option(min=1, help="Stacks of networks trained side by side.")]
Plot = Annotated[Path | None, typer.Option(help="Figure to write: .svg, .png or .pdf.")]
Animate = Annotated[Path | None, typer.Option(help="Animation to write: .gif.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one object.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Multitask sparse parity: a world whose quanta are known.")
    group.command("train")(train)
    group.command("sweep")(sweep)
    group.command("show")(show)
    app.add_typer(group, name="parity", no_args_is_help=True)


def train(
    out: Out,
    n_tasks: NTasks = 500,
    n: Bits = 100,
    k: Subset = 3,
    alpha: Alpha = 0.4,
    offset: Offset = 0.0,
    distribution: Law = "zipf",
    width: Width = 500,
    seed: Seed = 0,
    n_samples: Samples = 0,
    steps: Steps = 200_000,
    batch_size: Batch = 20_000,
    lr: Rate = 1e-3,
    weight_decay: Decay = 0.0,
    init_scale: Scale = 1.0,
    evals: Evals = 100,
    first_eval: First = 100,
    n_test: Test = 1_000_000,
    n_test_each: TestEach = 1000,
    patience: Patience = 0,
    least_steps: Least = 4000,
    precision: Precision = "auto",
    device: Device = "cpu",
    plot: Plot = None,
    animate: Animate = None,
    as_json: AsJson = False,
) -> None:
    """Train one network; the defaults are the paper's and take 4 CPU-hours.

    A minute: --n-tasks 50 --n 20 --k 2 --width 128 --batch-size 1000 --lr 2e-3 --steps 4000
    --n-test 20000 --n-test-each 200.
    """
    settings = {name: value for name, value in locals().items() if name not in _NOT_SETTINGS}
    lists = {"alpha": [alpha], "width": [width], "seed": [seed], "n_samples": [n_samples]}
    _run(settings | lists, out=out, workers=1, plot=plot, animate=animate, as_json=as_json)


def sweep(
    out: Out,
    n_tasks: NTasks = 500,
    n: Bits = 100,
    k: Subset = 3,
    alpha: Alphas = "0.4",
    offset: Offset = 0.0,
    distribution: Law = "zipf",
    width: Widths = "500",
    seeds: Seeds = "0",
    n_samples: SampleCounts = "0",
    steps: Steps = 100_000,
    batch_size: Batch = 20_000,
    lr: Rate = 1e-3,
    weight_decay: Decay = 0.0,
    init_scale: Scale = 1.0,
    evals: Evals = 100,
    first_eval: First = 100,
    n_test: Test = 1_000_000,
    n_test_each: TestEach = 1000,
    patience: Patience = 0,
    least_steps: Least = 4000,
    precision: Precision = "auto",
    device: Device = "cpu",
    workers: Workers = 1,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Train every combination of alpha, width, seed and number of samples; fit the exponents.

    alpha_N needs three widths, alpha_D three numbers of samples.
    """
    settings = {name: value for name, value in locals().items() if name not in _NOT_SETTINGS}
    lists: dict[str, list[Any]] = {
        "alpha": _numbers("--alpha", alpha, float),
        "width": _numbers("--width", width, int),
        "seed": _numbers("--seeds", seeds, int),
        "n_samples": _numbers("--n-samples", n_samples, int),
    }
    _run(settings | lists, out=out, workers=workers, plot=plot, animate=None, as_json=as_json)


def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished sweep.")],
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Print and draw a finished training or sweep again, and write its summary for `explore`."""
    from quantascope.cli.output import check_targets
    from quantascope.pipeline.parity import read_sweep

    check_targets(plot=plot)
    tables = read_sweep(folder)
    _summarise(tables, folder)
    _print(tables, folder, as_json=as_json)
    if plot is not None:
        print(_plot(tables, plot))


_NOT_SETTINGS: Final = frozenset({"out", "plot", "animate", "as_json", "workers", "seeds"})


def _run(
    settings: dict[str, Any],
    *,
    out: Path,
    workers: int,
    plot: Path | None,
    animate: Path | None,
    as_json: bool,
) -> None:
    from quantascope.cli.output import check_targets
    from quantascope.core.progress import track
    from quantascope.pipeline.parity import run_sweep, sweep_work

    if out.exists() and not out.is_dir():
        raise ValueError(f"OUT: {out} is a file; name a folder, new or old")
    if any(path is not None and path.parent == out for path in (plot, animate)):
        out.mkdir(parents=True, exist_ok=True)  # where `explore` finds an animation
    check_targets(plot=plot, animate=animate)
    wanted = _sweep(settings)
    label = f"training {len(wanted.runs)} network{'s' if len(wanted.runs) > 1 else ''}"
    with track(label, sweep_work(wanted), unit="network-steps") as advance:
        tables = run_sweep(wanted, out, workers=workers, advance=advance)
    _summarise(tables, out)
    _print(tables, out, as_json=as_json)
    if plot is not None:
        print(_plot(tables, plot))
    if animate is not None:
        print(_animate(tables, animate))


def _summarise(tables: "SweepTables", folder: Path) -> None:
    """Write what the explorer shows of a sweep; a folder that cannot be written is only read."""
    from contextlib import suppress

    from quantascope.recipes.parity_folder import write_summary

    with suppress(PermissionError):
        write_summary(tables, folder)


def _sweep(settings: dict[str, Any]) -> "ParitySweep":
    """Make the runs of all combinations; faults name the option."""
    from quantascope.cli.output import said_as
    from quantascope.toys.runs import ParitySweep
    from quantascope.toys.training import Schedule, Stopping, eval_steps

    names = {name: f"--{name.replace('_', '-')}" for name in settings}
    names |= {
        "n_test_per_subtask": "--n-test-each",
        "learning_rate": "--lr",
        "n_steps": "--steps",
        "n_evals": "--evals",
    }
    if settings["distribution"] == "given":
        raise ValueError("--distribution: 'given' is for Python; allowed are zipf and uniform")
    patience = settings["patience"]
    with said_as(names):
        schedule = Schedule(
            n_steps=settings["steps"],
            n_evals=settings["evals"],
            first_eval=settings["first_eval"],
        )
        eval_steps(schedule)
        stopping = Stopping(patience=patience or 1, least_steps=settings["least_steps"])
        return ParitySweep(
            runs=_runs(settings),
            schedule=schedule,
            stopping=stopping if patience else None,
            precision=settings["precision"],
            device=settings["device"],
        )


def _runs(settings: dict[str, Any]) -> "tuple[ParityRun, ...]":
    """Combine all alphas, seeds, numbers of samples and widths."""
    from itertools import product

    from quantascope.toys.parity import ParityTask
    from quantascope.toys.runs import ParityRun

    varied = (settings[name] for name in ("alpha", "seed", "n_samples", "width"))
    shared = {name: settings[name] for name in ("n_tasks", "n", "k", "offset", "distribution")}
    return tuple(
        ParityRun(
            task=ParityTask(alpha=alpha, seed=seed, **shared),
            width=width,
            seed=seed,
            n_samples=n_samples,
            batch_size=settings["batch_size"],
            learning_rate=settings["lr"],
            weight_decay=settings["weight_decay"],
            init_scale=settings["init_scale"],
            n_test=settings["n_test"],
            n_test_per_subtask=settings["n_test_each"],
        )
        for alpha, seed, n_samples, width in product(*varied)
    )


def _numbers(option: str, text: str, kind: type[Any]) -> list[Any]:
    """Read numbers with commas between them, none twice."""
    try:
        numbers = [float(part) for part in text.split(",")]
        found = [kind(number) for number in numbers]
        if found != numbers:
            raise ValueError(text)
    except (ValueError, OverflowError):
        word = "whole numbers" if kind is int else "numbers"
        raise ValueError(f"{option}: {text!r} found; allowed are {word} with commas") from None
    if len(set(found)) != len(found):
        raise ValueError(f"{option}: {text!r} names a value twice; give each once")
    return found


def _print(tables: "SweepTables", out: Path, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from quantascope.cli.output import aligned
    from quantascope.core.numbers import plain
    from quantascope.core.units import nats_to_bits
    from quantascope.pipeline.parity_summary import measure_exponents, summarise_runs

    runs, exponents = summarise_runs(tables), measure_exponents(tables)
    if as_json:
        found = {
            "runs": runs.to_dict("records"),
            "exponents": [asdict(each) for each in exponents],
            "path": str(out),
        }
        print(json.dumps(plain(found), allow_nan=False))
        return
    rows = [["alpha", "width", "samples", "seed", "loss [nat]", "[bit]", "learned", "steps"]]
    for row in runs.itertuples():
        loss = float(row.best_nats if row.n_samples else row.final_nats)
        samples = f"{row.n_samples:,}" if row.n_samples else "new"
        rows.append(
            [f"{row.task_alpha:g}", str(row.width), samples, str(row.seed), f"{loss:.4f}",
             f"{nats_to_bits(loss):.4f}", str(row.n_learned), f"{row.n_steps:,}"]
        )  # fmt: skip
    print(aligned(rows))
    rows = [["exponent", "alpha", "estimate", "95 %", "endless tasks", "these tasks", "points"]]
    for each in exponents:
        interval = f"[{each.lo:.3f}, {each.hi:.3f}]" if each.identified else each.reason
        rows.append(
            [each.name, f"{each.alpha:g}", f"{each.estimate:.3f}", interval,
             _known(each.asymptotic), _known(each.finite), str(each.n_points)]
        )  # fmt: skip
    if exponents:
        print()
        print(aligned(rows))
    print(out)


def _known(value: float) -> str:
    """Write a prediction; a dash where theory makes none."""
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _plot(tables: "SweepTables", path: Path) -> Path:
    """Draw exponents of several alphas, losses over resources of one, or else subtasks."""
    from quantascope.cli.output import save_figure
    from quantascope.pipeline.parity_families import curves_of
    from quantascope.pipeline.parity_summary import measure_exponents
    from quantascope.plots.parity import plot_exponents, plot_scaling
    from quantascope.plots.subtasks import plot_subtasks
    from quantascope.recipes.parity_tables import (
        EXPONENTS,
        exponent_tables,
        read_published,
        scaling_tables,
    )

    runs = tables.sweep.runs
    if len({run.task.alpha for run in runs}) > 1:
        found = exponent_tables(measure_exponents(tables))
        drawn = {name: found[name] for name in EXPONENTS if name in found}
        published = read_published("parity_exponents.csv")
        if drawn:
            return save_figure(path, lambda ax: plot_exponents(drawn, ax=ax, published=published))
    elif len(runs) > 1:
        scaling = scaling_tables([tables])
        if len(scaling["exponents"]["name"]):
            return save_figure(path, lambda ax: plot_scaling(scaling, ax=ax))
    curve, frequencies = curves_of(tables)[0], runs[0].task.frequencies
    return save_figure(
        path, lambda ax: plot_subtasks(curve.steps, curve.subtasks, frequencies, ax=ax)
    )


def _animate(tables: "SweepTables", path: Path) -> Path:
    """Write a GIF of the subtasks of the first network, whole or not at all."""
    from PIL import Image

    from quantascope.pipeline.parity_families import curves_of
    from quantascope.plots.subtasks import frames_of_subtasks

    curve = curves_of(tables)[0]
    frequencies = tables.sweep.runs[0].task.frequencies
    frames = [
        Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
        for frame in frames_of_subtasks(curve.steps, curve.subtasks, frequencies)
    ]
    durations = [_MILLISECONDS] * (len(frames) - 1) + [20 * _MILLISECONDS]
    new = path.with_name(f".{path.name}.new")
    try:
        frames[0].save(
            new,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
            optimize=True,
        )
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return path
