"""Adam with decoupled weight decay for stacked networks: learning rate and decay of each its own.

References
----------
Kingma and Ba 2014, arXiv 1412.6980, algorithm 1; Loshchilov and Hutter 2017, arXiv 1711.05101,
algorithm 2 (the decay is scaled by the learning rate, as in torch.optim.AdamW).
"""

from dataclasses import dataclass
from typing import Final

import torch

from quantascope.toys.problem import Params

__all__ = ["Moments", "adam_step", "start_moments"]

_BETAS: Final = (0.9, 0.999)
_EPS: Final = 1e-8


@dataclass(frozen=True, eq=False)
class Moments:
    """Running means of gradients and of their squares."""

    first: Params
    second: Params


def start_moments(params: Params) -> Moments:
    """Begin with zeros."""
    zeros = ({name: torch.zeros_like(value) for name, value in params.items()} for _ in range(2))
    return Moments(*zeros)


def adam_step(
    params: Params,
    gradients: Params,
    moments: Moments,
    *,
    step: int,
    rates: Params,
    decays: Params | None,
) -> None:
    """Change parameters and moments in place.

    Parameters
    ----------
    params, gradients, moments
        Arrays of the same names and shapes.
    step
        Steps taken with this one, from 1.
    rates
        Learning rates, broadcast against the parameters.
    decays
        Weight decays likewise; None where all are 0.
    """
    beta1, beta2 = _BETAS
    unbias1, unbias2 = 1 - beta1**step, (1 - beta2**step) ** 0.5
    for name, value in params.items():
        gradient, rate = gradients[name], rates[name]
        first = moments.first[name].lerp_(gradient, 1 - beta1)
        second = moments.second[name].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        if decays is not None:
            value.mul_(1 - rate * decays[name])
        change = second.sqrt().div_(unbias2).add_(_EPS).reciprocal_().mul_(first)
        value.addcmul_(change, rate, value=-1 / unbias1)
