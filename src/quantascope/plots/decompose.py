"""Figures of a decomposed mean loss: what each part holds at every level, and carries of the drop.

Arrays in, one drawn axes out; no reading, fitting or saving.
"""

from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_drop", "plot_parts"]

Floats = NDArray[np.float64]

_COLOURS: Final = "viridis"
_OTHER: Final = "#BBBBBB"
_REST: Final = "#E6E6E6"
_TOO_LARGE: Final = 0.9
_WIDEST: Final = 32  # characters of a name
_SCALES: Final = {
    "n_params": "size [non-embedding parameters]",
    "step": "training step",
    "n_unique": "distinct training tokens or samples",
}


def plot_parts(
    x: Floats,
    held: Floats,
    *,
    names: Sequence[str],
    has_rest: bool,
    scale: str,
    ax: Axes,
    n_shown: int = 8,
) -> Axes:
    """Draw the mean loss over sizes or steps as a stack of its parts.

    Parameters
    ----------
    x
        Sizes or steps, axis ``level``.
    held
        Share times loss of each part [nat], axes ``part level``.
    names
        Of the groups.
    has_rest
        Whether the last part is what no group holds.
    scale
        What x is.
    ax
        Where to draw.
    n_shown
        Groups that get a colour, those that fall most; the others are drawn together. A rest that
        holds nine tenths of the loss or more is left out, or nothing else would be seen.
    """
    groups = held[: len(names)]
    order = np.argsort(groups[:, -1] - groups[:, 0], kind="stable")
    shown, other = order[:n_shown], order[n_shown:]
    drawn = bool(has_rest and held[-1].sum() < _TOO_LARGE * held.sum())
    rows = [held[-1]] if drawn else []
    labels, colours = ["in no group"] * drawn, [_REST] * drawn
    if len(other):
        rows.append(groups[other].sum(axis=0))
        labels.append(f"{len(other):,} other groups")
        colours.append(_OTHER)
    rows += [groups[i] for i in shown]
    labels += [_literal(names[i]) for i in shown]
    colours += list(mpl.colormaps[_COLOURS](np.linspace(0.0, 0.92, len(shown))))
    ax.stackplot(x, np.stack(rows), labels=labels, colors=colours, linewidth=0)
    ax.set_xscale("log")
    ax.set_xlim(x[0], x[-1])
    ax.set_xlabel(_SCALES[scale])
    left_out = has_rest and not drawn
    ax.set_ylabel("share times loss of groups [nat]" if left_out else "share times loss [nat]")
    ax.legend(fontsize="x-small", loc="upper right")
    return ax


def plot_drop(
    share: Floats,
    error: Floats,
    *,
    names: Sequence[str],
    ax: Axes,
    n_shown: int = 20,
) -> Axes:
    """Draw what each group carries of the drop, the largest first, with 95 % intervals.

    Parameters
    ----------
    share
        Of the whole's drop, axis ``group``.
    error
        Half-widths; NaN where there is none.
    names
        Of the groups.
    ax
        Where to draw.
    n_shown
        Most groups that are drawn.
    """
    order = np.argsort(-share, kind="stable")[:n_shown][::-1]
    place = np.arange(len(order))
    colours = mpl.colormaps[_COLOURS](np.linspace(0.8, 0.2, len(order)))
    ax.barh(place, 100 * share[order], color=colours)
    known = np.isfinite(error[order])
    ax.errorbar(
        100 * share[order][known],
        place[known],
        xerr=100 * error[order][known],
        fmt="none",
        ecolor="black",
        capsize=2,
        linewidth=0.8,
    )
    ax.set_yticks(place, [_literal(names[i]) for i in order], fontsize="x-small")
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set_xlabel("share of the drop of the mean loss [%]")
    return ax


def _literal(text: str) -> str:
    """Keep a dollar from starting a formula, and a leading underscore from hiding a label."""
    return " " * text.startswith("_") + text[:_WIDEST].replace("$", r"\$")
