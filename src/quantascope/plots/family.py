"""Figure of a family: mean loss against size with its power law. Arrays in, one drawn axes out."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = ["plot_loss_by_size"]

Floats = NDArray[np.float64]


def plot_loss_by_size(
    n_params: Floats,
    loss: Floats,
    *,
    fit: tuple[float, float, float, float] | None,
    ax: Axes,
    unit: str = "nat",
    left_out: NDArray[np.bool_] | None = None,
) -> Axes:
    """Draw mean losses against size, and a power law through them.

    Parameters
    ----------
    n_params, loss
        Sizes [non-embedding parameter] and mean losses, axis ``model``.
    fit
        Exponent, its interval's ends, and prefactor; None draws none.
    ax
        Where to draw.
    unit
        Of the losses.
    left_out
        Points that the law was not fitted to, drawn hollow.

    References
    ----------
    arXiv:2303.13506, figure 3 (left).
    """
    out = np.zeros(len(loss), dtype=np.bool_) if left_out is None else left_out
    ax.plot(n_params[~out], loss[~out], "o", color="#0072B2", label="measured")
    if out.any():
        ax.plot(n_params[out], loss[out], "o", mfc="none", color="#0072B2", label="not fitted")
    if fit is not None:
        exponent, lo, hi, prefactor = fit
        x = np.geomspace(n_params.min(), n_params.max(), 50)
        label = f"alpha_N = {-exponent:.3f} [{-hi:.3f}, {-lo:.3f}]"
        ax.plot(x, prefactor * x**exponent, color="#D55E00", label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("size [non-embedding parameters]")
    ax.set_ylabel(f"mean loss [{unit}]")
    ax.legend()
    return ax
