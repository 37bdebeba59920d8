"""The folder of a trained suite: what lies where, and its recipe read with checks; no torch.

    suite.json             recipe, text, versions, and one card for each checkpoint; written last
    tokenizer.json         of the `tokenizers` library
    fingerprint.parquet    hashes of the training documents
    training_log.parquet   losses by size, seed and step
    models/SIZE-seedS-stepN.safetensors   float16 weights, the card in the header

The same for a suite that ships with the package and for one trained here.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from quantascope.core.errors import DataError
from quantascope.lm.suites import Suite, suite_from_dict

__all__ = [
    "FINGERPRINT_FILE",
    "LOG_FILE",
    "SUITE_FILE",
    "TOKENIZER_FILE",
    "CheckpointCard",
    "SuiteFolder",
    "publish",
    "read_suite",
    "write_json",
]

SUITE_FILE: Final = "suite.json"
TOKENIZER_FILE: Final = "tokenizer.json"
FINGERPRINT_FILE: Final = "fingerprint.parquet"
LOG_FILE: Final = "training_log.parquet"


@dataclass(frozen=True, kw_only=True)
class CheckpointCard:
    """What is known about one weights file."""

    file: str
    """Path inside the suite's folder."""
    size: str
    seed: int
    step: int
    n_params: int
    n_params_total: int
    n_tokens: int
    weights_sha256: str
    validation_loss_nats: float
    budget: str = ""
    """Name of the text budget, in a series over data."""
    n_unique: int | None = None
    """Distinct tokens read, where the card knows them."""


@dataclass(frozen=True, kw_only=True)
class SuiteFolder:
    """A finished suite as read from its folder."""

    path: Path
    suite: Suite
    cards: tuple[CheckpointCard, ...]
    text: dict[str, Any]
    versions: dict[str, str]


def read_suite(folder: Path) -> SuiteFolder:
    """Read the recipe and the cards of a suite's folder.

    Raises
    ------
    DataError
        If the folder is missing or holds no finished suite.
    """
    path = folder / SUITE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return SuiteFolder(
            path=folder,
            suite=suite_from_dict(content["suite"]),
            cards=tuple(CheckpointCard(**card) for card in content["models"]),
            text=content["text"],
            versions=content["versions"],
        )
    except FileNotFoundError:
        unfinished = " (training there has not finished: run it again)" if folder.is_dir() else ""
        raise DataError(f"suite folder {folder}: no {SUITE_FILE}{unfinished}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a suite's recipe ({error})") from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    publish(partial, path)


def publish(partial: Path, path: Path) -> None:
    """Put a written file in its place, whole or not at all."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
