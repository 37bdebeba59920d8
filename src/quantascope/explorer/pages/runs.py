"""The list of runs, from their manifests alone."""

from typing import Any

from quantascope.core.errors import QuantascopeError
from quantascope.explorer.runs import Runs
from quantascope.store.folder import RunFolder
from quantascope.store.schema import WAY
from quantascope.store.status import stage_status

__all__ = ["list_runs"]

_COUNTS = {"n_tokens": "corpus", "n_models": "losses", "n_clusters": "clusters"}


def list_runs(runs: Runs) -> list[dict[str, Any]]:
    """Give a row a run; one that cannot be read says why instead of hiding."""
    return [_row(runs, name) for name in runs.names()]


def _row(runs: Runs, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"run": name, "problem": ""}
    try:
        return row | runs.state(name).get("row", lambda: _counts(runs.folder(name)))
    except QuantascopeError as error:
        row["problem"] = runs.without_paths(str(error))
    except Exception:  # a damaged run does not hide the others, however it fails
        row["problem"] = "cannot be read; `quantascope validate` says why"
    return row


def _state(done: list[str], n_stages: int) -> str:
    """Say how far a run has come."""
    if len(done) == n_stages:
        return "complete"
    return f"{len(done)} of {n_stages} stages, the last {done[-1]}" if done else "nothing done yet"


def _counts(folder: RunFolder) -> dict[str, Any]:
    states = {kind: stage_status(folder, kind, {}).state for kind in WAY}
    done = [kind for kind, state in states.items() if state == "done"]
    row: dict[str, Any] = {"stages": done, "state": _state(done, len(WAY))}
    if (corpus := folder.manifest("corpus")) is not None:
        row["source"] = corpus.config["source"]
    for count, kind in _COUNTS.items():
        if (manifest := folder.manifest(kind)) is not None:
            row[count] = manifest.facts[count]
    return row
