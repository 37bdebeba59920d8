"""The list of runs."""

from typing import Any

from quantascope.core.errors import QuantascopeError
from quantascope.explorer.runs import Runs

__all__ = ["list_runs"]


def list_runs(runs: Runs) -> list[dict[str, Any]]:
    """Give a row a run; one that cannot be read says why instead of hiding."""
    return [_row(runs, name) for name in runs.names()]


def _row(runs: Runs, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"run": name, "problem": ""}
    try:
        view = runs.view(name)
        done = [stage["stage"] for stage in view.stages if stage["state"] == "done"]
        row |= {"stages": done, "state": _state(done, len(view.stages))}
        if view.has("corpus"):
            row["source"] = view.run.manifest("corpus").config["source"]
            row["n_tokens"] = view.run.facts("corpus")["n_tokens"]
        if view.has("losses"):
            row["n_models"] = len(view.run.models)
        if view.has("clusters"):
            row["n_clusters"] = len(view.run)
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
