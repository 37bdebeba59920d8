"""How a stage stands: done, stale and why, stopped midway, missing or damaged.

Reads manifests alone, so that a list of runs needs no library for tables or arrays.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantascope.core.errors import QuantascopeError
from quantascope.store.folder import RunFolder
from quantascope.store.manifest import Manifest

__all__ = ["Configs", "StageStatus", "stage_status", "why_stale"]


@dataclass(frozen=True)
class StageStatus:
    """State of one stage.

    `state` is ``done``, ``stale``, ``partial``, ``missing`` or ``damaged``; `why` says more.
    """

    kind: str
    state: str
    n_bytes: int
    age_s: float | None
    why: str


Configs = Mapping[str, dict[str, Any]]
"""By stage, the config as the run's ``run.toml`` resolves it."""


def stage_status(run: RunFolder, kind: str, configs: Configs) -> StageStatus:
    """Say how a stage stands against the config the run has now.

    Parameters
    ----------
    run
        The run.
    kind
        One of ``KINDS``.
    configs
        Configs now in force; for stages that are not in it, parents alone are compared.

    Returns
    -------
    StageStatus
        With the reason where the stage would be redone.
    """
    try:
        manifest = run.manifest(kind)
    except QuantascopeError as error:
        return StageStatus(kind, "damaged", 0, None, str(error))
    if manifest is None:
        state = "partial" if run.in_work(kind) else "missing"
        why = "stopped midway; run resumes it" if state == "partial" else ""
        return StageStatus(kind, state, 0, None, why)
    why = why_stale(run, manifest, configs)
    age = time.time() - float(manifest.made.get("time", 0.0))
    return StageStatus(kind, "stale" if why else "done", manifest.n_bytes, age, why)


def why_stale(run: RunFolder, manifest: Manifest, configs: Configs) -> str:
    """Say why a finished stage would be redone; empty where it would not."""
    config = configs.get(manifest.kind)
    if config is not None and config != manifest.config:
        changed = sorted(
            key
            for key in config.keys() | manifest.config.keys()
            if config.get(key) != manifest.config.get(key)
        )
        return "config changed: " + ", ".join(changed)
    for parent, digest in manifest.parents.items():
        try:
            now = run.manifest(parent)
        except QuantascopeError:
            return f"parent {parent} is damaged"
        if now is None:
            return f"parent {parent} is missing"
        if now.digest != digest:
            return f"parent {parent} changed"
        if why := why_stale(run, now, configs):
            return f"parent {parent} is stale ({why})"
    return ""
