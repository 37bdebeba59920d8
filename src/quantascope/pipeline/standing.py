"""Losses that stand from before, for models of a family that has grown since."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantascope.pipeline.config import stage_config
from quantascope.pipeline.context import StageContext
from quantascope.store.arrays import open_array
from quantascope.store.check import file_damage
from quantascope.store.digest import digest_json
from quantascope.store.folder import RunFolder
from quantascope.store.tables import read_table

__all__ = ["TEXT_FACT", "StandingLosses", "find_standing", "text_digest"]

TEXT_FACT: Final = "text_sha256"
"""Name of the fact that says of which text the losses are."""

_MODELS: Final = "models."


@dataclass(frozen=True)
class StandingLosses:
    """Losses as they stand, by the weights they were computed from."""

    folder: Path
    columns: dict[str, int]

    def read(self, weights_sha256: str, tokens: slice) -> NDArray[np.float32] | None:
        """Give the losses [nat] of some tokens under these weights, where they stand."""
        if weights_sha256 not in self.columns:
            return None
        losses = open_array(self.folder, "losses", name="losses.zarr")
        return np.asarray(losses[tokens, self.columns[weights_sha256]])


def find_standing(context: StageContext) -> StandingLosses:
    """Find losses that stand and hold for the text and the way of computing now.

    There are none where either is another, where files are damaged, or where the models are the
    same too: then it was asked to compute them anew.
    """
    folder, before = context.run.stage("losses"), context.run.manifest("losses")
    now = stage_config(context.config, "losses")
    if (
        before is None
        or before.facts.get(TEXT_FACT) != text_digest(context.run)
        or before.config == now
        or _way(before.config) != _way(now)
        or file_damage(context.run, "losses")
    ):
        return StandingLosses(folder, {})
    rows = read_table(folder, "models.parquet").to_pylist()
    return StandingLosses(folder, {row["weights_sha256"]: row["model"] for row in rows})


def text_digest(run: RunFolder) -> str:
    """Digest the tokens of a corpus and how they are given to a model."""
    corpus = run.require("corpus")
    files = {name: entry.sha256 for name, entry in corpus.files.items() if name.endswith(".npy")}
    asked = {name: corpus.facts[name] for name in ("bos_id", "max_length")}
    return digest_json(files | asked)


def _way(config: dict[str, Any]) -> dict[str, Any]:
    """Give what losses depend on, beside text and weights."""
    return {key: value for key, value in config.items() if not key.startswith(_MODELS)}
