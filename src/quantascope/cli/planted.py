"""Commands for planted text: write it, train small models on it, grade what discovery finds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from quantascope.cli.grade import grade

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quantascope.lm.planted.config import PlantedSource
    from quantascope.lm.planted.emergence import Emergence

__all__ = ["register"]

Config = Annotated[
    str,
    typer.Option(
        "--config", help="planted, silent or picks, with ,KEY=VALUE behind it: silent,alpha=0.6."
    ),
]

_RECORD: Final = "planted.json"
"""Which text a folder made by `make` holds; it is put there before the files it speaks of."""
_FILES: Final = ("documents.jsonl", "labels.parquet", "skills.parquet", "tokenizer.json")


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Planted text: every word that can be predicted has a known skill.")
    for command in (make, train, grade):
        group.command()(command)
    app.add_typer(group, name="planted", no_args_is_help=True)


def make(
    out: Annotated[Path, typer.Argument(help="Folder to write.", show_default=False)],
    config: Config = "planted",
    n_documents: Annotated[int, typer.Option(help="Documents to write.")] = 1000,
    split: Annotated[
        str | None,
        typer.Option(help="test (default), train (no held-out entries), pairs (counterfactual)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the documents.")] = 0,
) -> None:
    """Write planted documents, the label of every word, the skills and a tokenizer."""
    from quantascope.core.progress import track
    from quantascope.lm.planted.config import format_source
    from quantascope.lm.planted.truth import labelled_documents, skill_table

    source = _source(config, split=split)
    if n_documents < 1:
        raise ValueError(f"--n-documents: {n_documents} found; give at least 1")
    record = {"source": format_source(source), "seed": seed, "n_documents": n_documents}
    _check_text(out, record)
    with track("documents", n_documents, unit="documents") as advance:
        texts, labels = labelled_documents(
            source, seed=seed, n_documents=n_documents, advance=advance
        )
    skills = skill_table(source.config)
    _write_text(out, record, source, texts=texts, labels=labels, skills=skills)
    rarest = skills.to_pylist()[-1]
    print(f"{n_documents:,} documents, {sum(len(text.split(' ')) - 1 for text in texts):,} words")
    print(
        f"{skills.num_rows} skills, zipf exponent {source.config.zipf_exponent:g}; the rarest is "
        f"{rarest['skill']}, frequency {rarest['frequency']:.2g}"
    )
    print(out)


def train(
    out: Annotated[
        Path, typer.Argument(help="Folder; each seed gets OUT/seedN.", show_default=False)
    ],
    config: Config = "silent",
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed of weights and text; repeatable. Default 0.")
    ] = None,
    n_tokens: Annotated[
        int | None, typer.Option(min=2048, help="Tokens of training; default as tuned.")
    ] = None,
    n_documents: Annotated[
        int, typer.Option(min=1, help="Test documents on which the skills are measured.")
    ] = 1000,
    plot: Annotated[
        Path | None, typer.Option(help="Figure of the first seed: .svg, .png or .pdf.")
    ] = None,
) -> None:
    """Train one small model a seed, and say which skills it learned when; resumes."""
    from quantascope.cli.output import check_targets

    source = _source(config)
    check_targets(plot=plot)
    _check_folder(out)
    folders, found = [], []
    for one in dict.fromkeys(seed or [0]):
        folders.append(out / f"seed{one}")
        _train_one(source, folders[-1], seed=one, n_tokens=n_tokens)
        found.append(_measure(folders[-1], n_documents=n_documents))
        _print_emergence(found[-1])
    if plot is not None:
        print(_draw(found[0], plot))
    print(*folders, sep="\n")


def _source(text: str, *, split: str | None = None) -> "PlantedSource":
    from quantascope.lm.planted.config import PREFIX, parse_source

    spec = PREFIX + text.removeprefix(PREFIX)
    return parse_source(spec if split is None else f"{spec},split={split}")


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; give a folder")


def _check_text(out: Path, record: dict[str, Any]) -> None:
    """Refuse a folder whose text is another one: its files would be mixed with ours."""
    import json

    _check_folder(out)
    if not any((out / name).exists() for name in (_RECORD, *_FILES)):
        return
    try:
        found = json.loads((out / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = "files of unknown origin"
    if found != record:
        raise ValueError(f"{out}: holds {found}, not {record}; give another folder or delete it")


def _write_text(
    out: Path,
    record: dict[str, Any],
    source: "PlantedSource",
    *,
    texts: list[str],
    labels: Any,
    skills: Any,
) -> None:
    """Write all files aside, then rename them: a folder never mixes two texts."""
    import json
    import shutil

    from quantascope.lm.planted.source import planted_tokenizer

    partial = out / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / _RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
    _write_jsonl(partial / "documents.jsonl", texts)
    _write_parquet(partial / "labels.parquet", labels)
    _write_parquet(partial / "skills.parquet", skills)
    tokenizer = planted_tokenizer(source.config.world, law_seed=source.config.law_seed)
    tokenizer.save(str(partial / "tokenizer.json"))
    for name in (_RECORD, *_FILES):
        (partial / name).replace(out / name)
    partial.rmdir()


def _train_one(source: "PlantedSource", folder: Path, *, seed: int, n_tokens: int | None) -> None:
    from quantascope.core.progress import track
    from quantascope.lm.planted.suites import planted_suite, planted_suite_text
    from quantascope.lm.suite_training import train_suite

    suite = planted_suite(source, seed=seed, n_tokens=n_tokens)
    with track(f"training {suite.name}, seed {seed}", suite.work, unit="work") as advance:
        train_suite(
            suite,
            planted_suite_text,
            out=folder,
            workers=1,
            advance=advance,
        )


def _measure(folder: Path, *, n_documents: int) -> "Emergence":
    """Measure the skills at every checkpoint and write the table beside them."""
    from quantascope.core.progress import track
    from quantascope.lm.planted.emergence import emergence_table, measure_emergence
    from quantascope.lm.suite_folder import read_suite

    n_checkpoints = len(read_suite(folder).cards)
    with track("measuring skills", n_checkpoints, unit="checkpoints") as advance:
        found = measure_emergence(folder, n_documents=n_documents, advance=advance)
    _write_parquet(folder / "emergence.parquet", emergence_table(found))
    return found


def _print_emergence(found: "Emergence") -> None:
    from quantascope.cli.output import aligned
    from quantascope.laws.order import order_agreement
    from quantascope.lm.planted.emergence import LEARNED_NATS

    steps = found.step_learned()
    rows = [("skill", "frequency", "loss", "+-", "held out", "answers", "learned", "kind")]
    for rank, name in enumerate(found.skills):
        rows.append(
            (
                name,
                f"{found.frequencies[rank]:.4f}",
                f"{found.loss_nats[rank, -1]:.3f}",
                f"{found.error_nats[rank, -1]:.3f}",
                f"{found.held_out_nats[rank]:.3f}",
                f"{found.n_answers[rank]}",
                _learned(found, steps, rank),
                found.kinds[rank],
            )
        )
    print(aligned(rows))
    known = found.measured
    value, lo, hi = order_agreement(found.frequencies[known], steps[known])
    print(
        f"learned (answers below {LEARNED_NATS} nat): {found.share_learned():.0%} of {known.sum()} "
        f"measured; frequency against order, rank correlation {value:.2f} [{lo:.2f}, {hi:.2f}]"
    )
    print(
        f"answers ruled by two skills: {found.polygenic_nats:.3f} nat, "
        f"{found.polygenic_floor_nats:.3f} with both known"
    )


def _learned(found: "Emergence", steps: "NDArray[np.float64]", rank: int) -> str:
    """Say from when a skill is learned; one without measured answers is not called unlearned."""
    if not found.measured[rank]:
        return "not measured"
    return "no" if steps[rank] == float("inf") else f"by step {steps[rank]:.0f}"


def _draw(found: "Emergence", path: Path) -> Path:
    from quantascope.cli.output import save_figure
    from quantascope.lm.planted.emergence import LEARNED_NATS
    from quantascope.plots.emergence import plot_emergence

    return save_figure(
        path,
        lambda ax: plot_emergence(
            found.steps,
            found.loss_nats,
            found.frequencies,
            ax=ax,
            learned_nats=LEARNED_NATS,
        ),
    )


def _write_jsonl(path: Path, texts: list[str]) -> None:
    import json

    lines = (json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_parquet(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd")
