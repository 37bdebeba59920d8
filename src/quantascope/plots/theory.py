"""Figure of a theory: the predicted loss against one resource, with the power law it tends to."""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_prediction"]

_LABELS: Final = {
    "N": "parameters",
    "D": "samples, seen again and again",
    "S": "steps on new samples",
}

Floats = NDArray[np.float64]


def plot_prediction(
    amount: Floats,
    loss: Floats,
    *,
    by: str,
    leading: Floats,
    label: str,
    ax: Axes,
) -> Axes:
    """Draw a predicted loss and its leading power law in logarithms.

    Parameters
    ----------
    amount
        Amounts of the resource, ascending.
    loss
        Predicted mean loss above the floor [nat]; zeros are left out, at least one must be above.
    by
        ``N``, ``D`` or ``S``.
    leading
        Leading power law at the same amounts [nat].
    label
        What the prediction assumes, with its alpha.
    ax
        Where to draw.
    """
    shown = (loss > 0) & (amount > 0)
    law = shown & np.isfinite(leading)
    marker = "o-" if shown.sum() < 30 else "-"
    ax.plot(amount[shown], loss[shown], marker, markersize=3, label=f"prediction, {label}")
    ax.plot(amount[law], leading[law], ":", label="power law of a set without end")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(_LABELS[by])
    ax.set_ylabel("mean loss above the floor [nat]")
    ax.legend()
    return ax
