"""Which models a run looks at, as descriptions: no weights are loaded and no torch imported here.

A suite of ours gives its members; a hub id, a folder or a ``.gguf`` file gives one model.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from quantascope.core.errors import DataError
from quantascope.lm.config import ModelsConfig
from quantascope.lm.suite_folder import SUITE_FILE, read_suite
from quantascope.lm.suites import SUITES

__all__ = ["ModelCard", "ModelSource", "check_distinct", "resolve_models", "suite_path"]

_HUB_ID: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
_STEP: Final = re.compile(r"step(\d+)")


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
    if config.steps not in ("last", "all"):
        raise ValueError(f"steps: {config.steps!r} found; choose 'last' or 'all'")
    if config.model:
        return _named_apart([_model_source(entry) for entry in config.model])
    return _suite_sources(suite_path(config.suite), steps=config.steps)


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


def check_distinct(cards: Sequence[ModelCard]) -> None:
    """Stop when two names stand for equal weights.

    Raises
    ------
    DataError
        With both names; a step or a size that is not one would bend every curve.
    """
    names: dict[str, str] = {}
    for card in cards:
        other = names.setdefault(card.weights_sha256, card.name)
        if other != card.name:
            raise DataError(f"models {other} and {card.name} have equal weights; give only one")


def _suite_sources(folder: Path, *, steps: str) -> list[ModelSource]:
    found = read_suite(folder)
    seeds = {card.seed for card in found.cards}
    last = {(card.size, card.budget, card.seed): card.step for card in found.cards}
    sources = []
    for card in found.cards:
        is_last = card.step == last[card.size, card.budget, card.seed]
        if is_last or steps == "all":
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


def _model_source(entry: str) -> ModelSource:
    if not entry.strip():
        raise ValueError("model: an empty name; give a hub id, a folder or a .gguf file")
    path = Path(entry)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise DataError(f"model {entry}: no such file")
        return ModelSource(name=path.stem, kind="gguf", location=entry)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise DataError(f"model {entry}: the folder has no config.json; give a model's folder")
        return ModelSource(name=path.resolve().name, kind="folder", location=entry)
    if path.exists():
        raise DataError(f"model {entry}: a file, but not a .gguf; give the model's folder")
    return _hub_source(entry)


def _hub_source(entry: str) -> ModelSource:
    location, _, revision = entry.partition("@")
    if not _HUB_ID.fullmatch(location) or entry.startswith((".", "/")):
        raise DataError(f"model {entry}: no such folder, and not a hub id (OWNER/NAME@REVISION)")
    name = location.rpartition("/")[2] + (f"@{revision}" if revision else "")
    step = _STEP.fullmatch(revision)
    return ModelSource(
        name=name,
        kind="hub",
        location=location,
        revision=revision or None,
        step=int(step[1]) if step else None,
    )


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
