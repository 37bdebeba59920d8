"""The closed list of axis names that arrays and tables of a run may carry."""

from typing import Final

__all__ = ["AXES", "check_axes"]

AXES: Final = {
    "pred": "one next-token prediction: index of the predicted token in the flat token array",
    "token": "position in the flat token array of a corpus",
    "model": "one model: a size, a step, a seed",
    "doc": "one document",
    "dim": "one number of a sketch",
    "cluster": "one cluster of one clustering",
    "item": "one question of a probe set",
    "rank": "place in the order by size, from 1",
    "task": "one subtask of a toy world",
    "step": "one training step",
    "param": "one parameter of a law",
    "boot": "one bootstrap replicate",
}


def check_axes(axes: tuple[str, ...]) -> tuple[str, ...]:
    """Return `axes` when every name is on the list.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    unknown = [name for name in axes if name not in AXES]
    if unknown:
        raise ValueError(f"axes: {unknown} unknown; allowed are {sorted(AXES)}")
    return axes
