"""Figures of subtasks falling one after another, and of skills learned."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray

from quantascope.core.units import nats_to_bits
from quantascope.plots.figures import figure

__all__ = [
    "frames_of_subtasks",
    "plot_convergence",
    "plot_log_correction",
    "plot_skills",
    "plot_subtasks",
]

Floats = NDArray[np.floating[Any]]

_COLOURS: Final = "viridis"
_MOST_LINES: Final = 60


def plot_subtasks(
    steps: NDArray[np.integer],
    losses: Floats,
    frequencies: Floats,
    *,
    ax: Axes,
    until: int | None = None,
) -> Axes:
    """Draw the loss of each subtask over training, and their mean weighted by frequency.

    Parameters
    ----------
    steps
        Evaluated steps, rising, axis ``step``.
    losses
        Losses [nat], axes ``(step, task)``.
    frequencies
        Probability of each subtask, axis ``task``; the 60 commonest are drawn, rare ones darker.
    ax
        Where to draw.
    until
        Draw only so many evaluations, in axes fit for all; None for all.
    """
    bits, shown = nats_to_bits(losses), np.argsort(-frequencies, kind="stable")[:_MOST_LINES]
    colours = mpl.colormaps[_COLOURS](np.linspace(0.92, 0.0, len(shown)))
    for place, task in list(enumerate(shown))[::-1]:
        ax.plot(steps[:until], bits[:until, task], color=colours[place], lw=0.8, alpha=0.8)
    mean = bits @ frequencies
    ax.plot(steps[:until], mean[:until], color="black", lw=2.4, label="mean over all samples")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(steps[0], steps[-1])
    ax.set_ylim(max(0.5 * mean.min(), 0.01), 1.5)
    ax.set_xlabel("training step")
    ax.set_ylabel("loss [bit]")
    name = f"one subtask each, the {len(shown)} commonest (light: common)"
    ax.plot([], [], color=colours[len(shown) // 2], lw=0.8, label=name)
    ax.legend(loc="lower left")
    return ax


def frames_of_subtasks(
    steps: NDArray[np.integer],
    losses: Floats,
    frequencies: Floats,
    *,
    n_frames: int = 60,
) -> Iterator[NDArray[np.uint8]]:
    """Draw `plot_subtasks` growing with training.

    Parameters
    ----------
    steps, losses, frequencies
        As for `plot_subtasks`.
    n_frames
        Frames, at least 1; never more than evaluations.

    Yields
    ------
    NDArray[np.uint8]
        One picture, axes ``(row, column, red-green-blue)``.
    """
    for until in np.unique(np.linspace(2, len(steps), min(n_frames, len(steps))).astype(int)):
        with figure(width=6.4, height=4.0) as (drawn, ax):
            plot_subtasks(steps, losses, frequencies, ax=ax, until=int(until))
            canvas = FigureCanvasAgg(drawn)
            canvas.draw()
            yield np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def plot_convergence(table: Mapping[str, Floats], *, ax: Axes) -> Axes:
    """Draw the step at which each subtask was learned against its frequency.

    Parameters
    ----------
    table
        Columns ``frequency``, ``earliest``, ``latest`` (infinite where it was not learned), and
        ``line``, ``line_published``: steps by the censored fit and by the published rule.
    ax
        Where to draw.
    """
    frequency, latest = table["frequency"], table["latest"]
    seen = np.isfinite(latest)
    middle = np.sqrt(np.maximum(table["earliest"][seen], 1) * latest[seen])
    ax.loglog(frequency[seen], middle, "o", label="learned")
    ax.loglog(
        frequency[~seen], table["earliest"][~seen], "^", mfc="none", label="not learned by then"
    )
    order = np.argsort(frequency)
    ax.loglog(frequency[order], table["line"][order], "-", label="fit with all subtasks")
    ax.loglog(
        frequency[order], table["line_published"][order], "--", label="fit to learned ones alone"
    )
    ax.set_xlabel("frequency of the subtask")
    ax.set_ylabel("step at which it was learned")
    ax.legend()
    return ax


def plot_log_correction(tables: Mapping[str, Mapping[str, Floats]], *, ax: Axes) -> Axes:
    """Draw losses with and without the logarithm that unlearned samples of cost -ln p_k bring.

    Parameters
    ----------
    tables
        By alpha as text: columns ``n``, ``loss``, ``without``.
    ax
        Where to draw.
    """
    for place, (alpha, table) in enumerate(tables.items()):
        colour = f"C{place}"
        ax.loglog(table["n"], table["loss"], "-", color=colour, label=f"alpha {alpha}")
        ax.loglog(table["n"], table["without"], "--", color=colour)
    ax.set_xlabel("quanta learned, n")
    ax.set_ylabel("mean loss [nat]; dashed: unlearned cost 1")
    ax.legend()
    return ax


def plot_skills(steps: NDArray[np.integer], strengths: Floats, solved: Floats, *, ax: Axes) -> Axes:
    """Draw strengths of skills over training beside the closed solution.

    Parameters
    ----------
    steps
        Axis ``step``.
    strengths, solved
        Of the trained model and of the solution, axes ``(step, task)``.
    ax
        Where to draw.
    """
    for skill in range(strengths.shape[1]):
        colour = f"C{skill % 7}"
        ax.plot(steps, strengths[:, skill], "-", color=colour, label=f"skill {skill + 1}")
        ax.plot(steps, solved[:, skill], "--", color="black", lw=0.8)
    ax.set_xlabel("training step")
    ax.set_ylabel("strength; dashed: closed solution")
    ax.legend()
    return ax
