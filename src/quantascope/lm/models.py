"""Which models a run looks at, as descriptions: no weights are loaded and no torch imported here.

A suite of ours gives its members; a hub id, a folder or a ``.gguf`` file gives one model.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from quantascope.core.errors import DataError
from quantascope.lm.config import ModelsConfig
from quantascope.lm.revisions import PYTHIA_STEPS, Facts, choose_revisions, facts_of_name, step_of
from quantascope.lm.suite_folder import SUITE_FILE, read_suite
from quantascope.lm.suites import SUITES

__all__ = ["ModelCard", "ModelSource", "equal_weights", "resolve_models", "suite_path"]

_HUB_ID: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
_MAIN: Final = "main"


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where one model comes from."""

    name: str
    """Unique in its run."""
    kind: str
    """``suite``, ``folder``, ``hub`` or ``gguf``."""
    location: str
    """Path of the suite's folder, the model's folder or the file; or the hub id."""
    revision: str | None = None
    """Revision of a hub model, weights file of a suite's member."""
    seed: int | None = None
    step: int | None = None
    n_tokens: int | None = None
    n_unique: int | None = None


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is recorded about a loaded model."""

    name: str
    n_params: int
    """Parameters without input embedding and unembedding."""
    n_params_total: int
    step: int | None
    """Training step, where known."""
    n_tokens: int | None
    """Tokens seen in training, where known."""
    seed: int | None
    weights_sha256: str
    """Of names, dtypes, shapes and bytes of the parameters as stored."""
    context_length: int
    """Longest input the model was made for [token]."""
    n_unique: int | None = None
    """Distinct tokens among those seen in training, where known."""


def resolve_models(config: ModelsConfig) -> list[ModelSource]:
    """List the models that a config names, suites by size, seed and step.

    Raises
    ------
    ValueError
        If a name or the choice of steps is not understood.
    DataError
        If a folder or file is missing, or is not what it should be.
    """
    wanted = _steps_wanted(config.steps)
    if config.model:
        found = [_model_sources(entry, revisions=config.revisions) for entry in config.model]
        return _named_apart([source for sources in found for source in sources])
    if config.revisions:
        raise ValueError("revisions: they belong to --model; of a suite take steps=all or last")
    return _suite_sources(suite_path(config.suite), wanted=wanted)


def suite_path(suite: str) -> Path:
    """Find the folder of a suite: one that ships with the package, or a path.

    Raises
    ------
    ValueError
        If it is neither a suite's name nor a folder.
    DataError
        If the suite does not ship with the package.
    """
    shipped = Path(str(files("quantascope"))) / "data" / "suites" / suite
    if not suite.strip():
        raise ValueError(f"suite: an empty name; give a folder or one of {', '.join(SUITES)}")
    if suite in SUITES and (shipped / SUITE_FILE).is_file():
        return shipped
    if Path(suite).is_dir():
        return Path(suite)
    if suite in SUITES:
        raise DataError(
            f"suite {suite!r} does not ship with the package; train it with `quantascope suite "
            f"train {suite} --out FOLDER` and give that folder"
        )
    raise ValueError(f"suite: {suite!r} is neither a folder nor one of {', '.join(SUITES)}")


def equal_weights(first: str, second: str) -> str:
    """Say that two names stand for equal weights, and what is known of Pythia there."""
    known = {name.rpartition("@")[2] for name in (first, second)} == {"step0", "step1"}
    why = (
        "Pythia's first step changes nothing: leave step0 or step1 out"
        if known and first.startswith("pythia-")
        else "was the wrong revision loaded? give only one"
    )
    return f"models {first} and {second} have equal weights ({why})"


def _steps_wanted(steps: str) -> frozenset[int] | None:
    """Read which steps are wanted beside the last of each training run; None stands for all."""
    if steps in ("last", "all"):
        return frozenset() if steps == "last" else None
    try:
        return frozenset(int(step) for step in steps.split(","))
    except ValueError:
        raise ValueError(
            f"steps: {steps!r} found; give last, all or steps like 16,256,4096 (the last of each "
            "training run comes too)"
        ) from None


def _suite_sources(folder: Path, *, wanted: frozenset[int] | None) -> list[ModelSource]:
    found = read_suite(folder)
    if missing := sorted((wanted or frozenset()) - {card.step for card in found.cards}):
        kept = ", ".join(str(step) for step in sorted({card.step for card in found.cards}))
        raise ValueError(f"steps: no checkpoint at step {missing[0]}; the suite has {kept}")
    seeds = {card.seed for card in found.cards}
    last = {(card.size, card.budget, card.seed): card.step for card in found.cards}
    sources = []
    for card in found.cards:
        is_last = card.step == last[card.size, card.budget, card.seed]
        if is_last or wanted is None or card.step in wanted:
            seed = f"-{card.budget}" if card.budget else ""
            seed += f"-seed{card.seed}" if len(seeds) > 1 else ""
            step = "" if is_last else f"@step{card.step}"
            source = ModelSource(
                name=f"{found.suite.name}-{card.size}{seed}{step}",
                kind="suite",
                location=str(folder),
                revision=card.file,
                seed=card.seed,
                step=card.step,
                n_tokens=card.n_tokens,
                n_unique=card.n_unique,
            )
            sources.append(source)
    return sources


def _model_sources(entry: str, *, revisions: str) -> list[ModelSource]:
    """Give one model, or the checkpoints of it that are wanted."""
    if not entry.strip():
        raise ValueError("model: an empty name; give a hub id, a folder or a .gguf file")
    path = Path(entry)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise DataError(f"model {entry}: no such file")
        return [ModelSource(name=path.stem, kind="gguf", location=entry)]
    whole, at, revision = entry.rpartition("@")
    if path.is_dir():
        return _folder_sources(path, wanted=revisions)
    if at and Path(whole).is_dir():
        return _folder_sources(Path(whole), wanted=revision)
    if path.exists():
        raise DataError(f"model {entry}: a file, but not a .gguf; give the model's folder")
    return _hub_sources(entry, revisions=revisions)


def _folder_sources(folder: Path, *, wanted: str) -> list[ModelSource]:
    """Give the model in a folder; or, where that has a folder for each revision, some of these."""
    if (folder / "config.json").is_file():
        if wanted:
            raise DataError(
                f"model {folder}: one model, without a folder for each revision; it has no {wanted}"
            )
        name, parent = folder.resolve().name, folder.resolve().parent.name
        if step_of(name) is None:
            return [_folder_source(folder, name, revision=None)]
        return [_folder_source(folder, parent, revision=name)]
    kept = sorted(path.parent.name for path in folder.glob("*/config.json"))
    if not kept:
        raise DataError(
            f"model {folder}: the folder has no config.json; give a model's folder, or one with a "
            "folder for each revision (step1000, step2000, main)"
        )
    steps = sorted(step for name in kept if (step := step_of(name)) is not None)
    name = folder.resolve().name
    if not wanted and _MAIN not in kept:
        raise DataError(
            f"model {folder}: no revision main; choose by --revisions or @REVISION from "
            f"{', '.join(kept[:6])}{' and others' if len(kept) > 6 else ''}"
        )
    revisions = choose_revisions(wanted or _MAIN, steps=steps, name=name)
    if missing := [revision for revision in revisions if revision not in kept]:
        raise DataError(f"model {folder}: no revision {missing[0]}; it has {', '.join(kept[:6])}")
    return [_folder_source(folder / each, name, revision=each) for each in revisions]


def _folder_source(folder: Path, name: str, *, revision: str | None) -> ModelSource:
    shown = name if revision in (None, _MAIN) else f"{name}@{revision}"
    facts = facts_of_name(name, revision)
    return _with_facts(ModelSource(name=shown, kind="folder", location=str(folder)), facts)


def _hub_sources(entry: str, *, revisions: str) -> list[ModelSource]:
    location, _, revision = entry.partition("@")
    if not _HUB_ID.fullmatch(location) or entry.startswith((".", "/")):
        raise DataError(f"model {entry}: no such folder, and not a hub id (OWNER/NAME@REVISION)")
    short = location.rpartition("/")[2]
    wanted = revision or revisions
    if not wanted:
        return [_hub_source(location, None)]
    steps = PYTHIA_STEPS if facts_of_name(short).size else None
    return [
        _hub_source(location, each) for each in choose_revisions(wanted, steps=steps, name=short)
    ]


def _hub_source(location: str, revision: str | None) -> ModelSource:
    short = location.rpartition("/")[2]
    source = ModelSource(
        name=short + (f"@{revision}" if revision else ""),
        kind="hub",
        location=location,
        revision=revision,
    )
    return _with_facts(source, facts_of_name(short, revision))


def _with_facts(source: ModelSource, facts: Facts) -> ModelSource:
    return replace(source, step=facts.step, n_tokens=facts.n_tokens, seed=facts.seed)


def _named_apart(sources: list[ModelSource]) -> list[ModelSource]:
    """Give equal short names their whole location; equal locations are an error."""
    short = Counter(source.name for source in sources)
    named = [
        replace(source, name="@".join(filter(None, (source.location, source.revision))))
        if short[source.name] > 1
        else source
        for source in sources
    ]
    twice = [name for name, count in Counter(s.name for s in named).items() if count > 1]
    if twice:
        raise ValueError(f"model: {twice[0]} is given twice; give each model once")
    return named
