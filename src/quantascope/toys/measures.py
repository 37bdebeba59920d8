"""Progress measures of one subtask: what can grow long before its loss falls.

Each takes signed margins m = s d (s = +1 where the label is 1, else -1; d the difference of the two
logits) and gives a number a sample, of which the mean over a subtask's test points is kept.

References
----------
Barak et al. 2022, arXiv 2207.08799 (hidden progress); Nam et al. 2024, arXiv 2404.17563 (skill
strength: the correlation of the network's answer with the skill).
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

__all__ = ["MEASURES", "Measure", "fourier_share"]

Measure = Callable[[torch.Tensor], torch.Tensor]
"""Margins, any shape, to one number each; must not change its argument."""


def _loss(margin: torch.Tensor) -> torch.Tensor:
    """Cross-entropy [nat]."""
    return functional.softplus(-margin)


def _correct(margin: torch.Tensor) -> torch.Tensor:
    return (margin > 0).float()


def _strength(margin: torch.Tensor) -> torch.Tensor:
    """Multiply expected answer and label's sign: 0 for guessing, 1 for a learned skill."""
    return torch.tanh(margin / 2)


MEASURES: Final[Mapping[str, Measure]] = {
    "loss": _loss,
    "accuracy": _correct,
    "strength": _strength,
    "margin": lambda margin: margin,
    "margin_square": torch.square,
}
"""What is always measured; more can be given."""


def fourier_share(
    margin: NDArray[np.floating], margin_square: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Compute the share of the logit's power that lies on the true subset's parity.

    The label's sign is the character of the subset, so the mean margin is the logit's Fourier
    coefficient on it and the mean square the logit's whole power under this control.

    Parameters
    ----------
    margin, margin_square
        Mean margin and mean squared margin, any equal shapes.

    Returns
    -------
    NDArray[np.floating]
        In [0, 1]; 0 where the logit is constantly 0.
    """
    power = np.where(margin_square > 0, margin_square, 1.0)
    return np.clip(margin**2 / power, 0.0, 1.0)
