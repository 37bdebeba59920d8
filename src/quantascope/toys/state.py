"""The state of a stacked training as named arrays, for a file, and back."""

from collections.abc import Mapping

import numpy as np
import torch

from quantascope.toys.adam import Moments
from quantascope.toys.training import History, TrainingState

__all__ = ["pack_state", "unpack_state"]


def pack_state(state: TrainingState) -> dict[str, torch.Tensor]:
    """Lay a state out as named tensors, which `unpack_state` turns back without loss."""
    packed = {
        "step": torch.tensor(state.step),
        "members": torch.from_numpy(state.members.astype(np.int64)),
        "finished": torch.from_numpy(state.finished.copy()),
        "history.steps": torch.tensor(state.history.steps, dtype=torch.int64),
    }
    parts = (
        ("params", state.params),
        ("first", state.moments.first),
        ("second", state.moments.second),
    )
    for kind, arrays in parts:
        packed |= {f"{kind}.{name}": value.cpu().contiguous() for name, value in arrays.items()}
    if state.history.rows:
        packed |= {
            f"history.rows.{name}": torch.from_numpy(state.history.table(name))
            for name in state.history.rows[0]
        }
    return packed


def unpack_state(packed: Mapping[str, torch.Tensor], *, device: torch.device) -> TrainingState:
    """Make a state from what `pack_state` laid out.

    Raises
    ------
    KeyError
        If an array is missing.
    """

    def of(kind: str) -> dict[str, torch.Tensor]:
        prefix = f"{kind}."
        return {
            name.removeprefix(prefix): value
            for name, value in packed.items()
            if name.startswith(prefix)
        }

    steps = packed["history.steps"].tolist()
    tables = {name: value.numpy() for name, value in of("history.rows").items()}
    rows = [{name: table[place] for name, table in tables.items()} for place in range(len(steps))]
    params, first, second = (
        {name: value.to(device) for name, value in of(kind).items()}
        for kind in ("params", "first", "second")
    )
    return TrainingState(
        step=int(packed["step"]),
        params=params,
        moments=Moments(first, second),
        members=packed["members"].numpy().astype(np.intp),
        finished=packed["finished"].numpy().copy(),
        history=History(steps, rows),
    )
