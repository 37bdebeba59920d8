"""`labels DIR`: what the members of each cluster share, from counts or by a language model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from quantascope.cli.families import AsJson
from quantascope.cli.run import Dir, Set, Workers, make_stage

if TYPE_CHECKING:
    from quantascope.store.manifest import Manifest

__all__ = ["register"]

_OF_MODEL: Final = {
    "n_clusters": "--clusters",
    "n_contexts": "--contexts",
    "n_scored": "--held-out",
    "score": "--score",
    "seed": "--seed",
    "device": "--device",
    "dtype": "--dtype",
}
_MOST_ROWS: Final = 40


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(labels)


def labels(
    folder: Dir,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Language model that writes labels: folder, hub id or .gguf."
        ),
    ] = None,
    n_clusters: Annotated[
        int | None,
        typer.Option("--clusters", min=0, help="Clusters it labels, the largest; 0: all.  [100]"),
    ] = None,
    n_contexts: Annotated[
        int | None,
        typer.Option("--contexts", min=1, help="Members that a label is written from.  [10]"),
    ] = None,
    n_scored: Annotated[
        int | None,
        typer.Option(
            "--held-out", min=2, help="Held-out members it is tested on, and as many others.  [24]"
        ),
    ] = None,
    score: Annotated[
        Literal["likelihood", "yes-no"] | None,
        typer.Option(help="How a label is held against a text: likelihood or yes-no."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the contexts that are taken.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or auto.")] = None,
    set_: Set = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Redo the labels from counts even where they stand.")
    ] = False,
    workers: Workers = 0,
    as_json: AsJson = False,
) -> None:
    """Say what the members of each cluster share: from counts, or with --by by a language model.

    Both kinds are tested on the same held-out predictions; a model's labels stand beside those from
    counts, in model_labels/.
    """
    options = {name: value for name, value in locals().items() if name in _OF_MODEL}
    options = {name: value for name, value in options.items() if value is not None}
    if by is None:
        if options:
            name = _OF_MODEL[next(iter(options))]
            raise ValueError(f"{name}: it is about labels by a model; give --by MODEL with it")
        made = make_stage(folder, "labels", set_=set_, overwrite=overwrite, workers=workers)
        _print_facts(made, folder / "labels", as_json=as_json)
        return
    if set_ or overwrite:
        raise ValueError("--set, --overwrite: they are about labels from counts; leave out --by")
    item, made = _by_model(folder, by, options)
    _print_labels(folder / "model_labels" / item, made, as_json=as_json)


def _by_model(folder: Path, name: str, options: dict[str, Any]) -> tuple[str, "Manifest"]:
    """Load the model and let it label."""
    import sys

    import torch
    from transformers.utils import logging

    from quantascope.cli.output import said_as
    from quantascope.lm.config import ModelsConfig
    from quantascope.lm.judge import LanguageModelJudge
    from quantascope.lm.models import resolve_models
    from quantascope.pipeline.model_labels import ModelLabels, label_by_model
    from quantascope.store.folder import RunFolder

    run = RunFolder(folder)
    run.require("clusters")
    asked = {name: options.pop(name) for name in ("score", "device", "dtype") if name in options}
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    with said_as(_OF_MODEL | {"model": "--by"}):
        config = ModelLabels(**options)
        sources = resolve_models(ModelsConfig(model=(name,)))
        if len(sources) > 1:
            raise ValueError(f"model: {name} stands for {len(sources)} checkpoints; name one")
        print(f"loading {sources[0].name} ...", file=sys.stderr, flush=True)
        judge = LanguageModelJudge(sources[0], **asked)
    return label_by_model(run, judge, config)


def _print_facts(made: "Manifest", path: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**made.facts, "path": str(path)}))
        return
    for name, value in made.facts.items():
        print(f"{name}: {value}")
    print(path)


def _print_labels(path: Path, made: "Manifest", *, as_json: bool) -> None:
    from quantascope.cli.output import aligned
    from quantascope.core.numbers import plain
    from quantascope.store.tables import read_table

    rows = read_table(path, "labels.parquet").to_pylist()
    if as_json:
        found = {"model": made.config["model"], **made.facts, "labels": rows, "path": str(path)}
        print(json.dumps(plain(found), allow_nan=False))
        return
    shown = [["cluster", "AUC", "95 %", "another's", "from counts", "label"]]
    shown += [
        [row["cluster"], _number(row["auc"]), _interval(row["auc_lo"], row["auc_hi"]),
         _number(row["other_auc"]), _number(row["rule_auc"]), row["label"]]
        for row in rows[:_MOST_ROWS]
    ]  # fmt: skip
    print(aligned(shown))
    if len(rows) > _MOST_ROWS:
        print(f"... and {len(rows) - _MOST_ROWS:,} clusters more, in the table")
    print()
    for name, words in (("auc", "labels of the model"), ("other_auc", "another cluster's label"),
                        ("rule_auc", "labels from counts")):  # fmt: skip
        mean = made.facts[f"mean_{name}"]
        over = f"over {mean['n']} clusters; chance is .5"
        print(
            f"{words}: mean AUC {_number(mean['mean'])} {_interval(mean['lo'], mean['hi'])} {over}"
        )
    print(path)


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.2f}"  # noqa: PLR0124  NaN


def _interval(lo: float | None, hi: float | None) -> str:
    return f"[{_number(lo)}, {_number(hi)}]"
